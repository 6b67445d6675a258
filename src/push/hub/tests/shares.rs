//! A share of the account's posts, and a share of the viewers.

use super::*;
use crate::push::QueuePlace;

const MINUTES_10: i64 = 600_000;

#[test]
fn the_posts_of_a_second_are_kept_and_viewers_take_turns() {
    let mut stand = Stand::new(Options {
        posts_per_second: Some(20),
        ..Options::default()
    });
    let ids: Vec<String> = (0..40).map(|n| format!("v{n:02}")).collect();
    let rows: Vec<_> = ids
        .iter()
        .map(|id| row(id, MINUTES_10, Wanted::All))
        .collect();
    stand.rows(&rows);
    let mut posts: BTreeMap<String, usize> = BTreeMap::new();
    let mut seconds = Vec::new();
    let mut seq = 0;
    for _ in 0..10 {
        let mut in_second = 0;
        for _ in 0..100 {
            seq += 1;
            stand.readings(&[reading("a", i64::try_from(seq).unwrap(), seq)]);
            while let Some(id) = stand.posts.keys().next().cloned() {
                *posts.entry(id.to_string()).or_default() += 1;
                in_second += 1;
                stand.accept(id.as_str());
            }
            stand.wait(Duration::from_millis(10));
        }
        seconds.push(in_second);
    }
    // The first second begins with a tenth of a second's worth.
    assert!(
        seconds[0] <= 22 && seconds[1..].iter().all(|n| *n <= 21),
        "{seconds:?}"
    );
    assert!(seconds.iter().all(|n| *n >= 18), "{seconds:?}");
    let (least, most) = (posts.values().min(), posts.values().max());
    assert_eq!(posts.len(), 40, "nobody is left out");
    assert!(most.unwrap() - least.unwrap() <= 1, "{posts:?}");
}

#[test]
fn who_waits_for_the_share_gets_the_newest() {
    let mut stand = Stand::new(Options {
        posts_per_second: Some(1),
        ..Options::default()
    });
    stand.rows(&[row("v", MINUTES_10, devices(&["a"]))]);
    stand.readings(&[reading("a", 1, 1)]);
    assert_eq!(told(&stand.accept("v")), [pair("a", 1)]);
    for seq in 2..=9 {
        stand.wait(Duration::from_millis(100));
        stand.readings(&[reading("a", i64::try_from(seq).unwrap(), seq)]);
        assert!(!stand.is_posting_to("v"), "{seq}");
    }
    stand.wait(Duration::from_millis(200));
    assert_eq!(told(&stand.accept("v")), [pair("a", 9)]);
}

#[test]
fn viewers_of_other_queues_are_left_to_their_broadcasters() {
    let ids: Vec<String> = (0..60).map(|n| format!("viewer-{n}=")).collect();
    let rows: Vec<_> = ids
        .iter()
        .map(|id| row(id, MINUTES_10, Wanted::All))
        .collect();
    let mut served = Vec::new();
    for index in 0..3 {
        let mut stand = Stand::new(Options {
            place: QueuePlace { index, of: 3 },
            ..Options::default()
        });
        stand.rows(&rows);
        for id in &ids {
            stand.step(Input::Changed(id.as_str().into()));
        }
        stand.readings(&[reading("a", 1, 1)]);
        let posted: Vec<String> = stand.posts.keys().map(ToString::to_string).collect();
        let mut read: Vec<String> = stand.read.iter().map(ToString::to_string).collect();
        read.sort();
        assert_eq!(
            posted, read,
            "a control message for another's viewer costs no read"
        );
        assert_eq!(stand.core.viewers(), posted.len());
        served.extend(posted);
    }
    served.sort();
    let mut all = ids;
    all.sort();
    assert_eq!(served, all, "each viewer has one broadcaster");
}
