//! Real clients at the listener, with a stream of the test's own behind it.

use std::sync::Mutex;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::door::fault::{CallFailed, Fault};
use crate::door::put::Entry;
use crate::model::Sent;

const DEADLINE: Duration = Duration::from_secs(30);

/// What was put, in its order; the first calls may fail.
#[derive(Clone, Debug, Default)]
struct Stream(Arc<Mutex<(u32, Vec<Entry>)>>);

impl Stream {
    fn taken(&self) -> Vec<(String, Value)> {
        let state = self.0.lock().unwrap();
        let pair = |entry: &Entry| {
            let body = serde_json::from_slice(&entry.data).unwrap();
            (entry.key.as_str().to_owned(), body)
        };
        state.1.iter().map(pair).collect()
    }
}

impl Put for Stream {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Sent>, CallFailed> {
        let mut state = self.0.lock().unwrap();
        match state.0 {
            0 => {}
            n => {
                state.0 -= 1;
                let again = || Sent::Again("slower".to_owned());
                return match n % 2 {
                    0 => Ok(entries.iter().map(|_| again()).collect()),
                    _ => Err(CallFailed {
                        operation: "PutRecords",
                        fault: Fault::Transient,
                        message: "away".to_owned(),
                    }),
                };
            }
        }
        state.1.extend_from_slice(entries);
        Ok(entries.iter().map(|_| Sent::Accepted).collect())
    }
}

struct Broker {
    stream: Stream,
    port: u16,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Broker {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, tasks, stop) = (Stream::default(), Tasks::new(), CancellationToken::new());
        let rule = Rule::parse(RULE).unwrap();
        let key = Template::parse(KEY).unwrap();
        let serving = serve(
            listener,
            rule,
            key,
            stream.clone(),
            tasks.clone(),
            stop.clone(),
        );
        tasks.spawn("broker", async move { serving.await.unwrap() });
        Self {
            stream,
            port,
            tasks,
            stop,
        }
    }

    fn client(&self, name: &str) -> (AsyncClient, EventLoop) {
        let options = MqttOptions::new(name, "127.0.0.1", self.port);
        AsyncClient::new(options, 10)
    }

    async fn end(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.tasks.ended()).await;
        ended.expect("it ends when it is told to");
    }
}

/// What comes in, until one is as wanted.
async fn until(events: &mut EventLoop, wanted: impl Fn(&Packet) -> bool) -> Packet {
    let look = async {
        loop {
            match events.poll().await.expect("the connection holds") {
                Event::Incoming(packet) if wanted(&packet) => return packet,
                _ => {}
            }
        }
    };
    let found = tokio::time::timeout(DEADLINE, look).await;
    found.expect("it comes in time")
}

async fn acknowledged(events: &mut EventLoop, count: usize) {
    for _ in 0..count {
        until(events, |packet| matches!(packet, Packet::PubAck(_))).await;
    }
}

#[tokio::test]
async fn what_devices_publish_is_on_the_stream_in_order_before_it_is_acknowledged() {
    let broker = Broker::start().await;
    broker.stream.0.lock().unwrap().0 = 5;
    let (client, mut events) = broker.client("board");
    for n in 0..5 {
        let body = json!({ "n": n }).to_string();
        let topic = "devices/kitchen/readings";
        client
            .publish(topic, QoS::AtLeastOnce, false, body)
            .await
            .unwrap();
    }
    acknowledged(&mut events, 5).await;
    let expected = |n: i32| {
        (
            "kitchen".to_owned(),
            json!({ "device_id": "kitchen", "n": n }),
        )
    };
    assert_eq!(
        broker.stream.taken(),
        (0..5).map(expected).collect::<Vec<_>>()
    );
    broker.end().await;
}

#[tokio::test]
async fn what_is_not_on_the_stream_when_the_stand_ends_is_not_acknowledged() {
    let broker = Broker::start().await;
    broker.stream.0.lock().unwrap().0 = u32::MAX;
    let mut socket = TcpStream::connect(("127.0.0.1", broker.port))
        .await
        .unwrap();
    let connect = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05board";
    let publish = b"\x32\x1e\x00\x18devices/kitchen/readings\x00\x07{}";
    socket.write_all(connect).await.unwrap();
    socket.write_all(publish).await.unwrap();
    let tried = async {
        while broker.stream.0.lock().unwrap().0 == u32::MAX {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let tried = tokio::time::timeout(DEADLINE, tried).await;
    tried.expect("it is tried");
    let stream = broker.stream.clone();
    broker.end().await;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0], "a CONNACK and no PUBACK");
    assert_eq!(stream.taken(), []);
}

#[tokio::test]
async fn what_the_rule_cannot_use_costs_itself_alone() {
    let broker = Broker::start().await;
    let (client, mut events) = broker.client("board");
    for (topic, body) in [
        ("devices/kitchen/readings", "no json"),
        ("devices/kitchen/state", "{}"),
        ("devices/hall/readings", r#"{"t":1}"#),
    ] {
        client
            .publish(topic, QoS::AtLeastOnce, false, body)
            .await
            .unwrap();
    }
    acknowledged(&mut events, 3).await;
    let hall = ("hall".to_owned(), json!({ "device_id": "hall", "t": 1 }));
    assert_eq!(broker.stream.taken(), [hall]);
    broker.end().await;
}

#[tokio::test]
async fn subscribers_hear_what_they_asked_for() {
    let broker = Broker::start().await;
    let (listener, mut heard) = broker.client("listener");
    listener
        .subscribe("devices/+/readings", QoS::AtLeastOnce)
        .await
        .unwrap();
    until(&mut heard, |packet| matches!(packet, Packet::SubAck(_))).await;
    let (speaker, mut events) = broker.client("speaker");
    for topic in ["devices/a/state", "devices/b/readings"] {
        speaker
            .publish(topic, QoS::AtLeastOnce, false, "{}")
            .await
            .unwrap();
    }
    acknowledged(&mut events, 2).await;
    let Packet::Publish(first) = until(&mut heard, |p| matches!(p, Packet::Publish(_))).await
    else {
        unreachable!("it was looked for")
    };
    assert_eq!(
        (first.topic.as_str(), first.qos),
        ("devices/b/readings", QoS::AtMostOnce)
    );
    broker.end().await;
}

#[tokio::test]
async fn a_client_takes_the_place_of_the_one_before_under_its_name() {
    let broker = Broker::start().await;
    let (_first, mut before) = broker.client("board");
    until(&mut before, |packet| matches!(packet, Packet::ConnAck(_))).await;
    let (_second, mut after) = broker.client("board");
    until(&mut after, |packet| matches!(packet, Packet::ConnAck(_))).await;
    let ended = tokio::time::timeout(DEADLINE, async { while before.poll().await.is_ok() {} });
    ended.await.expect("the first is let go");
    broker.end().await;
}

#[tokio::test]
async fn rubbish_and_what_aws_refuses_end_one_connection() {
    let broker = Broker::start().await;
    let port = broker.port;
    for rubbish in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x00\x00",
        b"\xff\xff\xff\xff\xff",
        b"\x10\x02ab",
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        socket.write_all(rubbish).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await;
        // A reset is an end, too.
        let _end = read.expect("the connection is ended");
        assert_eq!(answer, b"", "nothing is said to what is no client");
    }
    let mut modern = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let hello = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x14\x00\x00";
    modern.write_all(hello).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, modern.read_to_end(&mut answer)).await;
    read.expect("the connection is ended").expect("in order");
    assert_eq!(answer, [0x20, 3, 0, 0x84, 0], "MQTT 5 is told so");
    let (client, mut events) = broker.client("too-careful");
    client
        .publish("devices/a/readings", QoS::ExactlyOnce, false, "{}")
        .await
        .unwrap();
    let ended = tokio::time::timeout(DEADLINE, async { while events.poll().await.is_ok() {} });
    ended.await.expect("QoS 2 ends a connection");

    let (client, mut events) = broker.client("board");
    client
        .publish("devices/a/readings", QoS::AtLeastOnce, false, "{}")
        .await
        .unwrap();
    acknowledged(&mut events, 1).await;
    assert_eq!(broker.stream.taken().len(), 1);
    broker.end().await;
}
