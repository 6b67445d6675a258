//! 410: whose row is deleted, and when none is.

use super::*;
use crate::push::breaker::{FORBIDDEN_MIN, GONE_MIN};

const MINUTES_10: i64 = 600_000;

fn crowd(size: usize, age_ms: i64) -> Vec<Connection> {
    (0..size)
        .map(|n| row(&format!("v{n:03}"), age_ms, Wanted::All))
        .collect()
}

#[test]
fn a_viewer_that_is_gone_is_forgotten() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[
        row("v", MINUTES_10, Wanted::All),
        row("w", MINUTES_10, Wanted::All),
    ]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer("v", Posted::Gone);
    assert_eq!(stand.forgotten, [("v".into(), Farewell::Gone)]);
    assert_eq!(stand.core.viewers(), 1);
    stand.rows(&[
        row("v", MINUTES_10, Wanted::All),
        row("w", MINUTES_10, Wanted::All),
    ]);
    assert_eq!(
        stand.core.viewers(),
        1,
        "a list that lags does not bring it back"
    );
}

#[test]
fn the_first_410_of_a_young_row_is_not_believed() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", 0, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer("v", Posted::Gone);
    assert_eq!(stand.forgotten, []);
    stand.wait(Duration::from_secs(2));
    assert_eq!(
        told(&stand.accept("v")),
        [pair("a", 1)],
        "it had only just begun"
    );
}

#[test]
fn a_young_row_that_stays_gone_is_forgotten_once_it_is_ten_seconds_old() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", 0, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1)]);
    for _ in 0..5 {
        stand.answer("v", Posted::Gone);
        assert_eq!(stand.forgotten, []);
        stand.wait(Duration::from_secs(2));
    }
    stand.answer("v", Posted::Gone);
    assert_eq!(stand.forgotten, [("v".into(), Farewell::Gone)]);
}

#[test]
fn a_stamp_without_meaning_leaves_our_own_first_sight_to_decide() {
    for stamp in ["soon", "2", "", "2026-13-45T99:00:00Z"] {
        let mut stand = Stand::new(Options::default());
        let mut odd = row("v", 0, Wanted::All);
        odd.connected_at = Some(StoredTime::Text(stamp.to_owned()));
        stand.rows(&[odd]);
        stand.readings(&[reading("a", 1, 1)]);
        stand.answer("v", Posted::Gone);
        assert_eq!(stand.forgotten, [], "{stamp}");
        stand.wait(Duration::from_secs(12));
        stand.answer("v", Posted::Gone);
        assert_eq!(stand.forgotten.len(), 1, "{stamp}");
    }
}

#[test]
fn a_410_of_the_connection_before_does_not_touch_the_one_that_has_its_id() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", MINUTES_10, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.rows(&[row("v", 0, Wanted::All)]);
    stand.readings(&[reading("a", 2, 2)]);
    stand.answer("v", Posted::Gone);
    assert_eq!(stand.forgotten, []);
    stand.wait(Duration::from_millis(100));
    let frame = stand.accept("v");
    assert!(frame.starts_with(r#"{"type":"snapshot""#), "{frame}");
    assert_eq!(told(&frame), [pair("a", 2)]);
    stand.wait(Duration::from_secs(10));
    assert!(!stand.is_posting_to("v"), "nothing is told twice");
}

#[test]
fn a_deletion_that_met_another_row_makes_that_row_be_read() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", MINUTES_10, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer("v", Posted::Gone);
    stand.step(Input::NotForgotten("v".into()));
    assert_eq!(stand.read, [ConnectionId::from("v")]);
    stand.step(Input::Row {
        id: "v".into(),
        row: Some(row("v", 0, Wanted::All)),
    });
    assert!(stand.is_posting_to("v"));
}

#[test]
fn a_wrong_endpoint_empties_no_table() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&crowd(100, MINUTES_10));
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer_all(&Posted::Gone);
    assert_eq!(stand.forgotten.len(), GONE_MIN as usize - 1);
    assert_eq!(stand.opened, [Why::Gone]);
    let mut probes = 0;
    for _ in 0..600 {
        stand.wait(Duration::from_millis(100));
        probes += stand.posts.len();
        stand.answer_all(&Posted::Gone);
    }
    assert!((55..=61).contains(&probes), "one probe a second: {probes}");
    assert_eq!(stand.forgotten.len(), GONE_MIN as usize - 1);
    assert_eq!(stand.core.viewers(), 100 - stand.forgotten.len());
}

#[test]
fn one_accepted_post_closes_the_breaker_and_the_gone_are_believed_again() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&crowd(30, MINUTES_10));
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer_all(&Posted::Gone);
    assert_eq!(stand.core.breaker(), Some(Why::Gone));
    stand.wait(Duration::from_secs(1));
    let probed = stand.posts.keys().next().unwrap().clone();
    stand.accept(probed.as_str());
    assert_eq!(stand.core.breaker(), None);
    stand.answer_all(&Posted::Gone);
    assert_eq!(stand.core.viewers(), 1, "all but the one that answered");
    assert_eq!(stand.forgotten.len(), 29);
}

#[test]
fn who_has_just_come_does_not_wait_behind_the_dead() {
    let mut stand = Stand::new(Options {
        posts_max: 20,
        ..Options::default()
    });
    let mut rows = crowd(200, MINUTES_10);
    stand.rows(&rows);
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer_all(&Posted::Gone);
    assert_eq!(stand.core.breaker(), Some(Why::Gone));
    rows.push(row("new", MINUTES_10 / 2, Wanted::All));
    stand.rows(&rows);
    stand.wait(Duration::from_secs(1));
    assert!(
        stand.is_posting_to("new"),
        "it is asked next: {:?}",
        stand.posts.keys()
    );
    stand.accept("new");
    assert_eq!(stand.core.breaker(), None);
}

#[test]
fn a_row_older_than_any_connection_is_deleted_even_while_the_breaker_is_open() {
    let mut stand = Stand::new(Options::default());
    let old = 2 * 3_600_000 + 290_000;
    stand.rows(&crowd(30, old));
    stand.readings(&[reading("a", 1, 1)]);
    stand.answer_all(&Posted::Gone);
    assert_eq!(stand.core.viewers(), 11);
    stand.wait(Duration::from_secs(12));
    assert_eq!(stand.core.viewers(), 0);
    let swept = |(_, why): &&(ConnectionId, Farewell)| *why == Farewell::TooOld;
    assert_eq!(stand.forgotten.iter().filter(swept).count(), 11);
    stand.rows(&[row("new", 3 * 3_600_000, Wanted::All)]);
    assert_eq!(stand.core.viewers(), 0, "nor does one come back");
}

#[test]
fn a_forbidding_endpoint_is_left_alone_and_no_row_is_deleted() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&crowd(50, MINUTES_10));
    stand.readings(&[reading("a", 1, 1)]);
    let no = Posted::Forbidden("no".to_owned());
    stand.answer_all(&no);
    assert_eq!(stand.opened, [Why::Forbidden]);
    assert!(stand.core.counts().forbidden >= u64::from(FORBIDDEN_MIN));
    let before = stand.core.counts().forbidden;
    for _ in 0..600 {
        stand.wait(Duration::from_millis(100));
        stand.answer_all(&no);
    }
    let probes = stand.core.counts().forbidden - before;
    assert!((1..=8).contains(&probes), "ever rarer: {probes}");
    assert_eq!(stand.forgotten, []);
    stand.wait(Duration::from_secs(60));
    let probed = stand.posts.keys().next().unwrap().clone();
    stand.accept(probed.as_str());
    stand.wait(Duration::from_secs(31));
    stand.answer_all(&Posted::Accepted);
    assert_eq!(
        stand.core.counts().accepted,
        50,
        "mended: all are served again"
    );
}

#[test]
fn one_strange_row_that_is_forbidden_again_and_again_holds_up_nobody() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&crowd(5, MINUTES_10));
    let no = Posted::Forbidden("no".to_owned());
    let mut refused = 0;
    for n in 1..=60_i64 {
        // The others are busy: nothing is accepted between the strange row's answers.
        stand.readings(&[reading("a", n, n.unsigned_abs())]);
        if stand.is_posting_to("v000") {
            stand.answer("v000", no.clone());
            refused += 1;
        }
        stand.wait(Duration::from_secs(1));
    }
    assert!(refused >= 4, "asked {refused} times");
    assert_eq!(stand.opened, []);
    assert_eq!(stand.forgotten, []);
}

#[test]
fn two_viewers_suffice_to_find_that_the_endpoint_forbids() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&crowd(2, MINUTES_10));
    let no = Posted::Forbidden("no".to_owned());
    for n in 1..=10 {
        stand.readings(&[reading("a", n, n.unsigned_abs())]);
        stand.answer_all(&no);
        stand.wait(Duration::from_secs(2));
    }
    assert_eq!(stand.opened, [Why::Forbidden]);
}

#[test]
fn a_token_that_runs_out_ends_the_connection_and_its_row() {
    let mut stand = Stand::new(Options::default());
    let mut short = row("v", MINUTES_10, Wanted::All);
    short.expires_at = Some(WALL / 1000 + 5);
    stand.rows(&[short, row("w", MINUTES_10, Wanted::All)]);
    stand.wait(Duration::from_secs(4));
    assert!(stand.hang_ups.is_empty());
    stand.wait(Duration::from_secs(2));
    assert_eq!(stand.hang_ups.len(), 1);
    stand.readings(&[reading("a", 1, 1)]);
    stand.accept("v");
    assert_eq!(stand.forgotten, [("v".into(), Farewell::Expired)]);
    assert_eq!(stand.core.viewers(), 1);
}
