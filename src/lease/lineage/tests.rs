use super::*;
use crate::model::{LeaseCounter, WorkerId};

fn id(number: u64) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

/// A stream: (number, parents, open).
fn stream(shards: &[(u64, &[u64], bool)]) -> Shards {
    let shard = |(number, parents, open): &(u64, &[u64], bool)| Shard {
        id: id(*number),
        parent: parents.first().map(|parent| id(*parent)),
        adjacent_parent: parents.get(1).map(|parent| id(*parent)),
        starting_hash_key: "0".to_owned(),
        ending_hash_key: "9".to_owned(),
        starting_seq: (number * 100).to_string().parse().unwrap(),
        ending_seq: (!open).then(|| (number * 100 + 50).to_string().parse().unwrap()),
    };
    let shards = shards.iter().map(shard);
    shards.map(|shard| (shard.id.clone(), shard)).collect()
}

/// Leases: (number, parents, checkpoint).
fn leases(rows: &[(u64, &[u64], &str)]) -> BTreeMap<ShardId, Row> {
    let row = |(number, parents, checkpoint): &(u64, &[u64], &str)| Row {
        shard: id(*number),
        owner: Some(WorkerId::from("w")),
        counter: LeaseCounter(3),
        switches: 0,
        checkpoint: Checkpoint::from_kcl(checkpoint, 0).unwrap(),
        parents: parents.iter().map(|parent| id(*parent)).collect(),
        children: BTreeSet::new(),
        hash_range: Some(("0".to_owned(), "9".to_owned())),
        checkpoint_owner: None,
        writer: None,
        tw_owner: None,
        receiver: None,
        start_ms: None,
        rate: None,
    };
    let rows = rows.iter().map(row);
    rows.map(|row| (row.shard.clone(), row)).collect()
}

fn wanted(shards: &Shards, rows: &BTreeMap<ShardId, Row>, initial: Initial) -> Vec<(u64, String)> {
    missing(shards, rows, initial, EpochMillis(5_000))
        .iter()
        .map(|lease| {
            let number = lease.shard.as_str().trim_start_matches("shardId-").parse();
            (number.unwrap(), lease.checkpoint.to_string())
        })
        .collect()
}

const HORIZON: &str = "TRIM_HORIZON";
const END: &str = "SHARD_END";

/// 0 was split into 1 and 2; 2 and 3 were merged into 4.
const RESHARDED: [(u64, &[u64], bool); 5] = [
    (0, &[], false),
    (1, &[0], true),
    (2, &[0], false),
    (3, &[], false),
    (4, &[2, 3], true),
];

#[test]
fn an_empty_table_begins_at_the_oldest_shards() {
    let oldest = wanted(&stream(&RESHARDED), &leases(&[]), Initial::TrimHorizon);
    assert_eq!(oldest, [(0, HORIZON.to_owned()), (3, HORIZON.to_owned())]);
}

#[test]
fn an_empty_table_at_latest_begins_at_the_open_shards_from_now() {
    let now = wanted(&stream(&RESHARDED), &leases(&[]), Initial::Latest);
    assert_eq!(now, [(1, "LATEST".to_owned()), (4, "LATEST".to_owned())]);
    let pinned = missing(
        &stream(&RESHARDED),
        &leases(&[]),
        Initial::Latest,
        EpochMillis(5_000),
    );
    assert!(
        pinned
            .iter()
            .all(|lease| lease.start_ms == Some(EpochMillis(5_000)))
    );
}

#[test]
fn a_shard_whose_ancestor_is_still_read_is_left_to_that_ones_end() {
    let rows = leases(&[(0, &[], "17"), (3, &[], "317")]);
    for initial in [Initial::TrimHorizon, Initial::Latest] {
        assert_eq!(wanted(&stream(&RESHARDED), &rows, initial), []);
    }
}

#[test]
fn a_child_without_a_row_below_an_ended_parent_is_made_anew_from_its_beginning() {
    let rows = leases(&[(0, &[], END), (2, &[0], "217"), (3, &[], "317")]);
    for initial in [Initial::TrimHorizon, Initial::Latest] {
        let anew = wanted(&stream(&RESHARDED), &rows, initial);
        assert_eq!(anew, [(1, HORIZON.to_owned())]);
    }
}

#[test]
fn the_other_parent_of_a_waiting_merge_gets_a_row_and_its_backlog_is_read() {
    let rows = leases(&[(1, &[0], "117"), (2, &[0], END), (4, &[2, 3], HORIZON)]);
    for initial in [Initial::TrimHorizon, Initial::Latest] {
        let other = wanted(&stream(&RESHARDED), &rows, initial);
        assert_eq!(other, [(3, HORIZON.to_owned())]);
    }
}

#[test]
fn the_same_table_a_moment_later_wants_nothing_more() {
    let shards = stream(&RESHARDED);
    for initial in [
        Initial::TrimHorizon,
        Initial::Latest,
        Initial::AtTimestamp(EpochMillis(9)),
    ] {
        let first = missing(&shards, &leases(&[]), initial, EpochMillis(5_000));
        let mut rows = leases(&[]);
        for new in first {
            let mut row = leases(&[(0, &[], new.checkpoint.as_kcl())])
                .remove(&id(0))
                .unwrap();
            row.shard = new.shard.clone();
            row.parents = new.parents;
            rows.insert(new.shard, row);
        }
        assert_eq!(wanted(&shards, &rows, initial), [], "{initial:?}");
    }
}

#[test]
fn a_child_waits_for_both_parents_and_a_begun_one_for_none() {
    let listing = stream(&RESHARDED);
    let child = |rows: &BTreeMap<ShardId, Row>| gate(&rows[&id(4)], rows, Some(&listing));
    let one = leases(&[(2, &[0], END), (3, &[], "317"), (4, &[2, 3], HORIZON)]);
    assert_eq!(child(&one), Gate::Shut);
    let both = leases(&[(2, &[0], END), (3, &[], END), (4, &[2, 3], HORIZON)]);
    assert_eq!(child(&both), Gate::Open);
    let begun = leases(&[(3, &[], "317"), (4, &[2, 3], "404")]);
    assert_eq!(child(&begun), Gate::Open);
}

#[test]
fn a_parent_without_a_row_bars_while_the_stream_lists_it() {
    let rows = leases(&[(2, &[0], END), (4, &[2, 3], HORIZON)]);
    let child = &rows[&id(4)];
    assert_eq!(gate(child, &rows, Some(&stream(&RESHARDED))), Gate::Shut);
    assert_eq!(gate(child, &rows, None), Gate::Unlisted);
    let past_retention = stream(&[(2, &[], false), (4, &[2, 3], true)]);
    assert_eq!(gate(child, &rows, Some(&past_retention)), Gate::Open);
}

#[test]
fn an_ended_row_goes_when_its_children_have_begun_and_its_parents_are_gone() {
    let with_children = |mut rows: BTreeMap<ShardId, Row>| {
        rows.get_mut(&id(0)).unwrap().children = BTreeSet::from([id(1), id(2)]);
        rows
    };
    let goes = |rows: &BTreeMap<ShardId, Row>| may_go(&rows[&id(0)], rows);
    assert!(goes(&with_children(leases(&[
        (0, &[9], END),
        (1, &[0], "1"),
        (2, &[0], END)
    ]))));
    assert!(!goes(&with_children(leases(&[
        (0, &[9], END),
        (1, &[0], HORIZON),
        (2, &[0], END)
    ]))));
    assert!(
        !goes(&with_children(leases(&[(0, &[9], END), (2, &[0], END)]))),
        "a child has no row"
    );
    let grandparent = [
        (9, &[][..], END),
        (0, &[9][..], END),
        (1, &[0][..], "1"),
        (2, &[0][..], "1"),
    ];
    assert!(
        !goes(&with_children(leases(&grandparent))),
        "the oldest goes first"
    );
    assert!(!goes(&leases(&[(0, &[], END)])), "children unknown");
}

#[test]
fn a_table_is_another_streams_when_no_lease_matches() {
    let listing = stream(&RESHARDED);
    assert!(belongs(&leases(&[]), &listing));
    assert!(belongs(&leases(&[(77, &[], END), (1, &[], "5")]), &listing));
    assert!(!belongs(&leases(&[(77, &[], END)]), &listing));
    let mut other = leases(&[(1, &[], "5")]);
    other.get_mut(&id(1)).unwrap().hash_range = Some(("0".to_owned(), "8".to_owned()));
    assert!(!belongs(&other, &listing));
}

#[test]
fn a_child_inherits_a_time_its_parent_never_reached() {
    let mut rows = leases(&[(0, &[], "AT_TIMESTAMP")]);
    let parent = rows.get_mut(&id(0)).unwrap();
    parent.start_ms = Some(EpochMillis(9));
    let born = children(&stream(&RESHARDED), &id(0));
    assert_eq!(born.len(), 2);
    let inherited = child(&born[0], parent);
    assert_eq!(
        (inherited.checkpoint, inherited.start_ms),
        (Checkpoint::AtTimestamp, Some(EpochMillis(9)))
    );
    parent.checkpoint = Checkpoint::from_kcl("17", 0).unwrap();
    assert_eq!(child(&born[0], parent).checkpoint, Checkpoint::TrimHorizon);
}
