//! An operator's hand on the lease table: looks, watches heartbeats, and carries plans out, each
//! conditional on what was seen and tried again only while nothing but heartbeats came between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::door::fault::Faulty as _;
use crate::door::lease_table::{Error, LeaseTable};
use crate::lease::change::{Answer, Author, Change};
use crate::lease::operate::table::Contents;
use crate::lease::operate::{self, Plan};
use crate::lease::row::{self, Entry, Row};
use crate::model::{Millis, ShardId, WorkerId};
use crate::service::clock::Clock;

/// Between two looks while watching: several within the shortest renewal interval that makes sense.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Between two looks at a hand-over under way: once it is done, balancing may move the lease on at the
/// workers' next scan, and then nobody can tell that it was.
const HAND_OVER_LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often a write is decided anew when a heartbeat came between: a busy owner writes every few
/// seconds, so the second try succeeds; the others are for a table in trouble.
const TRIES: u32 = 6;

/// Before a write is tried again that the table had no room for, or did not answer.
const RETRY_AFTER: Duration = Duration::from_millis(400);

/// Works on one lease table.
#[derive(Debug)]
pub struct Operator<T> {
    table: Arc<T>,
    clock: Clock,
    /// Who writes, as `tw_writer` says: never a worker's signature.
    pub author: Author,
}

/// What became of one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is in the table; the words say what it did.
    Did(String),
    /// There was nothing to do, and why.
    Nothing(String),
    /// It was not done, and why.
    Not(String),
}

/// What watching showed: how long, and when each lease's (or other row's) heartbeat was last seen.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The table as it was last seen.
    pub contents: Contents,
    /// How long it was watched.
    pub watched: Duration,
    /// Since the last heartbeat that was seen, for those that were.
    pub beats: BTreeMap<String, Duration>,
}

impl Watched {
    /// Whether a lease's heartbeat was seen.
    #[must_use]
    pub fn beats(&self, shard: &ShardId) -> bool {
        self.beats.contains_key(shard.as_str())
    }

    /// The tidewire workers whose heartbeats were seen.
    #[must_use]
    pub fn alive(&self) -> std::collections::BTreeSet<WorkerId> {
        let leases = self.contents.leases.values();
        leases
            .filter(|row| self.beats(&row.shard) && row.owned_by_tidewire())
            .filter_map(|row| row.actual_owner().cloned())
            .collect()
    }
}

impl<T: LeaseTable> Operator<T> {
    /// An operator with this signature.
    #[must_use]
    pub fn new(table: Arc<T>, author: Author, clock: Clock) -> Self {
        Self {
            table,
            clock,
            author,
        }
    }

    /// The whole table.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn look(&self) -> Result<Contents, Error> {
        let mut tries = 1;
        loop {
            match self.table.scan().await {
                Ok(items) => return Ok(Contents::of(&items)),
                Err(error) if error.fault().is_worth_again() && tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks for `most`, or until `enough` says so, and takes note of whose heartbeat moves.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn watch(
        &self,
        most: Duration,
        mut enough: impl FnMut(&Watched) -> bool,
    ) -> Result<Watched, Error> {
        let began = self.clock.now();
        let mut moved: BTreeMap<String, Millis> = BTreeMap::new();
        let mut before = beats(&self.look().await?);
        loop {
            let contents = self.look().await?;
            let now = self.clock.now();
            let after = beats(&contents);
            for (key, beat) in &after {
                if before.get(key).is_some_and(|old| old != beat) {
                    moved.insert(key.clone(), now);
                }
            }
            before = after;
            let seen = Watched {
                contents,
                watched: now.since(began),
                beats: moved
                    .iter()
                    .map(|(key, at)| (key.clone(), now.since(*at)))
                    .collect(),
            };
            let left = most.saturating_sub(seen.watched);
            if left.is_zero() || enough(&seen) {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK_EVERY.min(left)).await;
        }
    }

    /// Decides about a lease and writes, from the row as `seen` and then, while others write too,
    /// as it stands; until it is done, or the row became another than was agreed to.
    pub async fn carry_out(&self, seen: &Row, decide: impl Fn(&Row) -> Plan) -> Done {
        let mut row = seen.clone();
        for _ in 0..TRIES {
            if operate::differs(seen, &row) {
                return Done::Not(format!("it changed meanwhile: {}", owned(&row)));
            }
            let (change, does) = match decide(&row) {
                Plan::Write { change, does } => (change, does),
                Plan::Nothing(why) => return Done::Nothing(why),
                Plan::Refused(why) => return Done::Not(why),
            };
            let now = match self.table.change(&change).await {
                Ok(Answer::Applied(_)) => return Done::Did(does),
                Ok(Answer::Refused(item)) => item,
                Err(error) if error.fault().is_worth_again() => {
                    tokio::time::sleep(RETRY_AFTER).await;
                    match self.table.read(&row.shard).await {
                        Ok(item) => item,
                        Err(error) => return Done::Not(unknown(&error)),
                    }
                }
                Err(error) => return Done::Not(error.to_string()),
            };
            match now.as_ref().map(row::read) {
                None => return Done::Not("the row is gone".to_owned()),
                Some(Ok(Entry::Lease(now))) if self.wrote(&row, &now) => return Done::Did(does),
                Some(Ok(Entry::Lease(now))) => row = now,
                Some(Ok(Entry::Other)) => return Done::Not("it is no lease any more".to_owned()),
                Some(Err(unreadable)) => return Done::Not(unreadable.to_string()),
            }
        }
        Done::Not(format!(
            "others wrote first {TRIES} times in a row: try again"
        ))
    }

    /// Whether the row shows our write, whose answer was lost: it has our signature, which is new
    /// with every run, over what we decided from.
    fn wrote(&self, from: &Row, now: &Row) -> bool {
        let signed = now.writer.as_deref() == Some(self.author.writer.as_str());
        signed && from.writer != now.writer
    }

    /// One write that needs no second thought: to a row that no worker writes.
    pub async fn write_once(&self, change: &Change, does: String) -> Done {
        match self.table.change(change).await {
            Ok(Answer::Applied(_)) => Done::Did(does),
            Ok(Answer::Refused(None)) => Done::Not("the row is gone".to_owned()),
            Ok(Answer::Refused(Some(_))) => Done::Not("it changed meanwhile".to_owned()),
            Err(error) if error.fault().is_worth_again() => Done::Not(unknown(&error)),
            Err(error) => Done::Not(error.to_string()),
        }
    }

    /// Waits for a hand-over that was begun: done once `to` heartbeats by itself.
    pub async fn handed_over(&self, begun: &Row, to: &WorkerId, patience: Duration) -> Done {
        let began = self.clock.now();
        loop {
            tokio::time::sleep(HAND_OVER_LOOK_EVERY).await;
            let took = self.clock.now().since(began);
            match self.table.read(&begun.shard).await.map(as_lease) {
                Ok(None) => return Done::Not("the row is gone".to_owned()),
                Ok(Some(row)) if row.handover().is_none() => {
                    let done = row.owner.as_ref() == Some(to);
                    return match done {
                        true => Done::Did(format!("handed over to `{to}` in {took:.1?}")),
                        false => Done::Not(format!("not handed over: {}", owned(&row))),
                    };
                }
                Ok(Some(_)) | Err(_) if took < patience => {}
                Ok(Some(_)) => {
                    return Done::Not(format!(
                        "still under way after {took:.0?}: `tidewire leases list` shows what becomes of it"
                    ));
                }
                Err(error) => return Done::Not(unknown(&error)),
            }
        }
    }
}

fn as_lease(item: Option<crate::lease::Item>) -> Option<Row> {
    match row::read(&item?) {
        Ok(Entry::Lease(row)) => Some(row),
        _ => None,
    }
}

fn unknown(error: &Error) -> String {
    format!("the table does not answer, so whether it was done is unknown ({error}): look again")
}

fn owned(row: &Row) -> String {
    match (row.handover(), &row.owner) {
        (Some(handover), _) => format!("`{}` hands it over to `{}`", handover.from, handover.to),
        (None, Some(owner)) => format!("`{owner}` owns it now"),
        (None, None) => "nobody owns it now".to_owned(),
    }
}

/// What moves with each heartbeat, by row.
fn beats(contents: &Contents) -> BTreeMap<String, String> {
    let leases = contents.leases.values();
    let leases = leases.map(|row| (row.shard.to_string(), row.counter.to_string()));
    let others = contents.others.iter();
    let others = others.filter_map(|row| Some((row.key.clone(), row.beat.clone()?)));
    leases.chain(others).collect()
}
