//! What AWS counts on its bill: the units, and how a call's bytes become them.
//!
//! Sources are the services' pricing pages and the developer guides that explain their metering;
//! each rule names its own. Prices are not here: they differ by region and change.

/// Bytes in a KiB: AWS's bills write KB and mean this.
const KIB: u64 = 1024;

/// A thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Kinesis, provisioned: a record's payload in steps of 25 KB.
    KinesisPutPayloadUnit,
    /// Kinesis, provisioned: an open shard for an hour.
    KinesisShardHour,
    /// Kinesis: a consumer of enhanced fan-out, for each shard and hour.
    KinesisConsumerShardHour,
    /// Kinesis: a GB that enhanced fan-out delivered.
    KinesisFanOutGb,
    /// DynamoDB, on demand: a write of up to 1 KB.
    DynamoDbWriteUnit,
    /// DynamoDB, on demand: a consistent read of up to 4 KB; an eventually consistent one is half.
    DynamoDbReadUnit,
    /// SQS, standard queues: a request, or each 64 KB of it.
    SqsRequest,
    /// SQS, FIFO queues: the same.
    SqsFifoRequest,
    /// Timestream for LiveAnalytics: a write of up to 1 KB.
    TimestreamWriteUnit,
    /// API Gateway: a message of a WebSocket, in either direction, or each 32 KB of it.
    WebSocketMessage,
    /// API Gateway: a minute of an open WebSocket.
    WebSocketMinute,
    /// Lambda: an invocation.
    LambdaRequest,
    /// Lambda: a GB of memory for a second.
    LambdaGbSecond,
}

impl Unit {
    /// Every unit, by service.
    pub const ALL: [Self; 13] = [
        Self::KinesisPutPayloadUnit,
        Self::KinesisShardHour,
        Self::KinesisConsumerShardHour,
        Self::KinesisFanOutGb,
        Self::DynamoDbWriteUnit,
        Self::DynamoDbReadUnit,
        Self::SqsRequest,
        Self::SqsFifoRequest,
        Self::TimestreamWriteUnit,
        Self::WebSocketMessage,
        Self::WebSocketMinute,
        Self::LambdaRequest,
        Self::LambdaGbSecond,
    ];

    /// The service and the unit's name, as a label or a heading has them.
    #[must_use]
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::KinesisPutPayloadUnit => ("kinesis", "put payload unit"),
            Self::KinesisShardHour => ("kinesis", "shard hour"),
            Self::KinesisConsumerShardHour => ("kinesis", "consumer-shard hour"),
            Self::KinesisFanOutGb => ("kinesis", "fan-out GB"),
            Self::DynamoDbWriteUnit => ("dynamodb", "write request unit"),
            Self::DynamoDbReadUnit => ("dynamodb", "read request unit"),
            Self::SqsRequest => ("sqs", "request"),
            Self::SqsFifoRequest => ("sqs", "FIFO request"),
            Self::TimestreamWriteUnit => ("timestream", "write unit"),
            Self::WebSocketMessage => ("apigateway", "message"),
            Self::WebSocketMinute => ("apigateway", "connection minute"),
            Self::LambdaRequest => ("lambda", "request"),
            Self::LambdaGbSecond => ("lambda", "GB-second"),
        }
    }
}

/// Put payload units of one record of `bytes` (Kinesis pricing: 25 KB chunks, one at least).
#[must_use]
pub fn put_payload_units(bytes: u64) -> u64 {
    steps(bytes, 25 * KIB)
}

/// Write request units of an item of `bytes` (DynamoDB developer guide, "On-demand capacity mode";
/// a write whose condition fails is counted as well).
#[must_use]
pub fn write_request_units(bytes: u64) -> u64 {
    steps(bytes, KIB)
}

/// Requests that a call to SQS counts as, whose messages have `bytes` together (SQS pricing: each
/// 64 KB chunk; a call without messages is one).
#[must_use]
pub fn sqs_requests(bytes: u64) -> u64 {
    steps(bytes, 64 * KIB)
}

/// Write units of one `WriteRecords` call (Timestream developer guide, "Metering and pricing:
/// writes"): the request's bytes together are rounded up, not each record's.
#[must_use]
pub fn timestream_write_units(bytes: u64) -> u64 {
    steps(bytes, KIB)
}

/// Messages that one WebSocket message of `bytes` counts as (API Gateway pricing: in steps of 32 KB).
#[must_use]
pub fn websocket_messages(bytes: u64) -> u64 {
    steps(bytes, 32 * KIB)
}

/// The steps that an amount takes, one at least.
fn steps(bytes: u64, step: u64) -> u64 {
    bytes.div_ceil(step).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_begins_with_its_first_byte_and_an_empty_call_is_one() {
        for (units, step) in [
            (put_payload_units as fn(u64) -> u64, 25_600),
            (write_request_units, 1_024),
            (sqs_requests, 65_536),
            (timestream_write_units, 1_024),
            (websocket_messages, 32_768),
        ] {
            let counted = [0, 1, step, step + 1, 10 * step].map(units);
            assert_eq!(counted, [1, 1, 1, 2, 10], "in steps of {step}");
        }
    }

    #[test]
    fn every_unit_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Unit::ALL.map(Unit::name).into();
        assert_eq!(names.len(), Unit::ALL.len());
    }
}
