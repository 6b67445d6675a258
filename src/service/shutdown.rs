//! The end, in named phases.
//!
//! ```text
//! Running --first signal--> Draining --all is done and given back--> Gone
//!                               '--- second signal, or the grace is used up: forced ---'
//! ```
//!
//! Draining finishes what was read, checkpoints it, and gives each lease back so that a successor
//! starts at once. Giving back is one small write a lease, yet the successor waits for it: what is
//! not finished within its share of the grace period is abandoned, and its lease given back as far
//! as was reached ([`Shares`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No end in sight.
    Running,
    /// Nothing new is read; what was read is being done, checkpointed and given back.
    Draining,
    /// All is done.
    Gone,
}

impl Phase {
    /// Its name, for logs and `/state`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Gone => "gone",
        }
    }
}

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`, as orchestrators send it.
    Terminate,
    /// `SIGINT`, as Ctrl-C sends it.
    Interrupt,
}

impl Signal {
    /// The exit code of a process that this signal forced to end: 128 and the signal's number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }
}

/// How a grace period is divided. The shares leave a tenth of it for the process's own end, so that
/// no service that keeps them is ever forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// For finishing what is in flight.
    pub drain: Duration,
    /// Then, for the last writes: what was reached, and leases given back.
    pub last_writes: Duration,
}

/// Of the grace period, in percent.
const DRAIN_PERCENT: u32 = 70;

/// Of the grace period, in percent.
const LAST_WRITES_PERCENT: u32 = 20;

/// No number of leases takes longer to write: what fails for so long is left to expire.
const LAST_WRITES_MAX: Duration = Duration::from_secs(3);

impl Shares {
    /// Those of this grace period.
    #[must_use]
    pub fn of(grace: Duration) -> Self {
        Self {
            drain: grace * DRAIN_PERCENT / 100,
            last_writes: LAST_WRITES_MAX.min(grace * LAST_WRITES_PERCENT / 100),
        }
    }
}

/// The exit code when the grace period was used up.
const GRACE_USED_UP: u8 = 1;

/// The shutdown of one process (or, in `local`, of one service); clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    grace: Duration,
    phase: Arc<watch::Sender<Phase>>,
    draining: CancellationToken,
    forced: CancellationToken,
    exit_code: Arc<watch::Sender<u8>>,
}

impl Shutdown {
    /// Running, with this grace period (`shutdown.grace_s`).
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self {
            grace,
            phase: Arc::new(watch::Sender::new(Phase::Running)),
            draining: CancellationToken::new(),
            forced: CancellationToken::new(),
            exit_code: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The phase as it changes.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Waits until this phase, or a later one, has begun.
    pub async fn reached(&self, phase: Phase) {
        let mut phases = self.phases();
        // The sender lives as long as `self`.
        let _unless_the_sender_is_gone = phases.wait_for(|now| *now >= phase).await;
    }

    /// Goes on to a later phase; going back is ignored.
    pub fn enter(&self, phase: Phase) {
        let forward = |now: &mut Phase| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        };
        if self.phase.send_if_modified(forward) {
            tracing::info!(phase = phase.as_str(), "shutdown");
        }
        if phase >= Phase::Draining {
            self.draining.cancel();
        }
    }

    /// Fires when nothing new is to be begun.
    #[must_use]
    pub fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// Fires when the process must end at once.
    #[must_use]
    pub fn forced(&self) -> &CancellationToken {
        &self.forced
    }

    /// The process's exit code: 0 after an orderly end.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        *self.exit_code.borrow()
    }

    fn force(&self, exit_code: u8) {
        self.exit_code.send_replace(exit_code);
        self.draining.cancel();
        self.forced.cancel();
    }

    /// Waits for signals and carries out what they ask, until the end is forced or all is gone.
    /// The first begins to drain, the second forces. A drain that somebody else began (a failed
    /// task, a service that stops by itself) is timed just so.
    pub async fn run(self, mut signals: Signals) {
        tokio::select! {
            biased;
            () = self.draining.cancelled() => {}
            signal = signals.next() => {
                tracing::info!(?signal, grace_s = self.grace.as_secs(), "asked to end: draining");
                self.enter(Phase::Draining);
            }
        }
        let began = Instant::now();
        tokio::select! {
            biased;
            () = self.reached(Phase::Gone) => {}
            signal = signals.next() => {
                tracing::warn!(?signal, "asked to end again: ending at once");
                self.force(signal.exit_code());
            }
            () = tokio::time::sleep_until(began + self.grace) => {
                tracing::warn!(
                    grace_s = self.grace.as_secs(),
                    "the grace period is used up: ending at once, leases will expire"
                );
                self.force(GRACE_USED_UP);
            }
        }
    }
}

/// Where signals come from.
#[derive(Debug)]
pub enum Signals {
    /// The process's own.
    Process {
        /// `SIGTERM`.
        terminate: unix::Signal,
        /// `SIGINT`.
        interrupt: unix::Signal,
    },
    /// Another part of the process: `local` ends its services so, tests send signals so.
    Channel(mpsc::Receiver<Signal>),
}

impl Signals {
    /// Takes over `SIGTERM` and `SIGINT`.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn of_the_process() -> io::Result<Self> {
        Ok(Self::Process {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// The next one; never, once there can be no more.
    pub async fn next(&mut self) -> Signal {
        let signal = match self {
            Self::Process {
                terminate,
                interrupt,
            } => tokio::select! {
                biased;
                signal = terminate.recv() => signal.map(|()| Signal::Terminate),
                signal = interrupt.recv() => signal.map(|()| Signal::Interrupt),
            },
            Self::Channel(signals) => signals.recv().await,
        };
        match signal {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
