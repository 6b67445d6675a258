//! A dead crowd, a wrong endpoint or a missing permission, beside viewers who are well.

use super::*;

const MINUTES_10: i64 = 600_000;

/// Answers what is under way: `live` takes what it is sent, everybody else is gone.
fn answer_as_only(stand: &mut Stand, live: &str) -> usize {
    let mut accepted = 0;
    while let Some(id) = stand.posts.keys().next().cloned() {
        if id.as_str() == live {
            accepted += 1;
            stand.accept(live);
        } else {
            stand.answer(id.as_str(), Posted::Gone);
        }
    }
    accepted
}

#[test]
fn a_crowd_that_died_does_not_keep_a_live_viewer_waiting() {
    let mut stand = Stand::new(Options::default());
    let mut rows: Vec<Connection> = (0..1_000)
        .map(|n| row(&format!("dead{n:04}"), MINUTES_10, Wanted::All))
        .collect();
    rows.push(row("live", MINUTES_10, Wanted::All));
    stand.rows(&rows);
    let mut shown = 0;
    for n in 1..=100 {
        stand.readings(&[reading("a", n, u64::try_from(n).unwrap())]);
        shown += answer_as_only(&mut stand, "live");
        stand.wait(Duration::from_millis(100));
        shown += answer_as_only(&mut stand, "live");
    }
    assert!(shown >= 95, "{shown} of 100 readings in ten seconds");
    assert_eq!(stand.core.viewers(), 1, "and the dead are gone");
    assert!(
        stand.core.counts().gone < 3_000,
        "each was tried once or twice: {}",
        stand.core.counts().gone
    );
}

#[test]
fn who_answered_410_among_slow_viewers_is_tried_again() {
    let mut stand = Stand::new(Options::default());
    let mut rows: Vec<Connection> = (0..30)
        .map(|n| row(&format!("a{n:02}"), MINUTES_10, Wanted::All))
        .collect();
    rows.extend((0..20).map(|n| row(&format!("b{n:02}"), MINUTES_10, Wanted::All)));
    stand.rows(&rows);
    stand.readings(&[reading("a", 1, 1)]);
    for n in 0..30 {
        stand.answer(&format!("a{n:02}"), Posted::Slow);
    }
    for n in 0..20 {
        stand.answer(&format!("b{n:02}"), Posted::Gone);
    }
    assert_eq!(stand.core.viewers(), 31, "the twentieth was not believed");
    stand.wait(Duration::from_secs(20));
    stand.answer_all(&Posted::Accepted);
    stand.wait(Duration::from_secs(20));
    stand.answer_all(&Posted::Accepted);
    assert_eq!(
        stand.core.counts().accepted,
        31,
        "all were reached in the end"
    );
}

#[test]
fn a_hub_whose_posts_are_all_under_way_does_not_ask_to_be_woken_for_a_probe() {
    let mut stand = Stand::new(Options {
        posts_max: 1,
        ..Options::default()
    });
    let rows: Vec<Connection> = (0..3)
        .map(|n| row(&format!("v{n}"), MINUTES_10, Wanted::All))
        .collect();
    stand.rows(&rows);
    stand.readings(&[reading("a", 1, 1)]);
    while stand.core.breaker().is_none() {
        let id = stand.posts.keys().next().cloned();
        match id {
            Some(id) => drop(stand.end(id.as_str(), Outcome::Failed)),
            None => stand.wait(Duration::from_millis(100)),
        }
    }
    stand.wait(Duration::from_secs(2));
    assert_eq!(stand.core.in_flight(), 1, "the probe hangs");
    stand.set(stand.now.mono + Duration::from_secs(40));
    stand.step(Input::Tick);
    assert!(stand.core.next_wake() > stand.now.mono, "this would spin");
}

#[test]
fn a_role_that_may_not_end_connections_holds_up_nobody() {
    let mut stand = Stand::new(Options::default());
    let mut rows: Vec<Connection> = (0..10)
        .map(|n| row(&format!("old{n}"), MINUTES_10, Wanted::All))
        .collect();
    for row in &mut rows {
        row.expires_at = Some(WALL / 1000 - 1);
    }
    rows.push(row("live", MINUTES_10, Wanted::All));
    stand.rows(&rows);
    for n in 0..10 {
        stand.answer(&format!("old{n}"), Posted::Forbidden("DELETE".to_owned()));
    }
    assert_eq!(stand.core.breaker(), None, "posts are allowed");
    stand.readings(&[reading("a", 1, 1)]);
    assert!(stand.is_posting_to("live"));
    assert!(!stand.is_posting_to("old0"), "nor is it shown anything");
}

#[test]
fn a_viewer_that_changes_its_mind_all_the_time_has_its_row_read_a_few_times_a_second() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", MINUTES_10, Wanted::All)]);
    for _ in 0..1_500 {
        stand.step(Input::Changed("v".into()));
        stand.wait(Duration::from_millis(1));
    }
    assert!((1..=12).contains(&stand.read.len()), "{}", stand.read.len());
    let before = stand.read.len();
    stand.wait(Duration::from_secs(2));
    assert!(stand.read.len() > before, "its last word is heard");
    let heard = stand.read.len();
    stand.wait(Duration::from_secs(5));
    assert_eq!(stand.read.len(), heard);
    stand.step(Input::Changed("v".into()));
    stand.step(Input::Changed("w".into()));
    assert_eq!(stand.read.len(), heard + 2, "at once, for the patient");
}
