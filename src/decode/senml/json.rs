//! Packs written as JSON (RFC 8428, 5).

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::Pack;
use super::entry::{Entry, Label};
use crate::decode::json::sentence;
use crate::decode::value::{Scalar, shorten};

/// Reads a pack's records.
pub(super) fn read(payload: &[u8], pack: &mut Pack<'_, '_>) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    json.deserialize_seq(Records(pack))
        .and_then(|()| json.end())
        .map_err(|error| sentence(&error))
}

struct Records<'p, 'w, 'a>(&'p mut Pack<'w, 'a>);

impl<'de> Visitor<'de> for Records<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of SenML records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(entry) = seq.next_element_seed(Record)? {
            self.0.record(entry).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

struct Record;

impl<'de> DeserializeSeed<'de> for Record {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SenML record, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::default();
        while let Some(name) = map.next_key::<String>()? {
            let Some(label) = Label::named(&name).map_err(A::Error::custom)? else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if label.is_time() {
                let text = map.next_value::<&RawValue>()?.get();
                if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
                    let shown = shorten(text);
                    let wrong = format_args!("the field `{name}` is {shown}, not a number");
                    return Err(A::Error::custom(wrong));
                }
                entry.take_time(label, text.to_owned())
            } else {
                entry.take(label, map.next_value::<Plain>()?.0)
            }
            .map_err(A::Error::custom)?;
        }
        Ok(entry)
    }
}

/// A value that holds no others.
struct Plain(Scalar<'static>);

impl<'de> serde::Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl Visitor<'_> for PlainVisitor {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, text, true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
        Ok(Plain(Scalar::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
        Ok(Plain(Scalar::Whole(value.into())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
        Ok(Plain(Scalar::Whole(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Plain, E> {
        Ok(Plain(Scalar::Double(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Plain, E> {
        Ok(Plain(Scalar::Text(value.to_owned().into())))
    }
}
