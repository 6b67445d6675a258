//! From a device's MQTT message to a viewer's frame and a row, as on AWS by IoT Core's topic rule.

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::json;

use crate::support::{DEADLINE, Stand, eventually, now_ms};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_publishes_reaches_viewers_and_the_store() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let mut viewer = stand.viewer(&["kitchen"]).await;
    let port = stand.text("mqtt").rsplit(':').next().map(str::parse);
    let port = port.and_then(Result::ok).expect("the card has the port");
    let options = MqttOptions::new("board", "127.0.0.1", port);
    let (client, mut events) = AsyncClient::new(options, 10);
    let body = json!({ "ts": now_ms(), "temperature": 21.5 }).to_string();
    let topic = "devices/kitchen/readings";
    let sent = client.publish(topic, QoS::AtLeastOnce, false, body).await;
    sent.expect("it is a good message");
    let acknowledged = async {
        loop {
            let event = events.poll().await.expect("the connection holds");
            if matches!(event, Event::Incoming(Packet::PubAck(_))) {
                return;
            }
        }
    };
    let acknowledged = tokio::time::timeout(DEADLINE, acknowledged).await;
    acknowledged.expect("it is on the stream in time");

    let heard = viewer.readings_until(|r| r["device_id"] == "kitchen").await;
    assert_eq!(heard[0]["measures"]["temperature"], 21.5);
    eventually("it is a row", || async {
        (stand.rows().await == 1).then_some(())
    })
    .await;
    stand.end().await;
}
