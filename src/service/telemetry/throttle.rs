//! Saying a thing at most once in a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Millis;

/// Often enough to notice, seldom enough not to drown the rest.
const EVERY: Duration = Duration::from_secs(60);

/// Lets each key pass at most once a minute, and counts what it held back.
///
/// ```
/// # use tidewire::{model::Millis, service::telemetry::throttle::Throttle};
/// let throttle = Throttle::default();
/// assert_eq!(throttle.pass("reads throttled", Millis(0)), Some(0));
/// assert_eq!(throttle.pass("reads throttled", Millis(59_999)), None);
/// assert_eq!(throttle.pass("reads throttled", Millis(60_000)), Some(1));
/// ```
#[derive(Debug, Default)]
pub struct Throttle {
    said: Mutex<BTreeMap<&'static str, Said>>,
}

#[derive(Debug)]
struct Said {
    at: Millis,
    held_back: u64,
}

impl Throttle {
    /// `Some` if it may be said now, with how often it was held back since it was last said.
    pub fn pass(&self, key: &'static str, now: Millis) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = said.get_mut(key) else {
            let first = Said {
                at: now,
                held_back: 0,
            };
            said.insert(key, first);
            return Some(0);
        };
        if now.since(last.at) < EVERY {
            last.held_back += 1;
            return None;
        }
        last.at = now;
        Some(std::mem::take(&mut last.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_silence_each_other() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass("a", Millis(0)), Some(0));
        assert_eq!(throttle.pass("b", Millis(1)), Some(0));
        assert_eq!(throttle.pass("a", Millis(2)), None);
        assert_eq!(throttle.pass("a", Millis(3)), None);
        assert_eq!(throttle.pass("a", Millis(60_000)), Some(2));
        assert_eq!(throttle.pass("a", Millis(120_000)), Some(0));
    }
}
