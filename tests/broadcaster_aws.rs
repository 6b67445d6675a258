//! The broadcaster's adapters against the embedded servers over loopback with the real SDK.
#![cfg(feature = "local")]
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "broadcaster_aws/keys.rs"]
mod keys;
#[path = "broadcaster_aws/screens.rs"]
mod screens;
#[path = "broadcaster_aws/support.rs"]
mod support;
#[path = "broadcaster_aws/table.rs"]
mod table;
