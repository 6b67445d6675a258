use super::*;

fn call(
    service: Service,
    operation: &str,
    request: &Value,
    status: u16,
    answer: &Value,
) -> Vec<Fact> {
    assert!(counts(service, operation), "{operation}");
    facts(Call {
        service,
        operation,
        request: request.to_string().as_bytes(),
        status,
        answer: answer.to_string().as_bytes(),
    })
}

#[test]
fn a_refused_record_of_a_put_is_not_billed() {
    let half = "A".repeat(4 * 25_600 / 3 / 4 * 4);
    let request =
        json!({ "Records": [{ "Data": "AAAA" }, { "Data": "AAA=" }, { "Data": half.repeat(2) }] });
    let answer = json!({ "Records": [
        { "SequenceNumber": "1" },
        { "ErrorCode": "ProvisionedThroughputExceededException" },
        { "SequenceNumber": "2" },
    ] });
    let counted = call(Service::Kinesis, "PutRecords", &request, 200, &answer);
    let bytes = 3 + unencoded(&half.repeat(2));
    let units = Fact::Units(Unit::KinesisPutPayloadUnit, 3.0);
    assert_eq!(counted, vec![units, Fact::Put { bytes }]);
    assert_eq!(
        call(Service::Kinesis, "PutRecords", &request, 400, &answer),
        vec![]
    );
}

#[test]
fn base64_stands_for_the_bytes_that_it_says() {
    for (text, bytes) in [
        ("", 0),
        ("AA==", 1),
        ("AAA=", 2),
        ("AAAA", 3),
        ("AAAAAA==", 4),
    ] {
        assert_eq!(unencoded(text), bytes, "{text}");
    }
}

#[test]
fn dynamodb_is_asked_what_it_counts_and_a_failed_condition_is_counted() {
    let asked = asked(Service::DynamoDb, br#"{"TableName":"t"}"#).unwrap();
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    assert_eq!(asked["ReturnConsumedCapacity"], "TOTAL");

    let answer = json!({ "ConsumedCapacity": { "CapacityUnits": 1.5 } });
    let query = call(Service::DynamoDb, "Query", &json!({}), 200, &answer);
    let page = Fact::Page {
        units: 1.5,
        last: true,
    };
    assert_eq!(query, vec![Fact::Units(Unit::DynamoDbReadUnit, 1.5), page]);

    let failed = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
        "Item": { "leaseKey": { "S": "x".repeat(1500) } },
    });
    let counted = call(Service::DynamoDb, "UpdateItem", &json!({}), 400, &failed);
    assert_eq!(counted, vec![Fact::Units(Unit::DynamoDbWriteUnit, 2.0)]);
    let other = json!({ "__type": "ValidationException" });
    assert_eq!(
        call(Service::DynamoDb, "PutItem", &json!({}), 400, &other),
        vec![]
    );
}

#[test]
fn sqs_counts_by_64_kb_in_both_directions() {
    let body = "x".repeat(60 * 1024);
    let sent = json!({ "QueueUrl": "http://q/live", "Entries": [{ "MessageBody": body }, { "MessageBody": body }] });
    let counted = call(Service::Sqs, "SendMessageBatch", &sent, 200, &json!({}));
    assert_eq!(counted, vec![Fact::Units(Unit::SqsRequest, 2.0)]);
    let asked = json!({ "QueueUrl": "http://q/live.fifo" });
    let answer = json!({ "Messages": [{ "Body": body }, { "Body": body }, { "Body": body }] });
    let counted = call(Service::Sqs, "ReceiveMessage", &asked, 200, &answer);
    assert_eq!(counted, vec![Fact::Units(Unit::SqsFifoRequest, 3.0)]);
    // An empty answer to a long poll is a request like any other.
    let counted = call(Service::Sqs, "ReceiveMessage", &asked, 200, &json!({}));
    assert_eq!(counted, vec![Fact::Units(Unit::SqsFifoRequest, 1.0)]);
}

/// A record of 8 + 9 + 10 (dimension) + 11 (measure name) + 1 + 8 (measure) bytes.
#[test]
fn timestream_rounds_a_request_and_counts_shared_dimensions_once() {
    let record = json!({
        "Dimensions": [{ "Name": "device_id", "Value": "device-001" }],
        "MeasureValues": [{ "Name": "t", "Value": "21.5", "Type": "DOUBLE" }],
    });
    let request = |records: usize| {
        json!({
            "CommonAttributes": { "MeasureName": "temperature" },
            "Records": vec![record.clone(); records],
        })
    };
    let counted = |records| {
        call(
            Service::TimestreamWrite,
            "WriteRecords",
            &request(records),
            200,
            &json!({}),
        )
    };
    let written = |readings, units| {
        vec![
            Fact::Units(Unit::TimestreamWriteUnit, units),
            Fact::Written {
                readings,
                single_units: readings,
            },
        ]
    };
    assert_eq!(counted(1), written(1, 1.0));
    // 100 x 28 + 19 = 2,819 bytes; with a dimension for each it would be 4,700.
    assert_eq!(counted(100), written(100, 3.0));
}

#[test]
fn timestream_counts_a_value_by_its_type() {
    let units = |kind: &str, value: &str| {
        let record = json!({ "MeasureValues": [{ "Name": "m", "Value": value, "Type": kind }] });
        let request = json!({ "Records": vec![record; 100] });
        let service = Service::TimestreamWrite;
        let facts = call(service, "WriteRecords", &request, 200, &json!({}));
        facts.first().cloned()
    };
    let all = |units| Some(Fact::Units(Unit::TimestreamWriteUnit, units));
    // A hundred times 8 (time) + 1 (name) + 1: 1,000 bytes; with a value of 8 it is 1,700.
    assert_eq!(units("BOOLEAN", "false"), all(1.0));
    assert_eq!(units("VARCHAR", "x"), all(1.0));
    for eight in [
        ("DOUBLE", "1"),
        ("BIGINT", "1"),
        ("TIMESTAMP", "1"),
        ("VARCHAR", "xxxxxxxx"),
    ] {
        assert_eq!(units(eight.0, eight.1), all(2.0), "{eight:?}");
    }
}

#[test]
fn timestream_bills_a_request_of_which_some_were_rejected_and_none_that_it_refused() {
    let record = json!({ "MeasureName": "m", "MeasureValue": "1", "MeasureValueType": "DOUBLE" });
    let request = json!({ "Records": [record] });
    let answered = |status| {
        let service = Service::TimestreamWrite;
        call(service, "WriteRecords", &request, status, &json!({}))
    };
    assert_eq!(answered(419), answered(200));
    assert_eq!(answered(200).len(), 2);
    for refused in [400, 403, 503] {
        assert_eq!(answered(refused), vec![], "{refused}");
    }
}
