//! Every example of docs/formats.md does what it says.
//!
//! An example is up to three fenced blocks: `toml` with settings (which hold until the next), then
//! `payload` (text) or `payload base64`, then `readings` (JSON lines) or `refusal` (a sentence).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::shown;

/// The fenced blocks of a page: what stands after the fence, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block does not end");
    blocks
}

#[test]
fn every_example_of_the_page_decodes_to_what_it_shows() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut settings = String::new();
    let mut payload = None;
    let mut tried = 0;
    for (kind, text) in blocks(&page) {
        match kind.as_str() {
            "toml" => settings = text,
            "payload" => payload = Some(text.into_bytes()),
            "payload base64" => {
                let digits: String = text.split_whitespace().collect();
                payload = Some(STANDARD.decode(digits).unwrap());
            }
            "readings" => {
                let shown = shown(&settings, payload.as_ref().unwrap());
                assert_eq!(shown.problems, Vec::<String>::new(), "{settings}{text}");
                assert_eq!(shown.lines(), text, "{settings}");
                tried += 1;
            }
            "refusal" => {
                let shown = shown(&settings, payload.as_ref().unwrap());
                assert_eq!(shown.problems.join("\n"), text.trim_end(), "{settings}");
                tried += 1;
            }
            _ => {}
        }
    }
    assert!(tried >= 10, "only {tried} examples were found");
}
