//! A topic rule: the part of AWS IoT SQL that puts device messages on a stream needs.
//!
//! `SELECT item, .. FROM 'topic filter'`, where an item is `*`, or one of `topic()`, `topic(n)`,
//! `clientid()`, `timestamp()`, a field of the payload (`a.b`), a text `'..'` or a number, named by
//! `AS name` (a field may go without). There is no `WHERE`, no arithmetic and no other function: the
//! statement is then refused with what is understood. As on AWS, what is undefined (a field that is
//! missing, a level that the topic does not have) is left out, a payload that is no JSON passes
//! `SELECT *` as it is, and adding to one that is no JSON object fails (AWS IoT Core's developer
//! guide, "AWS IoT SQL reference" and "Working with binary payloads").

use serde_json::{Map, Value};

use super::topic;

/// A message, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Who published it.
    pub client: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// When it came, in milliseconds since the epoch.
    pub now_ms: i64,
}

/// A statement, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    filter: String,
    everything: bool,
    items: Vec<(String, Source)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    Topic(Option<usize>),
    Client,
    Timestamp,
    Field(Vec<String>),
    Constant(Value),
}

/// A partition key with `${topic()}`, `${topic(n)}`, `${clientid()}` or `${timestamp()}` in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Of(Source),
}

const UNDERSTOOD: &str = "what is understood here is SELECT *, topic(2) AS name, .. FROM 'devices/+/readings', with \
     topic(), topic(n), clientid(), timestamp(), fields, 'texts' and numbers";

impl Rule {
    /// Reads a statement.
    ///
    /// # Errors
    /// It is none, or none that is understood here.
    pub fn parse(sql: &str) -> Result<Self, String> {
        let refused = |why: &str| format!("the rule `{sql}`: {why}; {UNDERSTOOD}");
        let rest = keyword(sql.trim(), "SELECT").ok_or_else(|| refused("it begins with SELECT"))?;
        let from = find_outside_quotes(rest, " from ").ok_or_else(|| refused("FROM is missing"))?;
        let (list, rest) = rest.split_at(from);
        let filter = rest[" from ".len()..].trim();
        let filter = filter
            .strip_prefix('\'')
            .and_then(|filter| filter.strip_suffix('\''))
            .filter(|filter| topic::is_filter(filter))
            .ok_or_else(|| refused("after FROM stands a topic filter in single quotes"))?;
        let mut rule = Self {
            filter: filter.to_owned(),
            everything: false,
            items: Vec::new(),
        };
        for item in split_outside(list) {
            match item.trim() {
                "*" => rule.everything = true,
                item => rule.items.push(named(item).map_err(|why| refused(&why))?),
            }
        }
        Ok(rule)
    }

    /// Whether the rule is about this topic.
    #[must_use]
    pub fn takes(&self, topic: &str) -> bool {
        topic::matches(&self.filter, topic)
    }

    /// What goes onto the stream.
    ///
    /// # Errors
    /// Something is to be added to a payload that is no JSON object.
    pub fn apply(&self, message: &Message<'_>) -> Result<Vec<u8>, String> {
        if self.everything && self.items.is_empty() {
            return Ok(message.payload.to_vec());
        }
        let payload = serde_json::from_slice::<Value>(message.payload);
        let mut out = match (&payload, self.everything) {
            (Ok(Value::Object(fields)), true) => fields.clone(),
            (_, false) => Map::new(),
            (Ok(_), true) => return Err("the payload is JSON, but no object".to_owned()),
            (Err(error), true) => return Err(format!("the payload is no JSON: {error}")),
        };
        for (name, source) in &self.items {
            if let Some(value) = source.of(message, payload.as_ref().ok()) {
                out.insert(name.clone(), value);
            }
        }
        Ok(Value::Object(out).to_string().into_bytes())
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A `${..}` holds something else than the functions that are understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (inside, after) = after
                .split_once('}')
                .ok_or_else(|| format!("the key `{text}`: a `${{` has no `}}`"))?;
            let source = function(inside.trim()).ok_or_else(|| {
                format!(
                    "the key `{text}`: `{inside}` is none of topic(), topic(n), clientid() and timestamp()"
                )
            })?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Of(source));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The key of a message's record.
    ///
    /// # Errors
    /// It is empty or over 256 characters, or something in it is undefined.
    pub fn of(&self, message: &Message<'_>) -> Result<String, String> {
        let mut key = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => key.push_str(text),
                Piece::Of(source) => match source.of(message, None) {
                    Some(Value::String(text)) => key.push_str(&text),
                    Some(value) => key.push_str(&value.to_string()),
                    None => return Err("its partition key is undefined".to_owned()),
                },
            }
        }
        match key.chars().count() {
            1..=256 => Ok(key),
            count => Err(format!(
                "its partition key has {count} characters, 1 to 256 are allowed"
            )),
        }
    }
}

impl Source {
    fn of(&self, message: &Message<'_>, payload: Option<&Value>) -> Option<Value> {
        match self {
            Self::Topic(None) => Some(message.topic.into()),
            Self::Topic(Some(level)) => {
                let level = level.checked_sub(1)?;
                message.topic.split('/').nth(level).map(Value::from)
            }
            Self::Client => Some(message.client.into()),
            Self::Timestamp => Some(message.now_ms.into()),
            Self::Field(path) => {
                let step = |value: Option<Value>, name: &String| value?.get(name).cloned();
                path.iter().fold(payload.cloned(), step)
            }
            Self::Constant(value) => Some(value.clone()),
        }
    }
}

/// An item and the name it gets.
fn named(item: &str) -> Result<(String, Source), String> {
    let (expression, name) = match find_outside_quotes(item, " as ") {
        Some(at) => (item[..at].trim(), Some(item[at + " as ".len()..].trim())),
        None => (item, None),
    };
    let source = source(expression).ok_or_else(|| format!("`{expression}` is not understood"))?;
    let name = match (name, &source) {
        (Some(name), _) if is_name(name) => name.to_owned(),
        (Some(name), _) => return Err(format!("`{name}` is no name")),
        (None, Source::Field(path)) => path.last().cloned().unwrap_or_default(),
        (None, _) => return Err(format!("`{expression}` needs a name: AS name")),
    };
    Ok((name, source))
}

fn source(text: &str) -> Option<Source> {
    if let Some(source) = function(text) {
        return Some(source);
    }
    let quoted = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
    if let Some(text) = quoted {
        return Some(Source::Constant(text.into()));
    }
    if let Ok(number) = serde_json::from_str::<serde_json::Number>(text) {
        return Some(Source::Constant(Value::Number(number)));
    }
    let path: Vec<String> = text.split('.').map(str::to_owned).collect();
    path.iter()
        .all(|name| is_name(name))
        .then_some(Source::Field(path))
}

/// `topic()`, `topic(n)` from 1 on, `clientid()`, `timestamp()`; names without case.
fn function(text: &str) -> Option<Source> {
    let (name, rest) = text.split_once('(')?;
    let argument = rest.strip_suffix(')')?.trim();
    match (name.trim().to_ascii_lowercase().as_str(), argument) {
        ("topic", "") => Some(Source::Topic(None)),
        ("topic", level) => Some(Source::Topic(Some(level.parse().ok()?))),
        ("clientid", "") => Some(Source::Client),
        ("timestamp", "") => Some(Source::Timestamp),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(is_part) && !text.starts_with(|c: char| c.is_numeric())
}

/// What follows a keyword and white space.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    (head.eq_ignore_ascii_case(word) && rest.starts_with(char::is_whitespace)).then_some(rest)
}

/// Where a word (in lower case, with spaces around) stands outside of quotes.
fn find_outside_quotes(text: &str, word: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        quoted ^= c == '\'';
        let here = text.as_bytes().get(at..at + word.len());
        if !quoted && here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes())) {
            return Some(at);
        }
    }
    None
}

/// A list at its commas, those in quotes left alone.
fn split_outside(list: &str) -> Vec<&str> {
    let mut quoted = false;
    list.split(move |c| {
        quoted ^= c == '\'';
        c == ',' && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(sql: &str, topic: &str, payload: &str) -> Result<String, String> {
        let message = Message {
            topic,
            client: "board-7",
            payload: payload.as_bytes(),
            now_ms: 1_800_000_000_000,
        };
        let out = Rule::parse(sql)?.apply(&message)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_statement_of_the_terraform_module_adds_the_device() {
        let sql = "SELECT *, topic(2) AS device_id FROM 'devices/+/readings'";
        assert_eq!(
            apply(sql, "devices/kitchen/readings", r#"{"temperature":21.5}"#).unwrap(),
            r#"{"device_id":"kitchen","temperature":21.5}"#
        );
        let rule = Rule::parse(sql).unwrap();
        assert!(rule.takes("devices/kitchen/readings") && !rule.takes("devices/kitchen"));
    }

    #[test]
    fn items_are_functions_fields_texts_and_numbers() {
        let sql = "select state.reported.t as t, mode, clientid() as who, timestamp() AS at, \
                   topic() AS topic, 'a, b' as site, 3 AS floor, nothing from '#'";
        assert_eq!(
            apply(sql, "x/y", r#"{"state":{"reported":{"t":1}},"mode":"on"}"#).unwrap(),
            r#"{"at":1800000000000,"floor":3,"mode":"on","site":"a, b","t":1,"topic":"x/y","who":"board-7"}"#
        );
    }

    #[test]
    fn what_is_no_json_passes_alone_and_takes_no_addition() {
        assert_eq!(
            apply("SELECT * FROM '#'", "t", "\u{1}raw").unwrap(),
            "\u{1}raw"
        );
        let sql = "SELECT *, topic(1) AS a FROM '#'";
        assert!(apply(sql, "t", "raw").unwrap_err().contains("no JSON"));
        assert!(apply(sql, "t", "[1]").unwrap_err().contains("no object"));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is() {
        for sql in [
            "",
            "SELECT *",
            "SELECT * FROM devices",
            "SELECT * FROM 'a/#/b'",
            "SELECT topic(2) FROM 'a'",
            "SELECT temperature * 2 AS t FROM 'a'",
            "SELECT * FROM 'a' WHERE temperature > 3",
            "SELECT newuuid() AS id FROM 'a'",
        ] {
            let error = Rule::parse(sql).unwrap_err();
            assert!(error.contains("understood here"), "{sql}: {error}");
        }
    }

    #[test]
    fn a_key_is_filled_in_or_its_message_fails() {
        let message = Message {
            topic: "devices/kitchen/readings",
            client: "board-7",
            payload: b"",
            now_ms: 5,
        };
        let key = |text: &str| Template::parse(text)?.of(&message);
        assert_eq!(key("${topic(2)}"), Ok("kitchen".to_owned()));
        assert_eq!(
            key("a-${clientid()}-${timestamp()}"),
            Ok("a-board-7-5".to_owned())
        );
        assert!(key("${topic(9)}").unwrap_err().contains("undefined"));
        assert!(key("").unwrap_err().contains("0 characters"));
        assert!(key("${newuuid()}").unwrap_err().contains("none of"));
        assert!(key("${topic(2)").unwrap_err().contains("no `}`"));
    }
}
