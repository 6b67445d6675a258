//! How a person names shards: by id, or by its number alone.

use std::collections::BTreeMap;

use crate::lease::row::Row;
use crate::model::ShardId;

/// The lease that `text` means: its whole key, or the number in it (`7` for
/// `shardId-000000000007`).
///
/// # Errors
/// No lease is called so.
pub fn find(rows: &BTreeMap<ShardId, Row>, text: &str) -> Result<ShardId, String> {
    let whole = ShardId::from(text);
    if rows.contains_key(&whole) {
        return Ok(whole);
    }
    if let Some(found) = text.parse().ok().map(numbered)
        && rows.contains_key(&found)
    {
        return Ok(found);
    }
    Err(format!(
        "no lease is called `{text}`: `tidewire leases list` shows them, and `repair` makes one that is missing"
    ))
}

fn numbered(number: u64) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}
