//! Floor 4: services. Each waits for one thing, asks floor 1 what it means, and carries that out.

pub mod billed;
pub mod broadcaster;
pub mod clock;
pub mod embedded;
pub mod entropy;
pub mod feed;
pub mod gateway;
pub mod http;
pub mod leases;
pub mod metric;
pub mod operator;
pub mod rates;
pub mod replay;
pub mod settings;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod traces;
pub mod worker;
