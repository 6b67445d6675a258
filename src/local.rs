//! Floor 5, feature `local`: every AWS service that the daemon talks to, embedded, on 127.0.0.1.

pub mod apigateway;
pub mod bucket;
pub mod card;
pub mod config;
pub mod crew;
pub mod devices;
pub mod drill;
pub mod dynamodb;
pub mod fault;
pub mod front;
pub mod keep;
pub mod kinesis;
pub mod meter;
pub mod mqtt;
pub mod page;
pub mod place;
pub mod ports;
pub mod provision;
pub mod quota;
pub mod servers;
pub mod speaking;
pub mod sqlite;
pub mod sqs;
pub mod staff;
pub mod stand;

#[cfg(test)]
mod testing;
pub mod timestream;
pub mod view;
