//! The whole pipeline against a naive world: random pages, answers in any order, refusals, lost
//! and handed-back shards. Every step is checked; faults shrink.

mod checks;
mod toys;
mod world;

use proptest::prelude::*;

use super::*;
use crate::model::Millis;
use toys::{SHARDS, ops};
use world::World;

#[test]
fn a_unit_that_ends_twice_is_counted_and_makes_nothing_else_wrong() {
    let mut pipeline = Pipeline::new(Options::new("toys".into(), 0));
    let now = Millis(0);
    let granted = Input::Granted {
        shard: toys::id(0),
        epoch: LeaseCounter(1),
        start: Start::TrimHorizon,
    };
    pipeline.step(now, granted);
    let slot = *pipeline.slots.keys().next().unwrap();
    let toy = toys::Toy {
        row: 0,
        value: 0,
        kind: toys::Kind::Plain,
    };
    let shard = toys::ToyShard {
        records: vec![toys::ToyRecord::Readings(vec![toy, toy])],
        ..toys::ToyShard::default()
    };
    let page = PreparedPage {
        records: vec![toys::prepared_record(0, 0, &shard)],
        fetched: 1,
        waiting_bytes: 0,
        ended: None,
        behind_ms: 0,
    };
    pipeline.step(now, Input::Page { slot, page });
    let unit = |index| unit::Unit {
        slot,
        record: 0,
        index,
    };
    let mut end = |index| {
        let fate = lane::Fate::Acknowledged;
        pipeline.settle(now, SinkId(0), unit(index), fate);
        let books = pipeline.books();
        (
            books.broken,
            books.sinks[0].in_flight,
            books.records.in_flight,
        )
    };
    assert_eq!(end(0), (0, 1, 1));
    assert_eq!(end(1), (0, 0, 0));
    assert_eq!(end(1), (1, 0, 0));
    assert_eq!(end(0), (2, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_nothing_is_lost_and_order_holds(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
        world.settle();
        let books = world.pipeline.books();
        prop_assert_eq!(books.records.in_flight, 0);
        prop_assert!(books.sinks.iter().all(|book| book.in_flight == 0));
        for shard in 0..SHARDS {
            world.done(shard, world.shards[shard].records.len());
        }
        world.pipeline.step(world.now, Input::Closed);
        prop_assert!(world.pipeline.is_idle());
        prop_assert_eq!(world.pipeline.budget_used(), 0);
    }
}
