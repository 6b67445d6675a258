//! What a served call of an AWS-JSON service costs, by its request and its answer.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Fact, Level, count};
use crate::local::front::Service;
use crate::model::bill::{self, Unit};

/// A call that was served.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// By which service.
    pub service: Service,
    /// As AWS names it.
    pub operation: &'a str,
    /// The request's body, in JSON.
    pub request: &'a [u8],
    /// The answer's status.
    pub status: u16,
    /// The answer's body, in JSON.
    pub answer: &'a [u8],
}

/// Whether a call may cost anything: the bodies of others need not be held.
#[must_use]
pub fn counts(service: Service, operation: &str) -> bool {
    match service {
        Service::Kinesis => matches!(
            operation,
            "PutRecord"
                | "PutRecords"
                | "CreateStream"
                | "SplitShard"
                | "MergeShards"
                | "UpdateShardCount"
                | "RegisterStreamConsumer"
                | "DeregisterStreamConsumer"
        ),
        Service::DynamoDb => is_read(operation) || is_write(operation),
        Service::Sqs => true,
        Service::TimestreamWrite => operation == "WriteRecords",
        // Its calls have no JSON: the server reports them itself.
        Service::ApiGatewayManagement => false,
    }
}

/// The request as it is served: DynamoDB is asked for the capacity that it counts.
#[must_use]
pub fn asked(service: Service, request: &[u8]) -> Option<Vec<u8>> {
    if service != Service::DynamoDb {
        return None;
    }
    let mut value: Value = serde_json::from_slice(request).ok()?;
    let fields = value.as_object_mut()?;
    let field = "ReturnConsumedCapacity";
    if fields.get(field).is_some_and(|wanted| wanted != "NONE") {
        return None;
    }
    fields.insert(field.to_owned(), json!("TOTAL"));
    serde_json::to_vec(&value).ok()
}

/// What it adds to the books; nothing where it cannot be read, which the server has then refused.
#[must_use]
pub fn facts(call: Call<'_>) -> Vec<Fact> {
    let facts = match call.service {
        Service::Kinesis => kinesis(call),
        Service::DynamoDb => dynamodb(call),
        Service::Sqs => sqs(call),
        Service::TimestreamWrite => timestream(call),
        Service::ApiGatewayManagement => None,
    };
    facts.unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords<'a> {
    #[serde(borrow)]
    records: Vec<PutRecord<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutAnswer {
    records: Vec<PutResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutResult {
    error_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardCount {
    #[serde(alias = "TargetShardCount")]
    shard_count: u32,
}

fn kinesis(call: Call<'_>) -> Option<Vec<Fact>> {
    if call.status != 200 {
        return None;
    }
    let shards = || serde_json::from_slice::<ShardCount>(call.request).ok();
    Some(match call.operation {
        "PutRecord" => {
            let record: PutRecord<'_> = serde_json::from_slice(call.request).ok()?;
            put([&record].into_iter())
        }
        "PutRecords" => {
            let put_records: PutRecords<'_> = serde_json::from_slice(call.request).ok()?;
            let answer: PutAnswer = serde_json::from_slice(call.answer).ok()?;
            let both = put_records.records.iter().zip(&answer.records);
            put(both
                .filter(|(_, result)| result.error_code.is_none())
                .map(|(record, _)| record))
        }
        // On demand there is no count: AWS begins with four.
        "CreateStream" => {
            let shards = shards().map_or(4, |shards| shards.shard_count);
            vec![Fact::Change(Level::Shards, f64::from(shards))]
        }
        "UpdateShardCount" => vec![Fact::Set(Level::Shards, f64::from(shards()?.shard_count))],
        "SplitShard" => vec![Fact::Change(Level::Shards, 1.0)],
        "MergeShards" => vec![Fact::Change(Level::Shards, -1.0)],
        "RegisterStreamConsumer" => vec![Fact::Change(Level::Consumers, 1.0)],
        "DeregisterStreamConsumer" => vec![Fact::Change(Level::Consumers, -1.0)],
        _ => return None,
    })
}

fn put<'a>(records: impl Iterator<Item = &'a PutRecord<'a>>) -> Vec<Fact> {
    let (mut units, mut bytes) = (0, 0);
    for record in records {
        let size = unencoded(&record.data);
        units += bill::put_payload_units(size);
        bytes += size;
    }
    vec![
        Fact::Units(Unit::KinesisPutPayloadUnit, count(units)),
        Fact::Put { bytes },
    ]
}

/// Bytes that a text in base64 stands for.
fn unencoded(base64: &str) -> u64 {
    let text = base64.trim_end_matches('=').len();
    u64::try_from(text * 3 / 4).unwrap_or(u64::MAX)
}

/// Whether an operation of DynamoDB reads.
#[must_use]
pub fn is_read(operation: &str) -> bool {
    matches!(
        operation,
        "GetItem" | "Query" | "Scan" | "BatchGetItem" | "TransactGetItems"
    )
}

fn is_write(operation: &str) -> bool {
    matches!(
        operation,
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems"
    )
}

fn dynamodb(call: Call<'_>) -> Option<Vec<Fact>> {
    let answer: Value = serde_json::from_slice(call.answer).ok()?;
    if call.status != 200 {
        let error = answer["__type"].as_str()?;
        let conditional = error.ends_with("ConditionalCheckFailedException");
        // The item that stood in the way is what it was compared with.
        let units = bill::write_request_units(bytes_of(&answer["Item"]));
        return conditional.then(|| vec![Fact::Units(Unit::DynamoDbWriteUnit, count(units))]);
    }
    let consumed = &answer["ConsumedCapacity"];
    let units: f64 = match consumed {
        Value::Array(tables) => tables.iter().filter_map(capacity).sum(),
        one => capacity(one)?,
    };
    let unit = if is_read(call.operation) {
        Unit::DynamoDbReadUnit
    } else {
        Unit::DynamoDbWriteUnit
    };
    let mut facts = vec![Fact::Units(unit, units)];
    if call.operation == "Query" {
        let last = answer["LastEvaluatedKey"].is_null();
        facts.push(Fact::Page { units, last });
    }
    Some(facts)
}

fn capacity(consumed: &Value) -> Option<f64> {
    consumed["CapacityUnits"].as_f64()
}

/// Bytes of an item, near enough: its names, and its values as JSON spells them.
fn bytes_of(item: &Value) -> u64 {
    let fields = item.as_object().into_iter().flatten();
    let bytes: usize = fields
        .map(|(name, value)| name.len() + value.to_string().len())
        .sum();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn sqs(call: Call<'_>) -> Option<Vec<Fact>> {
    if call.status != 200 {
        return None;
    }
    let request: Value = serde_json::from_slice(call.request).ok()?;
    let answer = || serde_json::from_slice::<Value>(call.answer).unwrap_or_default();
    let bytes = match call.operation {
        "SendMessage" => text(&request["MessageBody"]),
        "SendMessageBatch" => texts(&request["Entries"], "MessageBody"),
        "ReceiveMessage" => texts(&answer()["Messages"], "Body"),
        _ => 0,
    };
    let is_fifo = request["QueueUrl"]
        .as_str()
        .is_some_and(|url| url.ends_with(".fifo"));
    let unit = if is_fifo {
        Unit::SqsFifoRequest
    } else {
        Unit::SqsRequest
    };
    Some(vec![Fact::Units(unit, count(bill::sqs_requests(bytes)))])
}

fn text(value: &Value) -> u64 {
    let bytes = value.as_str().map_or(0, str::len);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn texts(list: &Value, field: &str) -> u64 {
    let list = list.as_array().into_iter().flatten();
    list.map(|one| text(&one[field])).sum()
}

/// Timestream counts a record's time as eight bytes, numbers as eight, booleans as one, names and
/// texts as they are; dimensions that several records of a request share are counted once
/// (developer guide, "Metering and pricing: writes").
fn timestream(call: Call<'_>) -> Option<Vec<Fact>> {
    // 419: some were rejected, the others written, and all were looked at.
    if call.status != 200 && call.status != 419 {
        return None;
    }
    let request: Value = serde_json::from_slice(call.request).ok()?;
    let common = &request["CommonAttributes"];
    let mut seen = BTreeSet::new();
    let (mut readings, mut singles, mut together) = (0, 0, 0);
    for record in request["Records"].as_array()? {
        let dimensions = pairs(record) + pairs(common);
        let rest = 8 + measures(record, common);
        let key = record["Dimensions"].to_string();
        together += rest + if seen.insert(key) { dimensions } else { 0 };
        singles += bill::timestream_write_units(rest + dimensions);
        readings += 1;
    }
    let units = bill::timestream_write_units(together);
    Some(vec![
        Fact::Units(Unit::TimestreamWriteUnit, count(units)),
        Fact::Written {
            readings,
            single_units: singles,
        },
    ])
}

fn pairs(record: &Value) -> u64 {
    texts(&record["Dimensions"], "Name") + texts(&record["Dimensions"], "Value")
}

fn measures(record: &Value, common: &Value) -> u64 {
    let field = |name: &str| match &record[name] {
        Value::Null => &common[name],
        own => own,
    };
    let name = text(field("MeasureName"));
    let several = record["MeasureValues"].as_array().into_iter().flatten();
    let several: u64 = several
        .map(|one| text(&one["Name"]) + value(&one["Value"], &one["Type"]))
        .sum();
    let one = field("MeasureValue");
    let single = if one.is_null() {
        0
    } else {
        value(one, field("MeasureValueType"))
    };
    name + several + single
}

fn value(value: &Value, kind: &Value) -> u64 {
    match kind.as_str() {
        Some("BOOLEAN") => 1,
        Some("VARCHAR") => text(value),
        _ => 8,
    }
}

#[cfg(test)]
mod tests;
