//! Who serves a queue: a lease on its seat, renewed by whoever holds it and watched by the others.
//!
//! As with shards, no two clocks are compared. Whoever watches counts from when it first saw the
//! row's present state; whoever holds stops a margin before the others may begin, counted from when
//! its last renewal that is known to have been written was *sent*.

use std::time::Duration;

pub use self::spread::Spread;
use crate::model::{HolderId, Millis, SeatRow, Wish};

mod spread;

/// A seat whose row stands still for so long is free.
pub const LEASE: Duration = Duration::from_secs(6);

/// Between two renewals: two may fail before the seat is lost.
pub const RENEW_EVERY: Duration = Duration::from_secs(2);

/// Between two looks at somebody else's seat; one consistent read of a capacity unit each.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much sooner than [`LEASE`] its holder stops. Far more than twice the rate error of clocks
/// (some ms in 6 s); the rest is for posts under way, which end by themselves.
pub const MARGIN: Duration = Duration::from_secs(1);

/// Who holds seats already leaves a free one to others for so long, for each that it holds: queues
/// spread over the broadcasters there are, and the last one left takes them all.
pub const MODESTY: Duration = Duration::from_secs(2);

/// A seat that was let go for somebody is left to that one for so long: three looks.
pub const COURTESY: Duration = Duration::from_secs(3);

/// A write to try: only if the row's counter is still this (none: only if there is no row).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The counter seen.
    pub expect: Option<u64>,
    /// What to write.
    pub row: SeatRow,
}

/// What a process that does not hold a seat has seen of it.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// The state seen last, and since when.
    seen: Option<(Option<SeatRow>, Millis)>,
}

impl Watch {
    /// The row as an answer shows it that came at `now`. The claim to write, if the seat is free for
    /// somebody who holds `held` others.
    #[must_use]
    pub fn saw(
        &mut self,
        now: Millis,
        row: Option<SeatRow>,
        me: &HolderId,
        held: usize,
    ) -> Option<Claim> {
        // From the answer on: the state may have been written after the read was sent.
        // A wish is no sign of its holder's life.
        let state = |row: &Option<SeatRow>| row.as_ref().map(|row| row.counter);
        let since = match &self.seen {
            Some((seen, since)) if state(seen) == state(&row) => *since,
            _ => now,
        };
        self.seen = Some((row.clone(), since));
        let holder = row.as_ref().and_then(|row| row.holder.as_ref());
        let modesty = MODESTY.saturating_mul(u32::try_from(held).unwrap_or(u32::MAX));
        let after = match holder {
            // Ours from a claim whose answer was lost: nobody else may sit here meanwhile.
            Some(holder) if holder == me => Duration::ZERO,
            Some(_) => LEASE + modesty,
            None => match row.as_ref().and_then(|row| row.next.as_ref()) {
                Some(next) if next == me => Duration::ZERO,
                Some(_) => COURTESY + modesty,
                None => modesty,
            },
        };
        (now.since(since) >= after).then(|| claim(row.as_ref(), Some(me)))
    }

    /// The wish to write beside what was seen, for somebody who holds `held` seats.
    #[must_use]
    pub fn wish(&self, me: &HolderId, held: usize) -> Option<Claim> {
        let (row, _) = self.seen.as_ref()?;
        let row = row.as_ref()?;
        let by = me.clone();
        Some(Claim {
            expect: Some(row.counter),
            row: SeatRow {
                wish: Some(Wish { by, held }),
                ..row.clone()
            },
        })
    }

    /// Somebody else was faster, or the write's fate is not known: look again.
    pub fn begin_anew(&mut self) {
        self.seen = None;
    }
}

/// A seat that is held.
#[derive(Clone, Debug)]
pub struct Held {
    me: HolderId,
    counter: u64,
    /// When the last write that is known to stand was sent.
    sent: Millis,
}

/// What a failed renewal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was written after all, or can be tried again.
    Ours,
    /// Somebody else holds the seat, or nobody, or the row is gone.
    Lost,
}

impl Held {
    /// By a claim that was sent at `sent` and is known to be written.
    #[must_use]
    pub fn by(claim: &Claim, me: HolderId, sent: Millis) -> Self {
        Self {
            me,
            counter: claim.row.counter,
            sent,
        }
    }

    /// When to stop, unless a renewal succeeds before.
    #[must_use]
    pub fn ends(&self) -> Millis {
        self.sent + (LEASE - MARGIN)
    }

    /// When to renew.
    #[must_use]
    pub fn renew_at(&self) -> Millis {
        self.sent + RENEW_EVERY
    }

    /// The renewal to write.
    #[must_use]
    pub fn renewal(&self) -> Claim {
        claim(Some(&self.row()), Some(&self.me))
    }

    /// What to write to let the seat go at once, for somebody if `next` names one.
    #[must_use]
    pub fn release(&self, next: Option<HolderId>) -> Claim {
        let mut claim = claim(Some(&self.row()), None);
        claim.row.next = next;
        claim
    }

    /// A renewal sent at `sent` was written.
    pub fn renewed(&mut self, sent: Millis) {
        self.counter += 1;
        self.sent = sent;
    }

    /// A renewal met another state than the one expected, and this is what a consistent read shows.
    #[must_use]
    pub fn refused(&mut self, row: Option<&SeatRow>) -> Verdict {
        match row {
            // An earlier renewal whose answer was lost. Its time is not known to be later than what
            // we count from, so that stays.
            Some(row) if row.holder.as_ref() == Some(&self.me) => {
                self.counter = row.counter;
                Verdict::Ours
            }
            _ => Verdict::Lost,
        }
    }

    fn row(&self) -> SeatRow {
        SeatRow {
            holder: Some(self.me.clone()),
            counter: self.counter,
            ..SeatRow::default()
        }
    }
}

fn claim(seen: Option<&SeatRow>, holder: Option<&HolderId>) -> Claim {
    let expect = seen.map(|row| row.counter);
    Claim {
        expect,
        row: SeatRow {
            holder: holder.cloned(),
            counter: expect.map_or(1, |counter| counter.saturating_add(1)),
            ..SeatRow::default()
        },
    }
}

#[cfg(test)]
mod tests;
