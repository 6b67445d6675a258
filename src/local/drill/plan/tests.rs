use super::*;

fn fault(text: &str) -> Fault {
    Fault::parse(text).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_written_is_read_and_written_again() {
    for text in [
        "timestream:outage@10s+20s",
        "kinesis:throttle",
        "sqs:slow=2s+500ms",
        "dynamodb:lost-answer@120s",
        "apigateway:outage",
        "worker:kill@30s",
        "worker:kill=host-1a2b3c4d",
        "worker:start",
        "shard:split=shardId-000000000003@15s",
        "shard:merge",
    ] {
        assert_eq!(fault(text).to_string(), text);
    }
    assert_eq!(fault("sqs:slow").to_string(), "sqs:slow=500ms");
    assert_eq!(fault("sqs:outage@2m"), fault("sqs:outage@120s"));
}

#[test]
fn a_slip_of_the_pen_is_named_with_the_remedy() {
    for (text, words) in [
        ("", "\"\" is none of kinesis"),
        ("timestram:outage", "\"timestram\" is none of kinesis"),
        ("timestream", "not \"\""),
        (
            "timestream:outtage",
            "throttle, outage, slow, lost-answer, not \"outtage\"",
        ),
        ("timestream:outage=2s", "outage takes no ="),
        ("timestream:slow=", "nothing follows the ="),
        ("timestream:outage@10", "\"10\" is no time"),
        ("timestream:outage+", "\"\" is no time"),
        ("timestream:outage@25h", "\"25h\" is no time"),
        ("timestream:outage@1500m", "at most a day"),
        ("timestream:outage@99999999999999999999s", "is no time"),
        ("worker:die", "kill and start, not \"die\""),
        ("worker:start=2", "kill and start, not \"start\""),
        ("worker:kill@3s+5s", "has no +FOR"),
        ("shard:cut", "split and merge, not \"cut\""),
    ] {
        let why = Fault::parse(text).unwrap_err();
        assert!(why.contains(words), "{text}: {why}");
        assert!(why.contains("write WHAT:KIND[@AFTER][+FOR]"), "{why}");
        assert_eq!(why.lines().count(), 1, "{why}");
    }
}

#[test]
fn deeds_are_done_when_they_are_due_and_once() {
    let mut schedule = Schedule::default();
    for text in [
        "timestream:outage@10s+20s",
        "worker:kill@30s",
        "shard:split@15s",
    ] {
        schedule.add(at(0), fault(text)).unwrap();
    }
    let outage = (Part::Timestream, Effect::Down);
    assert_eq!(
        (schedule.step(at(9)), schedule.next()),
        (vec![], Some(at(10)))
    );
    assert_eq!(schedule.step(at(10)), [Deed::Begin(outage.0, outage.1)]);
    let coming = schedule.coming();
    assert_eq!(coming[0], (at(15), &fault("shard:split@15s")));
    // A stand that was stopped for a while catches up, in order.
    let late = [
        Deed::SplitShard(None),
        Deed::End(outage.0, outage.1),
        Deed::KillWorker(None),
    ];
    assert_eq!(schedule.step(at(60)), late);
    assert_eq!((schedule.step(at(99)), schedule.next()), (vec![], None));
}

#[test]
fn a_fault_that_is_over_before_it_was_seen_begins_and_ends() {
    let mut schedule = Schedule::default();
    schedule.add(at(5), fault("sqs:slow=1s@1s+1s")).unwrap();
    let slow = Effect::Slow { ms: 1000 };
    let both = [Deed::Begin(Part::Sqs, slow), Deed::End(Part::Sqs, slow)];
    assert_eq!(schedule.step(at(60)), both);
}

#[test]
fn of_two_faults_of_one_kind_the_later_end_counts() {
    let mut schedule = Schedule::default();
    for text in ["sqs:outage+10s", "sqs:outage@5s+20s", "sqs:throttle+12s"] {
        schedule.add(at(0), fault(text)).unwrap();
    }
    assert_eq!(schedule.step(at(5)).len(), 3);
    assert_eq!(schedule.step(at(10)), [], "the second outage goes on");
    assert_eq!(
        schedule.step(at(12)),
        [Deed::End(Part::Sqs, Effect::Throttled)]
    );
    assert_eq!(schedule.step(at(25)), [Deed::End(Part::Sqs, Effect::Down)]);
}

#[test]
fn what_somebody_ended_does_not_end_again_and_what_is_to_come_still_comes() {
    let mut schedule = Schedule::default();
    for text in ["sqs:outage+10s", "sqs:outage@20s+5s"] {
        schedule.add(at(0), fault(text)).unwrap();
    }
    assert_eq!(schedule.step(at(0)).len(), 1);
    schedule.end(Part::Sqs, Effect::Down);
    assert_eq!(schedule.step(at(19)), []);
    assert_eq!(schedule.step(at(30)).len(), 2);
    schedule.add(at(30), fault("worker:start@1s")).unwrap();
    schedule.clear();
    assert_eq!(schedule.step(at(99)), []);
}

#[test]
fn a_plan_without_end_is_refused() {
    let mut schedule = Schedule::default();
    let all = (0..=FAULTS_MAX).map(|_| schedule.add(at(0), fault("worker:start@9s")));
    let refused: Vec<_> = all.filter_map(Result::err).collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("end some"), "{refused:?}");
}
