//! Base64 around a payload: alone, or in a field of a JSON object, which is how a rule of AWS IoT
//! writes a binary message (`SELECT encode(*, 'base64') AS data, topic() AS topic`).

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserializer as _;

use super::flat::{Fields, Members};
use super::json::sentence;
use super::names::Names;
use super::object::Around;
use super::value::Scalar;
use super::{Envelope, Options, TimeSource};

/// What was in an envelope.
pub(super) struct Opened<'de> {
    pub(super) payload: Cow<'de, [u8]>,
    pub(super) around: Vec<Around>,
}

/// Opens the envelope that the options name.
pub(super) fn open<'de>(
    options: &Options,
    names: &mut Names,
    payload: Cow<'de, [u8]>,
) -> Result<Opened<'de>, String> {
    let field = match &options.envelope {
        Envelope::None => {
            return Ok(Opened {
                payload,
                around: Vec::new(),
            });
        }
        Envelope::Base64 => {
            let decoded = decode(&payload).map_err(|why| format!("the payload {why}"))?;
            return Ok(Opened {
                payload: Cow::Owned(decoded),
                around: Vec::new(),
            });
        }
        Envelope::Field(field) => field,
    };
    names.begin(payload.len());
    let mut found = Found {
        options,
        names,
        field,
        payload: None,
        around: Vec::new(),
    };
    let mut json = serde_json::Deserializer::from_slice(&payload);
    let members = Members {
        fields: &mut found,
        prefix: "",
    };
    json.deserialize_map(members)
        .and_then(|()| json.end())
        .map_err(|error| format!("the envelope: {}", sentence(&error)))?;
    let payload = found
        .payload
        .ok_or_else(|| format!("the envelope's field `{field}` is missing"))?;
    Ok(Opened {
        payload: Cow::Owned(payload),
        around: found.around,
    })
}

/// Either alphabet, padded or not: senders differ, and no text is valid in both with different
/// meanings.
fn decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim_ascii();
    let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = GeneralPurpose::new(if url { &URL_SAFE } else { &STANDARD }, config);
    engine
        .decode(text)
        .map_err(|error| format!("is not base64: {error}"))
}

struct Found<'a> {
    options: &'a Options,
    names: &'a mut Names,
    field: &'a str,
    payload: Option<Vec<u8>>,
    around: Vec<Around>,
}

impl<'de> Fields<'de> for Found<'_> {
    fn verbatim(&self) -> Option<&str> {
        match &self.options.time {
            TimeSource::Field { name, .. } => Some(name),
            TimeSource::Own(_) | TimeSource::Arrival => None,
        }
    }

    fn separator(&self) -> &str {
        &self.options.separator
    }

    fn named(&mut self, bytes: usize) -> Result<(), String> {
        self.names.spend(bytes)
    }

    fn raw(&mut self, text: &'de str) -> Result<(), String> {
        if text == "null" {
            return Ok(());
        }
        let text = if text.starts_with('"') {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            text.to_owned()
        };
        self.around.push(Around::Time(text));
        Ok(())
    }

    fn field(&mut self, name: &str, value: Scalar<'de>) -> Result<(), String> {
        if name != self.field {
            self.names.charge(name.len())?;
            self.around
                .push(Around::Field(name.to_owned(), value.into_owned()));
            return Ok(());
        }
        let Scalar::Text(text) = value else {
            return Err(format!("the field `{name}` is not text"));
        };
        let decoded = decode(text.as_bytes()).map_err(|why| format!("the field `{name}` {why}"))?;
        match self.payload.replace(decoded) {
            Some(_) => Err(format!("the field `{name}` stands twice")),
            None => Ok(()),
        }
    }
}
