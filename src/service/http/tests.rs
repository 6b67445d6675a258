use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::service::clock::Clock;

fn probes(beats: Beats, ready: Arc<AtomicBool>) -> Probes {
    Probes {
        beats,
        ready: Arc::new(move || match ready.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("no credentials".to_owned()),
        }),
        state: Arc::new(|| serde_json::json!({ "leases": [] })),
    }
}

async fn call(answer: Response) -> (StatusCode, String) {
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
    (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
}

fn served(beats: Beats, ready: &Arc<AtomicBool>) -> State<Served> {
    State(Served {
        metrics: exporter::install().unwrap(),
        probes: probes(beats, Arc::clone(ready)),
    })
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_hangs_is_named_and_one_that_ended_is_not() {
    let beats = Beats::new(Clock::of_the_runtime());
    let ready = Arc::new(AtomicBool::new(true));
    let served = served(beats.clone(), &ready);
    let hanging = beats.watch("leases");
    let ended = beats.watch("shard");
    drop(ended);
    tokio::time::advance(beat::SILENCE_MAX).await;
    assert_eq!(call(live(served.clone()).await).await.0, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(5)).await;
    let (status, page) = call(live(served.clone()).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page, "leases has not turned for 35 s\n");
    hanging.touch();
    assert_eq!(call(live(served).await).await.0, StatusCode::OK);
}

#[tokio::test]
async fn readiness_is_what_the_service_says() {
    let ready_flag = Arc::new(AtomicBool::new(false));
    let served = served(Beats::new(Clock::start()), &ready_flag);
    let (status, why) = call(ready(served.clone()).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(why, "no credentials\n");
    ready_flag.store(true, Ordering::Relaxed);
    assert_eq!(call(ready(served).await).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_scrape_says_which_build_this_is() {
    let served = served(Beats::new(Clock::start()), &Arc::default());
    let (status, page) = call(scrape(served).await).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("tidewire_build_info"), "{page}");
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let taken = first.local_addr().unwrap();
    let error = bind(taken).await.unwrap_err().to_string();
    assert!(error.contains(&taken.to_string()), "{error}");
    assert!(error.contains("http.listen"), "{error}");
}
