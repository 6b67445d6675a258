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

/// A table of these string keys, the hash key first.
async fn table(stand: &Stand, name: &str, keys: &[&str]) {
    let mut made = dynamodb(stand)
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*key);
        let attribute = attribute.attribute_type(ScalarAttributeType::S);
        let part = KeySchemaElement::builder().attribute_name(*key);
        made = made
            .attribute_definitions(attribute.build().expect("an attribute"))
            .key_schema(part.key_type(kind).build().expect("a key"));
    }
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
    // Its rows stay for ever.
    table(&stand, "endless", &["LookupKey", "SortKey"]).await;
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
        let mut env = NOTHING_IS_MADE.to_vec();
        env.push((&variable, value));
        let ended = doctor(&stand, &[], &env).await;
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

/// A stand's own settings let processes make their tables.
const NOTHING_IS_MADE: [(&str, &str); 2] = [
    ("TIDEWIRE_LEASE__CREATE", "false"),
    ("TIDEWIRE_CONNECTIONS__CREATE", "false"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_will_make_itself_is_missed_in_yellow() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let later = [
        ("TIDEWIRE_LEASE__TABLE", "later"),
        ("TIDEWIRE_CONNECTIONS__TABLE", "later"),
        ("TIDEWIRE_TIMESTREAM__TABLE", "later"),
        ("TIDEWIRE_TIMESTREAM__CREATE", "true"),
    ];
    let ended = doctor(&stand, &[], &later).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for (what, setting) in [
        ("lease table", "lease.create"),
        ("connection table", "connections.create"),
        ("Timestream table", "timestream.create"),
    ] {
        let words = format!("yellow  {what}: is not there yet");
        let line = ended.out.lines().find(|line| line.starts_with(&words));
        assert!(
            line.is_some_and(|line| line.contains(setting)),
            "{}",
            ended.out
        );
    }
    stand.end().await;
}

/// Calls whose right is taken away, one after the other: the server, the call, the right as IAM
/// calls it, and whose rights' lines are red.
const RIGHTS: [(&str, &str, &str, &[&str]); 14] = [
    (
        "kinesis",
        "DescribeStreamConsumer",
        "kinesis:DescribeStreamConsumer",
        &["worker"],
    ),
    (
        "kinesis",
        "GetShardIterator",
        "kinesis:GetShardIterator",
        &["worker"],
    ),
    ("kinesis", "GetRecords", "kinesis:GetRecords", &["worker"]),
    (
        "kinesis",
        "SubscribeToShard",
        "kinesis:SubscribeToShard",
        &["worker"],
    ),
    (
        "kinesis",
        "RegisterStreamConsumer",
        "kinesis:RegisterStreamConsumer",
        &["worker"],
    ),
    ("dynamodb", "Scan", "dynamodb:Scan", &["worker"]),
    (
        "dynamodb",
        "UpdateItem",
        "dynamodb:UpdateItem",
        &["worker", "gateway"],
    ),
    ("dynamodb", "Query", "dynamodb:Query", &["broadcaster"]),
    (
        "dynamodb",
        "PutItem",
        "dynamodb:PutItem",
        &["broadcaster", "gateway"],
    ),
    (
        "sqs",
        "SendMessageBatch",
        "sqs:SendMessage",
        &["worker", "gateway"],
    ),
    (
        "sqs",
        "ReceiveMessage",
        "sqs:ReceiveMessage",
        &["broadcaster"],
    ),
    (
        "sqs",
        "DeleteMessageBatch",
        "sqs:DeleteMessage",
        &["broadcaster"],
    ),
    (
        "timestream",
        "WriteRecords",
        "timestream:WriteRecords",
        &["worker"],
    ),
    (
        "management",
        "DeleteConnection",
        "execute-api:ManageConnections",
        &["broadcaster"],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_each_right_that_is_missing_by_calls_that_change_nothing() {
    // A worker of its own would end where it may not scan, and the stand with it.
    let stand = Stand::start(&["--shards", "1", "--workers", "0", "--devices", "0"]).await;
    table(&stand, "leases", &["leaseKey"]).await;
    let fan_out = [
        ("TIDEWIRE_LEASE__TABLE", "leases"),
        ("TIDEWIRE_SOURCE__MODE", "fan-out"),
    ];
    let well = doctor(&stand, &[], &fan_out).await;
    assert_eq!(well.code, Some(0), "{well:#?}");
    let consumer = "green   consumer leases: is not registered";
    assert!(well.out.contains(consumer), "{}", well.out);
    for (server, call, right, whose) in RIGHTS {
        let denied = serde_json::json!({ "kind": "denied", "operation": call });
        stand.fault(server, denied).await;
        let ended = doctor(&stand, &[], &fan_out).await;
        stand.fault(server, serde_json::json!([])).await;
        let red: Vec<&str> = ended
            .out
            .lines()
            .filter(|line| line.starts_with("RED "))
            .collect();
        assert_eq!(red.len(), whose.len(), "{call}: {ended:#?}");
        for (line, whose) in red.iter().zip(whose) {
            let words = format!("rights of the {whose}: refused: {right} on ");
            assert!(line.contains(&words), "{call}: {line}");
            assert!(line.contains("--print-iam"), "{line}");
        }
    }
    assert_eq!(stand.rows().await, 0, "nothing was written");
    let ended = doctor(&stand, &[], &fan_out).await;
    let none = "0 of 20 consumers are registered";
    assert!(ended.out.contains(none), "nor registered: {}", ended.out);
    for (name, rows) in [("leases", 0), (stand.text("connection_table"), 1)] {
        let scan = dynamodb(&stand).scan().table_name(name).send().await;
        let found = scan.expect("the table is read").count();
        assert_eq!(found, rows, "{name}: the broadcaster's seat alone");
    }
    assert!(stand.letters().await.is_empty(), "nor filed");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_asks_for_one_process_what_that_one_may_ask() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0", "--devices", "0"]).await;
    // A broadcaster's role may not read TTLs, and knows nothing of streams.
    stand
        .fault(
            "dynamodb",
            serde_json::json!({ "kind": "denied", "operation": "DescribeTimeToLive" }),
        )
        .await;
    stand
        .fault("kinesis", serde_json::json!({ "kind": "denied" }))
        .await;
    let ended = doctor(&stand, &["--for", "broadcaster"], &[]).await;
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended
            .out
            .contains("yellow  connection table: these credentials may not ask"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("rights of the broadcaster"),
        "{}",
        ended.out
    );
    for other in ["stream", "rights of the worker", "rights of the gateway"] {
        assert!(!ended.out.contains(other), "{}", ended.out);
    }
    let all = doctor(&stand, &[], &[]).await;
    assert_eq!(all.code, Some(1), "{all:#?}");
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_speaks_to_scripts_and_prints_the_rights_that_are_needed() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let nope = format!("{}/000000000000/nope", stand.text("sqs"));
    let ended = doctor(
        &stand,
        &["--json"],
        &[("TIDEWIRE_DEAD_LETTER__QUEUE_URL", &nope)],
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
