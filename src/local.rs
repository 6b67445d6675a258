//! Floor 5, feature `local`: every AWS service that the daemon talks to, embedded, on 127.0.0.1.

pub mod dynamodb;
pub mod fault;
pub mod front;
pub mod kinesis;
pub mod sqs;

#[cfg(test)]
mod testing;
