//! InfluxDB line protocol: `measurement,tag=text field=value 1372896000000`, one reading a line.
//! Tags become dimensions, the measurement the dimension `measurement`, fields measures of the
//! type that the line gives them.

use std::borrow::Cow;

use super::flat::Fields as _;
use super::object::{Object, Work};
use super::value::{Scalar, shorten};

/// The name by which options speak of a line's measurement.
const MEASUREMENT: &str = "measurement";

/// Decodes one payload.
pub(super) fn decode(work: &mut Work<'_>, payload: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        format!(
            "the payload is not line protocol: byte {} is not UTF-8",
            error.valid_up_to()
        )
    })?;
    let mut rest = Cursor { text, line: 1 };
    while rest.skip_blank() {
        let line = rest.line;
        one(work, &mut rest).map_err(|why| format!("line {line}: {why}"))?;
    }
    Ok(())
}

fn one<'de>(work: &mut Work<'_>, rest: &mut Cursor<'de>) -> Result<(), String> {
    let mut object = work.object()?;
    let measurement = rest.token(&[',', ' ', '\n']);
    if measurement.is_empty() {
        return Err("the measurement is missing".to_owned());
    }
    named(&mut object, MEASUREMENT)?;
    object.tag(MEASUREMENT, &measurement)?;
    while rest.eat(',') {
        let name = rest.name("tag")?;
        let text = rest.token(&[',', ' ', '\n']);
        if text.is_empty() {
            return Err(format!("the tag `{}` has no value", shorten(&name)));
        }
        named(&mut object, &name)?;
        object.tag(&name, &text)?;
    }
    if !rest.eat_blanks() {
        return Err("the fields are missing".to_owned());
    }
    loop {
        let name = rest.name("field")?;
        named(&mut object, &name)?;
        let value = rest.value(&name)?;
        object.field(&name, value)?;
        if !rest.eat(',') {
            break;
        }
    }
    rest.eat_blanks();
    let time = rest.until_line_end().trim_end();
    if !time.is_empty() {
        object.time_text(time)?;
    }
    object.finish()
}

fn named(object: &mut Object<'_, '_>, name: &str) -> Result<(), String> {
    object.named(name.len())
}

/// What is left of the text.
struct Cursor<'de> {
    text: &'de str,
    line: usize,
}

impl<'de> Cursor<'de> {
    fn skip(&mut self, bytes: usize) {
        let skipped = &self.text[..bytes];
        self.line += skipped.matches('\n').count();
        self.text = &self.text[bytes..];
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.text.starts_with(wanted);
        if found {
            self.skip(wanted.len_utf8());
        }
        found
    }

    fn eat_blanks(&mut self) -> bool {
        let blanks = self.text.len() - self.text.trim_start_matches(' ').len();
        self.skip(blanks);
        blanks > 0
    }

    /// Empty lines and comments; whether there is a line after them.
    fn skip_blank(&mut self) -> bool {
        loop {
            let blanks = self.text.len() - self.text.trim_start().len();
            self.skip(blanks);
            if !self.text.starts_with('#') {
                return !self.text.is_empty();
            }
            self.until_line_end();
        }
    }

    fn until_line_end(&mut self) -> &'de str {
        let end = self.text.find('\n').unwrap_or(self.text.len());
        let line = &self.text[..end];
        self.skip(end);
        line
    }

    /// Text up to one of these, which a backslash takes their meaning from. Before anything else
    /// a backslash is itself.
    fn token(&mut self, ends: &[char]) -> Cow<'de, str> {
        const ESCAPED: [char; 3] = [',', '=', ' '];
        let mut owned: Option<String> = None;
        let mut chars = self.text.char_indices().peekable();
        let mut end = self.text.len();
        while let Some((at, c)) = chars.next() {
            if c == '\\'
                && let Some((_, next)) = chars.next_if(|(_, next)| ESCAPED.contains(next))
            {
                owned
                    .get_or_insert_with(|| self.text[..at].to_owned())
                    .push(next);
                continue;
            }
            if ends.contains(&c) {
                end = at;
                break;
            }
            if let Some(owned) = &mut owned {
                owned.push(c);
            }
        }
        let token = &self.text[..end];
        self.skip(end);
        owned.map_or(Cow::Borrowed(token), Cow::Owned)
    }

    /// A tag's or field's name, and the sign after it.
    fn name(&mut self, what: &str) -> Result<Cow<'de, str>, String> {
        let name = self.token(&['=', ',', ' ', '\n']);
        if name.is_empty() {
            return Err(format!("a {what}'s name is missing"));
        }
        if !self.eat('=') {
            return Err(format!("the {what} `{}` has no `=`", shorten(&name)));
        }
        Ok(name)
    }

    fn value(&mut self, name: &str) -> Result<Scalar<'de>, String> {
        if self.text.starts_with('"') {
            let text = self
                .quoted()
                .ok_or_else(|| format!("the text of the field `{}` does not end", shorten(name)))?;
            return Ok(Scalar::Text(text));
        }
        let text = self.token(&[',', ' ', '\n']);
        let text = text.trim_end_matches('\r');
        number(text).ok_or_else(|| {
            format!(
                "the field `{}` is `{}`, neither a number, a truth value nor text in quotes",
                shorten(name),
                shorten(text)
            )
        })
    }

    /// Text in quotes, within which a backslash stands before a quote or another one.
    fn quoted(&mut self) -> Option<Cow<'de, str>> {
        let inner = &self.text[1..];
        let mut owned: Option<String> = None;
        let mut chars = inner.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    let text = &inner[..at];
                    self.skip(at + 2);
                    return Some(owned.map_or(Cow::Borrowed(text), Cow::Owned));
                }
                '\\' => {
                    let escaped = chars.next_if(|(_, next)| matches!(next, '"' | '\\'));
                    owned
                        .get_or_insert_with(|| inner[..at].to_owned())
                        .push(escaped.map_or('\\', |(_, next)| next));
                }
                other => {
                    if let Some(owned) = &mut owned {
                        owned.push(other);
                    }
                }
            }
        }
        None
    }
}

fn number(text: &str) -> Option<Scalar<'static>> {
    let whole = |digits: &str, signed: bool| {
        let number: i128 = if signed {
            digits.parse::<i64>().ok()?.into()
        } else {
            digits.parse::<u64>().ok()?.into()
        };
        Some(Scalar::Integer(number))
    };
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(Scalar::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(Scalar::Bool(false)),
        _ => {}
    }
    if let Some(digits) = text.strip_suffix('i') {
        return whole(digits, true);
    }
    if let Some(digits) = text.strip_suffix('u') {
        return whole(digits, false);
    }
    // Words such as `inf`, which Rust takes for numbers, are none here.
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    text.chars()
        .all(numeric)
        .then(|| text.parse().ok().map(Scalar::Double))?
}
