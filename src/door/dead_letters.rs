//! Dead letters: what could not be done, with the reason, where a person or `replay` finds it.

use std::future::Future;
use std::time::Duration;

use super::fault::CallFailed;
use crate::model::DeadLetter;

/// Where dead letters go.
pub trait DeadLetters: Send + Sync + 'static {
    /// Files up to ten letters; all of them are filed, or the call failed and may be repeated.
    fn file(&self, letters: &[DeadLetter]) -> impl Future<Output = Result<(), CallFailed>> + Send;
}

/// A message in the queue of dead letters, held from other readers for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What names it, however often it is taken.
    pub id: String,
    /// What releases or removes it: that of its last taking.
    pub receipt: String,
    /// Its body: a letter, unless somebody else put it there.
    pub body: String,
}

/// Where dead letters are read back.
pub trait LetterBox: Send + Sync + 'static {
    /// Takes up to ten messages, waiting up to `wait` (at most 20 s) for one, and holds them from
    /// others for `hold` (at most 12 hours; AWS: `ReceiveMessage`). None: there are no others.
    fn take(
        &self,
        hold: Duration,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Held>, CallFailed>> + Send;

    /// Holds up to ten messages for so long from now on; with zero, others have them at once.
    fn hold(
        &self,
        receipts: &[String],
        hold: Duration,
    ) -> impl Future<Output = Result<(), CallFailed>> + Send;

    /// Removes up to ten messages for good; answers the receipts of those that it could not.
    fn remove(
        &self,
        receipts: &[String],
    ) -> impl Future<Output = Result<Vec<String>, CallFailed>> + Send;
}
