//! How a person names shards: by id, or by its number alone.

use std::collections::BTreeMap;

use crate::lease::row::Row;
use crate::model::{ShardId, StreamId};

/// The lease that `text` means, as [`among`] reads it.
///
/// # Errors
/// No lease is called so.
pub fn find(rows: &BTreeMap<ShardId, Row>, text: &str) -> Result<ShardId, String> {
    among(rows.keys(), text)?.ok_or_else(|| {
        format!(
            "no lease is called `{text}`: `tidewire leases list` shows them, and `repair` makes one that is missing"
        )
    })
}

/// The shard that `text` means: its whole id, or the number in it (`7` for
/// `shardId-000000000007`); among several streams with a stream's name before it (`name:7`).
///
/// # Errors
/// Several are called so.
pub fn among<'a>(
    ids: impl Iterator<Item = &'a ShardId> + Clone,
    text: &str,
) -> Result<Option<ShardId>, String> {
    let whole = ShardId::from(text);
    if ids.clone().any(|id| *id == whole) {
        return Ok(Some(whole));
    }
    let bare = text.parse().map_or_else(|_| text.to_owned(), numbered);
    // `name:7` or `name:shardId-000000000007` where the fleet reads several streams.
    let (stream, bare) = match text.rsplit_once(':') {
        Some((stream, shard)) => {
            let bare = shard.parse().map_or_else(|_| shard.to_owned(), numbered);
            (Some(stream), bare)
        }
        None => (None, bare),
    };
    let meant = |shard: &&ShardId| {
        let of = shard.stream();
        let of = of.as_ref().map(StreamId::name);
        shard.bare() == bare && (stream.is_none() || stream == of)
    };
    let found: Vec<_> = ids.filter(meant).collect();
    match found[..] {
        [only] => Ok(Some(only.clone())),
        [] => Ok(None),
        [first, second, ..] => Err(format!(
            "`{text}` may be `{first}` or `{second}`: write the stream's name and a colon before it"
        )),
    }
}

fn numbered(number: u64) -> String {
    format!("shardId-{number:012}")
}
