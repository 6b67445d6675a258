//! Keys that an issuer publishes (a JWKS URL): kept for an hour, read anew when a token names one
//! that is missing, and used on for a day while the issuer cannot be reached.
//!
//! Nothing runs in the background: a Lambda stands still between events. So the handshake that
//! finds the keys old reads them, while others go on with what there is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::keys::{Keys, KeysError};
use crate::door::key_set::KeySet;
use crate::model::Millis;
use crate::service::clock::Clock;

/// Keys this old are read again. So long can a withdrawn key still let somebody in.
const REFRESH_AFTER: Duration = Duration::from_secs(3600);

/// Keys that could not be refreshed for so long are not believed any more: an issuer's bad day
/// must not close the screens, but a key withdrawn because it leaked must not live on for ever.
const KEPT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Between two readings of the keys, however many tokens ask for one that is not there: anybody
/// can make such a token.
const APART: Duration = Duration::from_secs(30);

/// The same while there are no keys at all, and nobody gets in.
const APART_WITHOUT: Duration = Duration::from_secs(2);

/// A handshake waits so long for keys. API Gateway gives up after 29 s, a person much sooner.
const FETCH_WAIT: Duration = Duration::from_secs(3);

/// What is known, and when it was asked for. Pure.
#[derive(Debug, Default)]
struct Held {
    keys: Option<Arc<Keys>>,
    read_at: Option<Millis>,
    tried_at: Option<Millis>,
}

impl Held {
    /// The keys, as long as they may be believed.
    fn usable(&self, now: Millis) -> Option<Arc<Keys>> {
        let young = |at: &Millis| now.since(*at) < KEPT_MAX;
        self.read_at.filter(young)?;
        self.keys.clone()
    }

    /// Whether the keys have come of age.
    fn is_due(&self, now: Millis) -> bool {
        let old = |at: Millis| now.since(at) >= REFRESH_AFTER;
        self.read_at.is_none_or(old)
    }

    /// Whether they may be asked for.
    fn may_ask(&self, now: Millis) -> bool {
        let apart = match self.usable(now) {
            Some(_) => APART,
            None => APART_WITHOUT,
        };
        self.tried_at.is_none_or(|at| now.since(at) >= apart)
    }
}

/// The keys of one JWKS URL.
#[derive(Debug)]
pub(super) struct Published {
    set: Arc<dyn KeySet>,
    clock: Clock,
    held: Mutex<Held>,
    /// Whose turn it is to ask.
    asking: tokio::sync::Mutex<()>,
}

impl Published {
    pub(super) fn new(set: Arc<dyn KeySet>, clock: Clock) -> Self {
        Self {
            set,
            clock,
            held: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// The keys to check a token with; `None` where there are none to be had.
    pub(super) async fn keys(&self) -> Option<Arc<Keys>> {
        let (usable, is_due) = self.look(|held, now| (held.usable(now), held.is_due(now)));
        match usable {
            Some(keys) if !is_due => Some(keys),
            Some(keys) => {
                if let Ok(_turn) = self.asking.try_lock() {
                    self.ask().await;
                }
                Some(self.look(Held::usable).unwrap_or(keys))
            }
            None => {
                let _turn = self.asking.lock().await;
                if self.look(Held::usable).is_none() {
                    self.ask().await;
                }
                self.look(Held::usable)
            }
        }
    }

    /// Other keys than these, which have none that fits a token: somebody read them meanwhile, or
    /// they are read now. `None` where there are no others, or where it is too soon to ask.
    pub(super) async fn others(&self, than: &Arc<Keys>) -> Option<Arc<Keys>> {
        let is_other = |keys: &Arc<Keys>| !Arc::ptr_eq(keys, than);
        let _turn = self.asking.lock().await;
        if let Some(keys) = self.look(Held::usable).filter(is_other) {
            return Some(keys);
        }
        self.ask().await;
        self.look(Held::usable).filter(is_other)
    }

    fn look<T>(&self, at: impl FnOnce(&Held, Millis) -> T) -> T {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        at(&held, self.clock.now())
    }

    /// Reads the keys, if it is not too soon. Whoever calls it has the turn.
    async fn ask(&self) {
        let now = self.clock.now();
        if !self.look(Held::may_ask) {
            return;
        }
        let read = match timeout(FETCH_WAIT, self.set.fetch()).await {
            // Every key was withdrawn: that is an answer, too, and the old ones are believed no more.
            Ok(Ok(text)) => match Keys::of_jwks(&text) {
                Err(KeysError::NoUsableKey) => Ok(Keys::none()),
                read => read.map_err(|error| error.to_string()),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {FETCH_WAIT:?}")),
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // From the answer on: whoever waited for the turn meanwhile has had this answer.
        held.tried_at = Some(self.clock.now());
        match read {
            Ok(keys) => {
                held.keys = Some(Arc::new(keys));
                held.read_at = Some(now);
            }
            Err(why) => {
                let set = &self.set;
                tracing::warn!(?set, %why, "the token keys could not be read, the old ones are used on");
            }
        }
    }
}

#[cfg(test)]
mod tests;
