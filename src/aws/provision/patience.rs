//! Patience with a service that is there and has too much to do just now.

use std::time::Duration;

use crate::aws::explain::is_busy;
use crate::door::fault::CallFailed;
use crate::door::lease_table;

/// How long a service may put off a start: AWS allows an account five `DescribeTable` of
/// Timestream a second and 20 `DescribeStreamSummary` of Kinesis, which a fleet that starts at once
/// uses up for some seconds. After this it ends with the reason, and who started it starts it anew.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first and the longest wait between two tries.
const WAIT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));

/// An error that may be a call's.
pub trait OfCall {
    /// The call that failed, if that is what it is.
    fn call(&self) -> Option<&CallFailed>;
}

impl OfCall for CallFailed {
    fn call(&self) -> Option<&CallFailed> {
        Some(self)
    }
}

impl OfCall for lease_table::Error {
    fn call(&self) -> Option<&CallFailed> {
        match self {
            Self::Call(failed) => Some(failed),
            _ => None,
        }
    }
}

/// Asks again while the service throttles or fails by itself. Whatever else is wrong, an address
/// where nobody answers too, is wrong at once: it is more likely the settings'.
///
/// # Errors
/// What the last answer was.
pub async fn until_answered<T, E: OfCall, W: Future<Output = Result<T, E>>>(
    ask: impl Fn() -> W,
) -> Result<T, E> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    let (mut wait, longest) = WAIT;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let late = tokio::time::Instant::now() + wait > give_up;
        match error.call() {
            Some(failed) if is_busy(failed) && !late => {
                tracing::info!(error = %failed, "a service is busy; it is asked again");
            }
            _ => return Err(error),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::model::Fault;

    async fn asked(fault: Fault, message: &str, busy_times: u32) -> (u32, bool) {
        let tries = Cell::new(0);
        let answer = until_answered(|| async {
            tries.set(tries.get() + 1);
            if tries.get() > busy_times {
                return Ok(());
            }
            Err(CallFailed {
                operation: "DescribeTable",
                fault,
                message: message.to_owned(),
            })
        })
        .await;
        (tries.get(), answer.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_service_is_asked_again_and_not_for_ever() {
        assert_eq!(asked(Fault::Throttled, "slow down", 3).await, (4, true));
        assert_eq!(asked(Fault::Transient, "a 503", 3).await, (4, true));
        let began = tokio::time::Instant::now();
        let (tries, done) = asked(Fault::Throttled, "slow down", u32::MAX).await;
        assert!(!done && tries > 5, "{tries}");
        assert!(began.elapsed() <= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_person_must_mend_is_said_at_once() {
        assert_eq!(asked(Fault::Fatal, "no such table", 1).await, (1, false));
        let nobody = "cannot be reached: refused";
        assert_eq!(asked(Fault::Transient, nobody, 1).await, (1, false));
        let silent = "no answer in time";
        assert_eq!(asked(Fault::Transient, silent, 1).await, (1, false));
    }
}
