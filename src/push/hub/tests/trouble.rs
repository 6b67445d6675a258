//! Viewers that are slow, broken or refused, and what the others notice of them.

use super::*;
use crate::push::viewer::{FRAME_BYTES_MIN, SLOW_MAX};

const MINUTES_10: i64 = 600_000;

#[test]
fn a_slow_viewer_waits_and_gets_the_newest_while_the_others_go_on() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[
        row("calm", MINUTES_10, devices(&["a"])),
        row("slow", MINUTES_10, devices(&["a"])),
    ]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.accept("calm");
    stand.answer("slow", Posted::Slow);
    for seq in 2..=5 {
        let at = i64::try_from(seq).unwrap();
        stand.readings(&[reading("a", at, seq)]);
        stand.wait(Duration::from_millis(100));
        assert_eq!(told(&stand.accept("calm")), [pair("a", seq)]);
        let waited = seq == 5 || !stand.is_posting_to("slow");
        assert!(waited, "{seq}");
    }
    stand.wait(Duration::from_millis(100));
    assert_eq!(told(&stand.accept("slow")), [pair("a", 5)]);
}

/// Seconds after which a viewer that is always slow is let go, beside one that hears or does not.
fn let_go_after(calm: &Posted) -> Option<u64> {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[
        row("calm", MINUTES_10, devices(&["a"])),
        row("slow", MINUTES_10, devices(&["a"])),
    ]);
    for second in 1..=600_u64 {
        stand.readings(&[reading("a", i64::try_from(second).unwrap(), second)]);
        for (id, posted) in [("calm", calm), ("slow", &Posted::Slow)] {
            if stand.is_posting_to(id) {
                stand.answer(id, posted.clone());
            }
        }
        if stand.hang_ups.contains(&"slow".into()) {
            stand.answer("slow", Posted::Accepted);
            assert_eq!(stand.forgotten, [("slow".into(), Farewell::Slow)]);
            return Some(second);
        }
        stand.wait(Duration::from_secs(1));
    }
    assert_eq!(stand.forgotten, []);
    None
}

#[test]
fn a_viewer_that_takes_nothing_for_minutes_is_let_go_unless_nobody_is_heard() {
    let after = let_go_after(&Posted::Accepted).expect("it is let go");
    let bound = SLOW_MAX.as_secs();
    assert!((bound..=bound + 20).contains(&after), "after {after} s");
    // Then it is the account that is throttled, and everybody would be let go.
    assert_eq!(let_go_after(&Posted::Slow), None);
}

#[test]
fn waits_of_a_slow_viewer_grow_to_their_bound() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("slow", MINUTES_10, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1)]);
    let mut posts = 0;
    for _ in 0..600 {
        posts += stand.posts.len();
        stand.answer_all(&Posted::Slow);
        stand.wait(Duration::from_millis(100));
    }
    assert!(
        (8..=12).contains(&posts),
        "0.5 s, 1 s, .. 10 s in a minute: {posts}"
    );
    assert_eq!(
        stand.core.breaker(),
        None,
        "429 says nothing about the endpoint"
    );
}

#[test]
fn viewers_whose_posts_hang_leave_room_for_the_rest() {
    let mut stand = Stand::new(Options {
        posts_max: 8,
        ..Options::default()
    });
    let bad: Vec<String> = (0..8).map(|n| format!("bad{n}")).collect();
    let mut rows: Vec<_> = bad
        .iter()
        .map(|id| row(id, MINUTES_10, Wanted::All))
        .collect();
    stand.rows(&rows);
    stand.readings(&[reading("a", 1, 1)]);
    for id in &bad {
        stand.end(id, Outcome::Failed);
    }
    rows.push(row("good", MINUTES_10, Wanted::All));
    stand.rows(&rows);
    stand.wait(Duration::from_secs(60));
    stand.readings(&[reading("a", 2, 2)]);
    assert!(stand.is_posting_to("good"));
    assert_eq!(stand.posts.len(), 1 + 8 / TROUBLED_SHARE);
}

#[test]
fn the_turn_goes_round() {
    let mut stand = Stand::new(Options {
        posts_max: 1,
        window: Duration::ZERO,
        ..Options::default()
    });
    let rows: Vec<_> = (0..4)
        .map(|n| row(&format!("v{n}"), MINUTES_10, Wanted::All))
        .collect();
    stand.rows(&rows);
    let mut order = Vec::new();
    for seq in 1..=12 {
        stand.readings(&[reading("a", i64::try_from(seq).unwrap(), seq)]);
        let id = stand.posts.keys().next().unwrap().to_string();
        stand.accept(&id);
        order.push(id);
    }
    for turn in order.windows(4) {
        let distinct: BTreeSet<_> = turn.iter().collect();
        assert_eq!(distinct.len(), 4, "{order:?}");
    }
}

#[test]
fn an_endpoint_out_of_reach_is_tried_once_a_second_until_it_answers() {
    let mut stand = Stand::new(Options::default());
    let rows: Vec<_> = (0..40)
        .map(|n| row(&format!("v{n}"), MINUTES_10, Wanted::All))
        .collect();
    stand.rows(&rows);
    stand.readings(&[reading("a", 1, 1)]);
    while let Some(id) = stand.posts.keys().next().cloned() {
        stand.end(id.as_str(), Outcome::Failed);
    }
    assert_eq!(stand.core.breaker(), Some(Why::Unreachable));
    let mut probes = 0;
    for _ in 0..200 {
        stand.wait(Duration::from_millis(100));
        probes += stand.posts.len();
        while let Some(id) = stand.posts.keys().next().cloned() {
            stand.end(id.as_str(), Outcome::Failed);
        }
    }
    assert!((18..=21).contains(&probes), "{probes}");
    stand.wait(Duration::from_secs(1));
    let probed = stand.posts.keys().next().unwrap().clone();
    stand.accept(probed.as_str());
    stand.wait(Duration::from_secs(30));
    stand.answer_all(&Posted::Accepted);
    stand.wait(Duration::from_secs(30));
    stand.answer_all(&Posted::Accepted);
    assert_eq!(stand.core.counts().accepted, 40);
    assert_eq!(stand.forgotten, []);
}

#[test]
fn what_is_too_large_is_split_until_it_fits() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", MINUTES_10, Wanted::All)]);
    let many: Vec<_> = (0..100).map(|n| reading(&format!("d{n}"), 1, n)).collect();
    stand.readings(&many);
    let mut seen = BTreeSet::new();
    let mut smallest = usize::MAX;
    for _ in 0..100 {
        let Some(frame) = stand.posts.values().next().cloned() else {
            break;
        };
        smallest = smallest.min(frame.len());
        if frame.len() > 4_000 {
            stand.answer("v", Posted::TooLarge);
        } else {
            seen.extend(told(&stand.accept("v")));
        }
        stand.wait(Duration::from_millis(100));
    }
    assert_eq!(seen.len(), 100);
    assert!(
        smallest >= FRAME_BYTES_MIN / 2,
        "no smaller than needed: {smallest}"
    );
}

#[test]
fn after_repeated_failures_a_viewer_of_every_reading_gets_the_newest() {
    let mut stand = Stand::new(Options {
        mode: Mode::Every,
        ..Options::default()
    });
    stand.rows(&[
        row("v", MINUTES_10, devices(&["a"])),
        row("well", MINUTES_10, devices(&["b"])),
    ]);
    for seq in 1..=4 {
        stand.readings(&[reading("a", 1, seq), reading("b", 1, seq)]);
        stand.wait(Duration::from_secs(30));
        stand.accept("well");
        stand.end("v", Outcome::Failed);
    }
    stand.wait(Duration::from_secs(30));
    assert_eq!(told(&stand.accept("v")), [pair("a", 4)]);
    assert_eq!(stand.core.counts().dropped_failed, 3);
}

#[test]
fn at_the_end_what_is_owed_leaves_at_once() {
    let mut stand = Stand::new(Options::default());
    stand.rows(&[row("v", MINUTES_10, Wanted::All)]);
    stand.readings(&[reading("a", 1, 1)]);
    stand.accept("v");
    stand.readings(&[reading("a", 2, 2)]);
    assert!(stand.core.is_drained());
    stand.step(Input::Drain);
    assert!(!stand.core.is_drained());
    assert_eq!(told(&stand.accept("v")), [pair("a", 2)]);
    assert!(stand.core.is_drained());
}

#[test]
fn devices_that_change_faster_than_a_viewer_can_be_told_all_get_their_turn() {
    for wanted in [
        Wanted::All,
        devices(&["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"]),
    ] {
        let mut stand = Stand::new(Options {
            frame_bytes_max: 600,
            ..Options::default()
        });
        stand.rows(&[row("v", MINUTES_10, wanted)]);
        let mut shown = BTreeMap::<String, usize>::new();
        for at in 1..=81 {
            let all: Vec<_> = (0..8)
                .map(|n| reading(&format!("d{n}"), at, u64::try_from(at).unwrap()))
                .collect();
            stand.readings(&all);
            stand.wait(Duration::from_millis(100));
            for (device, _) in told(&stand.accept("v")) {
                *shown.entry(device).or_default() += 1;
            }
        }
        assert_eq!(shown.len(), 8, "{shown:?}");
        assert!(
            shown.values().all(|times| (26..=28).contains(times)),
            "{shown:?}"
        );
    }
}
