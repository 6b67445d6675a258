//! What AWS takes of one account in a second, beside the limits of a shard ([`super::kinesis`]) and of
//! a message: beyond, a request is refused as AWS refuses it, with the service's throttling error. On
//! in a stand unless it is started with `--unlimited`; an embedded server by itself has none of it.
//!
//! Of what depends on the account, the smaller number is taken: what a new account has without
//! asking for more.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::front::Service;
use super::meter::{Fact, wire};
use crate::model::bill::Unit;

/// Operations that share one rate.
struct Rate {
    service: Service,
    operations: &'static [&'static str],
    /// Requests a second of each operation by itself, or of all of them together.
    a_second: u64,
    /// Requests at once after a quiet time.
    burst: u64,
    together: bool,
}

const fn each(service: Service, operations: &'static [&'static str], a_second: u64) -> Rate {
    Rate {
        service,
        operations,
        a_second,
        burst: a_second,
        together: false,
    }
}

/// The rates of an account in a region.
const RATES: [Rate; 9] = [
    // Kinesis developer guide, "Quotas and limits", table of API limits.
    each(
        Service::Kinesis,
        &[
            "CreateStream",
            "DeleteStream",
            "ListStreams",
            "SplitShard",
            "MergeShards",
            "RegisterStreamConsumer",
            "DeregisterStreamConsumer",
            "ListStreamConsumers",
            "IncreaseStreamRetentionPeriod",
            "DecreaseStreamRetentionPeriod",
            "AddTagsToStream",
            "ListTagsForStream",
            "RemoveTagsFromStream",
        ],
        5,
    ),
    each(Service::Kinesis, &["DescribeStream"], 10),
    each(
        Service::Kinesis,
        &["DescribeStreamSummary", "DescribeStreamConsumer"],
        20,
    ),
    // Of a stream; a stand has one.
    each(Service::Kinesis, &["ListShards"], 1000),
    // Timestream developer guide, "Quotas": CRUD operations, and listing and describing.
    each(
        Service::TimestreamWrite,
        &[
            "CreateDatabase",
            "CreateTable",
            "DeleteDatabase",
            "DeleteTable",
            "UpdateDatabase",
            "UpdateTable",
        ],
        1,
    ),
    each(
        Service::TimestreamWrite,
        &[
            "DescribeDatabase",
            "DescribeTable",
            "ListDatabases",
            "ListTables",
        ],
        5,
    ),
    // API Gateway developer guide, "Quotas for configuring and running a WebSocket API".
    each(Service::ApiGatewayManagement, &["Connect"], 500),
    // The account's throttle, which calls of `@connections` share with the REST APIs beside.
    Rate {
        service: Service::ApiGatewayManagement,
        operations: &["PostToConnection", "GetConnection", "DeleteConnection"],
        a_second: 10_000,
        burst: 5_000,
        together: true,
    },
    // SQS developer guide, "Quotas": a FIFO queue without high throughput, by API action and queue.
    each(
        Service::Sqs,
        &[
            "SendMessage",
            "SendMessageBatch",
            "ReceiveMessage",
            "DeleteMessage",
            "DeleteMessageBatch",
            "ChangeMessageVisibility",
            "ChangeMessageVisibilityBatch",
        ],
        300,
    ),
];

/// Units a second that a new on-demand table of DynamoDB takes at once, reads and writes (DynamoDB
/// developer guide, "Initial throughput for on-demand capacity mode").
const TABLE_READS: u64 = 12_000;
const TABLE_WRITES: u64 = 4_000;

/// The rates of one server; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    state: Arc<Mutex<Option<State>>>,
}

#[derive(Debug)]
struct State {
    started: Instant,
    buckets: BTreeMap<String, Bucket>,
}

impl Quotas {
    /// From now on they hold.
    pub fn enforce(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = Some(State {
            started: Instant::now(),
            buckets: BTreeMap::new(),
        });
    }

    /// Whether a request may be served now; a refused one costs nothing. `body` may be empty where
    /// the server does not hold it.
    #[must_use]
    pub fn admits(&self, service: Service, operation: &str, body: &[u8]) -> bool {
        self.with(|now_ms, buckets| admits(buckets, now_ms, service, operation, body))
            .unwrap_or(true)
    }

    /// Books what a served request of DynamoDB took of its table.
    pub fn took(&self, body: &[u8], facts: &[Fact]) {
        self.with(|now_ms, buckets| {
            let Some(table) = named(body).table else {
                return;
            };
            for fact in facts {
                let Fact::Units(unit, units) = fact else {
                    continue;
                };
                let Some((key, rate)) = of_table(*unit, &table) else {
                    continue;
                };
                let bucket = at(buckets, key, rate, rate, now_ms);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a few thousands at most, rounded up"
                )]
                bucket.take(units.ceil() as u64);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(u64, &mut BTreeMap<String, Bucket>) -> T) -> Option<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state.as_mut()?;
        let now_ms = u64::try_from(state.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(act(now_ms, &mut state.buckets))
    }
}

fn admits(
    buckets: &mut BTreeMap<String, Bucket>,
    now_ms: u64,
    service: Service,
    operation: &str,
    body: &[u8],
) -> bool {
    if service == Service::DynamoDb {
        let unit = if wire::is_read(operation) {
            Unit::DynamoDbReadUnit
        } else {
            Unit::DynamoDbWriteUnit
        };
        let table = named(body).table;
        let Some((key, rate)) = table.and_then(|table| of_table(unit, &table)) else {
            return true;
        };
        // What it will take is not known yet: it is served as long as anything is left.
        return at(buckets, key, rate, rate, now_ms).is_above_zero();
    }
    let mut rates = RATES.iter().filter(|rate| rate.service == service);
    let Some(rate) = rates.find(|rate| rate.operations.contains(&operation)) else {
        return true;
    };
    let key = match service {
        Service::Sqs => match named(body).queue {
            Some(queue) if queue.ends_with(".fifo") => format!("{operation} {queue}"),
            _ => return true,
        },
        _ if rate.together => rate.operations.join(" "),
        _ => operation.to_owned(),
    };
    let bucket = at(buckets, key, rate.a_second, rate.burst, now_ms);
    let holds = bucket.holds(1);
    if holds {
        bucket.take(1);
    }
    holds
}

fn of_table(unit: Unit, table: &str) -> Option<(String, u64)> {
    match unit {
        Unit::DynamoDbReadUnit => Some((format!("reads {table}"), TABLE_READS)),
        Unit::DynamoDbWriteUnit => Some((format!("writes {table}"), TABLE_WRITES)),
        _ => None,
    }
}

fn at(
    buckets: &mut BTreeMap<String, Bucket>,
    key: String,
    rate: u64,
    size: u64,
    now_ms: u64,
) -> &mut Bucket {
    let bucket = buckets
        .entry(key)
        .or_insert_with(|| Bucket::of_size(rate, size, now_ms));
    bucket.refill(now_ms);
    bucket
}

/// What a request is about.
#[derive(Default, Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "TableName")]
    table: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "QueueUrl")]
    queue: Option<Cow<'a, str>>,
}

fn named(body: &[u8]) -> Named<'_> {
    serde_json::from_slice(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(service: Service, operation: &str, body: &[u8], asked: usize, now_ms: u64) -> usize {
        let mut buckets = BTreeMap::new();
        (0..asked)
            .filter(|_| admits(&mut buckets, now_ms, service, operation, body))
            .count()
    }

    #[test]
    fn each_operation_has_its_rate_and_others_have_none() {
        for (service, operation, rate) in [
            (Service::Kinesis, "SplitShard", 5),
            (Service::Kinesis, "DescribeStreamSummary", 20),
            (Service::Kinesis, "PutRecords", 20_000),
            (Service::TimestreamWrite, "DescribeTable", 5),
            (Service::TimestreamWrite, "WriteRecords", 20_000),
            (Service::ApiGatewayManagement, "Connect", 500),
            (Service::ApiGatewayManagement, "PostToConnection", 5_000),
        ] {
            assert_eq!(
                served(service, operation, b"", 20_000, 7),
                rate,
                "{operation}"
            );
        }
        let fifo = br#"{"QueueUrl":"http://h/0/live.fifo"}"#;
        assert_eq!(served(Service::Sqs, "SendMessage", fifo, 999, 0), 300);
        let standard = br#"{"QueueUrl":"http://h/0/live"}"#;
        assert_eq!(served(Service::Sqs, "SendMessage", standard, 999, 0), 999);
    }

    #[test]
    fn a_steady_rate_is_never_refused_and_posts_share_theirs() {
        let mut buckets = BTreeMap::new();
        let mut ask = |operation: &str, now_ms: u64| {
            admits(
                &mut buckets,
                now_ms,
                Service::ApiGatewayManagement,
                operation,
                b"",
            )
        };
        assert!((0..50_000).all(|n| ask("PostToConnection", n / 10)));
        let both = ["PostToConnection", "GetConnection"];
        let served = (0..9_999).filter(|n| ask(both[n % 2], 9_000)).count();
        assert_eq!(served, 5_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_was_read_too_much_waits_until_it_is_refilled() {
        let quotas = Quotas::default();
        let scan = br#"{"TableName":"connections"}"#;
        let ask = || quotas.admits(Service::DynamoDb, "Scan", scan);
        quotas.took(scan, &[Fact::Units(Unit::DynamoDbReadUnit, 99_999.0)]);
        assert!(ask(), "nothing is enforced yet");
        quotas.enforce();
        assert!(ask());
        quotas.took(scan, &[Fact::Units(Unit::DynamoDbReadUnit, 24_000.5)]);
        assert!(!ask());
        assert!(quotas.admits(Service::DynamoDb, "Scan", br#"{"TableName":"leases"}"#));
        tokio::time::advance(std::time::Duration::from_millis(1_100)).await;
        assert!(ask());
    }
}
