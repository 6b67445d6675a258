//! CBOR payloads (RFC 8949): a map, an array of maps, or several of either one after the other
//! (a CBOR sequence, RFC 8742). Flattened while they are read: no tree is built.

mod items;

use std::borrow::Cow;

use super::flat::Fields as _;
use super::object::{Object, Work};
use super::{TimeUnit, flat::join};

pub(super) use items::{Item, Items, Tagged};

/// Maps and arrays within each other; each takes some of the stack.
const DEPTH_MAX: usize = 64;

/// Decodes one payload.
pub(super) fn decode(work: &mut Work<'_>, payload: &[u8]) -> Result<(), String> {
    let mut items = Items::new(payload);
    while !items.at_end() {
        match items.next()?.item {
            Item::Map(len) => map(work, &mut items, len)?,
            Item::Array(len) => array(work, &mut items, len)?,
            _ => return Err(items.at("expected a map or an array of maps")),
        }
    }
    Ok(())
}

fn map(work: &mut Work<'_>, items: &mut Items<'_>, len: Option<usize>) -> Result<(), String> {
    let mut object = work.object()?;
    members(&mut object, items, len, "", DEPTH_MAX)?;
    object.finish().map_err(|why| items.at(&why))
}

fn array(work: &mut Work<'_>, items: &mut Items<'_>, len: Option<usize>) -> Result<(), String> {
    let mut left = len;
    while let Some(next) = items.element(&mut left)? {
        match next.item {
            Item::Map(len) => map(work, items, len)?,
            _ => return Err(items.at("expected a map")),
        }
    }
    Ok(())
}

fn members(
    object: &mut Object<'_, '_>,
    items: &mut Items<'_>,
    len: Option<usize>,
    prefix: &str,
    depth: usize,
) -> Result<(), String> {
    let mut left = len;
    while let Some(key) = items.element(&mut left)? {
        let Some(name) = key.item.into_key() else {
            return Err(items.at("a map's key is neither text nor a whole number"));
        };
        let path = join(prefix, object.separator(), Cow::Owned(name));
        object.named(path.len()).map_err(|why| items.at(&why))?;
        let value = items.next()?;
        member(object, items, value, &path, depth)?;
    }
    Ok(())
}

fn elements(
    object: &mut Object<'_, '_>,
    items: &mut Items<'_>,
    len: Option<usize>,
    prefix: &str,
    depth: usize,
) -> Result<(), String> {
    let mut left = len;
    for index in 0_u64.. {
        let Some(value) = items.element(&mut left)? else {
            break;
        };
        // An array inside a map: its elements are named by their index.
        let path = join(prefix, object.separator(), Cow::Owned(index.to_string()));
        object.named(path.len()).map_err(|why| items.at(&why))?;
        member(object, items, value, &path, depth)?;
    }
    Ok(())
}

fn member(
    object: &mut Object<'_, '_>,
    items: &mut Items<'_>,
    value: Tagged,
    path: &str,
    depth: usize,
) -> Result<(), String> {
    let deeper = || {
        let too_deep = || format!("more than {DEPTH_MAX} maps and arrays within each other");
        depth.checked_sub(1).ok_or_else(too_deep)
    };
    let is_time = object.verbatim() == Some(path);
    let taken = match value.item {
        Item::Null => return Ok(()),
        Item::Map(len) if !is_time => return members(object, items, len, path, deeper()?),
        Item::Array(len) if !is_time => return elements(object, items, len, path, deeper()?),
        Item::Map(_) | Item::Array(_) => Err(format!("the time field `{path}` is not a time")),
        Item::Break => Err("a break where a value belongs".to_owned()),
        // RFC 8949, 3.4: tag 0 is a date as text, tag 1 seconds since the epoch. A tag is as
        // explicit as a setting, and nearer.
        Item::Scalar(scalar) if is_time => match value.tag {
            Some(0) => object.time_in(&scalar.into_text(), TimeUnit::Rfc3339),
            Some(1) => object.time_in(&scalar.into_text(), TimeUnit::Seconds),
            _ => object.time_text(&scalar.into_text()),
        },
        Item::Scalar(scalar) => object.field(path, scalar),
    };
    taken.map_err(|why| items.at(&why))
}
