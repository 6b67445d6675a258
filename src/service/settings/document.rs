//! `docs/configuration.md`, written from the declaration of the settings.

use std::fmt::Write as _;

use super::SECTIONS;
use super::key::{Key, Section, variable};

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for section in SECTIONS {
        describe(section, &mut page).expect("writing to a string cannot fail");
    }
    page
}

const HEAD: &str = "\
# Configuration

This page is written by the program from its own table of settings (`tests/docs.rs` compares it, and
`TIDEWIRE_BLESS=1 cargo test --test docs` writes it anew).

Settings come from one TOML file, given with `--config`. Every key can also be given as an environment variable,
`TIDEWIRE_SECTION__KEY` with two underscores between section and key; a variable wins over the file, and an empty one
counts as not set. In a variable, a list is separated by commas and a table is written `name=kind,name=kind`. AWS's own
variables (`AWS_REGION`, `AWS_ENDPOINT_URL_KINESIS`, ...) mean what they always mean.

A secret can be given by value or, under its key's name with `_file` appended, as the path of a file that holds it.
Secrets are never logged or shown in an error.

Unknown keys and bad values are reported all at once, each with its line, and end the process with exit code 64.
";

fn describe(section: &Section, page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "\n## `[{}]`\n\n{}\n",
        section.name,
        section.doc.trim()
    )?;
    writeln!(page, "| key | expected | default | meaning |")?;
    writeln!(page, "|---|---|---|---|")?;
    for key in section.keys {
        writeln!(
            page,
            "| `{}`<br>`{}` | {} | {} | {} |",
            key.name,
            variable(section.name, key.name),
            cell(&expected(key)),
            key.default
                .map_or("not set".to_owned(), |text| format!("`{text}`")),
            cell(key.doc.trim()),
        )?;
    }
    Ok(())
}

fn expected(key: &Key) -> String {
    if key.secret {
        return format!(
            "{}; or the path of a file, as `{}`",
            key.expected(),
            key.file_key()
        );
    }
    key.expected()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
