//! The adapters of the data path: against the embedded servers over loopback with the real SDK,
//! and against canned answers where no server would give such an answer.
#![cfg(feature = "local")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

#[path = "aws_data_path/canned.rs"]
mod canned;
#[path = "aws_data_path/feed.rs"]
mod feed;
#[path = "aws_data_path/kinesis.rs"]
mod kinesis;
#[path = "aws_data_path/provision.rs"]
mod provision;
#[path = "aws_data_path/setup.rs"]
mod setup;
#[path = "aws_data_path/sqs.rs"]
mod sqs;
#[path = "support/stream_contract.rs"]
mod stream_contract;
#[path = "aws_data_path/subscriptions.rs"]
mod subscriptions;
#[path = "aws_data_path/support.rs"]
mod support;
#[path = "aws_data_path/timestream.rs"]
mod timestream;
