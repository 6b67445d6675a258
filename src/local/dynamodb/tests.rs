use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableStatus, TimeToLiveSpecification,
    TimeToLiveStatus,
};

use super::*;
use crate::local::fault::{Effect, Switch};
use crate::local::testing::Running;
use crate::model::bill::Unit;

async fn start() -> (Running, Client, DynamoDb) {
    let dynamodb = DynamoDb::new(None).unwrap();
    let server = dynamodb.clone();
    let running = Running::start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let client = Client::new(&running.sdk());
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    let text = |name: &str| {
        let kind = ScalarAttributeType::S;
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(kind)
            .build()
            .unwrap()
    };
    let create = client
        .create_table()
        .table_name("rows")
        .billing_mode(BillingMode::PayPerRequest);
    let create = create
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range));
    let create = create
        .attribute_definitions(text("pk"))
        .attribute_definitions(text("sk"));
    create.send().await.unwrap();
    let described = client
        .describe_table()
        .table_name("rows")
        .send()
        .await
        .unwrap();
    let status = described.table().unwrap().table_status();
    assert_eq!(status, Some(&TableStatus::Active));
    (running, client, dynamodb)
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[tokio::test]
async fn a_conditional_put_wins_once() {
    let (_running, client, _) = start().await;
    let put = || {
        let put = client
            .put_item()
            .table_name("rows")
            .item("pk", s("a"))
            .item("sk", s("b"));
        put.condition_expression("attribute_not_exists(pk)").send()
    };
    put().await.unwrap();
    let error = put().await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "{error:?}");
}

#[tokio::test]
async fn a_failed_conditional_update_gives_back_the_old_item() {
    let (running, client, _) = start().await;
    let put = client
        .put_item()
        .table_name("rows")
        .item("pk", s("a"))
        .item("sk", s("b"));
    put.item("leaseCounter", n(7)).send().await.unwrap();
    let update = |seen: u64| {
        let update = client
            .update_item()
            .table_name("rows")
            .key("pk", s("a"))
            .key("sk", s("b"));
        update
            .update_expression("SET leaseCounter = :next")
            .condition_expression("leaseCounter = :seen")
            .expression_attribute_values(":next", n(seen + 1))
            .expression_attribute_values(":seen", n(seen))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    let error = update(6).await.unwrap_err().into_service_error();
    let UpdateItemError::ConditionalCheckFailedException(failed) = error else {
        panic!("{error:?}")
    };
    assert_eq!(failed.item().unwrap()["leaseCounter"], n(7));
    update(7).await.unwrap();
    let get = client
        .get_item()
        .table_name("rows")
        .key("pk", s("a"))
        .key("sk", s("b"));
    let item = get.consistent_read(true).send().await.unwrap();
    assert_eq!(item.item().unwrap()["leaseCounter"], n(8));
    running.stop().await;
}

#[tokio::test]
async fn queries_and_scans_come_in_pages() {
    let (_running, client, _) = start().await;
    // Forty items of 60 kB are 2.4 MB: pages of 1 MB, without any limit asked for.
    let filling = "x".repeat(60_000);
    for number in 0..40 {
        let put = client.put_item().table_name("rows").item("pk", s("a"));
        let put = put
            .item("sk", s(&format!("{number:02}")))
            .item("filling", s(&filling));
        put.send().await.unwrap();
    }
    let (mut pages, mut found, mut from) = (0, 0, None);
    loop {
        let query = client
            .query()
            .table_name("rows")
            .key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", s("a"));
        let page = query.set_exclusive_start_key(from).send().await.unwrap();
        pages += 1;
        found += page.items().len();
        from = page.last_evaluated_key().cloned();
        if from.is_none() {
            break;
        }
    }
    assert_eq!((pages, found), (3, 40));
    let (mut found, mut from) = (0, None);
    loop {
        let scan = client
            .scan()
            .table_name("rows")
            .limit(15)
            .set_exclusive_start_key(from);
        let page = scan.send().await.unwrap();
        assert!(page.items().len() <= 15);
        found += page.items().len();
        from = page.last_evaluated_key().cloned();
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, 40);
}

#[tokio::test]
async fn time_to_live_is_set_and_described() {
    let (_running, client, _) = start().await;
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires_at");
    let update = client.update_time_to_live().table_name("rows");
    update
        .time_to_live_specification(ttl.build().unwrap())
        .send()
        .await
        .unwrap();
    let described = client
        .describe_time_to_live()
        .table_name("rows")
        .send()
        .await
        .unwrap();
    let described = described.time_to_live_description().unwrap();
    assert_eq!(described.attribute_name(), Some("expires_at"));
    let status = described.time_to_live_status().unwrap();
    assert!(
        matches!(
            status,
            TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling
        ),
        "{status}"
    );
}

#[tokio::test]
async fn errors_and_switches_are_the_services_own() {
    let (_running, client, dynamodb) = start().await;
    let missing = client
        .describe_table()
        .table_name("none")
        .send()
        .await
        .unwrap_err();
    assert!(
        missing
            .into_service_error()
            .is_resource_not_found_exception()
    );
    let short = client
        .describe_table()
        .table_name("t")
        .send()
        .await
        .unwrap_err();
    assert_eq!(short.code(), Some("ValidationException"), "{short:?}");
    dynamodb
        .faults()
        .set(Switch::on("Scan", Effect::Throttled).times(1));
    let error = client
        .scan()
        .table_name("rows")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(
        error.is_provisioned_throughput_exceeded_exception(),
        "{error:?}"
    );
    client.scan().table_name("rows").send().await.unwrap();
    assert_eq!(dynamodb.calls().of("Scan"), 2);
}

/// As AWS counts: a write by KB, a read by half for each 4 KB, and a write whose condition fails.
#[tokio::test]
async fn what_is_served_is_metered_and_what_a_switch_refuses_is_not() {
    let (_running, client, dynamodb) = start().await;
    let put = |sort: &str, bytes: usize| {
        let put = client.put_item().table_name("rows");
        put.item("pk", s("a"))
            .item("sk", s(sort))
            .item("data", s(&"x".repeat(bytes)))
    };
    put("1", 10).send().await.unwrap();
    put("2", 5_000).send().await.unwrap();
    let again = put("1", 10).condition_expression("attribute_not_exists(pk)");
    again.send().await.unwrap_err();
    let query = client.query().table_name("rows");
    let query = query.key_condition_expression("pk = :a");
    let query = query.expression_attribute_values(":a", s("a"));
    query.send().await.unwrap();
    dynamodb.faults().set(Switch::everything(Effect::Throttled));
    put("3", 10).send().await.unwrap_err();

    let tally = dynamodb.meter().tally();
    let units = [Unit::DynamoDbWriteUnit, Unit::DynamoDbReadUnit].map(|unit| tally.of(unit));
    assert_eq!(units, [1.0 + 5.0 + 1.0, 1.0]);
    assert_eq!(tally.load.table_read_units, 1.0);
}
