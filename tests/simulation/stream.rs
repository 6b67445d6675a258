//! The streams of the simulation: shards that grow, split and merge, and how far each was done.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Begin;
use tidewire::lease::Listed;
use tidewire::model::{
    Checkpoint, ChildShard, EpochMillis, SequenceNumber, Shard, ShardId, Start, StreamId,
};

#[derive(Clone, Debug)]
pub(crate) struct Growing {
    pub(crate) id: ShardId,
    pub(crate) parents: Vec<usize>,
    /// Which of the streams it is of.
    stream: usize,
    pub(crate) first: u128,
    pub(crate) last: u128,
    pub(crate) open: bool,
    /// When each record arrived, by the stream's clock.
    pub(crate) arrivals: Vec<u64>,
    /// Records delivered, without a gap; or skipped, because they came before the beginning.
    pub(crate) done: u64,
    /// A lease was made for it at some time.
    pub(crate) leased: bool,
    /// The same, whatever somebody deleted since.
    pub(crate) born: bool,
    /// Its row was deleted, since all of it was done.
    pub(crate) cleaned: bool,
    /// Records that arrived before this may be skipped.
    pub(crate) may_skip_before: u64,
}

impl Growing {
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.arrivals.len()).unwrap()
    }

    /// How many records arrived before `at`.
    pub(crate) fn before(&self, at: u64) -> u64 {
        let before = self.arrivals.partition_point(|arrival| *arrival < at);
        u64::try_from(before).unwrap()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) shards: Vec<Growing>,
    by_id: BTreeMap<ShardId, usize>,
    streams: usize,
    may_skip_before: u64,
    /// `LATEST`: shards that closed before anybody had a lease for them are nobody's.
    pub(crate) latest: bool,
}

/// Sequence numbers of different shards do not overlap.
const SHARD_SPAN: u64 = 1_000_000;

/// What the stream's clock shows when the world begins.
pub(crate) const EPOCH_MS: u64 = 1_000_000;

/// Records each shard has when the world begins, one for each of the seconds before.
const OLD_RECORDS: u64 = 5;

impl World {
    /// So many shards each, of one stream or several.
    pub(crate) fn new(shards: usize, streams: usize) -> Self {
        let mut world = Self {
            streams,
            ..Self::default()
        };
        let count = u128::try_from(shards).unwrap();
        let width = u128::MAX / count;
        for stream in 0..streams {
            for index in 0..count {
                let last = if index + 1 == count {
                    u128::MAX
                } else {
                    (index + 1) * width - 1
                };
                world.add(stream, Vec::new(), index * width, last);
            }
        }
        for shard in &mut world.shards {
            shard.arrivals = (1..=OLD_RECORDS)
                .rev()
                .map(|seconds| EPOCH_MS - seconds * 1_000)
                .collect();
        }
        world
    }

    /// Where shards without history begin: what came before that may be skipped.
    pub(crate) fn begins(&mut self, begin: Begin) {
        self.latest = begin == Begin::Latest;
        if let Begin::At(ms) = begin {
            self.may_skip_before = EPOCH_MS + ms;
        }
        for shard in &mut self.shards {
            shard.may_skip_before = self.may_skip_before;
        }
    }

    fn stream_id(stream: usize) -> StreamId {
        StreamId::new("123456789012", &format!("stream-{stream}"), 1_700_000_000)
    }

    /// The streams, where they are several: leases are then keyed by stream and shard.
    pub(crate) fn ids(&self) -> Option<BTreeSet<StreamId>> {
        (self.streams > 1).then(|| (0..self.streams).map(Self::stream_id).collect())
    }

    fn add(&mut self, stream: usize, parents: Vec<usize>, first: u128, last: u128) {
        let index = self.shards.len();
        let bare = format!("shardId-{index:012}");
        let id = match self.streams {
            1 => ShardId::from(bare),
            _ => Self::stream_id(stream).shard(&bare),
        };
        self.by_id.insert(id.clone(), index);
        self.shards.push(Growing {
            id,
            parents,
            stream,
            first,
            last,
            open: true,
            arrivals: Vec::new(),
            done: 0,
            leased: false,
            born: false,
            cleaned: false,
            may_skip_before: self.may_skip_before,
        });
    }

    fn open(&self) -> Vec<usize> {
        let mut open: Vec<_> = (0..self.shards.len())
            .filter(|index| self.shards[*index].open)
            .collect();
        open.sort_by_key(|index| (self.shards[*index].stream, self.shards[*index].first));
        open
    }

    pub(crate) fn split(&mut self, choice: usize) {
        let open = self.open();
        let index = open[choice % open.len()];
        let Growing {
            first,
            last,
            stream,
            ..
        } = self.shards[index];
        if last - first < 16 {
            return;
        }
        let middle = first + (last - first) / 2;
        self.shards[index].open = false;
        self.add(stream, vec![index], first, middle);
        self.add(stream, vec![index], middle + 1, last);
    }

    pub(crate) fn merge(&mut self, choice: usize) {
        let open = self.open();
        if open.len() < 2 {
            return;
        }
        let left = choice % (open.len() - 1);
        let (a, b) = (open[left], open[left + 1]);
        let stream = self.shards[a].stream;
        if stream != self.shards[b].stream {
            return;
        }
        self.shards[a].open = false;
        self.shards[b].open = false;
        self.add(
            stream,
            vec![a, b],
            self.shards[a].first,
            self.shards[b].last,
        );
    }

    pub(crate) fn produce(&mut self, at: u64) {
        for shard in self.shards.iter_mut().filter(|shard| shard.open) {
            shard.arrivals.push(EPOCH_MS + at);
        }
    }

    pub(crate) fn index(&self, shard: &ShardId) -> usize {
        self.by_id[shard]
    }

    pub(crate) fn finished(&self, index: usize) -> bool {
        let shard = &self.shards[index];
        !shard.open && (shard.done == shard.len() || self.nobodys(index))
    }

    /// Under `LATEST` what nobody had a lease for is nobody's.
    pub(crate) fn nobodys(&self, index: usize) -> bool {
        self.latest && !self.shards[index].leased
    }

    fn seq(index: usize, record: u64) -> SequenceNumber {
        let first = u64::try_from(index).unwrap() * SHARD_SPAN;
        (first + record).to_string().parse().unwrap()
    }

    /// The checkpoint after `records` records; `None` before the first.
    pub(crate) fn checkpoint(index: usize, records: u64) -> Option<Checkpoint> {
        (records > 0).then(|| Checkpoint::At {
            seq: Self::seq(index, records),
            sub: 0,
        })
    }

    /// How many records a start skips.
    pub(crate) fn skipped(&self, index: usize, start: &Start) -> u64 {
        match start {
            Start::TrimHorizon => 0,
            Start::AtTimestamp(at) => self.shards[index].before(u64::try_from(at.0).unwrap()),
            // No record here is an aggregate: one that is read again is not handed on.
            Start::At { seq, sub: 0 } | Start::After(seq) => {
                let number: u64 = seq.as_str().parse().unwrap();
                number - u64::try_from(index).unwrap() * SHARD_SPAN
            }
            Start::At { .. } => panic!("nobody is within an aggregate here"),
        }
    }

    pub(crate) fn children(&self, parent: usize) -> Vec<ChildShard> {
        let born = self
            .shards
            .iter()
            .filter(|shard| shard.parents.contains(&parent));
        born.map(|shard| ChildShard {
            id: shard.id.clone(),
            parents: shard
                .parents
                .iter()
                .map(|index| self.shards[*index].id.clone())
                .collect(),
            starting_hash_key: shard.first.to_string(),
            ending_hash_key: shard.last.to_string(),
        })
        .collect()
    }

    pub(crate) fn listed(&self, at: u64) -> Listed {
        let shards = self.shards.iter().enumerate().map(|(index, shard)| Shard {
            id: shard.id.clone(),
            parent: shard
                .parents
                .first()
                .map(|index| self.shards[*index].id.clone()),
            adjacent_parent: shard
                .parents
                .get(1)
                .map(|index| self.shards[*index].id.clone()),
            starting_hash_key: shard.first.to_string(),
            ending_hash_key: shard.last.to_string(),
            starting_seq: Self::seq(index, 1),
            ending_seq: (!shard.open).then(|| Self::seq(index, shard.len())),
        });
        Listed {
            shards: shards.collect(),
            server_time: EpochMillis(i64::try_from(EPOCH_MS + at).unwrap()),
        }
    }
}
