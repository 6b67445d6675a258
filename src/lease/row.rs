//! The row of one lease: KCL's attributes, and five of ours.

use std::collections::BTreeSet;

use super::item::{Item, Value, name};
use crate::model::{Checkpoint, EpochMillis, LeaseCounter, ShardId, Start, WorkerId};

/// A lease as the table has it. Attributes not listed here survive our writes, which are updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The shard (`leaseKey`).
    pub shard: ShardId,
    /// `leaseOwner`; during a handover the next owner.
    pub owner: Option<WorkerId>,
    /// `leaseCounter`.
    pub counter: LeaseCounter,
    /// `ownerSwitchesSinceCheckpoint`.
    pub switches: u64,
    /// `checkpoint` and `checkpointSubSequenceNumber`.
    pub checkpoint: Checkpoint,
    /// `parentShardId`.
    pub parents: BTreeSet<ShardId>,
    /// `childShardIds`.
    pub children: BTreeSet<ShardId>,
    /// `startingHashKey` and `endingHashKey`; rows of old KCL versions lack them.
    pub hash_range: Option<(String, String)>,
    /// `checkpointOwner` as it stands, stale or not: see [`Row::handover`].
    pub checkpoint_owner: Option<WorkerId>,
    /// `tw_writer`.
    pub writer: Option<String>,
    /// `tw_owner`.
    pub tw_owner: Option<WorkerId>,
    /// `tw_receiver`.
    pub receiver: Option<WorkerId>,
    /// `tw_start_ms`.
    pub start_ms: Option<EpochMillis>,
    /// `tw_rate`.
    pub rate: Option<u64>,
}

/// A lease under way from one live worker to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover<'a> {
    /// Who reads and checkpoints until it hands over.
    pub from: &'a WorkerId,
    /// Who owns the lease after that.
    pub to: &'a WorkerId,
}

impl Row {
    /// The handover under way. A `checkpointOwner` beside an owner other than the receiver that
    /// asked is stale: KCL 2.x takes leases without clearing it.
    #[must_use]
    pub fn handover(&self) -> Option<Handover<'_>> {
        let (to, from) = (self.owner.as_ref()?, self.checkpoint_owner.as_ref()?);
        let asked = self.receiver.as_ref().is_none_or(|receiver| receiver == to);
        (asked && from != to).then_some(Handover { from, to })
    }

    /// Who may read and checkpoint: the old owner until a handover is done.
    #[must_use]
    pub fn actual_owner(&self) -> Option<&WorkerId> {
        match self.handover() {
            Some(handover) => Some(handover.from),
            None => self.owner.as_ref(),
        }
    }

    /// Whether the lease was handed over to its owner, who has not taken it yet.
    #[must_use]
    pub fn handed_over(&self) -> bool {
        self.owner.is_some() && self.receiver == self.owner && self.checkpoint_owner.is_none()
    }

    /// Who asks `me` for this lease.
    #[must_use]
    pub fn asked_of(&self, me: &WorkerId) -> Option<&WorkerId> {
        self.handover()
            .and_then(|handover| (handover.from == me).then_some(handover.to))
    }

    /// Whether the owner is a tidewire worker, which understands handovers.
    #[must_use]
    pub fn owned_by_tidewire(&self) -> bool {
        self.owner.is_some() && self.tw_owner == self.owner
    }

    /// Whether all of the shard is done.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.checkpoint == Checkpoint::ShardEnd
    }

    /// Whether nothing of the shard is done yet.
    #[must_use]
    pub fn unstarted(&self) -> bool {
        matches!(
            self.checkpoint,
            Checkpoint::TrimHorizon | Checkpoint::AtTimestamp | Checkpoint::Latest
        )
    }

    /// Where reading begins; `None` for an ended shard. `LATEST` and `AT_TIMESTAMP` begin at the
    /// pinned time; a row that lacks it (written by KCL, not taken by us yet) at the oldest record,
    /// which repeats but loses nothing.
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        Some(match (&self.checkpoint, self.start_ms) {
            (Checkpoint::ShardEnd, _) => return None,
            // Within an aggregate, or at its end, or after an ordinary record: the row does not say.
            (Checkpoint::At { seq, sub }, _) => Start::At {
                seq: seq.clone(),
                sub: *sub,
            },
            (Checkpoint::AtTimestamp | Checkpoint::Latest, Some(at)) => Start::AtTimestamp(at),
            _ => Start::TrimHorizon,
        })
    }
}

/// A row that is no lease: KCL 3.5 keeps leader, metrics and migration rows in the same table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart where it is made, never stored"
)]
pub enum Entry {
    /// A lease.
    Lease(Row),
    /// Something else; skipped, unless [`why_not`] says that it forbids us to work.
    Other,
}

/// A row that we cannot make sense of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row `{key}` of the lease table: {why}")]
pub struct Unreadable {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// Rows of KCL 3 that are never leases, also where they carry no `entityType` (before 3.5).
const COORDINATOR_ROWS: [&str; 3] = ["Leader", "Migration3.0", "TableMigration3.5"];

/// The keys under which KCL 3 says that a leader assigns leases, in the lease table or (before
/// 3.5) in the legacy table `<name>-CoordinatorState`.
pub const FORBIDDING_ROWS: [&str; 2] = ["Migration3.0", "Leader"];

/// Reads a row.
///
/// # Errors
/// A lease without what every lease has, or with an attribute of a wrong type.
pub fn read(item: &Item) -> Result<Entry, Unreadable> {
    let key = match item.get(name::KEY) {
        Some(Value::S(key)) => key.as_str(),
        _ => "",
    };
    let foreign = match item.get(name::ENTITY) {
        Some(Value::S(kind)) => kind != "LEASE",
        Some(_) => true,
        None => COORDINATOR_ROWS.contains(&key),
    };
    if foreign {
        return Ok(Entry::Other);
    }
    lease(key, item)
        .map(Entry::Lease)
        .map_err(|why| Unreadable {
            key: key.to_owned(),
            why,
        })
}

fn lease(key: &str, item: &Item) -> Result<Row, String> {
    if key.is_empty() {
        return Err("it has no `leaseKey`".to_owned());
    }
    let checkpoint = text(item, name::CHECKPOINT)?.ok_or("it has no `checkpoint`")?;
    let sub = number(item, name::CHECKPOINT_SUB)?.unwrap_or(0);
    let first = text(item, name::HASH_FIRST)?;
    let last = text(item, name::HASH_LAST)?;
    let shard = ShardId::from(key);
    Ok(Row {
        shard: shard.clone(),
        owner: text(item, name::OWNER)?.map(WorkerId::from),
        counter: LeaseCounter(number(item, name::COUNTER)?.ok_or("it has no `leaseCounter`")?),
        switches: number(item, name::SWITCHES)?.unwrap_or(0),
        checkpoint: Checkpoint::from_kcl(checkpoint, sub).map_err(|error| error.to_string())?,
        parents: set(item, name::PARENTS, &shard)?,
        children: set(item, name::CHILDREN, &shard)?,
        hash_range: first.zip(last).map(|(a, b)| (a.to_owned(), b.to_owned())),
        checkpoint_owner: text(item, name::CHECKPOINT_OWNER)?.map(WorkerId::from),
        writer: text(item, name::WRITER)?.map(str::to_owned),
        tw_owner: text(item, name::TW_OWNER)?.map(WorkerId::from),
        receiver: text(item, name::RECEIVER)?.map(WorkerId::from),
        start_ms: number(item, name::START_MS)?
            .and_then(|ms| i64::try_from(ms).ok())
            .map(EpochMillis),
        rate: number(item, name::RATE)?,
    })
}

fn text<'a>(item: &'a Item, name: &str) -> Result<Option<&'a str>, String> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::S(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is not a string")),
    }
}

fn number(item: &Item, name: &str) -> Result<Option<u64>, String> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::N(digits)) => match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("`{name}` is `{digits}`, not a whole number")),
        },
        Some(_) => Err(format!("`{name}` is not a number")),
    }
}

/// Shards of the row's own stream, which KCL writes by their bare ids.
fn set(item: &Item, name: &str, of: &ShardId) -> Result<BTreeSet<ShardId>, String> {
    match item.get(name) {
        None => Ok(BTreeSet::new()),
        Some(Value::Ss(set)) => Ok(set.iter().map(|id| of.sibling(id)).collect()),
        Some(_) => Err(format!("`{name}` is not a string set")),
    }
}

/// Why a row forbids us to take any lease, with the remedy; `None` if it does not.
#[must_use]
pub fn why_not(key: &str, item: &Item) -> Option<String> {
    match (key, item.get("cv"), item.get("isReleased")) {
        ("Migration3.0", Some(Value::S(version)), _)
            if version.starts_with("CLIENT_VERSION_3X") =>
        {
            Some(format!(
                "row `Migration3.0` says {version}: a leader of KCL 3 assigns these leases; roll the fleet \
                 back to 2.x (KclMigrationTool.py) or stop it and delete that row, then start again"
            ))
        }
        ("Leader", _, None) => Some(
            "row `Leader` is held: a worker of KCL 3 assigns these leases; stop that fleet (if it was \
             killed, delete the row), then start again"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
