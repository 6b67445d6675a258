//! Key rotation, an issuer that is away, and strangers who ask for keys that never were.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::door::fault::{CallFailed, Fault};
use crate::door::key_set::Fetching;

/// An issuer, as it behaves now.
#[derive(Clone, Debug)]
enum Issuer {
    Publishes(Value),
    Away,
    Silent,
}

#[derive(Debug)]
struct Set {
    issuer: Mutex<Issuer>,
    asked: AtomicUsize,
}

impl Set {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn becomes(&self, issuer: Issuer) {
        *self.issuer.lock().unwrap() = issuer;
    }
}

impl KeySet for Set {
    fn fetch(&self) -> Fetching<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let issuer = self.issuer.lock().unwrap().clone();
        Box::pin(async move {
            match issuer {
                Issuer::Publishes(keys) => Ok(keys.to_string()),
                Issuer::Away => Err(CallFailed {
                    operation: "JWKS",
                    fault: Fault::Transient,
                    message: "nobody there".to_owned(),
                }),
                Issuer::Silent => std::future::pending().await,
            }
        })
    }
}

/// The stored keys whose id is among these.
fn keys(ids: &[&str]) -> Issuer {
    let all: Value = serde_json::from_str(include_str!("../token/tokens.json")).unwrap();
    let all = all["jwks"]["keys"].as_array().unwrap().clone();
    let named = |key: &Value| ids.contains(&key["kid"].as_str().unwrap());
    let some: Vec<Value> = all.into_iter().filter(named).collect();
    Issuer::Publishes(json!({ "keys": some }))
}

fn published(issuer: Issuer) -> (Arc<Set>, Published) {
    let set = Arc::new(Set {
        issuer: Mutex::new(issuer),
        asked: AtomicUsize::new(0),
    });
    let published = Published::new(Arc::clone(&set) as Arc<dyn KeySet>, Clock::of_the_runtime());
    (set, published)
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_read_once_an_hour_however_many_connect() {
    let (set, published) = published(keys(&["rsa-1"]));
    for _ in 0..100 {
        assert!(published.keys().await.is_some());
    }
    assert_eq!(set.asked(), 1);
    later(3_599).await;
    assert!(published.keys().await.is_some());
    assert_eq!(set.asked(), 1);
    later(1).await;
    assert!(published.keys().await.is_some());
    assert_eq!(set.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_missing_is_looked_for_at_most_every_half_minute() {
    let (set, published) = published(keys(&["rsa-1"]));
    let first = published.keys().await.unwrap();
    for _ in 0..100 {
        assert!(published.others(&first).await.is_none());
    }
    assert_eq!(set.asked(), 1, "they were read a moment ago");
    set.becomes(keys(&["rsa-1", "ec-1"]));
    later(30).await;
    let second = published.others(&first).await.unwrap();
    assert_eq!(set.asked(), 2);
    assert!(Arc::ptr_eq(&second, &published.keys().await.unwrap()));
    // Whoever still holds the old ones gets the new without asking.
    assert!(published.others(&first).await.is_some());
    assert_eq!(set.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_leaves_its_keys_for_a_day_and_no_longer() {
    let (set, published) = published(keys(&["rsa-1"]));
    assert!(published.keys().await.is_some());
    set.becomes(Issuer::Away);
    for _ in 0..23 {
        later(3_600).await;
        assert!(published.keys().await.is_some());
    }
    assert_eq!(set.asked(), 24);
    later(3_600).await;
    assert!(published.keys().await.is_none());
    // It is back: nobody waits for half a minute.
    set.becomes(keys(&["rsa-1"]));
    later(2).await;
    assert!(published.keys().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_waits_longer_than_one_answer_may_take() {
    let (set, published) = published(Issuer::Silent);
    let before = tokio::time::Instant::now();
    let all = futures_util::future::join_all((0..50).map(|_| published.keys()));
    assert!(all.await.iter().all(Option::is_none));
    assert_eq!(before.elapsed(), FETCH_WAIT);
    assert_eq!(set.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_one_reads_old_keys_anew_the_others_go_on_with_them() {
    let (set, published) = published(keys(&["rsa-1"]));
    assert!(published.keys().await.is_some());
    set.becomes(Issuer::Silent);
    later(3_600).await;
    let first = published.keys();
    tokio::pin!(first);
    assert!(futures_util::poll!(&mut first).is_pending());
    let before = tokio::time::Instant::now();
    assert!(published.keys().await.is_some());
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(first.await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_no_key_set_does_not_replace_one() {
    let (set, published) = published(keys(&["rsa-1"]));
    let first = published.keys().await.unwrap();
    set.becomes(Issuer::Publishes(json!({ "error": "maintenance" })));
    later(3_600).await;
    assert!(Arc::ptr_eq(&first, &published.keys().await.unwrap()));
    assert_eq!(set.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_were_all_withdrawn_let_nobody_in_any_more() {
    let (set, published) = published(keys(&["rsa-1"]));
    let first = published.keys().await.unwrap();
    set.becomes(keys(&[]));
    later(3_600).await;
    let left = published.keys().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &left));
    assert_eq!(
        left.candidates(jsonwebtoken::Algorithm::RS256, None)
            .count(),
        0
    );
}
