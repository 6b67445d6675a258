//! A shard that is polled: `GetRecords` at its pace.

use std::time::Duration;

use super::pushed::Next;
use super::{Fetched, Gone, Reader};
use crate::door::Faulty as _;
use crate::door::stream::{Error, Page, ShardIterator, Stream};
use crate::door::time_series::TimeSeries;
use crate::model::{Fault, Millis};
use crate::pipeline::Input;
use crate::service::worker::Note;
use crate::service::{entropy, metric};

/// The longest pause between two attempts at a shard that throttles or fails: long enough for a
/// consumer beside us to get its share, short against the lease times that bound a take-over.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A shard as it is polled.
pub(super) struct Polled {
    /// Where to go on; none: after the last record read.
    pub(super) iterator: Option<ShardIterator>,
    failed: bool,
    pub(super) pace: Pace,
}

/// How fast a shard is polled.
pub(super) struct Pace {
    every: Duration,
    pause: Duration,
    pub(super) next: Millis,
}

impl Polled {
    pub(super) fn new(every: Duration, now: Millis) -> Self {
        Self {
            iterator: None,
            failed: false,
            pace: Pace {
                every,
                pause: every,
                next: now,
            },
        }
    }
}

impl Pace {
    fn slower(&mut self) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Back to speed step by step, so that two who were throttled do not collide again at once.
    fn faster(&mut self) {
        self.pause = (self.pause * 3 / 4).max(self.every);
    }

    /// The next read may start one pause after this one started; a slowed one not in step.
    fn started(&mut self, now: Millis) {
        let apart = if self.pause > self.every {
            self.pause.mul_f64(1.0 + entropy::fraction() / 4.0)
        } else {
            self.pause
        };
        self.next = now + apart;
    }
}

impl<S: Stream, T: TimeSeries, Q: Send + Sync + 'static, D: Send + Sync + 'static>
    Reader<S, T, Q, D>
{
    pub(super) async fn next_poll(&self, polled: &Polled) -> Next {
        tokio::time::sleep_until(self.clock.timer(polled.pace.next)).await;
        Next::Poll
    }

    /// Asks for records; none where that failed and is to be tried again.
    pub(super) async fn poll(
        &mut self,
        polled: &mut Polled,
        limit: u32,
    ) -> Result<Option<Fetched>, Gone> {
        let Polled {
            iterator,
            failed,
            pace,
        } = polled;
        pace.started(self.clock.now());
        let fresh = iterator.is_none();
        let error = match self.read(iterator, limit).await {
            Ok(page) => {
                if std::mem::take(failed) {
                    self.tell(Note::Well(self.part())).await;
                }
                pace.faster();
                count_read(match page.records.is_empty() {
                    true => "empty",
                    false => "ok",
                });
                let next = page.next.clone();
                let mut fetched = page.into();
                if self.take_back_end(&mut fetched).await {
                    pace.slower();
                }
                let leads_on = self.leads_on(&fetched);
                *iterator = next.filter(|_| leads_on);
                self.continuation = None;
                return Ok(Some(fetched));
            }
            Err(error) => error,
        };
        count_read(match error.fault() {
            _ if error == Error::IteratorExpired => "expired",
            Fault::Throttled => "throttled",
            _ => "failed",
        });
        self.tell(Note::Input(Input::NoPage(self.slot))).await;
        if matches!(error, Error::PlaceGone { .. }) && self.resume.gone() {
            return Ok(None);
        }
        if error == Error::IteratorExpired && !fresh {
            // Its time ran out while reading waited: go on where we were. One that was just given
            // cannot: something is wrong with the server or with us.
            *iterator = None;
            return Ok(None);
        }
        if self.is_gone(&error).await {
            return Err(Gone);
        }
        if error.fault() != Fault::Throttled {
            *iterator = None;
        }
        *failed = true;
        pace.slower();
        pace.started(self.clock.now());
        self.failed(&error).await;
        Ok(None)
    }

    async fn read(
        &mut self,
        iterator: &mut Option<ShardIterator>,
        limit: u32,
    ) -> Result<Page, Error> {
        let place = match iterator {
            Some(place) => place,
            None => {
                if let Some(done) = self.resume.again() {
                    self.backlog.go_on(done);
                }
                let start = self.resume.start();
                let place = self.parts.stream.iterator(&self.shard, start).await?;
                iterator.insert(place)
            }
        };
        let sent = self.clock.now();
        let outcome = self.parts.stream.records(place, limit).await;
        metrics::histogram!(metric::READ_SECONDS).record(self.clock.now().since(sent));
        outcome
    }
}

fn count_read(result: &'static str) {
    metrics::counter!(metric::READS, "result" => result).increment(1);
}
