//! Reading one shard: polled or sent, resumed after the last record handed on, whatever happens
//! between.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::backlog::Backlog;
use super::prepare::Preparing;
use super::trouble::{self, Failure, Origin, Part};
use super::{Note, Options, Parts, ReadBy};
use crate::decode::{self, Decoder};
use crate::door::Faulty as _;
use crate::door::stream::{Error, Event, Page, Stream};
use crate::door::time_series::TimeSeries;
use crate::model::{ChildShard, HashRange, Record, Shard, ShardId};
use crate::pipeline::{Input, PreparedPage, Slot};
use crate::service::clock::{self, Clock};
use crate::service::metric;
use crate::service::traces::ReadStamp;

mod polled;
mod pushed;
mod resume;

use polled::{PAUSE_MAX, Polled};
use pushed::{Continuation, Next};
pub(super) use resume::Resume;
use resume::{Finding, Gap};

/// One shard's reader.
pub(super) struct Reader<S, T, Q, D> {
    pub(super) slot: Slot,
    pub(super) shard: ShardId,
    /// Where reading goes on, and whether anything is missing there.
    pub(super) resume: Resume,
    /// Where the next subscription goes on, if it is soon.
    pub(super) continuation: Option<Continuation>,
    /// How it is read just now.
    pub(super) by: ReadBy,
    /// What was read and is not handed on.
    pub(super) backlog: Backlog,
    /// What the shard takes, once that was asked.
    pub(super) range: Asked<HashRange>,
    /// When that was read, for traces.
    pub(super) read: ReadStamp,
    pub(super) parts: Arc<Parts<S, T, Q, D>>,
    pub(super) options: Arc<Options>,
    pub(super) decode: Arc<decode::Options>,
    pub(super) clock: Clock,
    pub(super) notes: mpsc::Sender<Note>,
}

/// Something to be asked for once.
#[derive(Debug, Default)]
pub(super) enum Asked<T> {
    /// Not asked.
    #[default]
    Not,
    /// Asked; none where the stream does not know.
    Known(Option<T>),
}

/// The stream does not list the shard any more.
struct Gone;

/// What a read brought: an answer of `GetRecords`, or an event of a subscription.
struct Fetched {
    records: Vec<Record>,
    behind_ms: u64,
    /// Set where the shard is closed and this is the last of it.
    ended: Option<Vec<ChildShard>>,
}

impl From<Page> for Fetched {
    fn from(page: Page) -> Self {
        Self {
            records: page.records,
            behind_ms: page.behind_ms,
            ended: page.next.is_none().then_some(page.children),
        }
    }
}

impl From<Event> for Fetched {
    fn from(event: Event) -> Self {
        Self {
            records: event.records,
            behind_ms: event.behind_ms,
            ended: event.ended,
        }
    }
}

impl<S: Stream, T: TimeSeries, Q: Send + Sync + 'static, D: Send + Sync + 'static>
    Reader<S, T, Q, D>
{
    /// Reads until the shard ends; whoever started it ends it otherwise.
    pub(super) async fn run(mut self, mut permits: mpsc::Receiver<u32>) {
        let mut decoder = Decoder::new(Arc::clone(&self.decode));
        let mut polled = Polled::new(self.options.poll_every, self.clock.now());
        let mut pushed = self.pushed();
        loop {
            let mut next = Next::Poll;
            if self.backlog.is_empty() {
                next = match &mut pushed {
                    Some(pushed) => self.next(pushed, &mut polled).await,
                    None => self.next_poll(&polled).await,
                };
            }
            let event_bytes = match next {
                Next::Poll => None,
                Next::Event { bytes } => Some(bytes),
                Next::Gone => return self.end_without_children().await,
            };
            let slot = self.slot;
            self.tell(Note::Input(Input::Ready { slot, event_bytes }))
                .await;
            let Some(limit) = permits.recv().await else {
                return;
            };
            if self.backlog.is_empty() {
                self.read = self.options.tracer.reading();
                let fetched = match (&mut pushed, event_bytes) {
                    (Some(pushed), Some(_)) => self.event(pushed).await,
                    _ => match self.poll(&mut polled, limit).await {
                        Ok(fetched) => fetched,
                        Err(Gone) => return self.end_without_children().await,
                    },
                };
                let Some(fetched) = fetched else {
                    continue;
                };
                self.read = self.options.tracer.read(self.read);
                self.take(fetched).await;
            }
            if self.hand_on(&mut decoder).await {
                return;
            }
        }
    }

    /// Looks whether anything is missing before what was read; whether to read on behind it, and not
    /// anew from the oldest record.
    fn leads_on(&mut self, fetched: &Fetched) -> bool {
        let (now, ended) = (self.clock.now(), fetched.ended.is_some());
        let (records, behind_ms) = (&fetched.records, fetched.behind_ms);
        match self.resume.look(now, records, behind_ms, ended) {
            Finding::Well => true,
            Finding::Gap(gap) => {
                self.tell_gap(&gap);
                true
            }
            Finding::Nowhere => false,
        }
    }

    /// Takes in what a read brought, to be handed on in parts.
    async fn take(&mut self, fetched: Fetched) {
        self.backlog.ended = fetched.ended;
        self.backlog.behind_ms = fetched.behind_ms;
        self.backlog.fill(fetched.records);
        if self.decode.hash_range && self.backlog.has_aggregates() {
            self.ask_range().await;
        }
    }

    /// Asks which hash keys the shard takes.
    async fn ask_range(&mut self) {
        if matches!(self.range, Asked::Not) {
            let here = self.listed().await;
            self.range = Asked::Known(here.and_then(|shard| shard.hash_range()));
        }
    }

    /// Asks for the shard as the stream lists it, until there is an answer: reading waits meanwhile,
    /// and who may not list shards has no lease to read by.
    async fn listed(&self) -> Option<Shard> {
        loop {
            match self.parts.stream.shards().await {
                Ok(shards) => {
                    self.tell(Note::Well(self.part())).await;
                    return shards.into_iter().find(|shard| shard.id == self.shard);
                }
                Err(error) => {
                    self.failed(&error).await;
                    tokio::time::sleep(PAUSE_MAX).await;
                }
            }
        }
    }

    /// Hands on the next part of a page; whether that was the shard's last.
    async fn hand_on(&mut self, decoder: &mut Decoder) -> bool {
        let pipeline = &self.options.pipeline;
        let preparing = Preparing {
            stores: &self.parts.stores,
            format: (pipeline.queues > 0).then_some(pipeline.queue_format),
            max_age: self.options.queue_max_age,
            record_max_age: self.options.record_max_age,
            range: match self.range {
                Asked::Known(range) if self.decode.hash_range => range,
                _ => None,
            },
            now: self.clock.now(),
            wall: clock::wall(),
            tracer: &self.options.tracer,
        };
        let began = self.options.tracer.reading();
        let backlog = &mut self.backlog;
        let records = preparing.part(decoder, &self.shard, backlog).await;
        self.options.tracer.arrived(&records, self.read, began);
        let readings: usize = records
            .iter()
            .map(|record| record.readings.as_ref().map_or(0, Vec::len))
            .sum();
        let bytes: usize = records.iter().map(|record| record.record.data.len()).sum();
        let count = records.len();
        let shard = || self.shard.as_str().to_owned();
        metrics::counter!(metric::SHARD_RECORDS, "shard" => shard()).increment(count as u64);
        metrics::counter!(metric::SHARD_BYTES, "shard" => shard()).increment(bytes as u64);
        metrics::counter!(metric::SHARD_READINGS, "shard" => shard()).increment(readings as u64);
        let page = PreparedPage {
            records,
            fetched: std::mem::take(&mut backlog.fetched),
            waiting_bytes: backlog.bytes(),
            ended: if backlog.is_empty() {
                backlog.ended.take()
            } else {
                None
            },
            behind_ms: backlog.behind_ms,
        };
        let ended = page.ended.is_some();
        let slot = self.slot;
        self.tell(Note::Input(Input::Page { slot, page })).await;
        ended
    }

    /// Whether the stream answers and does not know the shard any more. That the stream itself is
    /// not found is something else: a wrong name, or one deleted by mistake.
    async fn is_gone(&self, error: &Error) -> bool {
        matches!(error, Error::NotFound { .. })
            && self
                .parts
                .stream
                .shards()
                .await
                .is_ok_and(|shards| shards.iter().all(|shard| shard.id != self.shard))
    }

    /// Takes an end back that names no children while the stream lists the shard as open, since what
    /// is put there later would be read by nobody (KCL, too, asks again: its `KinesisDataFetcher`
    /// takes an answer without iterator and without children for a broken one); whether that was so.
    async fn take_back_end(&self, fetched: &mut Fetched) -> bool {
        if !fetched.ended.as_ref().is_some_and(Vec::is_empty) {
            return false;
        }
        let listed = self.listed().await;
        let is_open = listed.is_some_and(|shard| shard.ending_seq.is_none());
        if is_open {
            tracing::warn!(
                shard_id = self.shard.as_str(),
                "the stream says that this shard has ended, names no children, and lists it as \
                 open: it is read on"
            );
            fetched.ended = None;
        }
        is_open
    }

    async fn end_without_children(&self) {
        tracing::error!(
            shard_id = self.shard.as_str(),
            after = ?self.resume.start(),
            "the stream does not list this shard any more: it counts as ended, and what it held \
             after this place, if anything, is past retention and lost"
        );
        count_gap(self.shard.as_str(), "not_even_the_shard");
        let page = PreparedPage {
            ended: Some(Vec::new()),
            ..PreparedPage::default()
        };
        let slot = self.slot;
        self.tell(Note::Input(Input::Page { slot, page })).await;
    }

    /// Says what may have been lost to retention; how much that is nobody can know.
    fn tell_gap(&self, gap: &Gap) {
        let shard_id = self.shard.as_str();
        let stream = match self.shard.stream() {
            Some(stream) => stream.name().to_owned(),
            None => self.options.pipeline.stream.to_string(),
        };
        let after = gap.after.as_str();
        let after_arrival_ms = gap.after_arrival.map(|arrival| arrival.0);
        if let Some((first_left, arrival)) = &gap.left {
            count_gap(shard_id, "records");
            tracing::error!(
                stream,
                shard_id,
                after,
                after_arrival_ms,
                first_left = first_left.as_str(),
                first_left_arrival_ms = arrival.0,
                "records may have been lost between `after` and `first_left`: the stream no longer \
                 has the record where reading stopped, which is past its retention; reading goes on \
                 at the oldest record left. A longer retention (aws kinesis \
                 increase-stream-retention-period) leaves more time to come back"
            );
        } else {
            count_gap(shard_id, "nothing");
            tracing::warn!(
                stream,
                shard_id,
                after,
                after_arrival_ms,
                "the record where reading stopped is past the stream's retention, and nothing came \
                 after it that is still there: if something did, it was lost"
            );
        }
    }

    fn part(&self) -> Part {
        trouble::reading(&self.shard)
    }

    async fn failed(&self, error: &Error) {
        self.tell(Note::Failed(Failure {
            origin: Origin::Reader(self.slot),
            part: self.part(),
            fault: error.fault(),
            message: error.to_string(),
        }))
        .await;
    }

    async fn tell(&self, note: Note) {
        if self.notes.send(note).await.is_err() {
            tracing::debug!("a reader ended after its worker");
        }
    }
}

fn count_gap(shard: &str, left: &'static str) {
    metrics::counter!(metric::SHARD_GAPS, "shard" => shard.to_owned(), "left" => left).increment(1);
}
