//! What answers mean.

use super::*;

#[test]
fn a_clock_is_judged_by_what_its_error_costs() {
    let level = |off_s: i64| clock(1_800_000_000_000 + off_s * 1000, 1_800_000_000_000).level;
    assert_eq!([level(1), level(-4)], [Level::Green; 2]);
    assert_eq!([level(6), level(-299)], [Level::Yellow; 2]);
    assert_eq!([level(300), level(-9_000)], [Level::Red; 2]);
}

#[test]
fn a_magnetic_store_must_have_somewhere_to_say_what_it_rejects() {
    assert_eq!(store("d.t", Some(24), true, None).level, Level::Red);
    assert_eq!(store("d.t", Some(24), true, Some("b")).level, Level::Green);
    assert_eq!(store("d.t", Some(24), false, None).level, Level::Green);
}

#[test]
fn queues_keep_messages_as_long_as_they_are_worth_something() {
    let level =
        |kind, seconds, name: &str| keeps(name, kind, Some(Duration::from_secs(seconds))).level;
    assert_eq!(level(QueueKind::Live, 300, "live"), Level::Green);
    assert_eq!(level(QueueKind::Live, 345_600, "live"), Level::Yellow);
    assert_eq!(
        level(QueueKind::DeadLetters, 1_209_600, "dead"),
        Level::Green
    );
    assert_eq!(
        level(QueueKind::DeadLetters, 345_600, "dead"),
        Level::Yellow
    );
    assert_eq!(
        level(QueueKind::DeadLetters, 1_209_600, "dead.fifo"),
        Level::Red
    );
}

#[test]
fn only_a_410_shows_that_the_endpoint_is_right() {
    assert_eq!(endpoint(&Ok(Posted::Gone)).level, Level::Green);
    assert_eq!(endpoint(&Ok(Posted::Slow)).level, Level::Yellow);
    for wrong in [
        Ok(Posted::Accepted),
        Ok(Posted::Forbidden("403".to_owned())),
    ] {
        assert_eq!(endpoint(&wrong).level, Level::Red);
    }
    let unreachable = CallFailed {
        operation: "PostToConnection",
        fault: Fault::Transient,
        message: "cannot be reached".to_owned(),
    };
    assert!(
        endpoint(&Err(unreachable))
            .says
            .contains("aws.endpoint_management")
    );
}
