//! Who is shown what, and when.

use super::*;

#[test]
fn what_falls_due_within_the_window_goes_together_and_only_the_newest() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", 60_000, devices(&["a", "b"]))]);
    stand.readings(&[reading("a", 1, 1)]);
    assert_eq!(told(&stand.accept("v")), [pair("a", 1)]);
    stand.readings(&[reading("a", 2, 2)]);
    stand.wait(Duration::from_millis(50));
    stand.readings(&[reading("a", 3, 3), reading("b", 3, 4), reading("c", 3, 5)]);
    stand.wait(Duration::from_millis(49));
    assert!(!stand.is_posting_to("v"), "the window is still open");
    stand.wait(Duration::from_millis(1));
    assert_eq!(told(&stand.accept("v")), [pair("a", 3), pair("b", 4)]);
    stand.wait(Duration::from_secs(5));
    assert!(!stand.is_posting_to("v"), "nothing is told twice");
}

#[test]
fn two_measures_of_one_instant_are_both_shown() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", 60_000, Wanted::All)]);
    stand.readings(&[
        measured("a", 1, 1, &["heat"]),
        measured("a", 1, 2, &["wind"]),
    ]);
    assert_eq!(told(&stand.accept("v")), [pair("a", 1), pair("a", 2)]);
}

#[test]
fn a_late_reading_shows_only_what_it_alone_knows() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", 60_000, Wanted::All)]);
    stand.readings(&[measured("a", 9, 9, &["heat"])]);
    stand.accept("v");
    stand.readings(&[measured("a", 3, 3, &["heat", "wind"])]);
    stand.wait(Duration::from_millis(100));
    let frame = stand.accept("v");
    assert_eq!(told(&frame), [pair("a", 3)]);
    assert!(frame.contains(r#""measures":{"wind":3}"#), "{frame}");
    stand.readings(&[measured("a", 3, 3, &["heat", "wind"])]);
    stand.wait(Duration::from_millis(100));
    assert!(!stand.is_posting_to("v"), "a repeat says nothing");
    assert_eq!(stand.core.counts().stale, 1);
}

#[test]
fn every_reading_is_shown_in_order_up_to_the_bound() {
    let mut stand = Stand::new(Options {
        mode: Mode::Every,
        every_readings_max: 3,
        ..Options::default()
    });
    stand.rows(&[
        row("all", 60_000, Wanted::All),
        row("one", 60_000, devices(&["a"])),
    ]);
    stand.readings(&[reading("a", 1, 1)]);
    let more: Vec<_> = (2..=7).map(|n| reading("a", 1, n)).collect();
    stand.readings(&more);
    for viewer in ["all", "one"] {
        assert_eq!(told(&stand.accept(viewer)), [pair("a", 1)], "{viewer}");
    }
    stand.wait(Duration::from_millis(100));
    for viewer in ["all", "one"] {
        let newest = [pair("a", 5), pair("a", 6), pair("a", 7)];
        assert_eq!(told(&stand.accept(viewer)), newest, "{viewer}");
    }
    assert_eq!(stand.core.counts().dropped_overflow, 6);
}

#[test]
fn a_viewer_who_subscribes_is_shown_what_is_known() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[]);
    stand.readings(&[reading("a", 1, 1), reading("b", 1, 2)]);
    stand.rows(&[row("v", 60_000, devices(&["a", "x"]))]);
    let frame = stand.accept("v");
    assert!(frame.starts_with(r#"{"type":"snapshot""#), "{frame}");
    assert!(
        frame.ends_with(r#","complete":false}"#),
        "x is unknown: {frame}"
    );
    assert_eq!(told(&frame), [pair("a", 1)]);
    stand.step(Input::Row {
        id: "v".into(),
        row: Some(row("v", 60_000, devices(&["a", "b"]))),
    });
    stand.wait(Duration::from_millis(100));
    let frame = stand.accept("v");
    assert_eq!(
        told(&frame),
        [pair("b", 2)],
        "only what it had not asked for"
    );
    assert!(frame.ends_with(r#","complete":true}"#), "{frame}");
}

#[test]
fn a_viewer_of_everything_learns_whether_we_can_know_everything() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.rows(&[row("early", 60_000, Wanted::All)]);
    assert!(stand.accept("early").ends_with(r#""complete":false}"#));
    stand.wait(Duration::from_secs(60));
    stand.rows(&[
        row("early", 60_000, Wanted::All),
        row("late", 0, Wanted::All),
    ]);
    assert!(stand.accept("late").ends_with(r#""complete":true}"#));
}

#[test]
fn a_snapshot_too_large_for_a_frame_is_split_and_says_so() {
    let mut stand = Stand::new(Options {
        frame_bytes_max: 600,
        ..Options::default()
    });
    stand.rows(&[]);
    let known: Vec<_> = (0..10).map(|n| reading(&format!("d{n}"), 1, n)).collect();
    stand.readings(&known);
    stand.rows(&[row("v", 60_000, Wanted::All)]);
    let mut seen = BTreeSet::new();
    let mut frames = 0;
    loop {
        let frame = stand.accept("v");
        frames += 1;
        assert!(frame.len() <= 600, "{}", frame.len());
        seen.extend(told(&frame));
        if !frame.contains(r#""more":true"#) {
            break;
        }
        stand.wait(Duration::from_millis(100));
    }
    assert_eq!(seen.len(), 10);
    assert!(frames > 1);
}

#[test]
fn a_viewer_sees_only_what_its_row_allows() {
    let mut stand = Stand::new(Options::default());
    let mut limited = row("v", 60_000, Wanted::All);
    limited.allowed = Some(vec!["hall-7/*".to_owned(), "pump-1".to_owned()]);
    stand.rows(std::slice::from_ref(&limited));
    stand.readings(&[
        reading("hall-7/fan", 1, 1),
        reading("pump-1", 1, 2),
        reading("pump-10", 1, 3),
    ]);
    let shown = [pair("hall-7/fan", 1), pair("pump-1", 2)];
    assert_eq!(told(&stand.accept("v")), shown);
    stand.readings(&[reading("pump-1", 2, 4)]);
    limited.allowed = Some(vec!["hall-7/*".to_owned()]);
    stand.rows(&[limited]);
    stand.wait(Duration::from_secs(1));
    let seen = told(&stand.accept("v"));
    assert_eq!(
        seen,
        [pair("hall-7/fan", 1)],
        "what was owed is no longer allowed"
    );
}

#[test]
fn readings_beyond_the_maximum_age_are_dropped_and_counted() {
    let mut stand = Stand::new(Options {
        max_age: Some(Duration::from_secs(10)),
        ..Options::default()
    });
    stand.rows(&[row("v", 60_000, Wanted::All)]);
    let mut old = reading("a", 1, 1);
    old.arrival_ms = EpochMillis(WALL - 10_001);
    stand.step(Input::Readings(vec![old]));
    assert!(!stand.is_posting_to("v"));
    assert_eq!(stand.core.counts().too_old, 1);
}

#[test]
fn the_blogs_page_gets_one_bare_object_a_frame() {
    let mut stand = Stand::new(Options {
        form: Form::Single,
        ..Options::default()
    });
    stand.rows(&[row("v", 60_000, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1), measured("b", 2, 2, &["ts"])]);
    assert_eq!(
        stand.accept("v"),
        r#"{"device_id":"a","ts":1000,"value":1}"#
    );
    stand.wait(Duration::from_millis(100));
    let taken = r#"{"device_id":"b","measure_ts":2,"ts":2000}"#;
    assert_eq!(stand.accept("v"), taken);
}

#[test]
fn an_older_list_does_not_undo_a_row_read_since() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[]);
    let asked = stand.now.mono;
    stand.wait(Duration::from_millis(20));
    stand.step(Input::Changed("v".into()));
    assert_eq!(stand.read, [ConnectionId::from("v")]);
    stand.step(Input::Row {
        id: "v".into(),
        row: Some(row("v", 0, Wanted::All)),
    });
    stand.step(Input::Rows {
        asked,
        rows: Vec::new(),
    });
    assert_eq!(stand.core.viewers(), 1);
    stand.wait(Duration::from_secs(5));
    stand.rows(&[]);
    assert_eq!(stand.core.viewers(), 0);
}

#[test]
fn viewers_beyond_the_bound_are_refused_and_counted() {
    let mut stand = Stand::new(Options {
        viewers_max: 2,
        subscriptions_max: 3,
        ..Options::default()
    });
    stand.rows(&[
        row("v1", 60_000, devices(&["a", "b"])),
        row("v2", 60_000, devices(&["a", "b"])),
        row("v3", 60_000, devices(&["a"])),
        row("v4", 60_000, devices(&[])),
    ]);
    assert_eq!(
        stand.core.viewers(),
        2,
        "v2 finds no subscriptions, v4 no room"
    );
    assert_eq!(stand.core.counts().refused, 2);
}
