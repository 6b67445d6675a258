//! Single steps whose order is hard to come by in a world of many.

use super::super::*;
use crate::lease::{Answer, Item};

fn millis(seconds: u64) -> Millis {
    Millis(seconds * 1000)
}

fn shard() -> ShardId {
    ShardId::from("shardId-000000000000")
}

fn author(name: &str) -> Author {
    Author {
        me: WorkerId::from(name),
        writer: format!("writer of {name}"),
    }
}

/// What the table makes of the one write among these effects.
fn written(effects: &[Effect], row: &Item) -> Item {
    let change = effects.iter().find_map(|effect| match effect {
        Effect::Write(change) => Some(change),
        _ => None,
    });
    match change.expect("a write").apply(Some(row)) {
        Answer::Applied(Some(row)) => row,
        other => panic!("{other:?}"),
    }
}

fn wrote(row: &Item) -> Input {
    Input::Wrote {
        shard: shard(),
        answer: Ok(Answer::Applied(Some(row.clone()))),
    }
}

/// A keeper that took the lease at 1 s, and the row as it left it.
fn holder() -> (Keeper, Item) {
    let new = NewLease {
        shard: shard(),
        parents: BTreeSet::new(),
        hash_range: None,
        checkpoint: crate::model::Checkpoint::TrimHorizon,
        start_ms: None,
    };
    let Answer::Applied(Some(free)) = author("maker").create(&new).apply(None) else {
        panic!("the row is made");
    };
    let mut keeper = Keeper::new(author("a"), Options::default(), Millis(0));
    keeper.step(Millis(0), Input::Tick);
    let effects = keeper.step(millis(1), Input::Scanned(Ok(vec![free.clone()])));
    let taken = written(&effects, &free);
    let effects = keeper.step(millis(1), wrote(&taken));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Tell(Event::Granted { .. })))
    );
    (keeper, taken)
}

/// Scans may miss a row; after two that did, it is read to be sure.
fn miss(keeper: &mut Keeper) -> Vec<Effect> {
    keeper.step(Millis(1_200), Input::Tick);
    keeper.step(Millis(1_300), Input::Scanned(Ok(Vec::new())));
    keeper.step(Millis(2_100), Input::Tick);
    keeper.step(Millis(2_200), Input::Scanned(Ok(Vec::new())))
}

#[test]
fn a_read_that_a_write_overtook_costs_no_lease() {
    let (mut keeper, taken) = holder();
    assert!(miss(&mut keeper).contains(&Effect::Read(shard())));

    // Before its answer is here, a heartbeat is sent and answered.
    let effects = keeper.step(millis(5), Input::Tick);
    let beaten = written(&effects, &taken);
    keeper.step(millis(5), wrote(&beaten));
    let late = Input::Read {
        shard: shard(),
        answer: Ok(Some(taken)),
    };
    let effects = keeper.step(millis(5), late);
    assert_eq!(effects, Vec::new());
    assert!(keeper.reads_at(&shard(), millis(5)).is_some());

    // The next heartbeat goes on from the last.
    let effects = keeper.step(millis(9), Input::Tick);
    written(&effects, &beaten);
}

#[test]
fn a_read_sent_after_the_last_write_is_believed() {
    let (mut keeper, _) = holder();
    miss(&mut keeper);
    let gone = Input::Read {
        shard: shard(),
        answer: Ok(None),
    };
    let effects = keeper.step(Millis(2_200), gone);
    assert!(effects.iter().any(
        |effect| matches!(effect, Effect::Note(Note::Lost { why, .. }) if *why == "row_gone")
    ));
}
