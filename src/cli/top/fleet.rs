//! The fleet as it is shown: what two looks say together. Plain data.

use serde::Serialize;

use crate::model::{ShardId, WorkerId};

/// Everything that is shown. What is not known is absent rather than zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Fleet {
    /// The lease table, where it is looked at.
    pub(super) table: Option<String>,
    /// Looks so far.
    pub(super) looks: u64,
    /// Seconds over which rates are means.
    pub(super) rates_over_s: Option<f64>,
    /// Leases, counted.
    pub(super) leases: Counts,
    /// How far the last shard is behind.
    pub(super) behind_s: Option<f64>,
    /// All shards and workers together.
    pub(super) rates: Rates,
    /// The workers, those in trouble first.
    pub(super) workers: Vec<WorkerLine>,
    /// The shards that are not done, the worst first.
    pub(super) shards: Vec<ShardLine>,
    /// The broadcasters.
    pub(super) broadcasters: Vec<BroadcasterLine>,
    /// Addresses that do not answer.
    pub(super) silent: Vec<Silent>,
    /// What cannot be known by what was looked at, and other remarks.
    pub(super) remarks: Vec<String>,
}

/// Leases, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Of shards that are not done.
    pub(super) open: usize,
    /// Owned by a worker that lives, as far as is seen.
    pub(super) held: usize,
    /// Without owner, though they could be taken.
    pub(super) unowned: usize,
    /// Owned by a worker that does not renew them.
    pub(super) expired: usize,
    /// Held back until their parents are done.
    pub(super) waiting: usize,
    /// On their way from one worker to another.
    pub(super) moving: usize,
    /// Of shards that are done.
    pub(super) ended: usize,
    /// What each of the workers seen should hold, by number: the least and the most.
    pub(super) wanted_each: Option<(usize, usize)>,
}

/// What goes through in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    /// Records read.
    pub(super) records_per_s: Option<f64>,
    /// Payload bytes read.
    pub(super) bytes_per_s: Option<f64>,
    /// Readings decoded.
    pub(super) readings_per_s: Option<f64>,
    /// Readings that the stores took.
    pub(super) rows_per_s: Option<f64>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct WorkerLine {
    /// Its id.
    pub(super) worker: WorkerId,
    /// Where it answers, or did; none: it is known by its leases alone.
    pub(super) url: Option<String>,
    /// Whether it answers, or one of its leases is renewed as far as is seen.
    pub(super) lives: bool,
    /// Leases it owns.
    pub(super) leases: usize,
    /// Since one of its heartbeats was last seen to move in the table.
    pub(super) heartbeat_s: Option<f64>,
    /// How far its last shard is behind.
    pub(super) behind_s: Option<f64>,
    /// How long its oldest unfinished record holds up a checkpoint.
    pub(super) checkpoint_age_s: Option<f64>,
    /// What goes through.
    pub(super) rates: Rates,
    /// How much of its byte budget is in use.
    pub(super) budget_percent: Option<u64>,
    /// In words.
    pub(super) state: String,
    /// How bad that is.
    pub(super) tone: Tone,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ShardLine {
    /// Its id.
    pub(super) shard: ShardId,
    /// Who reads it.
    pub(super) owner: Option<WorkerId>,
    /// In words.
    pub(super) state: String,
    /// How far the last read was behind the tip.
    pub(super) behind_s: Option<f64>,
    /// Since its owner's heartbeat was last seen to move in the table.
    pub(super) heartbeat_s: Option<f64>,
    /// How long the oldest unfinished record holds up its checkpoint.
    pub(super) checkpoint_age_s: Option<f64>,
    /// What goes through.
    pub(super) rates: Rates,
    /// Whether `bytes_per_s` is a minute's mean that the owner wrote into the table.
    pub(super) bytes_from_table: bool,
    /// How bad it is.
    pub(super) tone: Tone,
}

/// One broadcaster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct BroadcasterLine {
    /// Where it answers.
    pub(super) url: String,
    /// Queues it serves; with none it stands by.
    pub(super) queues: usize,
    /// Viewers.
    pub(super) viewers: usize,
    /// Devices whose latest values it knows.
    pub(super) devices: usize,
    /// Posts accepted.
    pub(super) posts_per_s: Option<f64>,
    /// Posts answered 410.
    pub(super) gone_per_s: Option<f64>,
    /// Posts answered 429.
    pub(super) slow_per_s: Option<f64>,
    /// Posts without a usable answer.
    pub(super) failed_per_s: Option<f64>,
    /// The age of what it last took off the queue.
    pub(super) behind_s: Option<f64>,
    /// In words.
    pub(super) state: String,
    /// How bad that is.
    pub(super) tone: Tone,
}

/// An address that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Silent {
    /// The address.
    pub(super) url: String,
    /// Who answered there before.
    pub(super) was: Vec<WorkerId>,
    /// Why.
    pub(super) why: String,
}

/// How bad something is, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tone {
    /// As it should be.
    #[default]
    Well,
    /// Look at it.
    Warn,
    /// Somebody has to do something, or a worker will.
    Bad,
}
