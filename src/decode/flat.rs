//! One JSON object, flattened while it is parsed: no tree is built.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::value::Scalar;

/// A member's name, borrowed from the payload unless it holds escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Who is told about an object's fields.
pub(super) trait Fields<'de> {
    /// The name whose value is wanted as it is written, if any: the time, which must stay exact.
    fn verbatim(&self) -> Option<&str>;
    /// What joins nested names.
    fn separator(&self) -> &str;
    /// A flattened name of so many bytes was made; an error where names take too much.
    fn named(&mut self, bytes: usize) -> Result<(), String>;
    /// The verbatim field.
    fn raw(&mut self, text: &'de str) -> Result<(), String>;
    /// Any other field that is not null.
    fn field(&mut self, name: &str, value: Scalar<'de>) -> Result<(), String>;
}

/// Parses one object's members into `fields`, their names prefixed.
pub(super) struct Members<'a, F> {
    pub(super) fields: &'a mut F,
    pub(super) prefix: &'a str,
}

impl<'de, F: Fields<'de>> Visitor<'de> for Members<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let path = join(self.prefix, self.fields.separator(), key);
            let made = self.fields.named(path.len());
            made.map_err(serde::de::Error::custom)?;
            map.next_value_seed(Member::of(self.fields, &path))?;
        }
        Ok(())
    }
}

pub(super) fn join<'de>(prefix: &str, separator: &str, name: Cow<'de, str>) -> Cow<'de, str> {
    if prefix.is_empty() {
        name
    } else {
        Cow::Owned(format!("{prefix}{separator}{name}"))
    }
}

/// One member's value.
struct Member<'a, F> {
    fields: &'a mut F,
    path: &'a str,
    verbatim: bool,
}

impl<'de, F: Fields<'de>> DeserializeSeed<'de> for Member<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.verbatim {
            let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
            return self.fields.raw(raw.get()).map_err(serde::de::Error::custom);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'a, 'de, F: Fields<'de>> Member<'a, F> {
    fn of(fields: &'a mut F, path: &'a str) -> Self {
        let verbatim = fields.verbatim() == Some(path);
        Self {
            fields,
            path,
            verbatim,
        }
    }

    fn members(self) -> Members<'a, F> {
        Members {
            fields: self.fields,
            prefix: self.path,
        }
    }

    fn take<E: serde::de::Error>(self, value: Scalar<'de>) -> Result<(), E> {
        self.fields.field(self.path, value).map_err(E::custom)
    }
}

impl<'de, F: Fields<'de>> Visitor<'de> for Member<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.take(Scalar::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.take(Scalar::Whole(value.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.take(Scalar::Whole(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.take(Scalar::Double(value))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<(), E> {
        self.take(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.take(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.members().visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // An array inside an object: its elements are named by their index.
        for index in 0_u64.. {
            let path = join(
                self.path,
                self.fields.separator(),
                Cow::Owned(index.to_string()),
            );
            let made = self.fields.named(path.len());
            made.map_err(serde::de::Error::custom)?;
            let element = Member::of(self.fields, &path);
            if seq.next_element_seed(element)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}
