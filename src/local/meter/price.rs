//! The list prices by which units become money: one table, its region and its date beside it.
//!
//! They were noted on [`AS_OF`] from the services' pricing pages and articles that quote them, and
//! have not been compared with a bill. Free tiers, savings plans and volume steps are left out,
//! but for API Gateway's, which matters soonest.

use crate::model::bill::Unit;

/// Where the prices hold.
pub const REGION: &str = "us-east-1";
/// When they were noted.
pub const AS_OF: &str = "2026-11-23";
/// A month of 730 hours, as AWS's calculator has it.
pub const MONTH_S: f64 = 730.0 * 3600.0;

/// WebSocket messages of a month at the first price, and the price of those beyond.
const FIRST_MESSAGES: f64 = 1e9;
const FURTHER_MESSAGE_USD: f64 = 0.80e-6;

/// Worker and broadcaster on Fargate for a month: two tasks of half a vCPU and 1 GB, ARM
/// (<https://aws.amazon.com/fargate/pricing/>).
pub const TASKS_MONTH_USD: f64 = 29.0;

/// US dollars for one unit.
#[must_use]
pub fn usd(unit: Unit) -> f64 {
    match unit {
        Unit::KinesisPutPayloadUnit => 0.014e-6,
        Unit::KinesisShardHour | Unit::KinesisConsumerShardHour => 0.015,
        Unit::KinesisFanOutGb => 0.013,
        Unit::DynamoDbWriteUnit => 0.625e-6,
        Unit::DynamoDbReadUnit => 0.125e-6,
        Unit::SqsRequest => 0.40e-6,
        Unit::SqsFifoRequest | Unit::TimestreamWriteUnit => 0.50e-6,
        Unit::WebSocketMessage => 1.00e-6,
        Unit::WebSocketMinute => 0.25e-6,
        Unit::LambdaRequest => 0.20e-6,
        Unit::LambdaGbSecond => 16.666_7e-6,
    }
}

/// US dollars for so many units of one month.
#[must_use]
pub fn month_usd(unit: Unit, units: f64) -> f64 {
    if unit == Unit::WebSocketMessage && units > FIRST_MESSAGES {
        return FIRST_MESSAGES * usd(unit) + (units - FIRST_MESSAGES) * FURTHER_MESSAGE_USD;
    }
    units * usd(unit)
}

/// The pricing page of a unit's service.
#[must_use]
pub fn source(unit: Unit) -> &'static str {
    match unit.name().0 {
        "kinesis" => "https://aws.amazon.com/kinesis/data-streams/pricing/",
        "dynamodb" => "https://aws.amazon.com/dynamodb/pricing/on-demand/",
        "sqs" => "https://aws.amazon.com/sqs/pricing/",
        "timestream" => "https://aws.amazon.com/timestream/pricing/",
        "apigateway" => "https://aws.amazon.com/api-gateway/pricing/",
        _ => "https://aws.amazon.com/lambda/pricing/",
    }
}
