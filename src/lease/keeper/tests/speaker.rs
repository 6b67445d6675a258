//! Which worker says what is said once for the fleet.

use super::*;
use crate::lease::item::{Value, name};

/// A row of `number` as its owner's take leaves it, or nobody's.
fn row(number: u32, owner: Option<&str>) -> Item {
    let new = NewLease {
        shard: shard(number),
        parents: BTreeSet::new(),
        hash_range: None,
        checkpoint: Checkpoint::TrimHorizon,
        start_ms: None,
    };
    let Answer::Applied(Some(mut row)) = author("another").create(&new).apply(None) else {
        panic!("there is no row yet");
    };
    if let Some(owner) = owner {
        for attribute in [name::OWNER, name::TW_OWNER] {
            row.insert(attribute.to_owned(), Value::S(owner.to_owned()));
        }
    }
    row
}

/// Whether `me`, that holds what it could take of these rows, speaks.
fn speaks(rows: Vec<Item>) -> bool {
    let mut keeper = Keeper::new(author("me"), Options::default(), Millis(START));
    assert!(
        !keeper.status().speaks_for_fleet,
        "before the table is known"
    );
    let mut table: BTreeMap<ShardId, Item> = BTreeMap::new();
    for row in rows {
        let Some(Value::S(key)) = row.get(name::KEY) else {
            panic!("each row has its key");
        };
        table.insert(ShardId::from(key.as_str()), row);
    }
    keeper.step(Millis(START), Input::Tick);
    let rows = table.values().cloned().collect();
    let mut effects = keeper.step(Millis(START), Input::Scanned(Ok(rows)));
    let shards = (0..4).map(|number| listed(number, None)).collect();
    let listed = Listed {
        shards,
        server_time: EpochMillis(0),
    };
    effects.extend(keeper.step(Millis(START), Input::Listed(Ok(listed))));
    for effect in effects {
        let Effect::Write(change) = effect else {
            continue;
        };
        let before = table.get(&change.shard);
        let shard = change.shard.clone();
        let answer = Ok(change.apply(before));
        keeper.step(Millis(START + 1), Input::Wrote { shard, answer });
    }
    keeper.status().speaks_for_fleet
}

#[test]
fn the_one_that_holds_the_first_lease_speaks() {
    // It takes what nobody owns.
    assert!(speaks(vec![row(0, None), row(1, Some("other"))]));
    assert!(!speaks(vec![row(0, Some("other")), row(1, None)]));
}

#[test]
fn a_lease_that_is_done_or_a_java_workers_makes_nobody_the_speaker() {
    let mut done = row(0, Some("other"));
    done.insert(
        name::CHECKPOINT.to_owned(),
        Value::S("SHARD_END".to_owned()),
    );
    assert!(speaks(vec![done, row(1, None)]));
    let mut javas = row(0, Some("java"));
    javas.remove(name::TW_OWNER);
    assert!(speaks(vec![javas, row(1, None)]));
}

#[test]
fn while_none_of_ours_holds_a_lease_each_speaks() {
    let mut javas = row(0, Some("java"));
    javas.remove(name::TW_OWNER);
    assert!(speaks(vec![javas]));
}
