//! Floor 5, feature `local`: every AWS service that the daemon talks to, embedded, on 127.0.0.1.

pub mod devices;
pub mod apigateway;
pub mod fault;
pub mod front;
pub mod timestream;
