//! `tidewire doctor`: green where all is well, and red for what a person can have done wrong.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::Value;

use crate::gone::dynamodb;
use crate::run::{Ended, run};
use crate::support::Stand;

async fn doctor(stand: &Stand, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let mut all = vec!["doctor", "--config", stand.text("config")];
    all.extend_from_slice(args);
    run(&all, env, "").await
}

/// A table for connections by which nothing is ever deleted.
async fn table_without_end(stand: &Stand, name: &str) {
    let key = |name: &str, kind: KeyType| {
        let key = KeySchemaElement::builder().attribute_name(name);
        key.key_type(kind).build().expect("a key")
    };
    let text = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        let attribute = attribute.attribute_type(ScalarAttributeType::S);
        attribute.build().expect("an attribute")
    };
    let made = dynamodb(stand)
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text("LookupKey"))
        .attribute_definitions(text("SortKey"))
        .key_schema(key("LookupKey", KeyType::Hash))
        .key_schema(key("SortKey", KeyType::Range));
    made.send().await.expect("the table is made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_is_green_on_a_stand() {
    let stand = Stand::start(&["--shards", "2", "--workers", "1"]).await;
    let well = doctor(&stand, &[], &[]).await;
    assert_eq!(well.code, Some(0), "{well:#?}");
    let lines: Vec<&str> = well.out.lines().collect();
    assert!(lines.len() >= 9, "{lines:#?}");
    let green = |line: &&str| line.starts_with("green ");
    assert!(lines.iter().all(green), "{lines:#?}");
    for what in [
        "2 open shards",
        "clock",
        "lease table",
        "live queue",
        "dead-letter queue",
        "410",
    ] {
        assert!(well.out.contains(what), "no {what:?} in {}", well.out);
    }
    stand.end().await;
}

/// Faults that one setting can plant: the setting, its value, and words of the red line. `NOPE` is
/// a queue that is not there, `STAGE` a stage, `VIEWERS` a table of something else.
const FAULTS: [(&str, &str, [&str; 2]); 11] = [
    (
        "SOURCE__STREAM",
        "nope",
        ["no stream `nope`", "aws kinesis create-stream"],
    ),
    ("LEASE__TABLE", "nope", ["nope", "lease.create = true"]),
    ("LEASE__TABLE", "VIEWERS", ["lease.table", "leaseKey"]),
    (
        "DEAD_LETTER__QUEUE_URL",
        "NOPE",
        ["no dead-letter queue `nope`", "aws sqs create-queue"],
    ),
    (
        "QUEUE__URLS",
        "NOPE",
        ["no queue `nope`", "aws sqs create-queue"],
    ),
    (
        "TIMESTREAM__TABLE",
        "nope",
        ["table `local`.`nope`", "create-table"],
    ),
    (
        "CONNECTIONS__TABLE",
        "nope",
        ["no connection table `nope`", "connections.create"],
    ),
    (
        "CONNECTIONS__HASH_KEY",
        "other",
        ["connections.hash_key", "LookupKey"],
    ),
    (
        "CONNECTIONS__TABLE",
        "endless",
        ["stay for ever", "update-time-to-live"],
    ),
    (
        "AWS__ENDPOINT_MANAGEMENT",
        "STAGE",
        ["aws.endpoint_management", "ManageConnections"],
    ),
    (
        "AWS__ENDPOINT_KINESIS",
        "http://127.0.0.1:1",
        ["aws.endpoint_kinesis", "127.0.0.1:1"],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_is_red_for_each_planted_fault_and_names_the_remedy() {
    let stand = Stand::start(&["--shards", "2", "--workers", "1"]).await;
    table_without_end(&stand, "endless").await;
    let nope = format!("{}/000000000000/nope", stand.text("sqs"));
    let stage = stand.text("management").replace("/local", "/no-such-stage");
    for (setting, value, words) in FAULTS {
        let variable = format!("TIDEWIRE_{setting}");
        let value = match value {
            "NOPE" => &nope,
            "STAGE" => &stage,
            "VIEWERS" => stand.text("connection_table"),
            value => value,
        };
        let ended = doctor(&stand, &[], &[(&variable, value)]).await;
        assert_eq!(ended.code, Some(1), "{setting}={value}: {ended:#?}");
        let red: Vec<&str> = ended
            .out
            .lines()
            .filter(|line| line.starts_with("RED "))
            .collect();
        let told = |line: &&&str| words.iter().all(|words| line.contains(words));
        assert_eq!(
            red.iter().filter(told).count(),
            1,
            "{setting}={value}: {red:#?}"
        );
        let least = if setting == "AWS__ENDPOINT_KINESIS" {
            2
        } else {
            1
        };
        assert!(red.len() <= least, "one fault, one red line: {red:#?}");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_speaks_to_scripts_and_prints_the_rights_that_are_needed() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let ended = doctor(
        &stand,
        &["--json"],
        &[("TIDEWIRE_CONNECTIONS__TABLE", "nope")],
    )
    .await;
    assert_eq!(ended.code, Some(1));
    let said: Value = serde_json::from_str(&ended.out).expect("one JSON object");
    assert_eq!(said["worst"], "red", "{said}");
    let findings = said["findings"].as_array().expect("findings");
    assert!(findings.iter().any(|one| one["level"] == "green"), "{said}");

    let ended = doctor(&stand, &["--print-iam"], &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let policies: Value = serde_json::from_str(&ended.out).expect("one JSON object");
    for process in ["worker", "broadcaster", "gateway"] {
        let statements = policies[process]["Statement"]
            .as_array()
            .expect("statements");
        assert!(!statements.is_empty(), "{policies}");
    }
    assert!(!ended.out.contains("jsonencode"), "every name is filled in");
    stand.end().await;
}
