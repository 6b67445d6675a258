//! The time-series store: batches of readings in, an outcome for each out.

use std::future::Future;
use std::time::Duration;

use super::fault::CallFailed;
use crate::model::{Reading, Rejection, RowKey};

/// A time-series store. What to do with a whole request that fails is in its error's fault:
/// `Rejected` means that at least one reading in it is unacceptable and none was stored.
pub trait TimeSeries: Send + Sync + 'static {
    /// At most this many readings a request.
    fn batch_max(&self) -> usize;

    /// Whether it is meant to get this reading at all.
    fn takes(&self, reading: &Reading) -> bool;

    /// The row a reading lands on.
    fn key(&self, reading: &Reading) -> RowKey;

    /// Checks names, sizes and limits that the store is known to hold, before sending; the text
    /// is the dead letter's reason.
    ///
    /// # Errors
    /// The rule that the reading breaks.
    fn check(&self, reading: &Reading) -> Result<(), String>;

    /// How long the store has asked not to be called; zero where it has not.
    fn asked_pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Writes readings, all keys distinct. The readings not named in the answer are stored.
    fn write(
        &self,
        batch: &[Reading],
    ) -> impl Future<Output = Result<Vec<Rejection>, CallFailed>> + Send;
}
