//! `tidewire feed`: lines of text onto a stream, each a record, each device's lines in order.
//!
//! Lines are read as far as there is room, so memory stays bounded whatever the input's length,
//! and standard input may go on for ever. What goes when is decided by
//! [`Feeding`].

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use self::lines::{Line, Lines};
use super::clock::Clock;
use super::entropy;
use super::tasks::Tasks;
use crate::door::fault::CallFailed;
use crate::door::put::{Entry, Put};
use crate::model::{Millis, Sent};
use crate::pipeline::feeding::{Feeding, Item, Limits, Next, RequestId, Settled};

pub mod key;
mod lines;

/// Lines that are left out and named; further ones are counted only.
const NAMED_MAX: usize = 20;
/// Bytes of a record, key and payload, unless the stream's limit was raised (AWS: 1 MiB).
pub const RECORD_BYTES_MAX: usize = 1_048_576;

/// How to feed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The field of a line that is its partition key, dots for nested ones.
    pub key_field: String,
    /// Bytes of a record, key and payload.
    pub record_bytes_max: usize,
    /// Sizes, rate and waits.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key_field: "device_id".to_owned(),
            record_bytes_max: RECORD_BYTES_MAX,
            limits: Limits::default(),
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of input read.
    pub bytes: u64,
    /// Lines of input read, empty ones included.
    pub lines: u64,
    /// Records on the stream.
    pub accepted: u64,
    /// How often a record had to be sent again.
    pub again: u64,
    /// Lines left out: too large, or refused by the stream.
    pub left_out: u64,
    /// Records read and not yet settled.
    pub held: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The final counts; `held` are lines read and not known to be on the stream.
    pub progress: Progress,
    /// The first lines left out, by number, with the reason.
    pub left_out: Vec<(u64, String)>,
    /// Whether it was stopped before the end of the input.
    pub stopped: bool,
}

/// Why feeding broke off; what was sent until then stays sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input cannot be read.
    #[error("the input cannot be read after line {line}: {source}")]
    Input {
        /// Lines read until then.
        line: u64,
        /// The cause.
        source: io::Error,
    },
    /// The stream refused for good.
    #[error(transparent)]
    Put(#[from] CallFailed),
    /// A task panicked.
    #[error("a request ended without an answer: this is a defect, please report it")]
    Defect,
}

/// What an item carries beside its key: the record and the line it came from.
#[derive(Clone, Debug)]
struct Load {
    entry: Entry,
    line: u64,
}

type Answer = (RequestId, Result<Vec<Sent>, CallFailed>);

/// Feeds all lines of `input`. On `stop` it reads no further, waits for the requests under way,
/// and sends nothing more. `on_progress` is called after each answer and at the end.
///
/// # Errors
/// The input cannot be read, or the stream refuses for good. Throttling and passing failures are
/// waited out, without end.
pub async fn feed<P: Put>(
    put: Arc<P>,
    input: impl AsyncRead + Unpin + Send,
    options: &Options,
    stop: impl Future<Output = ()> + Send,
    mut on_progress: impl FnMut(&Progress) + Send,
) -> Result<Report, Error> {
    let clock = Clock::start();
    let tasks = Tasks::new();
    let (answered, mut answers) = mpsc::channel::<Answer>(options.limits.requests_max.max(1));
    let mut run = Run::new(input, options, clock.now());
    tokio::pin!(stop);
    loop {
        run.take_ready_lines();
        let timer = match run.next(clock.now()) {
            Next::Send(id, items) => {
                let entries = items.into_iter().map(|item| item.load.entry).collect();
                start(&tasks, Arc::clone(&put), id, entries, answered.clone());
                continue;
            }
            Next::Wait(at) => Some(clock.timer(at)),
            Next::Idle => None,
        };
        if run.is_done() {
            break;
        }
        let wants_input = run.wants_input();
        tokio::select! {
            biased;
            () = &mut stop, if !run.report.stopped => run.report.stopped = true,
            () = tasks.failed().cancelled() => return Err(Error::Defect),
            Some(answer) = answers.recv() => {
                run.on_answer(clock.now(), answer)?;
                on_progress(&run.progress());
            }
            read = run.lines.fill(), if wants_input => run.on_read(read)?,
            () = until(timer) => {}
        }
    }
    run.report.progress = run.progress();
    on_progress(&run.report.progress);
    Ok(run.report)
}

fn start<P: Put>(
    tasks: &Tasks,
    put: Arc<P>,
    id: RequestId,
    entries: Vec<Entry>,
    answered: mpsc::Sender<Answer>,
) {
    tasks.spawn("put records", async move {
        let answer = put.put(&entries).await;
        // Nobody listens any more where feeding broke off.
        answered.send((id, answer)).await.ok();
    });
}

async fn until(timer: Option<tokio::time::Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The state between two waits.
#[derive(Debug)]
struct Run<'a, R> {
    feeding: Feeding<Load>,
    lines: Lines<R>,
    options: &'a Options,
    report: Report,
}

impl<'a, R: AsyncRead + Unpin> Run<'a, R> {
    fn new(input: R, options: &'a Options, now: Millis) -> Self {
        Self {
            feeding: Feeding::new(options.limits.clone(), now),
            lines: Lines::new(input, options.record_bytes_max),
            options,
            report: Report::default(),
        }
    }

    fn take_ready_lines(&mut self) {
        while !self.report.stopped && self.feeding.has_room() {
            match self.lines.ready() {
                None => return,
                Some(Line::TooLarge(line)) => self.leave_out(line, self.too_large()),
                Some(Line::Text(_, text)) if text.is_empty() => {}
                Some(Line::Text(line, data)) => {
                    let key = key::of(&data, &self.options.key_field);
                    let entry = Entry {
                        key: key.clone(),
                        data,
                    };
                    let bytes = entry.bytes();
                    if bytes > self.options.record_bytes_max {
                        self.leave_out(line, self.too_large());
                        continue;
                    }
                    let load = Load { entry, line };
                    self.feeding.offer(Item { key, bytes, load });
                }
            }
        }
    }

    fn too_large(&self) -> String {
        format!(
            "larger, with its key, than the {} bytes of a record",
            self.options.record_bytes_max
        )
    }

    fn leave_out(&mut self, line: u64, reason: String) {
        self.report.progress.left_out += 1;
        if self.report.left_out.len() < NAMED_MAX {
            self.report.left_out.push((line, reason));
        }
    }

    fn next(&mut self, now: Millis) -> Next<Load> {
        if self.report.stopped {
            return Next::Idle;
        }
        self.feeding.next(now)
    }

    fn wants_input(&self) -> bool {
        !self.lines.has_ended() && !self.report.stopped && self.feeding.has_room()
    }

    fn is_done(&self) -> bool {
        let nothing_left = self.lines.has_ended() && self.feeding.held() == 0;
        self.feeding.requests() == 0 && (nothing_left || self.report.stopped)
    }

    fn on_read(&self, read: io::Result<()>) -> Result<(), Error> {
        read.map_err(|source| Error::Input {
            line: self.lines.lines(),
            source,
        })
    }

    fn on_answer(&mut self, now: Millis, (id, answer): Answer) -> Result<(), Error> {
        let (answer, failed) = match answer {
            Ok(outcomes) => (Ok(outcomes), None),
            Err(failed) => (Err(failed.fault), Some(failed)),
        };
        if let Some(failed) = &failed {
            tracing::debug!(error = %failed, "a request failed");
        }
        let settled = self.feeding.answered(now, id, answer, entropy::fraction());
        match (settled, failed) {
            (Ok(settled), _) => self.count(settled),
            (Err(_), Some(failed)) => return Err(failed.into()),
            (Err(_), None) => return Err(Error::Defect),
        }
        Ok(())
    }

    fn count(&mut self, settled: Settled<Load>) {
        self.report.progress.accepted += settled.accepted as u64;
        self.report.progress.again += settled.again as u64;
        for (item, reason) in settled.refused {
            self.leave_out(item.load.line, reason);
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            bytes: self.lines.bytes(),
            lines: self.lines.lines(),
            held: self.feeding.held() as u64,
            ..self.report.progress.clone()
        }
    }
}

#[cfg(test)]
mod tests;
