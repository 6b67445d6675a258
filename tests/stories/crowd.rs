//! Hundreds of viewers on real sockets, most of them ill-behaved (promise P8). What they cost the
//! others in time is reported here and asserted in simulated time (`push::hub`'s own tests).

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Stand, eventually, now_ms};
use crate::viewer::Viewer;

/// Viewers who want one device each, and read.
const PEACEFUL: usize = 100;
/// Of each ill-behaved kind.
const EACH: usize = 50;
const DEVICES: usize = 20;
const ROUNDS: u32 = 10;

fn device(number: usize) -> String {
    format!("device-{:02}", number % DEVICES)
}

/// A reading of every device, some of them large, so that who does not read falls behind.
fn round(number: u32) -> Vec<(String, String)> {
    let note = "n".repeat(1_000);
    (0..DEVICES)
        .map(|n| {
            let (name, ts) = (device(n), now_ms());
            let body = json!({ "device_id": name, "ts": ts, "round": number, "note": note });
            (name, body.to_string())
        })
        .collect()
}

/// Waits for its device's value of a round; how long that took since `said`.
async fn hears(viewer: &mut Viewer, number: usize, round: u32, said: Instant) -> Duration {
    let is_it = |reading: &Value| reading["measures"]["round"] == f64::from(round);
    let heard = viewer.readings_until(is_it).await;
    let own = device(number);
    assert!(
        heard.iter().all(|reading| reading["device_id"] == own),
        "others' devices: {heard:?}"
    );
    said.elapsed()
}

/// Says some rounds, each heard by all of the peaceful before the next; how long each took for each.
async fn rounds(stand: &Stand, peaceful: &mut [Viewer], first: u32) -> Vec<Duration> {
    let mut all = Vec::new();
    for number in first..first + ROUNDS {
        let said = Instant::now();
        stand.put(round(number)).await;
        let each = peaceful.iter_mut().enumerate();
        all.extend(join_all(each.map(|(n, viewer)| hears(viewer, n, number, said))).await);
    }
    all.sort_unstable();
    all
}

fn p50_and_p99(sorted: &[Duration]) -> (Duration, Duration) {
    (sorted[sorted.len() / 2], sorted[sorted.len() * 99 / 100])
}

/// A viewer of everything on a socket that one can be rude with.
async fn rude(stand: &Stand, zero_linger: bool) -> Viewer {
    let url = stand.text("websocket");
    let host = url.trim_start_matches("ws://").split('/').next();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    if zero_linger {
        socket.set_zero_linger().expect("a socket that is cut off");
    }
    let address = host.expect("a host").parse().expect("an address");
    let stream = socket.connect(address).await.expect("it listens");
    Viewer::connect_through(stream, url, stand.text("token"), &["*"]).await
}

/// Says rubbish until told to stop, each answered by an error on an open socket; how often that was.
async fn babble(mut viewer: Viewer, mut stop: watch::Receiver<bool>) -> usize {
    let rubbish = [
        "",
        "{",
        "[]",
        r#"{"action":5}"#,
        r#"{"action":"dance"}"#,
        r#"{"action":"subscribe","device_ids":7}"#,
    ];
    let mut said = 0;
    while !*stop.borrow_and_update() {
        let text = rubbish[said % rubbish.len()];
        viewer.send(Message::text(text)).await;
        viewer.frame_of_type("error").await;
        said += 1;
    }
    viewer.say(&json!({ "action": "ping" })).await;
    viewer.frame_of_type("pong").await;
    said
}

/// Reads everything until told to stop; how many readings that were.
async fn devour(mut viewer: Viewer, mut stop: watch::Receiver<bool>) -> usize {
    let mut readings = 0;
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return readings,
            frame = viewer.frame() => {
                readings += frame["readings"].as_array().map_or(0, Vec::len);
            }
        }
    }
}

async fn viewers(stand: &Stand) -> usize {
    let status = stand.beliefs().await["broadcaster"].clone();
    let count = status["viewers"].as_u64().expect("a number");
    usize::try_from(count).expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_ill_behaved_viewers_cost_the_others_no_reading() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let names: Vec<String> = (0..PEACEFUL).map(device).collect();
    let mut peaceful = Vec::new();
    for name in &names {
        peaceful.push(stand.viewer(&[name]).await);
    }
    let alone = rounds(&stand, &mut peaceful, 1).await;

    let (stop, stopped) = watch::channel(false);
    let (mut deaf, mut vanishing) = (Vec::new(), Vec::new());
    let mut busy = JoinSet::new();
    for _ in 0..EACH {
        deaf.push(rude(&stand, false).await);
        vanishing.push(rude(&stand, true).await);
        let nothing = stand.viewer(&[]).await;
        busy.spawn(babble(nothing, stopped.clone()));
        busy.spawn(devour(stand.viewer(&["*"]).await, stopped.clone()));
    }
    // Cut off, without a word: a reset is all that the other side sees.
    drop(vanishing);
    let beset = rounds(&stand, &mut peaceful, 1 + ROUNDS).await;
    let expected = PEACEFUL + 3 * EACH;
    eventually("those who vanished are forgotten", || async {
        (viewers(&stand).await == expected).then_some(())
    })
    .await;

    stop.send_replace(true);
    for did in busy.join_all().await {
        assert!(did > 0, "it was answered, or heard something");
    }
    println!(
        "put to frame of {PEACEFUL} viewers, p50 and p99: {:?} alone, {:?} beside {} ill-behaved ones",
        p50_and_p99(&alone),
        p50_and_p99(&beset),
        4 * EACH
    );
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    drop(deaf);
    stand.end().await;
}
