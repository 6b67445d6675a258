//! What viewers may say and hear, and one that does not listen (promise P8).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Stand, now_ms, reading};
use crate::viewer::Viewer;

/// The status with which a handshake that offers these subprotocols is refused.
async fn refusal(stand: &Stand, offered: Option<&str>) -> u16 {
    let url = stand.text("websocket");
    let mut request = url.into_client_request().expect("the URL is a URL");
    if let Some(offered) = offered {
        let offered = offered.parse().expect("header text");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", offered);
    }
    let stream = TcpStream::connect(host(url)).await.expect("it listens");
    match tokio_tungstenite::client_async(request, stream).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("let in, or not answered: {other:?}"),
    }
}

fn host(url: &str) -> &str {
    let host = url.trim_start_matches("ws://").split('/').next();
    host.expect("a host")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_enters_without_a_good_token() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let token = stand.text("token");
    let (body, signature) = token.rsplit_once('.').expect("a token has a signature");
    let forged = format!("{body}.{}", signature.chars().rev().collect::<String>());
    for offered in [
        None,
        Some("tidewire.v1".to_owned()),
        Some(format!("bearer.{token}")),
        Some("tidewire.v1, bearer.rubbish".to_owned()),
        Some(format!("tidewire.v1, bearer.{forged}")),
        // A bare token, as the blog's page offers it, is taken only where a setting says so.
        Some(token.to_owned()),
    ] {
        assert_eq!(
            refusal(&stand, offered.as_deref()).await,
            401,
            "{offered:?}"
        );
    }
    let state = stand.beliefs().await;
    assert_eq!(state["broadcaster"]["viewers"], 0, "{state}");
    let log = stand.process.log.lines().join("\n");
    assert!(!log.contains(token), "no token is logged");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_says_what_it_wants_and_mistakes_are_answered() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let mut viewer = stand.viewer(&["a", "b"]).await;
    viewer.say(&json!({ "action": "ping" })).await;
    viewer.frame_of_type("pong").await;
    for (message, code) in [
        ("not json", "bad_message"),
        ("[1, 2]", "bad_message"),
        (r#"{"action":"dance"}"#, "unknown_action"),
        (
            r#"{"action":"subscribe","device_ids":"a"}"#,
            "bad_device_ids",
        ),
        (
            r#"{"action":"subscribe","device_ids":["a",""]}"#,
            "bad_device_ids",
        ),
    ] {
        viewer.send(Message::text(message)).await;
        let error = viewer.frame_of_type("error").await;
        assert_eq!(error["code"], code, "{message}: {error}");
    }
    // After all that it hears what it asked for, and only that.
    stand
        .put(["a", "b", "c"].map(|device| reading(device, now_ms(), 1.0)))
        .await;
    let heard = viewer.readings_until(|r| r["device_id"] == "b").await;
    assert!(heard.iter().all(|r| r["device_id"] != "c"), "{heard:?}");

    viewer
        .say(&json!({ "action": "unsubscribe", "device_ids": ["a"] }))
        .await;
    let left = viewer.frame_of_type("subscribed").await;
    assert_eq!(left["device_ids"], json!(["b"]));
    // The broadcaster reads the row anew once it is told; then nothing of `a` comes any more.
    let mut value = 1.0;
    loop {
        value += 1.0;
        assert!(value < 100.0, "readings of a still come");
        let both = ["a", "b"].map(|device| reading(device, now_ms(), value));
        stand.put(both).await;
        let heard = viewer
            .readings_until(|r| r["device_id"] == "b" && r["measures"]["value"] == value)
            .await;
        if heard.iter().all(|r| r["device_id"] == "b") {
            break;
        }
    }

    viewer
        .say(&json!({ "action": "subscribe", "device_ids": ["c"] }))
        .await;
    viewer.frame_of_type("subscribed").await;
    let snapshot = viewer.frame_of_type("snapshot").await;
    assert_eq!(snapshot["readings"][0]["device_id"], "c", "{snapshot}");

    a_pattern_brings_every_device_that_begins_so(&stand).await;
    refused_frames_end_their_connections(&stand).await;
    viewer.say(&json!({ "action": "ping" })).await;
    viewer.frame_of_type("pong").await;
    stand.end().await;
}

async fn a_pattern_brings_every_device_that_begins_so(stand: &Stand) {
    let mut viewer = stand.viewer(&["hall-*"]).await;
    let devices = ["hall-1", "gate-1", "hall-2"];
    stand
        .put(devices.map(|device| reading(device, now_ms(), 1.0)))
        .await;
    let heard = viewer.readings_until(|r| r["device_id"] == "hall-2").await;
    assert!(
        heard.iter().all(|r| r["device_id"] != "gate-1"),
        "{heard:?}"
    );
}

/// What API Gateway itself refuses ends the connection: frames of more than 32 KB, and bytes.
async fn refused_frames_end_their_connections(stand: &Stand) {
    for refused in [
        Message::text("x".repeat(40_000)),
        Message::binary(vec![1, 2, 3]),
    ] {
        let mut viewer = stand.viewer(&["a"]).await;
        viewer.send(refused).await;
        let closing = loop {
            match viewer.next().await {
                Some(Message::Close(frame)) => break frame,
                Some(_) => {}
                None => break None,
            }
        };
        let code = closing.map(|frame| u16::from(frame.code));
        assert!(matches!(code, Some(1009 | 1003) | None), "{code:?}");
    }
}

/// Readings that together fill several frames.
fn round(number: i64) -> Vec<(String, String)> {
    let note = "n".repeat(1_000);
    (0..120)
        .map(|n| {
            let device = format!("device-{n:03}");
            let body =
                json!({ "device_id": device, "ts": now_ms(), "round": number, "note": note });
            (device, body.to_string())
        })
        .collect()
}

fn of_round(number: i64) -> impl FnMut(&Value) -> bool {
    move |reading| round_of(reading) == number
}

#[expect(clippy::cast_possible_truncation, reason = "small whole numbers")]
fn round_of(reading: &Value) -> i64 {
    let round = reading["measures"]["round"].as_f64();
    round.expect("a reading of a round") as i64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_stops_reading_costs_the_others_nothing() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let mut quick = stand.viewer(&["*"]).await;
    // With a small window, so that its sender feels it soon.
    let url = stand.text("websocket");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let address = host(url).parse().expect("an address");
    let stream = socket.connect(address).await.expect("it listens");
    let mut slow = Viewer::connect_through(stream, url, stand.text("token"), &["*"]).await;

    // The slow one reads nothing from here on. The quick one hears of every round.
    let mut number = 0;
    let mut rounds_until_slow = None;
    let mut held = 0;
    let status = loop {
        number += 1;
        stand.put(round(number)).await;
        quick.readings_until(of_round(number)).await;
        let status = stand.beliefs().await["broadcaster"].clone();
        let bytes = status["bytes"].as_u64().expect("a number");
        match rounds_until_slow {
            None if status["slow"].as_u64() > Some(0) => {
                rounds_until_slow = Some(number);
                held = bytes;
            }
            Some(since) if number >= since + 8 => break status,
            _ => assert!(number < 2_000, "no 429: {status}"),
        }
    };
    assert_eq!(status["viewers"], 2, "{status}");
    let bytes = status["bytes"].as_u64().expect("a number");
    assert!(bytes <= held + held / 2, "{held} bytes grew to {bytes}");

    // When it reads again, it gets what was on the way, and then the newest.
    let heard = slow.readings_until(of_round(number)).await;
    let rounds: BTreeSet<i64> = heard.iter().map(round_of).collect();
    let (got, said) = (rounds.len(), usize::try_from(number).expect("a count"));
    assert!(got < said, "it was brought to the newest: {got} of {said}");
    stand.put(round(number + 1)).await;
    slow.readings_until(of_round(number + 1)).await;
    assert_eq!(stand.letters().await, Vec::<Value>::new());
    let log = stand.process.log.clone();
    stand.end().await;
    assert_eq!(log.complaints(&[]), Vec::<String>::new());
}
