//! JSON payloads: an object, an array of objects, or several of either one after the other
//! (NDJSON is the case with line breaks between them).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::flat::Members;
use super::object::Work;

/// Decodes one payload.
pub(super) fn decode(work: &mut Work<'_>, payload: &[u8]) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    loop {
        Objects { work }
            .deserialize(&mut json)
            .map_err(|error| sentence(&error))?;
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

pub(super) fn sentence(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("the payload is not JSON: {error}"),
    }
}

/// A top-level value: an object, or an array of objects.
struct Objects<'w, 'a> {
    work: &'w mut Work<'a>,
}

impl<'de> DeserializeSeed<'de> for Objects<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut object = self.work.object().map_err(A::Error::custom)?;
        let members = Members {
            fields: &mut object,
            prefix: "",
        };
        members.visit_map(map)?;
        object.finish().map_err(A::Error::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let element = ObjectOnly(Objects {
                work: &mut *self.work,
            });
            if seq.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }
}

/// An element of a top-level array.
struct ObjectOnly<'w, 'a>(Objects<'w, 'a>);

impl<'de> DeserializeSeed<'de> for ObjectOnly<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectOnly<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map)
    }
}
