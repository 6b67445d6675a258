use super::*;

fn item(attributes: &[(&str, Value)]) -> Item {
    let mut item = Item::from([
        (name::KEY.to_owned(), Value::text("shardId-000000000000")),
        (name::COUNTER.to_owned(), Value::number(12)),
        (name::SWITCHES.to_owned(), Value::number(1)),
        (name::CHECKPOINT.to_owned(), Value::text("TRIM_HORIZON")),
        (name::CHECKPOINT_SUB.to_owned(), Value::number(0)),
    ]);
    for (name, value) in attributes {
        item.insert((*name).to_owned(), value.clone());
    }
    item
}

fn row(attributes: &[(&str, Value)]) -> Row {
    match read(&item(attributes)).unwrap() {
        Entry::Lease(row) => row,
        Entry::Other => panic!("a lease was expected"),
    }
}

#[test]
fn rows_of_kcl_3_5_that_are_no_leases_are_skipped() {
    for kind in ["LEADER", "WORKER_METRIC_STATS", "STREAM"] {
        assert_eq!(
            read(&item(&[(name::ENTITY, Value::text(kind))])),
            Ok(Entry::Other)
        );
    }
    let lease = read(&item(&[(name::ENTITY, Value::text("LEASE"))])).unwrap();
    assert!(matches!(lease, Entry::Lease(_)));
    let bare = Item::from([(name::KEY.to_owned(), Value::text("Leader"))]);
    assert_eq!(read(&bare), Ok(Entry::Other), "before 3.5 without a kind");
}

#[test]
fn a_lease_that_lacks_something_says_what() {
    let mut without = item(&[]);
    without.remove(name::COUNTER);
    let error = read(&without).unwrap_err();
    assert!(error.to_string().contains("leaseCounter"), "{error}");
    assert!(read(&item(&[(name::CHECKPOINT, Value::text("soon"))])).is_err());
    assert!(read(&item(&[(name::OWNER, Value::number(1))])).is_err());
}

#[test]
fn during_a_handover_the_old_owner_is_the_actual_one() {
    let (a, b) = (WorkerId::from("a"), WorkerId::from("b"));
    let to_b = [
        (name::OWNER, Value::text("b")),
        (name::CHECKPOINT_OWNER, Value::text("a")),
        (name::RECEIVER, Value::text("b")),
    ];
    assert_eq!(row(&to_b).actual_owner(), Some(&a));
    assert_eq!(row(&to_b).asked_of(&a), Some(&b));
    assert_eq!(
        row(&to_b[..2]).actual_owner(),
        Some(&a),
        "KCL 3 names no receiver"
    );
}

#[test]
fn a_checkpoint_owner_that_java_left_behind_is_stale() {
    let taken_by_java = row(&[
        (name::OWNER, Value::text("java")),
        (name::CHECKPOINT_OWNER, Value::text("a")),
        (name::RECEIVER, Value::text("b")),
        (name::TW_OWNER, Value::text("b")),
    ]);
    assert_eq!(taken_by_java.handover(), None);
    assert_eq!(taken_by_java.actual_owner(), Some(&WorkerId::from("java")));
    assert!(!taken_by_java.owned_by_tidewire());
}

#[test]
fn a_pinned_sentinel_starts_at_its_time() {
    let latest = (name::CHECKPOINT, Value::text("LATEST"));
    let pinned = row(&[latest.clone(), (name::START_MS, Value::number(1_700))]);
    assert_eq!(pinned.start(), Some(Start::AtTimestamp(EpochMillis(1_700))));
    assert_eq!(row(&[latest]).start(), Some(Start::TrimHorizon));
    let numbered = row(&[
        (name::CHECKPOINT, Value::text("77")),
        (name::START_MS, Value::number(1)),
    ]);
    let at = |sub| {
        let seq = "77".parse().unwrap();
        Some(Start::At { seq, sub })
    };
    assert_eq!(numbered.start(), at(0));
    let within = row(&[
        (name::CHECKPOINT, Value::text("77")),
        (name::CHECKPOINT_SUB, Value::number(3)),
    ]);
    assert_eq!(within.start(), at(3));
    assert_eq!(
        row(&[(name::CHECKPOINT, Value::text("SHARD_END"))]).start(),
        None
    );
}

#[test]
fn a_leader_of_kcl_3_forbids_and_a_rolled_back_one_does_not() {
    let version = |cv| Item::from([("cv".to_owned(), Value::text(cv))]);
    for cv in ["CLIENT_VERSION_3X", "CLIENT_VERSION_3X_WITH_ROLLBACK"] {
        assert!(why_not("Migration3.0", &version(cv)).is_some(), "{cv}");
    }
    for cv in [
        "CLIENT_VERSION_2X",
        "CLIENT_VERSION_INIT",
        "CLIENT_VERSION_UPGRADE_FROM_2X",
    ] {
        assert!(why_not("Migration3.0", &version(cv)).is_none(), "{cv}");
    }
    assert!(why_not("Leader", &Item::new()).is_some());
    let released = Item::from([("isReleased".to_owned(), Value::text("1"))]);
    assert!(why_not("Leader", &released).is_none());
    assert!(why_not("shardId-000000000000", &Item::new()).is_none());
}

#[test]
fn a_row_of_one_of_several_streams_is_kcls_both_ways() {
    let stream = crate::model::StreamId::new("123456789012", "readings", 1_700_000_000);
    let new = crate::lease::NewLease {
        shard: stream.shard("shardId-000000000003"),
        parents: BTreeSet::from([stream.shard("shardId-000000000001")]),
        hash_range: None,
        checkpoint: Checkpoint::TrimHorizon,
        start_ms: None,
    };
    let author = crate::lease::Author {
        me: WorkerId::from("w"),
        writer: "w-1".to_owned(),
    };
    let crate::lease::Answer::Applied(Some(item)) = author.create(&new).apply(None) else {
        panic!("there was no row");
    };
    let key = "123456789012:readings:1700000000:shardId-000000000003";
    for (name, value) in [
        (name::KEY, key),
        (name::STREAM, "123456789012:readings:1700000000"),
        (name::SHARD, "shardId-000000000003"),
    ] {
        assert_eq!(item[name], Value::text(value));
    }
    let bare = BTreeSet::from(["shardId-000000000001".to_owned()]);
    assert_eq!(item[name::PARENTS], Value::Ss(bare));
    let Ok(Entry::Lease(read)) = read(&item) else {
        panic!("it is a lease");
    };
    assert_eq!((&read.shard, &read.parents), (&new.shard, &new.parents));
    let children = BTreeSet::from([stream.shard("shardId-000000000007")]);
    let end = author.end(&read, &children, false);
    let crate::lease::change::Then::Update(edits) = end.then else {
        panic!("an update");
    };
    let bare = BTreeSet::from(["shardId-000000000007".to_owned()]);
    let named = crate::lease::change::Edit::Set(name::CHILDREN, Value::Ss(bare));
    assert!(edits.contains(&named), "{edits:?}");
}
