use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn item(key: &str, load: u32) -> Item<u32> {
    Item {
        key: key.into(),
        bytes: 10,
        load,
    }
}

fn limits() -> Limits {
    Limits {
        batch_records_max: 3,
        batch_bytes_max: 100,
        run_max: 1,
        requests_max: 2,
        held_records_max: 50,
        held_bytes_max: 10_000,
        rate: None,
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_millis(1000),
    }
}

fn sent(next: Next<u32>) -> (RequestId, Vec<u32>) {
    match next {
        Next::Send(id, items) => (id, items.into_iter().map(|item| item.load).collect()),
        other => panic!("nothing to send: {other:?}"),
    }
}

const START: Millis = Millis(1_000_000);

#[test]
fn a_request_holds_each_key_once_and_the_next_of_a_key_waits_for_its_answer() {
    let mut feeding = Feeding::new(limits(), START);
    for (key, load) in [("a", 1), ("a", 2), ("b", 3)] {
        feeding.offer(item(key, load));
    }
    let (id, loads) = sent(feeding.next(START));
    assert_eq!(loads, [1, 3]);
    assert_eq!(feeding.next(START), Next::Idle);
    let answer = Ok(vec![Sent::Accepted, Sent::Accepted]);
    feeding.answered(START, id, answer, 0.0).unwrap();
    assert_eq!(sent(feeding.next(START)).1, [2]);
}

#[test]
fn only_what_failed_goes_again_after_its_wait_while_others_go_on() {
    let mut feeding = Feeding::new(limits(), START);
    for (key, load) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
        feeding.offer(item(key, load));
    }
    let (id, _) = sent(feeding.next(START));
    let answer = Ok(vec![Sent::Again("full".to_owned()), Sent::Accepted]);
    let settled = feeding.answered(START, id, answer, 0.0).unwrap();
    assert_eq!((settled.accepted, settled.again), (1, 1));
    assert_eq!(sent(feeding.next(START)).1, [4], "3 waits behind 1");
    let later = START + Duration::from_millis(100);
    assert_eq!(feeding.next(START), Next::Wait(later));
    assert_eq!(sent(feeding.next(later)).1, [1]);
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut feeding = Feeding::new(limits(), START);
    feeding.offer(item("a", 1));
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let (id, _) = sent(feeding.next(now));
        feeding
            .answered(now, id, Err(Fault::Throttled), 0.0)
            .unwrap();
        let Next::Wait(at) = feeding.next(now) else {
            panic!("it should wait")
        };
        waits.push(at.since(now).as_millis());
        now = at;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
}

#[test]
fn a_refused_record_is_left_out_and_named_and_the_next_goes() {
    let mut feeding = Feeding::new(limits(), START);
    feeding.offer(item("a", 1));
    feeding.offer(item("a", 2));
    let (id, _) = sent(feeding.next(START));
    let answer = Ok(vec![Sent::Refused("no".to_owned())]);
    let settled = feeding.answered(START, id, answer, 0.0).unwrap();
    assert_eq!(settled.refused, [(item("a", 1), "no".to_owned())]);
    assert_eq!(sent(feeding.next(START)).1, [2]);
}

#[test]
fn a_fault_that_no_repetition_mends_is_handed_back() {
    let mut feeding = Feeding::new(limits(), START);
    feeding.offer(item("a", 1));
    let (id, _) = sent(feeding.next(START));
    assert_eq!(
        feeding.answered(START, id, Err(Fault::Fatal), 0.0),
        Err(Fault::Fatal)
    );
    assert_eq!(feeding.held(), 1, "nothing was settled");
}

#[test]
fn requests_keep_to_records_bytes_and_number() {
    let mut feeding = Feeding::new(limits(), START);
    for (n, bytes) in [(0, 60), (1, 60), (2, 20), (3, 500), (4, 1)] {
        feeding.offer(Item {
            bytes,
            ..item(&n.to_string(), n)
        });
    }
    assert_eq!(sent(feeding.next(START)).1, [0], "60 and 60 are over 100");
    assert_eq!(sent(feeding.next(START)).1, [1, 2]);
    assert_eq!(
        feeding.next(START),
        Next::Idle,
        "two requests are under way"
    );
}

#[test]
fn a_rate_is_kept_over_a_minute() {
    let mut feeding = Feeding::new(
        Limits {
            rate: Some(25.0),
            ..limits()
        },
        START,
    );
    let (mut now, mut count) = (START, 0_u32);
    let end = START + Duration::from_secs(60);
    while now < end {
        while feeding.has_room() {
            feeding.offer(item(&feeding.serial.to_string(), 0));
            feeding.serial += 1;
        }
        match feeding.next(now) {
            Next::Send(id, items) => {
                count += u32::try_from(items.len()).unwrap();
                let answer = Ok(vec![Sent::Accepted; items.len()]);
                feeding.answered(now, id, answer, 0.0).unwrap();
            }
            Next::Wait(at) => now = at,
            Next::Idle => panic!("there is always something to send"),
        }
    }
    assert!((1490..=1505).contains(&count), "{count}");
}

/// A stream that takes, refuses for now, or takes and loses the answer, at random.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Takes,
    Full,
    AnswerLost,
}

fn moods() -> impl Strategy<Value = Vec<Mood>> {
    let mood = prop_oneof![Just(Mood::Takes), Just(Mood::Full), Just(Mood::AnswerLost)];
    proptest::collection::vec(mood, 1..200)
}

proptest! {
    /// Under partial failure, lost answers and requests answered out of turn, every record
    /// arrives, and each key's records arrive for the first time in order.
    #[test]
    fn every_record_arrives_and_each_keys_order_holds(
        keys in proptest::collection::vec(0_u8..4, 1..60),
        moods in moods(),
        turns in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut feeding = Feeding::new(limits(), START);
        let mut input: VecDeque<_> = keys.iter().zip(0_u32..).collect();
        let mut stream: Vec<(u8, u32)> = Vec::new();
        let mut under_way: Vec<(RequestId, Vec<Item<u32>>)> = Vec::new();
        let mut moods = moods.into_iter().chain(std::iter::repeat(Mood::Takes));
        let mut turns = turns.into_iter().cycle();
        let mut now = START;
        for _ in 0..10_000 {
            while feeding.has_room() && let Some((key, load)) = input.pop_front() {
                feeding.offer(item(&key.to_string(), load));
            }
            let next = feeding.next(now);
            let until = match next {
                Next::Send(id, items) => {
                    let distinct: BTreeSet<_> = items.iter().map(|item| &item.key).collect();
                    prop_assert_eq!(distinct.len(), items.len());
                    prop_assert!(items.len() <= 3);
                    under_way.push((id, items));
                    continue;
                }
                Next::Wait(at) => Some(at),
                Next::Idle => None,
            };
            prop_assert!(under_way.len() <= 2);
            if under_way.is_empty() {
                let Some(at) = until else { break };
                prop_assert!(at > now);
                now = at;
                continue;
            }
            let index = if turns.next() == Some(true) { 0 } else { under_way.len() - 1 };
            let (id, items) = under_way.remove(index);
            let mut outcomes = Vec::new();
            let mut lost = false;
            for item in items {
                let mood = moods.next().unwrap_or(Mood::Takes);
                if !matches!(mood, Mood::Full) {
                    stream.push((item.key.as_str().parse().unwrap(), item.load));
                }
                lost |= matches!(mood, Mood::AnswerLost);
                outcomes.push(match mood {
                    Mood::Takes => Sent::Accepted,
                    _ => Sent::Again(String::new()),
                });
            }
            let answer = if lost { Err(Fault::Transient) } else { Ok(outcomes) };
            feeding.answered(now, id, answer, 0.5).unwrap();
        }
        prop_assert_eq!(feeding.held(), 0);
        prop_assert_eq!(feeding.held_bytes, 0);
        let mut seen = BTreeSet::new();
        stream.retain(|record| seen.insert(*record));
        for key in 0_u8..4 {
            let arrived: Vec<u32> = stream.iter().filter(|r| r.0 == key).map(|r| r.1).collect();
            let offered: Vec<u32> = keys.iter().zip(0_u32..).filter(|(k, _)| **k == key).map(|(_, n)| n).collect();
            prop_assert_eq!(arrived, offered);
        }
    }
}
