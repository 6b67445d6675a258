//! What is shown of looks that were made up, and that it always fits.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::draw::{Size, draw};
use super::fleet::{Fleet, Tone};
use super::look::Look;
use super::memory::Memory;
use super::screen::inked;
use super::state;
use super::*;
use crate::lease::operate::table::Contents;
use crate::lease::row::Row;
use crate::model::{Checkpoint, LeaseCounter, Millis, ShardId, WorkerId};

const DURATION: Duration = Duration::from_secs(10);

fn row(shard: &str, owner: Option<&str>, counter: u64) -> Row {
    Row {
        shard: ShardId::from(shard),
        owner: owner.map(WorkerId::from),
        counter: LeaseCounter(counter),
        switches: 0,
        checkpoint: Checkpoint::At {
            seq: "7".parse().unwrap(),
            sub: 0,
        },
        parents: [].into(),
        children: [].into(),
        hash_range: None,
        checkpoint_owner: None,
        writer: None,
        tw_owner: owner.map(WorkerId::from),
        receiver: None,
        start_ms: None,
        rate: None,
    }
}

fn table(rows: impl IntoIterator<Item = Row>) -> Option<Result<Contents, String>> {
    let leases = rows.into_iter().map(|row| (row.shard.clone(), row));
    Some(Ok(Contents {
        leases: leases.collect(),
        ..Contents::default()
    }))
}

fn shard(read: u64, behind_ms: u64) -> Value {
    json!({
        "epoch": 1, "behind_ms": behind_ms, "records_read": read, "bytes_read": read * 250,
        "readings_read": read, "checkpoint_age_ms": 40, "draining": false, "ended": false,
    })
}

/// What a worker says that has read so much of each of its shards.
fn worker(id: &str, as_of_ms: u64, shards: &[(&str, Value)]) -> String {
    let read: u64 = shards
        .iter()
        .filter_map(|(_, s)| s["records_read"].as_u64())
        .sum();
    let leases = shards.iter();
    let leases = leases
        .map(|(id_of, _)| json!({"shard": id_of, "owner": id, "mine": true, "state": "reading"}));
    let shards: serde_json::Map<String, Value> = shards
        .iter()
        .map(|(id, state)| ((*id).to_owned(), state.clone()))
        .collect();
    json!({
        "worker_id": id,
        "leases": { "ready": true, "held": shards.len(), "leases": leases.collect::<Vec<_>>() },
        "readings": {
            "as_of_ms": as_of_ms, "shards": shards,
            "sinks": { "timestream": { "book": { "acknowledged": read } },
                       "queue": { "book": { "acknowledged": read } } },
            "budget_used_bytes": 1, "budget_limit_bytes": 4,
        },
    })
    .to_string()
}

fn look(
    at_s: u64,
    rows: Option<Result<Contents, String>>,
    says: &[(&str, Result<&str, &str>)],
) -> Look {
    let answers = says.iter().map(|(url, said)| {
        let answer = said.map_err(str::to_owned).and_then(state::read);
        ((*url).to_owned(), answer)
    });
    Look {
        at: Millis(1_000_000 + at_s * 1_000),
        table: rows,
        answers: answers.collect(),
        ..Look::default()
    }
}

fn text(fleet: &Fleet, size: Size) -> String {
    let lines = draw(fleet, size);
    lines
        .iter()
        .map(|line| format!("{}\n", line.text))
        .collect()
}

const A: &str = "http://10.0.0.1:9090";
const B: &str = "http://10.0.0.2:9090";
const LIVE: &str = "http://10.0.0.9:9090";

/// Two workers and a broadcaster, at two looks; then the second worker is gone.
fn a_fleet_that_loses_a_worker() -> (Fleet, Fleet, Fleet) {
    let mut memory = Memory::new(DURATION);
    let rows = |beat: u64, other: u64| {
        table([
            row("shardId-000000000000", Some("host-aaaaaaaa"), beat),
            row("shardId-000000000001", Some("host-aaaaaaaa"), beat),
            row("shardId-000000000002", Some("host-bbbbbbbb"), other),
            row("shardId-000000000003", None, 5),
            Row {
                checkpoint: Checkpoint::ShardEnd,
                ..row("shardId-000000000004", None, 9)
            },
        ])
    };
    let a = |step: u64| {
        let (first, second) = (shard(1_000 * step, 0), shard(10 * step, 65_000));
        worker(
            "host-aaaaaaaa",
            500 + 2_000 * step,
            &[
                ("shardId-000000000000", first),
                ("shardId-000000000001", second),
            ],
        )
    };
    let b = |step: u64| {
        worker(
            "host-bbbbbbbb",
            2_000 * step,
            &[("shardId-000000000002", shard(500 * step, 100))],
        )
    };
    let live = |posts: u64| {
        json!({"broadcaster": {"serving": 1, "viewers": 12, "accepted": posts, "queue_lag_ms": 80}})
            .to_string()
    };
    let mut take = |at: u64, other: u64, b: Result<&str, &str>, step: u64| {
        let (a, live) = (a(step), live(step * 240));
        let says = [(A, Ok(a.as_str())), (B, b), (LIVE, Ok(live.as_str()))];
        memory.take(Some("tidewire-leases"), look(at, rows(at, other), &says))
    };
    let first = take(0, 1, Ok(&b(1)), 1);
    let second = take(2, 2, Ok(&b(2)), 2);
    take(4, 2, Err("Connection refused"), 3);
    let last = take(12, 2, Err("Connection refused"), 4);
    (first, second, last)
}

#[test]
fn a_fleet_at_work() {
    let (first, second, _) = a_fleet_that_loses_a_worker();
    assert_eq!(first.rates.records_per_s, None, "one look makes no rate");
    insta::assert_snapshot!(text(&second, Size::ENDLESS));
}

#[test]
fn a_worker_that_was_killed() {
    let (_, _, last) = a_fleet_that_loses_a_worker();
    insta::assert_snapshot!(text(&last, Size::ENDLESS));
}

#[test]
fn a_small_terminal_shows_the_worst() {
    let (_, second, _) = a_fleet_that_loses_a_worker();
    let size = Size {
        width: 60,
        height: 15,
    };
    insta::assert_snapshot!(text(&second, size));
}

#[test]
fn the_table_alone() {
    let mut memory = Memory::new(DURATION);
    let rows = |beat: u64| {
        let weighed = Row {
            rate: Some(310_000),
            ..row("shardId-000000000000", Some("host-a"), beat)
        };
        let asked = Row {
            owner: Some(WorkerId::from("host-b")),
            checkpoint_owner: Some(WorkerId::from("host-a")),
            receiver: Some(WorkerId::from("host-b")),
            ..row("shardId-000000000001", Some("host-a"), beat)
        };
        table([weighed, asked])
    };
    memory.take(Some("leases"), look(0, rows(1), &[]));
    let shown = memory.take(Some("leases"), look(2, rows(2), &[]));
    insta::assert_snapshot!(text(&shown, Size::ENDLESS));
}

#[test]
fn a_worker_alone_without_the_table() {
    let mut memory = Memory::new(DURATION);
    let says = |step: u64| {
        worker(
            "host-a",
            2_000 * step,
            &[("shardId-000000000000", shard(8 * step, 0))],
        )
    };
    memory.take(None, look(0, None, &[(A, Ok(&says(1)))]));
    let shown = memory.take(None, look(2, None, &[(A, Ok(&says(2)))]));
    assert_eq!(shown.rates.records_per_s, Some(4.0));
    assert_eq!((shown.leases.open, shown.leases.held), (1, 1));
    assert!(
        shown.remarks[0].contains("not looked at"),
        "{:?}",
        shown.remarks
    );
}

#[test]
fn rates_go_by_the_workers_own_clock_and_a_new_ownership_has_none() {
    let mut memory = Memory::new(DURATION);
    let zero = "shardId-000000000000";
    let said = |at: u64, shard: Value| worker("w", at, &[(zero, shard)]);
    memory.take(None, look(0, None, &[(A, Ok(&said(0, shard(100, 0))))]));
    // Published 4 s later, though seen 2 s later.
    let fleet = memory.take(None, look(2, None, &[(A, Ok(&said(4_000, shard(500, 0))))]));
    assert_eq!(fleet.shards[0].rates.records_per_s, Some(100.0));
    assert_eq!(fleet.workers[0].rates.rows_per_s, Some(100.0));
    // Nothing new was published: nothing is known, which is not zero.
    let fleet = memory.take(None, look(3, None, &[(A, Ok(&said(4_000, shard(500, 0))))]));
    assert_eq!(fleet.shards[0].rates.records_per_s, None);
    let mut anew = shard(700, 0);
    anew["epoch"] = json!(2);
    let fleet = memory.take(None, look(4, None, &[(A, Ok(&said(6_000, anew)))]));
    assert_eq!(fleet.shards[0].rates.records_per_s, None);
}

#[test]
fn what_fails_comes_first_and_says_so() {
    let mut memory = Memory::new(DURATION);
    let mut failing = shard(1, 0);
    failing["error"] = json!("AccessDenied\x1b[2J\u{202e}");
    let said = worker(
        "w",
        1,
        &[("shardId-0", shard(1, 900_000)), ("shardId-1", failing)],
    );
    let fleet = memory.take(None, look(0, None, &[(A, Ok(&said)), (B, Ok("<html>"))]));
    assert_eq!(fleet.shards[0].shard.as_str(), "shardId-1");
    assert_eq!(
        (fleet.shards[0].tone, fleet.shards[1].tone),
        (Tone::Bad, Tone::Warn)
    );
    assert!(fleet.silent[0].why.contains("not as a tidewire does"));
    let shown = text(&fleet, Size::ENDLESS);
    assert!(shown.contains("fails: AccessDenied?[2J?"), "{shown}");
}

#[test]
fn colour_is_left_out_where_nobody_wants_it() {
    let (_, _, last) = a_fleet_that_loses_a_worker();
    let lines = draw(&last, Size::ENDLESS);
    assert!(
        lines
            .iter()
            .any(|line| inked(line, true).starts_with("\x1b[31m"))
    );
    assert!(
        lines
            .iter()
            .all(|line| !inked(line, false).contains('\x1b'))
    );
}

#[test]
fn looks_are_neither_too_near_nor_too_far_apart() {
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    for text in ["0", "0.4", "NaN", "inf", "3601", "two", "-1"] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

prop_compose! {
    fn any_look()(
        at in 0_u64..40,
        rows in proptest::collection::vec((".{0,24}", proptest::option::of(".{0,24}"), 0_u64..3), 0..30),
        shards in proptest::collection::vec((".{0,24}", 0_u64..u64::MAX / 300, 0_u64..u64::MAX, ".{0,40}"), 0..30),
        why in ".{0,90}",
    ) -> Look {
        let rows = rows.iter().map(|(id, owner, beat)| row(id, owner.as_deref(), *beat));
        let shards: Vec<(&str, Value)> = shards
            .iter()
            .map(|(id, read, behind, error)| {
                let mut state = shard(*read, *behind);
                state["error"] = if error.is_empty() { Value::Null } else { json!(error) };
                (id.as_str(), state)
            })
            .collect();
        let shards = &shards[..shards.len().min(8)];
        let said: Vec<(&str, Value)> = shards
            .iter()
            .map(|(id, state)| (*id, { let mut state = state.clone(); state["records_read"] = json!(at); state }))
            .collect();
        let live = json!({"broadcaster": {"viewers": at, "breaker": why}}).to_string();
        let worker = worker(&why, at, &said);
        look(at, table(rows), &[(A, Ok(&worker)), (B, Err(&why)), (LIVE, Ok(&live))])
    }
}

proptest! {
    /// Whatever a fleet says of itself, nothing is wider or longer than the terminal, and nothing is
    /// in it that a terminal would obey.
    #[test]
    fn it_fits(looks in proptest::collection::vec(any_look(), 1..4), width in 0_usize..200, height in 0_usize..60) {
        let mut memory = Memory::new(DURATION);
        for look in looks {
            let fleet = memory.take(Some("leases"), look);
            let lines = draw(&fleet, Size { width, height });
            prop_assert!(lines.len() <= height, "{} lines in {height}", lines.len());
            for line in lines {
                prop_assert!(line.text.len() <= width, "{:?}", line.text);
                prop_assert!(line.text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{:?}", line.text);
            }
            let all = draw(&fleet, Size::ENDLESS);
            let shown = all.iter().filter(|line| line.text.contains("more shards")).count();
            prop_assert_eq!(shown, 0, "a pipe is long enough for everything");
        }
    }
}
