//! Dead letters: what could not be done, with the reason, where a person or `replay` finds it.

use std::future::Future;

use super::fault::CallFailed;
use crate::model::DeadLetter;

/// Where dead letters go.
pub trait DeadLetters: Send + Sync + 'static {
    /// Files up to ten letters; all of them are filed, or the call failed and may be repeated.
    fn file(&self, letters: &[DeadLetter]) -> impl Future<Output = Result<(), CallFailed>> + Send;
}
