//! Single steps that the simulation meets too seldom: answers that cross each other.

use super::*;
use crate::lease::change::Answer;
use crate::lease::item::Item;
use crate::lease::talk::Say;
use crate::model::{Checkpoint, EpochMillis, Fault, Shard};

const START: u64 = 1_000_000;

fn shard(number: u32) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

fn listed(id: u32, parent: Option<u32>) -> Shard {
    Shard {
        id: shard(id),
        parent: parent.map(shard),
        adjacent_parent: None,
        starting_hash_key: "0".to_owned(),
        ending_hash_key: "1".to_owned(),
        starting_seq: "1".parse().unwrap(),
        ending_seq: None,
    }
}

fn author(name: &str) -> Author {
    Author {
        me: WorkerId::from(name),
        writer: format!("process-of-{name}"),
    }
}

/// A keeper, and a table that does what it is told when it is told.
struct Bench {
    keeper: Keeper,
    now: u64,
    row: Option<Item>,
    out: Vec<Effect>,
}

impl Bench {
    /// A table with one row that nobody owns, scanned; the stream listed.
    fn new() -> Self {
        let new = NewLease {
            shard: shard(0),
            parents: BTreeSet::new(),
            hash_range: None,
            checkpoint: Checkpoint::TrimHorizon,
            start_ms: None,
        };
        let Answer::Applied(row) = author("another").create(&new).apply(None) else {
            panic!("there is no row yet");
        };
        let mut bench = Self {
            keeper: Keeper::new(author("me"), Options::default(), Millis(START)),
            now: 0,
            row,
            out: Vec::new(),
        };
        bench.step(0, Input::Tick);
        let rows = bench.row.iter().cloned().collect();
        bench.step(0, Input::Scanned(Ok(rows)));
        bench.list(&[listed(0, None)]);
        bench
    }

    fn step(&mut self, at: u64, input: Input) {
        self.now = at;
        self.out.extend(self.keeper.step(Millis(START + at), input));
    }

    fn list(&mut self, listed: &[Shard]) {
        let listed = Listed {
            shards: listed.to_vec(),
            server_time: EpochMillis(0),
        };
        self.step(self.now, Input::Listed(Ok(listed)));
    }

    /// The write that is asked for; the only one.
    fn write(&mut self) -> Change {
        let mut writes = Vec::new();
        self.out.retain(|effect| match effect {
            Effect::Write(change) => {
                writes.push(change.clone());
                false
            }
            _ => true,
        });
        assert_eq!(writes.len(), 1, "{:?}", self.out);
        writes.remove(0)
    }

    fn apply(&mut self, change: &Change) -> Answer {
        let answer = change.apply(self.row.as_ref());
        if let Answer::Applied(row) = &answer {
            self.row.clone_from(row);
        }
        answer
    }

    fn wrote(&mut self, at: u64, shard: ShardId, answer: Result<Answer, Fault>) {
        self.step(at, Input::Wrote { shard, answer });
    }

    fn was_read(&mut self, at: u64, row: Option<Item>) {
        let (shard, answer) = (shard(0), Ok(row));
        self.step(at, Input::Read { shard, answer });
    }

    fn told(&mut self) -> Vec<Event> {
        let tell = |effect| match effect {
            Effect::Tell(event) => Some(event),
            _ => None,
        };
        std::mem::take(&mut self.out)
            .into_iter()
            .filter_map(tell)
            .collect()
    }

    /// Takes the lease at once.
    fn holding() -> Self {
        let mut bench = Self::new();
        let take = bench.write();
        let answer = bench.apply(&take);
        bench.wrote(10, shard(0), Ok(answer));
        assert!(matches!(bench.told()[..], [Event::Granted { .. }]));
        bench
    }
}

#[test]
fn a_take_that_came_to_rest_late_counts_from_when_it_was_sent() {
    let mut bench = Bench::new();
    let first = bench.write();
    bench.wrote(2_000, shard(0), Err(Fault::Transient));
    let unchanged = bench.row.clone();
    bench.was_read(2_100, unchanged);
    bench.step(2_400, Input::Tick);
    let second = bench.write();
    assert_eq!(first, second);
    bench.apply(&first);
    let refused = bench.apply(&second);
    assert!(matches!(refused, Answer::Refused(_)));
    bench.wrote(2_450, shard(0), Ok(refused));
    let right = Options::default().right();
    let reads_at = |ms| bench.keeper.reads_at(&shard(0), Millis(START + ms));
    let end = u64::try_from(right.as_millis()).unwrap();
    assert_eq!(reads_at(end - 1), Some(LeaseCounter(1)));
    assert_eq!(reads_at(end), None);
}

#[test]
fn a_write_of_ours_after_which_the_counter_stands_still_is_noted_as_a_defect() {
    let broken = |out: &[Effect]| {
        let is = |effect: &&Effect| matches!(effect, Effect::Note(Note::Broken(_)));
        out.iter().filter(is).count()
    };
    let mut bench = Bench::holding();
    let before = bench.row.clone();
    bench.step(3_300, Input::Tick);
    let renew = bench.write();
    let right = bench.apply(&renew);
    bench.wrote(3_310, shard(0), Ok(right));
    assert_eq!(broken(&bench.out), 0);
    bench.step(6_700, Input::Tick);
    let mut row = bench.row.clone();
    bench.write();
    if let (Some(row), Some(before)) = (&mut row, before) {
        let counter = before["leaseCounter"].clone();
        row.insert("leaseCounter".to_owned(), counter);
    }
    bench.wrote(6_710, shard(0), Ok(Answer::Applied(row)));
    assert_eq!(broken(&bench.out), 1);
}

#[test]
fn a_read_that_a_heartbeat_overtook_costs_no_lease() {
    let mut bench = Bench::holding();
    let Some(before) = bench.row.clone() else {
        panic!("the row is there");
    };
    let asking = author("another").begin(&bench.keeper.held[&shard(0)].row);
    bench.apply(&asking);
    let asked = bench.row.iter().cloned().collect();
    bench.step(800, Input::Scanned(Ok(asked)));
    assert!(bench.out.contains(&Effect::Read(shard(0))));
    bench.step(3_300, Input::Tick);
    // Refused, since the lease is asked for by now; then repeated as one that is.
    for at in [3_305, 3_310] {
        let renew = bench.write();
        let answer = bench.apply(&renew);
        bench.wrote(at, shard(0), Ok(answer));
    }
    assert!(matches!(bench.told()[..], [Event::Drain { .. }]));
    bench.was_read(3_320, Some(before));

    assert_eq!(bench.told(), []);
    assert!(bench.keeper.held.contains_key(&shard(0)));
}

#[test]
fn a_shard_that_ends_while_we_leave_is_ended_at_once() {
    let mut bench = Bench::holding();
    bench.step(1_000, Input::Shutdown);
    let epoch = bench.keeper.held[&shard(0)].epoch;
    let ended = Say::Ended {
        shard: shard(0),
        epoch,
        children: Vec::new(),
    };
    bench.step(1_100, Input::Said(ended));
    assert!(bench.out.contains(&Effect::List), "{:?}", bench.out);
    bench.list(&[listed(0, None), listed(1, Some(0))]);
    let create = bench.write();
    assert_eq!(create.shard, shard(1));
    bench.wrote(1_200, shard(1), Ok(create.apply(None)));
    let end = bench.write();
    let answer = bench.apply(&end);
    bench.wrote(1_210, shard(0), Ok(answer));
    assert!(bench.out.contains(&Effect::Gone), "{:?}", bench.out);
}

mod mixed;
mod overtaken;
mod speaker;
mod streams;
