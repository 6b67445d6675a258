//! What is missing is made, or named with what makes it.

use tidewire::aws::Endpoints;
use tidewire::aws::kinesis::StreamRef;
use tidewire::aws::provision::{
    ConnectionTable, QueueKind, create_connection_table, create_queue, create_timestream, require,
};
use tidewire::local::dynamodb::DynamoDb;
use tidewire::local::sqs::Sqs;
use tidewire::local::timestream::{Options, Timestream};

use super::support::{clients, nobody, start};

const NAMES: ConnectionTable<'_> = ConnectionTable {
    table: "connections",
    hash_key: "LookupKey",
    sort_key: "SortKey",
    expires_attribute: "expires_at",
};

#[tokio::test]
async fn the_connection_table_is_made_once_and_its_keys_are_checked() {
    let server = DynamoDb::new(None).unwrap();
    let running = start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let endpoints = Endpoints {
        dynamodb: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let client = clients(endpoints.clone()).await.dynamodb();
    let missing = require::connection_table(&client, &NAMES, &endpoints)
        .await
        .unwrap_err();
    assert!(
        missing
            .says
            .contains("aws dynamodb create-table --table-name connections"),
        "{missing}"
    );
    create_connection_table(&client, &NAMES).await.unwrap();
    create_connection_table(&client, &NAMES).await.unwrap();
    require::connection_table(&client, &NAMES, &endpoints)
        .await
        .unwrap();
    let ttl = client
        .describe_time_to_live()
        .table_name("connections")
        .send()
        .await
        .unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name.as_deref(), Some("expires_at"));
    let other = ConnectionTable {
        sort_key: "Other",
        ..NAMES
    };
    let wrong = require::connection_table(&client, &other, &endpoints)
        .await
        .unwrap_err();
    assert!(wrong.says.contains("`connections.sort_key`"), "{wrong}");
}

#[tokio::test]
async fn a_missing_queue_is_named_with_its_command() {
    let server = Sqs::new("us-east-1");
    let running = start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let endpoints = Endpoints {
        sqs: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let client = clients(endpoints.clone()).await.sqs();
    let url = format!("{}/000000000000/dead", running.url);
    let dead = QueueKind::DeadLetters;
    let missing = require::queue(&client, &url, dead, &endpoints)
        .await
        .unwrap_err();
    assert!(
        missing
            .says
            .contains("aws sqs create-queue --queue-name dead"),
        "{missing}"
    );
    create_queue(&client, "dead", dead).await.unwrap();
    require::queue(&client, "dead", dead, &endpoints)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_timestream_table_is_named_with_its_command() {
    let server = Timestream::new(&Options::default()).unwrap();
    let running = start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let endpoints = Endpoints {
        timestream: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let (client, _) = clients(endpoints.clone()).await.timestream().await.unwrap();
    let missing = require::timestream(&client, "iot", "readings", &endpoints).await;
    let missing = missing.unwrap_err();
    assert!(
        missing.says.contains("aws timestream-write create-table"),
        "{missing}"
    );
    create_timestream(&client, "iot", "readings", None)
        .await
        .unwrap();
    require::timestream(&client, "iot", "readings", &endpoints)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_endpoint_at_which_nobody_listens_is_named() {
    let endpoints = Endpoints {
        kinesis: Some(nobody().await),
        ..Endpoints::default()
    };
    let client = clients(endpoints.clone()).await.kinesis();
    let stream = StreamRef::from("readings");
    let unmet = require::stream(&client, &stream, &endpoints)
        .await
        .unwrap_err();
    assert!(
        unmet.says.contains(endpoints.kinesis.as_deref().unwrap()),
        "{unmet}"
    );
    assert!(unmet.says.contains("aws.endpoint_kinesis"), "{unmet}");
}
