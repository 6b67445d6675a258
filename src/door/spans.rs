//! Where spans go: a collector.

use std::future::Future;
use std::time::Duration;

use super::fault::CallFailed;
use crate::model::Span;

/// Takes spans.
pub trait SpanCollector: Send + Sync + 'static {
    /// Hands spans over, tried once; answers how many of them it will not have.
    fn export(&self, spans: &[Span]) -> impl Future<Output = Result<u64, NotExported>> + Send;
}

/// Spans that were not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failed}")]
pub struct NotExported {
    /// What happened.
    pub failed: CallFailed,
    /// How long the collector asks to be left alone.
    pub pause: Option<Duration>,
}
