//! Letters on their way, by hand.

use super::*;
use crate::model::Stage;

fn letter(seq: u32, sub: u64, index: Option<u32>, data: &[u8]) -> DeadLetter {
    DeadLetter {
        v: 1,
        stage: Stage::Timestream,
        reason: "conflict".to_owned(),
        stream: "toys".into(),
        shard: "shard".into(),
        seq: seq.to_string().parse().expect("a decimal"),
        sub,
        i: index,
        partition_key: None,
        arrival_ms: EpochMillis(5),
        data_base64: Some(STANDARD.encode(data)),
        data_left_out_bytes: None,
    }
}

fn about(seq: u32, sub: u64) -> About {
    About {
        seq: seq.to_string().parse().expect("a decimal"),
        sub,
    }
}

fn ids(through: &[Through]) -> Vec<(&str, bool)> {
    let stays = |one: &'_ Through| one.stays.is_some();
    through
        .iter()
        .map(|one| (one.id.as_str(), stays(one)))
        .collect()
}

#[tokio::test]
async fn letters_are_read_as_records_of_their_shard_until_there_are_no_more() {
    let desk = Desk::default();
    let shard = ShardId::from("shard");
    assert_eq!(desk.put("a", &letter(1, 7, None, b"x")), Ok(true));
    assert_eq!(desk.put("b", &letter(2, 0, None, b"y")), Ok(false));
    let mut bare = letter(3, 0, None, b"z");
    bare.data_base64 = None;
    assert!(desk.put("c", &bare).is_err());
    let place = desk.iterator(&shard, &Start::TrimHorizon).await;
    let place = place.expect("it is in memory");
    let page = desk.records(&place, 10).await.expect("it is in memory");
    let read: Vec<_> = page
        .records
        .iter()
        .map(|r| (r.seq.as_str(), r.sub))
        .collect();
    assert_eq!(read, [("1", 7), ("2", 0)]);
    assert!(page.next.is_some(), "more may come");
    desk.close();
    let page = desk.records(&place, 10).await.expect("it is in memory");
    assert_eq!((page.records.len(), page.next), (0, None));
}

#[tokio::test]
async fn a_letter_is_through_when_its_record_is_done_and_stays_where_its_reading_is_refused() {
    let desk = Desk::default();
    let shard = ShardId::from("shard");
    for (id, index) in [("a", 0), ("b", 1), ("c", 9)] {
        desk.put(id, &letter(1, 0, Some(index), b"x"))
            .expect("it has data");
    }
    assert!(desk.wants(&shard, &about(1, 0), 0) && desk.wants(&shard, &about(1, 0), 1));
    assert!(
        !desk.wants(&shard, &about(1, 0), 2),
        "nobody wrote a letter about it"
    );
    let refused = letter(1, 0, Some(1), b"x");
    desk.file(&[refused]).await.expect("it is in memory");
    // Which of the three is meant is not known: the first at least.
    assert_eq!(ids(&desk.done(&shard, Some(&about(1, 0)))), [("a", false)]);
    // One's reading is refused, the other's is not made any more.
    assert_eq!(ids(&desk.done(&shard, None)), [("b", true), ("c", true)]);
    assert_eq!(desk.under_way(), 0);
}

#[tokio::test]
async fn an_aggregate_is_through_only_with_what_comes_after_it() {
    let desk = Desk::default();
    let shard = ShardId::from("shard");
    let aggregate = [0xf3, 0x89, 0x9a, 0xc2, 1];
    desk.put("a", &letter(1, 0, None, &aggregate))
        .expect("it has data");
    desk.put("b", &letter(2, 0, None, b"x"))
        .expect("it has data");
    assert_eq!(ids(&desk.done(&shard, Some(&about(1, 3)))), []);
    let both = desk.done(&shard, Some(&about(2, 0)));
    assert_eq!(ids(&both), [("a", false), ("b", false)]);
}

/// A queue is handed messages, not readings, so that nobody else sees which a record makes.
#[test]
fn a_letter_of_the_queue_goes_once_its_record_makes_that_reading_and_stays_otherwise() {
    let desk = Desk::for_a_queue(Arc::new(decode::Options::default()));
    let shard = ShardId::from("shard");
    let data = br#"[{"device_id":"a","ts":5000,"t":1.5},{"device_id":"b","ts":5000,"t":2.5}]"#;
    for (id, seq, index) in [("first", 1, 0), ("second", 2, 1), ("none", 3, 2)] {
        assert!(desk.put(id, &letter(seq, 0, Some(index), data)).is_ok());
    }
    assert!(
        desk.put("rubbish", &letter(4, 0, Some(0), b"rubbish"))
            .is_ok()
    );
    let through = desk.done(&shard, None);
    let expected = [
        ("first", false),
        ("second", false),
        ("none", true),
        ("rubbish", true),
    ];
    assert_eq!(ids(&through), expected);
}
