//! How seats are spread: a process asks for one of another that has at least two more, and who is
//! asked lets it go for the asker.
//!
//! Each move brings two closer to each other, and none is made that would not: with nobody coming or
//! going, moves end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::LEASE;
use crate::model::{HolderId, Millis, Wish};

/// Between two wishes of a process: longer than a holder takes to renew and so to read one.
const WISH_EVERY: Duration = Duration::from_secs(3);

/// After a seat was let go for somebody, so long no other is: a wish that was written before that
/// one had it still counts one too few.
const PAUSE: Duration = LEASE;

/// What a process knows of the seats, its own and the others'.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    held: usize,
    /// Who serves the queues that we do not, as the last looks showed it.
    others: BTreeMap<String, HolderId>,
    wished: Option<Millis>,
    /// Seats that are being let go for somebody.
    leaving: usize,
    /// When the last of them was.
    gave: Option<Millis>,
}

impl Spread {
    /// Seats that the process holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The process holds this queue's seat from now on.
    pub fn took(&mut self, queue: &str) {
        self.others.remove(queue);
        self.held += 1;
    }

    /// It holds one less.
    pub fn lost(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// A look at `now` showed who serves a queue. Whether to ask for it: only if that one has two
    /// seats more than we, as far as we see, so that both are better off.
    #[must_use]
    pub fn saw(&mut self, now: Millis, queue: &str, holder: Option<&HolderId>) -> bool {
        let Some(holder) = holder else {
            self.others.remove(queue);
            return false;
        };
        self.others.insert(queue.to_owned(), holder.clone());
        let theirs = self
            .others
            .values()
            .filter(|other| *other == holder)
            .count();
        let lately = |since: Millis| now.since(since) < WISH_EVERY;
        if theirs < self.held + 2 || self.wished.is_some_and(lately) {
            return false;
        }
        self.wished = Some(now);
        true
    }

    /// A renewal met a wish. Whether to let the seat go for it; then [`Spread::let_go`] must follow.
    #[must_use]
    pub fn grants(&mut self, now: Millis, wish: &Wish) -> bool {
        let lately = |since: Millis| now.since(since) < PAUSE;
        let granted =
            self.leaving == 0 && !self.gave.is_some_and(lately) && self.held >= wish.held + 2;
        self.leaving += usize::from(granted);
        granted
    }

    /// A seat that was granted is gone, for whatever reason.
    pub fn let_go(&mut self, now: Millis) {
        self.leaving = self.leaving.saturating_sub(1);
        self.gave = Some(now);
    }
}
