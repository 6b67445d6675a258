//! Rows whose connections are gone, and answers that only look like it (promise P8, invariant V1).

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::support::{Process, Stand, eventually, now_ms, reading};

type Row = HashMap<String, AttributeValue>;

/// At most so many rows are deleted on 410s without a success between them: one less than the 20
/// that the design's breaker no longer believes.
const DELETED_MAX: usize = 19;

const HOUR_MS: i64 = 3_600_000;

pub(crate) fn dynamodb(stand: &Stand) -> aws_sdk_dynamodb::Client {
    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(stand.text("dynamodb"))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

fn sqs(stand: &Stand) -> aws_sdk_sqs::Client {
    use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(stand.text("sqs"))
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// A row as the blog's `$connect` Lambda writes it: no `subscriber`, so of every device.
fn row(id: &str, connected_at: AttributeValue) -> Row {
    [
        ("LookupKey", text("CONNECTION")),
        ("SortKey", text(id)),
        ("connected_at", connected_at),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn ago(ms: i64) -> AttributeValue {
    AttributeValue::N((now_ms() - ms).to_string())
}

async fn write(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
    rows: impl IntoIterator<Item = Row>,
) {
    for row in rows {
        let put = client.put_item().table_name(table).set_item(Some(row));
        put.send().await.expect("the embedded DynamoDB takes rows");
    }
}

async fn ids(client: &aws_sdk_dynamodb::Client, table: &str) -> BTreeSet<String> {
    let rows = client.scan().table_name(table).send().await;
    let rows = rows
        .expect("the table can be read")
        .items
        .unwrap_or_default();
    let text = |row: &Row, name: &str| row[name].as_s().expect("it is text").clone();
    let connections = rows
        .iter()
        .filter(|row| text(row, "LookupKey") == "CONNECTION");
    connections.map(|row| text(row, "SortKey")).collect()
}

/// Tells the broadcaster of a queue, as the gateway does, to look at rows.
async fn announce<'a>(stand: &Stand, queue: &str, rows: impl IntoIterator<Item = &'a str>) {
    let client = sqs(stand);
    for id in rows {
        let body = json!({ "v": 1, "control": "changed", "connection": id }).to_string();
        let sent = client.send_message().queue_url(queue).message_body(body);
        sent.send().await.expect("the embedded SQS takes messages");
    }
}

fn live_queue(stand: &Stand) -> &str {
    stand.card["queue_urls"][0].as_str().expect("a live queue")
}

/// The stand's broadcaster, as it sees itself.
async fn broadcaster(stand: &Stand) -> Value {
    stand.beliefs().await["broadcaster"].clone()
}

/// Says something new every so often until `done`.
async fn talk_until<F: Future<Output = bool>>(
    stand: &Stand,
    what: &str,
    mut done: impl FnMut() -> F,
) {
    let mut value = 0.0;
    let said = eventually(what, || {
        value += 1.0;
        let said = stand.put([reading("device", now_ms(), value)]);
        let done = done();
        // Boxed: the SDK's futures are large.
        Box::pin(async move {
            said.await;
            done.await.then_some(())
        })
    });
    Box::pin(said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_outlived_their_connections_go_and_the_others_are_served() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let client = dynamodb(&stand);
    let table = stand.text("connection_table");
    let mut viewer = stand.viewer(&["*"]).await;
    let mine = ids(&client, table).await;
    assert_eq!(mine.len(), 1);
    let dead = [
        row("dead-1", ago(HOUR_MS)),
        row("dead-2", text("2024-05-01T12:34:56")),
    ];
    write(&client, table, dead).await;
    announce(&stand, live_queue(&stand), ["dead-1", "dead-2"]).await;
    talk_until(&stand, "the dead rows are gone", || async {
        ids(&client, table).await == mine
    })
    .await;
    let status = broadcaster(&stand).await;
    stand.put([reading("last", now_ms(), 1.0)]).await;
    viewer.readings_until(|r| r["device_id"] == "last").await;
    assert_eq!(status["breaker"], Value::Null, "{status}");
    let log = stand.process.log.clone();
    stand.end().await;
    assert_eq!(log.complaints(&[]), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_young_row_survives_its_first_410() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let client = dynamodb(&stand);
    let table = stand.text("connection_table");
    write(&client, table, [row("young", ago(0))]).await;
    announce(&stand, live_queue(&stand), ["young"]).await;
    talk_until(&stand, "a 410", || async {
        broadcaster(&stand).await["gone"].as_u64() >= Some(1)
    })
    .await;
    assert_eq!(broadcaster(&stand).await["forgotten"], 0);
    assert!(ids(&client, table).await.contains("young"));
    // Ten seconds old it is believed to be dead.
    talk_until(&stand, "the row is gone", || async {
        ids(&client, table).await.is_empty()
    })
    .await;
    let status = broadcaster(&stand).await;
    assert!(status["gone"].as_u64() >= Some(2), "{status}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_to_which_everybody_is_gone_empties_no_table() {
    let stand = Stand::start(&["--shards", "1"]).await;
    let client = dynamodb(&stand);
    let table = stand.text("connection_table");
    let dead: Vec<String> = (0..60).map(|n| format!("dead-{n:02}")).collect();
    let rows = dead.iter().map(|id| row(id, ago(HOUR_MS)));
    write(&client, table, rows).await;
    announce(&stand, live_queue(&stand), dead.iter().map(String::as_str)).await;
    talk_until(&stand, "the breaker opens", || async {
        broadcaster(&stand).await["breaker"] == "gone"
    })
    .await;
    let posts = stand.calls("management", "PostToConnection").await;
    talk_until(&stand, "three probes", || async {
        stand.calls("management", "PostToConnection").await >= posts + 3
    })
    .await;
    let left = ids(&client, table).await.len();
    assert!(left >= 60 - DELETED_MAX, "{left} rows of 60 are left");
    assert!(broadcaster(&stand).await["forgotten"].as_u64() <= Some(DELETED_MAX as u64));

    // Somebody is there after all: the endpoint is right, and the others are gone indeed.
    let mut viewer = stand.viewer(&["*"]).await;
    stand.put([reading("last", now_ms(), 1.0)]).await;
    viewer.readings_until(|r| r["device_id"] == "last").await;
    talk_until(&stand, "all dead rows are gone", || async {
        ids(&client, table).await.len() == 1
    })
    .await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_forbids_deletes_nothing_and_is_told() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let (client, queues) = (dynamodb(&stand), sqs(&stand));
    let queue = queues.create_queue().queue_name("other").send().await;
    let queue = queue.expect("a queue").queue_url.expect("its URL");
    let wrong = stand.text("management").replace("/local", "/no-such-stage");
    let env = [
        ("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0"),
        ("TIDEWIRE_CONNECTIONS__TABLE", "others"),
        ("TIDEWIRE_QUEUE__URLS", &queue),
        ("TIDEWIRE_AWS__ENDPOINT_MANAGEMENT", &wrong),
    ];
    let mut other = Process::spawn(&["broadcaster", "--config", stand.text("config")], &env);
    other.state().await;
    let rows: Vec<String> = (0..30).map(|n| format!("viewer-{n:02}")).collect();
    write(
        &client,
        "others",
        rows.iter().map(|id| row(id, ago(HOUR_MS))),
    )
    .await;
    announce(&stand, &queue, rows.iter().map(String::as_str)).await;
    eventually("the breaker opens", || async {
        let body = json!({ "device_id": "d", "ts": now_ms(), "value": now_ms() }).to_string();
        let sent = queues.send_message().queue_url(&queue).message_body(body);
        sent.send().await.expect("the embedded SQS takes messages");
        let state = other.state().await;
        (state["broadcaster"]["breaker"] == "forbidden").then_some(())
    })
    .await;
    assert_eq!(ids(&client, "others").await.len(), 30);
    let state = other.state().await;
    assert_eq!(state["broadcaster"]["forgotten"], 0, "{state}");
    let told = other.log.complaints(&[]).join("\n");
    assert!(told.contains("execute-api:ManageConnections"), "{told}");
    assert_eq!(other.log.complaints(&["forbidden"]), Vec::<String>::new());
    other.terminate();
    assert_eq!(other.exit_code().await, Some(0));
    stand.end().await;
}
