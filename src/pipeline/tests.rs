//! The whole pipeline against a naive world: random pages, answers in any order, refusals, lost
//! and handed-back shards. Every step is checked; faults shrink.

mod checks;
mod toys;
mod world;

use proptest::prelude::*;

use super::*;
use toys::{SHARDS, ops};
use world::World;

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
