use super::*;
use crate::lease::change::{Answer, Author, NewLease};
use crate::lease::item::Item;
use crate::lease::row::{self, Entry};
use crate::model::{Checkpoint, ShardId};

fn author(name: &str) -> Author {
    Author {
        me: WorkerId::from(name),
        writer: format!("process-of-{name}"),
    }
}

fn parsed(item: &Item) -> Row {
    match row::read(item).unwrap() {
        Entry::Lease(row) => row,
        Entry::Other => panic!("a lease was expected"),
    }
}

/// The row after these changes, each made for the row before it.
fn after(changes: &[&dyn Fn(&Row) -> crate::lease::change::Change]) -> Row {
    let create = author("a").create(&NewLease {
        shard: ShardId::from("shardId-000000000000"),
        parents: std::collections::BTreeSet::new(),
        hash_range: None,
        checkpoint: Checkpoint::TrimHorizon,
        start_ms: None,
    });
    let Answer::Applied(Some(mut item)) = create.apply(None) else {
        panic!("a row that is not there can be created");
    };
    for change in changes {
        match change(&parsed(&item)).apply(Some(&item)) {
            Answer::Applied(Some(next)) => item = next,
            other => panic!("{other:?}"),
        }
    }
    parsed(&item)
}

/// What a heartbeat of `a`, sent when the counter was `counter`, makes of the row.
fn heartbeat(counter: u64, image: Option<&Row>) -> Outcome {
    let a = author("a");
    let intent = Intent {
        me: &a.me,
        writer: &a.writer,
        counter: LeaseCounter(counter),
        owner_after: Some(&a.me),
    };
    classify(intent, image)
}

#[test]
fn each_outcome_is_told_from_the_row_alone() {
    let (a, b) = (author("a"), author("b"));
    let held = after(&[&|row| a.take(row, None)]);
    assert_eq!(heartbeat(1, Some(&held)), Outcome::Unchanged);
    let beaten = after(&[&|row| a.take(row, None), &|row| a.renew(row, None)]);
    assert_eq!(heartbeat(1, Some(&beaten)), Outcome::Applied);
    let asked = after(&[&|row| a.take(row, None), &|row| b.begin(row)]);
    assert_eq!(heartbeat(1, Some(&asked)), Outcome::HandoffRequested);
    let taken = after(&[&|row| a.take(row, None), &|row| b.take(row, None)]);
    assert_eq!(heartbeat(1, Some(&taken)), Outcome::Lost);
    assert_eq!(heartbeat(1, None), Outcome::RowGone);
}

#[test]
fn a_heartbeat_whose_answer_was_lost_before_it_was_asked_for_counts_as_applied() {
    let (a, b) = (author("a"), author("b"));
    let image = after(&[
        &|row| a.take(row, None),
        &|row| a.renew(row, None),
        &|row| b.begin(row),
    ]);
    assert_eq!(heartbeat(1, Some(&image)), Outcome::Applied);
}

#[test]
fn another_process_of_our_name_is_not_us_even_when_it_is_asked_for_the_lease() {
    let (a, b) = (author("a"), author("b"));
    let twin = Author {
        writer: "process-of-another".to_owned(),
        ..a.clone()
    };
    let image = after(&[
        &|row| a.take(row, None),
        &|row| twin.take(row, None),
        &|row| b.begin(row),
    ]);
    assert_eq!(heartbeat(1, Some(&image)), Outcome::Lost);
}

#[test]
fn a_java_worker_that_took_the_lease_and_left_our_signature_is_not_us() {
    let a = author("a");
    let mut image = after(&[&|row| a.take(row, None)]);
    image.owner = Some(WorkerId::from("java"));
    image.counter = image.counter.next();
    assert_eq!(image.writer.as_deref(), Some(a.writer.as_str()));
    assert_eq!(heartbeat(1, Some(&image)), Outcome::Lost);
}

#[test]
fn a_lease_that_kcl_3_gave_to_another_who_is_to_hand_it_to_us_is_not_ours() {
    let a = author("a");
    let mut image = after(&[&|row| a.take(row, None)]);
    image.counter = image.counter.next();
    image.checkpoint_owner = Some(WorkerId::from("java"));
    assert_eq!(image.writer.as_deref(), Some(a.writer.as_str()));
    assert_eq!(heartbeat(1, Some(&image)), Outcome::Lost);
}

#[test]
fn a_lease_taken_and_given_back_in_between_is_lost() {
    let (a, b) = (author("a"), author("b"));
    let image = after(
        &[&|row| a.take(row, None), &|row| b.take(row, None), &|row| {
            b.release(row, None)
        }],
    );
    assert_eq!(heartbeat(1, Some(&image)), Outcome::Lost);
}
