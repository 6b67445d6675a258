//! Floor 5, feature `local`: every AWS service that the daemon talks to, embedded, on 127.0.0.1.

pub mod apigateway;
pub mod card;
pub mod devices;
pub mod dynamodb;
pub mod fault;
pub mod front;
pub mod kinesis;
pub mod place;
pub mod ports;
pub mod sqs;

#[cfg(test)]
pub(crate) mod testing;
pub mod timestream;
