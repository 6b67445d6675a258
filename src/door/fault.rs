//! The one question every door's error answers: what to do about it.

pub use crate::model::Fault;

/// An error that knows what to do about it.
pub trait Faulty: std::error::Error + Send + Sync + 'static {
    /// What this error means for the caller.
    fn fault(&self) -> Fault;
}

/// A failed call, as the doors without kinds of failure of their own report it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CallFailed {
    /// The operation as AWS names it.
    pub operation: &'static str,
    /// What it means for the caller.
    pub fault: Fault,
    /// AWS's error code and message, or the transport's; never a secret.
    pub message: String,
}

impl Faulty for CallFailed {
    fn fault(&self) -> Fault {
        self.fault
    }
}
