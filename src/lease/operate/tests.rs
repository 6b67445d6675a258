use std::collections::BTreeMap;

use super::repair::{Flaw, flaws, holes, mend};
use super::table::Contents;
use super::*;
use crate::lease::change::Answer;
use crate::lease::item::Item;
use crate::lease::lineage::Shards;
use crate::lease::options::Initial;
use crate::lease::row::{self, Entry};
use crate::model::Shard;

fn id(number: u64) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

fn operator() -> Author {
    Author {
        me: WorkerId::from("operator-1"),
        writer: "a-run-of-the-command".to_owned(),
    }
}

/// A lease at 77 under counter 41, owned by tidewire worker `a`, with a stranger's attribute.
fn item(changed: &[(&str, Option<Value>)]) -> Item {
    let mut item: Item = [
        (attribute::KEY, Value::text(id(0).as_str())),
        (attribute::OWNER, Value::text("a")),
        (attribute::TW_OWNER, Value::text("a")),
        (attribute::WRITER, Value::text("process-of-a")),
        (attribute::COUNTER, Value::number(41)),
        (attribute::SWITCHES, Value::number(2)),
        (attribute::CHECKPOINT, Value::text("77")),
        (attribute::CHECKPOINT_SUB, Value::number(3)),
        (attribute::PENDING[0], Value::text("79")),
        ("throughputKBps", Value::text("1.5")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in changed {
        match value {
            Some(value) => item.insert((*name).to_owned(), value.clone()),
            None => item.remove(*name),
        };
    }
    item
}

fn lease(item: &Item) -> Row {
    match row::read(item).unwrap() {
        Entry::Lease(row) => row,
        Entry::Other => panic!("a lease was expected"),
    }
}

/// What the plan makes of the row it was decided from.
fn applied(plan: &Plan, item: &Item) -> Item {
    let Plan::Write { change, .. } = plan else {
        panic!("a write was expected, not {plan:?}");
    };
    match change.apply(Some(item)) {
        Answer::Applied(Some(item)) => item,
        other => panic!("its own condition does not hold: {other:?}"),
    }
}

fn is_refused(plan: &Plan, item: &Item) -> bool {
    let Plan::Write { change, .. } = plan else {
        panic!("a write was expected, not {plan:?}");
    };
    matches!(change.apply(Some(item)), Answer::Refused(_))
}

fn names(workers: &[&str]) -> BTreeSet<WorkerId> {
    workers.iter().map(|name| WorkerId::from(*name)).collect()
}

#[test]
fn release_removes_the_owner_raises_the_counter_and_keeps_the_rest() {
    let before = item(&[]);
    let plan = release(&operator(), &lease(&before));
    let after = applied(&plan, &before);
    let row = lease(&after);
    assert_eq!((row.owner, row.tw_owner), (None, None));
    assert_eq!(row.counter.0, 42);
    assert_eq!(row.checkpoint.to_string(), "77/3");
    assert_eq!(after["throughputKBps"], Value::text("1.5"));
    // A heartbeat came between, or another took it.
    let beaten = item(&[(attribute::COUNTER, Some(Value::number(42)))]);
    assert!(is_refused(&plan, &beaten));
    let taken = item(&[(attribute::OWNER, Some(Value::text("b")))]);
    assert!(is_refused(&plan, &taken));
}

#[test]
fn release_ends_a_handover_for_both_and_clears_a_stale_checkpoint_owner() {
    let moving = item(&[
        (attribute::OWNER, Some(Value::text("b"))),
        (attribute::CHECKPOINT_OWNER, Some(Value::text("a"))),
        (attribute::RECEIVER, Some(Value::text("b"))),
    ]);
    let row = lease(&applied(&release(&operator(), &lease(&moving)), &moving));
    assert_eq!((row.owner, row.checkpoint_owner), (None, None));
    let stale = item(&[
        (attribute::OWNER, None),
        (attribute::TW_OWNER, None),
        (attribute::CHECKPOINT_OWNER, Some(Value::text("gone"))),
    ]);
    let plan = release(&operator(), &lease(&stale));
    assert_eq!(lease(&applied(&plan, &stale)).checkpoint_owner, None);
    let free = item(&[(attribute::OWNER, None)]);
    let plan = release(&operator(), &lease(&free));
    assert!(matches!(plan, Plan::Nothing(_)), "{plan:?}");
}

#[test]
fn reset_sets_the_position_with_its_pin_and_nothing_of_the_old_one_stays() {
    let at = EpochMillis(5_000);
    let seq = "90".parse().unwrap();
    for (target, checkpoint, pin) in [
        (Target::TrimHorizon, "TRIM_HORIZON", None),
        (Target::Latest(at), "LATEST", Some(at)),
        (Target::Since(at), "AT_TIMESTAMP", Some(at)),
        (Target::After(seq), "90", None),
    ] {
        // From a row with a pin of its own, and from an ended one.
        for from in ["77", "SHARD_END", "LATEST"] {
            let before = item(&[
                (attribute::CHECKPOINT, Some(Value::text(from))),
                (attribute::START_MS, Some(Value::number(1))),
            ]);
            let plan = reset(&operator(), &lease(&before), &target);
            let after = applied(&plan, &before);
            let row = lease(&after);
            assert_eq!(row.checkpoint.to_string(), checkpoint);
            assert_eq!((row.start_ms, row.owner.is_none()), (pin, true));
            assert_eq!((row.counter.0, row.switches), (42, 0));
            assert!(!after.contains_key(attribute::PENDING[0]));
        }
    }
    let plan = reset(&operator(), &lease(&item(&[])), &Target::TrimHorizon);
    let advanced = item(&[(attribute::CHECKPOINT, Some(Value::text("78")))]);
    assert!(is_refused(&plan, &advanced));
}

#[test]
fn a_hand_over_is_begun_as_the_receiver_would_begin_it() {
    let before = item(&[]);
    let to = WorkerId::from("b");
    let plan = hand_over(&operator(), &lease(&before), &to, &names(&["a", "b"]));
    let after = applied(&plan, &before);
    let receiver = Author {
        me: to.clone(),
        writer: operator().writer,
    };
    let Answer::Applied(Some(begun)) = receiver.begin(&lease(&before)).apply(Some(&before)) else {
        panic!("a receiver may begin it");
    };
    assert_eq!(after, begun);
    let row = lease(&after);
    assert_eq!(row.asked_of(&WorkerId::from("a")), Some(&to));
    assert_eq!(row.counter.0, 41, "the counter is the owner's heartbeat");
}

#[test]
fn a_hand_over_is_refused_where_the_protocol_does_not_permit_it() {
    let alive = names(&["a", "b"]);
    let to = WorkerId::from("b");
    let java = item(&[(attribute::TW_OWNER, None)]);
    let ended = item(&[(attribute::CHECKPOINT, Some(Value::text("SHARD_END")))]);
    let free = item(&[(attribute::OWNER, None)]);
    let moving = item(&[
        (attribute::OWNER, Some(Value::text("c"))),
        (attribute::CHECKPOINT_OWNER, Some(Value::text("a"))),
        (attribute::RECEIVER, Some(Value::text("c"))),
    ]);
    for (item, alive, why) in [
        (&java, &alive, "no tidewire worker"),
        (&ended, &alive, "has ended"),
        (&free, &alive, "nobody owns it"),
        (&moving, &alive, "from `a` to `c` already"),
        (&item(&[]), &names(&["a"]), "the receiver `b` was seen"),
        (&item(&[]), &names(&["b"]), "its owner `a` was seen"),
    ] {
        match hand_over(&operator(), &lease(item), &to, alive) {
            Plan::Refused(said) => assert!(said.contains(why), "{said}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    let mine = hand_over(
        &operator(),
        &lease(&item(&[])),
        &WorkerId::from("a"),
        &alive,
    );
    assert!(matches!(mine, Plan::Nothing(_)), "{mine:?}");
}

#[test]
fn java_is_left_no_checkpoint_owner_and_told_what_it_would_skip() {
    let stale = item(&[(attribute::CHECKPOINT_OWNER, Some(Value::text("c")))]);
    let plan = ready_for_java(&operator(), &lease(&stale));
    let row = lease(&applied(&plan, &stale));
    assert_eq!((row.owner, row.checkpoint_owner), (None, None));
    let free = item(&[(attribute::OWNER, None), (attribute::TW_OWNER, None)]);
    let plan = ready_for_java(&operator(), &lease(&free));
    assert!(matches!(plan, Plan::Nothing(_)), "{plan:?}");
    assert_eq!(lost_on_java(&lease(&stale)), None);
    let unread = item(&[
        (attribute::CHECKPOINT, Some(Value::text("LATEST"))),
        (attribute::START_MS, Some(Value::number(7))),
    ]);
    assert!(
        lost_on_java(&lease(&unread))
            .unwrap()
            .contains("TRIM_HORIZON")
    );
}

#[test]
fn rows_of_kcl_3_are_told_apart_and_only_those_that_forbid_may_be_deleted() {
    let other = |attributes: &[(&str, &str)]| -> Item {
        let attributes = attributes.iter();
        attributes
            .map(|(name, text)| ((*name).to_owned(), Value::text(text)))
            .collect()
    };
    let leader = other(&[
        ("leaseKey", "Leader"),
        ("recordVersionNumber", "v1"),
        ("entityType", "LEADER"),
    ]);
    let metrics = other(&[
        ("leaseKey", "w"),
        ("entityType", "WORKER_METRIC_STATS"),
        ("lut", "9"),
    ]);
    let broken = other(&[("leaseKey", "shardId-1")]);
    let contents = Contents::of(&[item(&[]), leader.clone(), metrics, broken]);
    assert_eq!(contents.leases.keys().collect::<Vec<_>>(), [&id(0)]);
    assert_eq!(contents.unreadable.len(), 1);
    let [lead, worker] = &contents.others[..] else {
        panic!("two others: {:?}", contents.others);
    };
    assert_eq!(
        (lead.beat.as_deref(), worker.beat.as_deref()),
        (Some("v1"), Some("9"))
    );
    assert!(worker.forbids.is_none() && worker.removal.is_none());
    let removal = lead.removal.as_ref().unwrap();
    assert_eq!(removal.apply(Some(&leader)), Answer::Applied(None));
    let mut beaten = leader;
    beaten.insert("recordVersionNumber".to_owned(), Value::text("v2"));
    assert!(matches!(removal.apply(Some(&beaten)), Answer::Refused(_)));
}

/// Shard 0 split into 1 and 2, both open; hash keys 0 to 2^128 - 1.
fn listing() -> Shards {
    let half = u128::MAX / 2;
    let shard = |number, parent: Option<u64>, first: u128, last: u128, open: bool| Shard {
        id: id(number),
        parent: parent.map(id),
        adjacent_parent: None,
        starting_hash_key: first.to_string(),
        ending_hash_key: last.to_string(),
        starting_seq: (number * 100).to_string().parse().unwrap(),
        ending_seq: (!open).then(|| (number * 100 + 50).to_string().parse().unwrap()),
    };
    [
        shard(0, None, 0, u128::MAX, false),
        shard(1, Some(0), 0, half, true),
        shard(2, Some(0), half + 1, u128::MAX, true),
    ]
    .map(|shard| (shard.id.clone(), shard))
    .into()
}

fn of(number: u64, checkpoint: &str) -> Item {
    let shard = &listing()[&id(number)];
    let mut item = item(&[
        (attribute::KEY, Some(Value::text(id(number).as_str()))),
        (attribute::CHECKPOINT, Some(Value::text(checkpoint))),
        (
            attribute::HASH_FIRST,
            Some(Value::text(&shard.starting_hash_key)),
        ),
        (
            attribute::HASH_LAST,
            Some(Value::text(&shard.ending_hash_key)),
        ),
    ]);
    if let Some(parent) = &shard.parent {
        let parents = BTreeSet::from([parent.to_string()]);
        item.insert(attribute::PARENTS.to_owned(), Value::Ss(parents));
    }
    item
}

fn leases(items: &[Item]) -> BTreeMap<ShardId, Row> {
    let rows = items.iter().map(lease);
    rows.map(|row| (row.shard.clone(), row)).collect()
}

fn found(items: &[Item]) -> Vec<Flaw> {
    flaws(
        &listing(),
        &leases(items),
        Initial::TrimHorizon,
        EpochMillis(0),
    )
}

#[test]
fn a_healthy_table_has_no_flaw_and_no_hole() {
    let mut ended = of(0, "SHARD_END");
    let children = [1, 2].map(|n| id(n).to_string());
    ended.insert(attribute::CHILDREN.to_owned(), Value::Ss(children.into()));
    let items = [ended, of(1, "TRIM_HORIZON"), of(2, "210")];
    assert_eq!(found(&items), []);
    assert_eq!(holes(&listing(), &leases(&items), &[]), []);
    // The parent covers its children until it has ended.
    assert_eq!(found(&[of(0, "12")]), []);
    assert_eq!(holes(&listing(), &leases(&[of(0, "12")]), &[]), []);
}

#[test]
fn a_missing_lease_is_a_hole_that_repair_fills() {
    let items = [of(0, "SHARD_END"), of(1, "130")];
    let flaws = found(&items);
    let half = u128::MAX / 2;
    assert_eq!(
        holes(&listing(), &leases(&items), &[]),
        [(None, half + 1, u128::MAX)]
    );
    assert_eq!(holes(&listing(), &leases(&items), &flaws), []);
    let [Flaw::Missing(new), Flaw::Children { children, .. }] = &flaws[..] else {
        panic!("{flaws:?}");
    };
    assert_eq!(new.shard, id(2));
    assert_eq!(children.len(), 2);
    let Plan::Write { change, .. } = mend(&operator(), &flaws[0]) else {
        panic!("it can be made");
    };
    assert!(matches!(change.apply(None), Answer::Applied(Some(_))));
    assert!(matches!(
        change.apply(Some(&of(2, "3"))),
        Answer::Refused(_)
    ));
    assert_eq!(
        holes(&listing(), &BTreeMap::new(), &[]),
        [(None, 0, u128::MAX)]
    );
}

#[test]
fn parents_and_ranges_are_set_right_without_costing_the_owner_its_lease() {
    let mut wrong = of(1, "130");
    let stranger = BTreeSet::from(["shardId-000000000099".to_owned()]);
    wrong.insert(attribute::PARENTS.to_owned(), Value::Ss(stranger));
    wrong.remove(attribute::HASH_LAST);
    let items = [wrong.clone(), of(2, "210")];
    let flaws = found(&items);
    assert!(
        matches!(flaws[..], [Flaw::Parents { .. }, Flaw::HashRange { .. }]),
        "{flaws:?}"
    );
    let mut mended = wrong.clone();
    for flaw in &flaws {
        mended = applied(&mend(&operator(), flaw), &mended);
    }
    assert_eq!(mended, of(1, "130"), "and nothing else is touched");
    assert_eq!(found(&[mended, of(2, "210")]), []);
}

#[test]
fn a_lease_of_a_vanished_shard_is_told_and_left() {
    let orphan = item(&[(attribute::KEY, Some(Value::text(id(9).as_str())))]);
    let flaws = found(&[orphan, of(1, "1"), of(2, "2")]);
    let [flaw @ Flaw::Orphan(_)] = &flaws[..] else {
        panic!("{flaws:?}");
    };
    assert!(matches!(mend(&operator(), flaw), Plan::Refused(_)));
}

#[test]
fn a_shard_is_named_by_its_id_or_its_number() {
    let rows = leases(&[of(1, "1")]);
    assert_eq!(name::find(&rows, "1"), Ok(id(1)));
    assert_eq!(name::find(&rows, "shardId-000000000001"), Ok(id(1)));
    for unknown in ["2", "shardId-1", "", "-1"] {
        assert!(name::find(&rows, unknown).is_err(), "{unknown}");
    }
}
