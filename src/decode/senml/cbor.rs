//! Packs written as CBOR (RFC 8428, 6), whose labels are numbers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Pack;
use super::entry::{Entry, Label};
use crate::decode::cbor::{Item, Items};
use crate::decode::value::Scalar;

/// Maps and arrays within fields that are not understood.
const DEPTH_MAX: usize = 64;

/// Reads a pack's records.
pub(super) fn read(payload: &[u8], pack: &mut Pack<'_, '_>) -> Result<(), String> {
    let mut items = Items::new(payload);
    let Item::Array(mut left) = items.next()?.item else {
        return Err(items.at("a SenML pack is an array"));
    };
    while let Some(element) = items.element(&mut left)? {
        let Item::Map(len) = element.item else {
            return Err(items.at("a SenML record is a map"));
        };
        let entry = record(&mut items, len)?;
        pack.record(entry).map_err(|why| items.at(&why))?;
    }
    match items.at_end() {
        true => Ok(()),
        false => Err(items.at("the pack is over, and more follows")),
    }
}

fn record(items: &mut Items<'_>, len: Option<usize>) -> Result<Entry, String> {
    let mut entry = Entry::default();
    let mut left = len;
    while let Some(key) = items.element(&mut left)? {
        let label = match key.item {
            Item::Scalar(Scalar::Whole(number)) => Ok(Label::numbered(number)),
            Item::Scalar(Scalar::Text(name)) => Label::named(&name),
            _ => Err("a label is neither a number nor text".to_owned()),
        };
        let label = label.map_err(|why| items.at(&why))?;
        let value = items.next()?.item;
        let taken = match (label, value) {
            (None, value) => skip(items, value, DEPTH_MAX),
            (Some(Label::Data), Item::Scalar(Scalar::Text(base64))) => {
                entry.take(Label::Data, data(&base64))
            }
            (Some(label), Item::Scalar(value)) if label.is_time() => match value {
                Scalar::Whole(_) | Scalar::Double(_) => entry.take_time(label, value.into_text()),
                _ => Err(format!("the field `{}` is not a number", label.name())),
            },
            (Some(label), Item::Scalar(value)) => entry.take(label, value),
            (Some(label), _) => Err(format!("the field `{}` is of a wrong type", label.name())),
        };
        taken.map_err(|why| items.at(&why))?;
    }
    Ok(entry)
}

/// Bytes read as base64, in the form that SenML gives data in JSON (RFC 8428, 5).
fn data(base64: &str) -> Scalar<'static> {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    Scalar::Text(URL_SAFE_NO_PAD.encode(bytes).into())
}

fn skip(items: &mut Items<'_>, value: Item, depth: usize) -> Result<(), String> {
    let (len, each) = match value {
        Item::Array(len) => (len, 1),
        Item::Map(len) => (len.map(|pairs| pairs.saturating_mul(2)), 2),
        Item::Break => return Err("a break where a value belongs".to_owned()),
        Item::Scalar(_) | Item::Null => return Ok(()),
    };
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| format!("more than {DEPTH_MAX} maps and arrays within each other"))?;
    let mut left = len;
    let mut count = 0_usize;
    while let Some(element) = items.element(&mut left)? {
        count += 1;
        skip(items, element.item, depth)?;
    }
    match count % each {
        0 => Ok(()),
        _ => Err("a map's last key has no value".to_owned()),
    }
}
