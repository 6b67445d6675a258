//! Pages that are written from tables in the code are as those tables say.

use std::path::Path;

/// Compares a page with what the code says, or, with `TIDEWIRE_BLESS` set, writes it.
fn compare(page: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("TIDEWIRE_BLESS").is_some() {
        std::fs::write(&path, expected).expect("the page can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let first_difference = written
        .lines()
        .zip(expected.lines())
        .position(|(written, expected)| written != expected)
        .unwrap_or_else(|| written.lines().count().min(expected.lines().count()));
    assert!(
        written == expected,
        "{page} differs from the code from line {}: write it anew with `TIDEWIRE_BLESS=1 cargo test --test docs`",
        first_difference + 1
    );
}

#[test]
fn the_page_of_settings_is_as_the_code_says() {
    let page = tidewire::service::settings::document::markdown();
    compare("docs/configuration.md", &page);
}
