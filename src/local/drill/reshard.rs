//! Splitting and merging the stand's shards, by the calls that AWS has for it.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::DisplayErrorContext;

use crate::local::kinesis::{Kinesis, Load};

/// The shards of one stream.
#[derive(Clone, Debug)]
pub struct Shards {
    /// Knows what was written to each.
    pub server: Kinesis,
    /// Reshards.
    pub client: Client,
    /// The stream.
    pub stream: &'static str,
}

impl Shards {
    /// Splits a shard in its middle, the one written to most where none is named; answers what was
    /// done.
    ///
    /// # Errors
    /// There is no such open shard, or Kinesis refuses.
    pub async fn split(&self, id: Option<&str>) -> Result<String, String> {
        let loads = self.server.loads(self.stream).await;
        let load = match id {
            Some(id) => loads.iter().find(|load| load.shard_id == id),
            None => hottest(&loads),
        };
        let Some(load) = load else {
            let open: Vec<_> = loads.iter().map(|load| load.shard_id.as_str()).collect();
            let which = id.unwrap_or("any");
            return Err(format!(
                "no open shard {which} to split: open are {}",
                open.join(", ")
            ));
        };
        let Some(middle) = middle(load) else {
            let id = &load.shard_id;
            return Err(format!("shard {id} holds a single hash key: split another"));
        };
        let split = self.client.split_shard().stream_name(self.stream);
        let split = split
            .shard_to_split(&load.shard_id)
            .new_starting_hash_key(middle.to_string());
        let done = split.send().await;
        done.map_err(|error| format!("kinesis refused: {}", DisplayErrorContext(&error)))?;
        Ok(format!("shard {} was split", load.shard_id))
    }

    /// Merges the two neighbours that are written to least; answers what was done.
    ///
    /// # Errors
    /// There are no two, or Kinesis refuses.
    pub async fn merge(&self) -> Result<String, String> {
        let loads = self.server.loads(self.stream).await;
        let Some((first, second)) = coolest(&loads) else {
            return Err("no two shards to merge: split one first".to_owned());
        };
        let merge = self.client.merge_shards().stream_name(self.stream);
        let merge = merge.shard_to_merge(&first.shard_id);
        let done = merge.adjacent_shard_to_merge(&second.shard_id).send().await;
        done.map_err(|error| format!("kinesis refused: {}", DisplayErrorContext(&error)))?;
        Ok(format!(
            "shards {} and {} were merged",
            first.shard_id, second.shard_id
        ))
    }
}

/// The shard that most was written to of late; of those that are alike, the widest.
fn hottest(loads: &[Load]) -> Option<&Load> {
    loads
        .iter()
        .max_by_key(|load| (load.bytes, load.last - load.first))
}

/// Where the upper half of a shard begins; `None` where it has none.
fn middle(load: &Load) -> Option<u128> {
    let width = load.last - load.first;
    (width > 0).then(|| load.first + width / 2 + 1)
}

/// The two neighbours that least was written to. `loads` are in the order of their ranges.
fn coolest(loads: &[Load]) -> Option<(&Load, &Load)> {
    let pairs = loads.windows(2).map(|pair| (&pair[0], &pair[1]));
    pairs.min_by_key(|(one, other)| one.bytes + other.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(number: usize, first: u128, last: u128, bytes: u64) -> Load {
        Load {
            shard_id: number.to_string(),
            first,
            last,
            bytes,
        }
    }

    #[test]
    fn the_hottest_is_split_and_the_coolest_neighbours_are_merged() {
        let loads = [
            load(0, 0, 9, 5),
            load(1, 10, 19, 70),
            load(2, 20, 39, 1),
            load(3, 40, 49, 2),
        ];
        assert_eq!(hottest(&loads), Some(&loads[1]));
        assert_eq!(coolest(&loads), Some((&loads[2], &loads[3])));
        let quiet = [load(0, 0, 9, 0), load(1, 10, 39, 0), load(2, 40, 49, 0)];
        assert_eq!(hottest(&quiet), Some(&quiet[1]), "the widest");
        assert_eq!((hottest(&[]), coolest(&loads[..1])), (None, None));
    }

    #[test]
    fn both_halves_of_a_shard_hold_something() {
        assert_eq!(middle(&load(0, 0, u128::MAX, 0)), Some(1 << 127));
        assert_eq!(middle(&load(0, 4, 5, 0)), Some(5));
        assert_eq!(middle(&load(0, 4, 4, 0)), None);
    }
}
