//! A keeper on a table that Java workers use too. Every write is applied and answered at once.

use super::*;

const JAVA: &str = "java";

struct Fleet {
    keeper: Keeper,
    now: u64,
    rows: BTreeMap<ShardId, Item>,
    listed: Vec<Shard>,
    told: Vec<Event>,
    notes: Vec<Note>,
    gone: bool,
}

/// A row of a shard that has been begun, `owner`'s.
fn row(number: u32, owner: Option<&str>) -> Item {
    use crate::lease::item::{Value, name};
    let mut item = Item::from([
        (name::KEY.to_owned(), Value::text(shard(number).as_str())),
        (name::COUNTER.to_owned(), Value::number(7)),
        (name::SWITCHES.to_owned(), Value::number(0)),
        (name::CHECKPOINT.to_owned(), Value::text("77")),
        (name::CHECKPOINT_SUB.to_owned(), Value::number(0)),
    ]);
    if let Some(owner) = owner {
        item.insert(name::OWNER.to_owned(), Value::text(owner));
    }
    item
}

impl Fleet {
    fn new(rows: impl IntoIterator<Item = Item>) -> Self {
        let options = Options {
            fleet: crate::lease::Fleet::Mixed,
            ..Options::default()
        };
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (key(&row), row)).collect();
        Self {
            keeper: Keeper::new(author("me"), options, Millis(START)),
            now: 0,
            listed: (0..)
                .take(rows.len())
                .map(|number| listed(number, None))
                .collect(),
            rows,
            told: Vec::new(),
            notes: Vec::new(),
            gone: false,
        }
    }

    /// `java` holds so many, `us` hold so many, and so many are free.
    fn of(java: u32, us: u32, free: u32) -> Self {
        let owner = |number| match number {
            n if n < java => Some(JAVA),
            n if n < java + us => Some("me"),
            _ => None,
        };
        Self::new((0..java + us + free).map(|number| row(number, owner(number))))
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for effect in self.keeper.step(Millis(START + self.now), input) {
                match effect {
                    Effect::Scan => {
                        let rows = self.rows.values().cloned().collect();
                        inputs.push(Input::Scanned(Ok(rows)));
                    }
                    Effect::List => inputs.push(Input::Listed(Ok(Listed {
                        shards: self.listed.clone(),
                        server_time: EpochMillis(0),
                    }))),
                    Effect::Read(shard) => {
                        let answer = Ok(self.rows.get(&shard).cloned());
                        inputs.push(Input::Read { shard, answer });
                    }
                    Effect::Write(change) => inputs.push(self.write(&change)),
                    Effect::Tell(event) => self.told.push(event),
                    Effect::Note(note) => self.notes.push(note),
                    Effect::Refuse(error) => panic!("{error}"),
                    Effect::Gone => self.gone = true,
                }
            }
        }
    }

    fn write(&mut self, change: &Change) -> Input {
        let shard = change.shard.clone();
        let answer = change.apply(self.rows.get(&shard));
        match &answer {
            Answer::Applied(Some(item)) => {
                self.rows.insert(shard.clone(), item.clone());
            }
            Answer::Applied(None) => {
                self.rows.remove(&shard);
            }
            Answer::Refused(_) => {}
        }
        Input::Wrote {
            shard,
            answer: Ok(answer),
        }
    }

    /// Lets time pass, in which `java` renews what it has, if it lives.
    fn pass(&mut self, ms: u64, java_lives: bool) {
        for _ in 0..ms / 100 {
            self.now += 100;
            if java_lives && self.now.is_multiple_of(3_300) {
                for row in self.rows.values_mut() {
                    if owner(row) == Some(JAVA) {
                        bump(row);
                    }
                }
            }
            self.step(Input::Tick);
        }
    }

    fn owned(&self, by: &str) -> usize {
        let rows = self.rows.values();
        rows.filter(|row| owner(row) == Some(by)).count()
    }

    fn noted(&self, is: impl Fn(&Note) -> bool) -> usize {
        self.notes.iter().filter(|note| is(note)).count()
    }

    /// The worker reports, of each shard that it was granted.
    fn say(&mut self, what: impl Fn(ShardId, LeaseCounter) -> Say) {
        let granted = |event: &Event| match event {
            Event::Granted { shard, epoch, .. } => Some((shard.clone(), *epoch)),
            _ => None,
        };
        let granted: Vec<_> = self.told.iter().filter_map(granted).collect();
        for (shard, epoch) in granted {
            self.step(Input::Said(what(shard, epoch)));
        }
    }
}

fn key(row: &Item) -> ShardId {
    ShardId::from(text(row, crate::lease::item::name::KEY).unwrap())
}

fn text<'a>(row: &'a Item, name: &str) -> Option<&'a str> {
    match row.get(name) {
        Some(crate::lease::item::Value::S(text)) => Some(text),
        _ => None,
    }
}

fn owner(row: &Item) -> Option<&str> {
    text(row, crate::lease::item::name::OWNER)
}

fn bump(row: &mut Item) {
    use crate::lease::item::{Value, name};
    let Some(Value::N(digits)) = row.get(name::COUNTER) else {
        panic!("every row has a counter");
    };
    let next: u64 = digits.parse::<u64>().unwrap() + 1;
    row.insert(name::COUNTER.to_owned(), Value::number(next));
}

#[test]
fn a_lease_a_scan_is_taken_from_java_until_it_has_its_share() {
    let mut fleet = Fleet::of(6, 0, 0);
    fleet.step(Input::Tick);
    assert_eq!(fleet.owned("me"), 1, "one at a time");
    fleet.pass(800, true);
    assert_eq!(fleet.owned("me"), 2);
    fleet.pass(30_000, true);
    assert_eq!((fleet.owned(JAVA), fleet.owned("me")), (3, 3));
    let stolen = |note: &Note| matches!(note, Note::Taken { how: "stolen", .. });
    assert_eq!(fleet.noted(stolen), 3);
    assert_eq!(fleet.noted(|note| matches!(note, Note::Asked { .. })), 0);
    assert_eq!(fleet.noted(|note| matches!(note, Note::Lost { .. })), 0);
}

#[test]
fn a_worker_of_ours_is_asked() {
    let theirs = (0..4).map(|number| {
        let new = NewLease {
            shard: shard(number),
            parents: BTreeSet::new(),
            hash_range: None,
            checkpoint: Checkpoint::TrimHorizon,
            start_ms: None,
        };
        let another = author("another");
        let Answer::Applied(Some(item)) = another.create(&new).apply(None) else {
            panic!("there is no row yet");
        };
        let Ok(crate::lease::row::Entry::Lease(row)) = crate::lease::row::read(&item) else {
            panic!("it is a lease");
        };
        let Answer::Applied(Some(item)) = another.take(&row, None).apply(Some(&item)) else {
            panic!("it is free");
        };
        item
    });
    let mut fleet = Fleet::new(theirs);
    fleet.step(Input::Tick);
    assert_eq!(fleet.noted(|note| matches!(note, Note::Asked { .. })), 1);
    assert_eq!(fleet.noted(|note| matches!(note, Note::Taken { .. })), 0);
}

#[test]
fn free_leases_beyond_our_share_are_left_to_java_for_three_lease_durations() {
    let mut fleet = Fleet::of(1, 0, 5);
    fleet.step(Input::Tick);
    assert_eq!(fleet.owned("me"), 3);
    fleet.pass(29_900, true);
    assert_eq!(fleet.owned("me"), 3);
    fleet.pass(300, true);
    assert_eq!((fleet.owned(JAVA), fleet.owned("me")), (1, 5));
}

#[test]
fn the_leases_of_a_dead_java_worker_are_ours_after_a_lease_duration() {
    let mut fleet = Fleet::of(2, 2, 0);
    fleet.step(Input::Tick);
    fleet.pass(10_500, false);
    assert_eq!(fleet.owned("me"), 4);
}

#[test]
fn what_is_not_released_at_shutdown_is_checkpointed_and_keeps_its_owner() {
    let theirs = [row(0, Some(JAVA)), row(1, Some("java-2"))];
    let ours = (2..7).map(|number| row(number, Some("me")));
    let mut fleet = Fleet::new(theirs.into_iter().chain(ours));
    fleet.step(Input::Tick);
    assert_eq!(fleet.owned("me"), 5);
    fleet.step(Input::Shutdown);
    fleet.say(|shard, epoch| Say::Drained {
        shard,
        epoch,
        checkpoint: Some(Checkpoint::from_kcl("99", 0).unwrap()),
    });
    assert!(fleet.gone);
    let ours: Vec<_> = fleet.rows.values().skip(2).collect();
    assert!(
        ours.iter().all(|row| text(row, "checkpoint") == Some("99")),
        "{ours:?}"
    );
    // Half of five, rounded up, is released: two workers remain.
    assert_eq!(fleet.owned("me"), 2);
    let left = |note: &Note| {
        matches!(
            note,
            Note::Released {
                why: "left_to_expire",
                ..
            }
        )
    };
    assert_eq!(fleet.noted(left), 2);
}

#[test]
fn all_is_released_where_one_worker_remains() {
    let mut fleet = Fleet::of(1, 3, 0);
    fleet.step(Input::Tick);
    fleet.step(Input::Shutdown);
    fleet.say(|shard, epoch| Say::Drained {
        shard,
        epoch,
        checkpoint: None,
    });
    assert!(fleet.gone);
    assert_eq!(fleet.owned("me"), 0);
}

#[test]
fn an_ended_lease_stays_ours_and_counts_until_its_row_may_go() {
    let mut fleet = Fleet::of(2, 2, 0);
    fleet.listed[3].ending_seq = Some("9".parse().unwrap());
    fleet.listed.push(listed(4, Some(3)));
    fleet.step(Input::Tick);
    let ends = shard(3);
    fleet.say(|shard, epoch| {
        let child = ChildShard {
            id: super::shard(4),
            parents: vec![ends.clone()],
            starting_hash_key: "0".to_owned(),
            ending_hash_key: "1".to_owned(),
        };
        match shard == ends {
            true => Say::Ended {
                shard,
                epoch,
                children: vec![child],
            },
            false => Say::Checkpoint {
                shard,
                epoch,
                checkpoint: Checkpoint::from_kcl("88", 0).unwrap(),
            },
        }
    });
    let ended = &fleet.rows[&shard(3)];
    assert_eq!(text(ended, "checkpoint"), Some("SHARD_END"));
    assert_eq!(owner(ended), Some("me"));
    // Five rows, two workers: a third for us, and that is the child.
    assert_eq!(fleet.owned("me"), 3);
    fleet.pass(20_000, true);
    assert_eq!((fleet.owned(JAVA), fleet.owned("me")), (2, 3));
    assert_eq!(
        fleet.keeper.reads_at(&shard(3), Millis(START + fleet.now)),
        None
    );

    fleet.say(|shard, epoch| Say::Checkpoint {
        shard,
        epoch,
        checkpoint: Checkpoint::from_kcl("99", 0).unwrap(),
    });
    fleet.pass(65_000, true);
    assert!(!fleet.rows.contains_key(&shard(3)), "{:?}", fleet.rows);
    assert_eq!(fleet.noted(|note| matches!(note, Note::Lost { .. })), 0);
}

#[test]
fn an_ended_lease_of_a_dead_java_worker_is_taken_and_not_read() {
    let mut ended = row(0, Some(JAVA));
    ended.insert(
        "checkpoint".to_owned(),
        crate::lease::item::Value::text("SHARD_END"),
    );
    let mut fleet = Fleet::new([ended, row(1, Some("me"))]);
    fleet.step(Input::Tick);
    fleet.pass(30_000, false);
    assert_eq!(fleet.owned("me"), 2);
    let granted = |event: &&Event| matches!(event, Event::Granted { .. });
    assert_eq!(fleet.told.iter().filter(granted).count(), 1);
}
