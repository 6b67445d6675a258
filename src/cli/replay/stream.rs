//! `tidewire replay stream`.

use std::sync::{Arc, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Sink, progress, written};
use crate::aws::dead_letters::SqsDeadLetters;
use crate::aws::kinesis::Streams;
use crate::aws::sqs::Queue;
use crate::cli::failure::Failure;
use crate::cli::{parts, worker as worker_options};
use crate::door::stream::Stream as _;
use crate::lease::operate::name;
use crate::model::{EpochMillis, Shard, ShardId};
use crate::service::clock::Clock;
use crate::service::http::beat::Beats;
use crate::service::replay::bounded::{Bounded, Place, Range};
use crate::service::replay::range::{self, GoOn, Reached};
use crate::service::replay::refused::{Noted, Refusals};
use crate::service::settings::Settings;
use crate::service::tasks::Tasks;
use crate::service::worker;

/// Events and words that may wait; neither side waits for the other.
const TALK_MAX: usize = 256;

/// `tidewire replay stream`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Where it begins: a time such as 2026-03-01T12:00:00Z, milliseconds since the epoch, or with
    /// --shard a sequence number [default: the oldest record the stream has].
    #[arg(long, value_name = "PLACE", value_parser = super::place)]
    from: Option<Place>,
    /// Where it ends [default: now].
    #[arg(long, value_name = "PLACE", value_parser = super::place)]
    to: Option<Place>,
    /// This shard alone, by its id or the number in it.
    #[arg(long, value_name = "SHARD")]
    shard: Option<String>,
    /// The sinks to write to [default: every store, and not the live queue, since viewers would
    /// take the past for the present].
    #[arg(long, value_name = "SINK", value_delimiter = ',')]
    only: Vec<Sink>,
    /// File what is refused as dead letters, too. Records that a worker has read have theirs already.
    #[arg(long)]
    file_letters: bool,
}

/// Reads the range into the sinks.
pub(super) async fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let sinks = if args.only.is_empty() {
        super::stores(settings)?
    } else {
        args.only.clone()
    };
    let needs = super::with_sinks(settings, &sinks)?;
    let clients = parts::clients(settings).await?;
    let streams = Arc::new(parts::streams(&needs.streams, &clients).await?);
    let (plan, range) = plan(args, &streams).await?;
    let sinks = parts::sinks(settings, &needs, &clients).await?;
    let (reached_to, reached) = watch::channel(Reached::default());
    let (status_to, status) = watch::channel(worker::Status::default());
    let noted = Noted::new(args.file_letters.then(|| Arc::new(sinks.dead_letters)));
    let refusals = noted.seen();
    let options = worker_options::reading_options(settings, &needs, &sinks.queues);
    let replay = Replay {
        plan,
        stream: Arc::new(Bounded::new(streams, range.clone())),
        options: worker::Options {
            // Whoever asks for a range wants it whatever its age.
            queue_max_age: None,
            record_max_age: None,
            ..options
        },
        sinks: (sinks.stores, sinks.queues),
        noted,
        reached: reached_to,
        status: status_to,
    };
    let discovery = sinks.discovery;
    let shown = (reached.clone(), status.clone());
    let line = progress::line();
    let (ended, code) = super::until_signalled(settings, async |stop| {
        let aside = async {
            tokio::join!(show(&line, shown), async {
                match discovery {
                    Some(discovery) => discovery.keep_fresh().await,
                    None => std::future::pending().await,
                }
            })
        };
        tokio::select! {
            biased;
            ended = replay.run(stop) => ended,
            why = fatal(status.clone()) => Err(Failure::new(why)),
            _ = aside => Ok(()),
        }
    })
    .await?;
    line.finish_and_clear();
    let told = Told {
        args,
        range: &range,
        reached: reached.borrow().clone(),
        status: status.borrow().clone(),
        refusals: refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone(),
    };
    told.say(ended, code)
}

/// The shards and the range that are meant, checked by what the stream says.
async fn plan(args: &Args, streams: &Streams) -> Result<(Vec<Shard>, Range), Failure> {
    let failed = |error: crate::door::stream::Error| Failure::new(error.to_string());
    let shards = streams.shards().await.map_err(failed)?;
    let now = streams.server_time().await.map_err(failed)?;
    // Its clock is read to the second: what has arrived in this one belongs to the past.
    let now = EpochMillis(now.0.saturating_add(999));
    let only = match &args.shard {
        None => None,
        Some(text) => {
            let found = name::among(shards.iter().map(|shard| &shard.id), text);
            let found = found.map_err(Failure::settings)?;
            Some(found.unwrap_or_else(|| ShardId::from(text.as_str())))
        }
    };
    let range = Range {
        from: args.from.clone(),
        to: args.to.clone().unwrap_or(Place::Time(now)),
    };
    let plan = range::plan(shards, only.as_ref(), &range, now);
    let plan = plan.map_err(|error| Failure::settings(error.to_string()))?;
    if let (Some(Place::Record(_)), [shard]) = (&range.from, plan.as_slice()) {
        // A record that is past retention is told now, and not asked for again and again.
        let asked = streams.iterator(&shard.id, &range.start()).await;
        asked.map_err(failed)?;
    }
    Ok((plan, range))
}

/// One replay.
struct Replay {
    plan: Vec<Shard>,
    stream: Arc<Bounded<Streams>>,
    options: worker::Options,
    sinks: (Vec<crate::cli::store::Store>, Vec<Queue>),
    noted: Noted<SqsDeadLetters<Queue>>,
    reached: watch::Sender<Reached>,
    status: watch::Sender<worker::Status>,
}

impl Replay {
    async fn run(self, stop: CancellationToken) -> Result<(), Failure> {
        let tasks = Tasks::new();
        let clock = Clock::start();
        let (events_to, events) = mpsc::channel(TALK_MAX);
        let (says_to, says) = mpsc::channel(TALK_MAX);
        let (stores, queues) = self.sinks;
        let keeping = range::keep(
            self.plan,
            Arc::clone(&self.stream),
            events_to,
            says,
            stop,
            self.reached,
        );
        let reading = worker::run(
            worker::Parts {
                stream: self.stream,
                stores: stores.into_iter().map(Arc::new).collect(),
                queues: queues.into_iter().map(Arc::new).collect(),
                dead_letters: Arc::new(self.noted),
                tasks: tasks.clone(),
                beats: Beats::new(clock.clone()),
            },
            self.options,
            clock,
            events,
            says_to,
            self.status,
        );
        tokio::select! {
            biased;
            () = tasks.failed().cancelled() => {
                Err(Failure::new("a task of the replay panicked: the log says which"))
            }
            _ = async { tokio::join!(keeping, reading) } => Ok(()),
        }
    }
}

/// Why a person must mend something first; never, while nobody must.
async fn fatal(mut status: watch::Receiver<worker::Status>) -> String {
    let told = status.wait_for(|status| status.fatal.is_some()).await;
    match told.ok().and_then(|status| status.fatal.clone()) {
        Some(why) => why,
        None => std::future::pending().await,
    }
}

async fn show(
    line: &indicatif::ProgressBar,
    (reached, status): (watch::Receiver<Reached>, watch::Receiver<worker::Status>),
) {
    loop {
        tokio::time::sleep(progress::EVERY).await;
        line.set_message(counted(&reached.borrow(), &status.borrow()));
        line.tick();
    }
}

fn counted(reached: &Reached, status: &worker::Status) -> String {
    let Reached {
        shards,
        shards_done,
        ..
    } = reached;
    let records = status.records.done;
    format!(
        "{records} records, {shards_done} of {shards} shards{}",
        progress::sinks(status)
    )
}

/// What is said at the end.
struct Told<'a> {
    args: &'a Args,
    range: &'a Range,
    reached: Reached,
    status: worker::Status,
    refusals: Refusals,
}

impl Told<'_> {
    fn say(&self, ended: Option<Result<(), Failure>>, code: u8) -> Result<(), Failure> {
        eprintln!("replayed: {}", counted(&self.reached, &self.status));
        eprint!("{}", progress::refused(&self.refusals));
        let go_on = self.go_on();
        match ended {
            Some(Err(failure)) => Err(Failure {
                sentence: format!("{}{go_on}", failure.sentence),
                ..failure
            }),
            None => Err(Failure {
                exit: code,
                sentence: format!("ended at once{go_on}"),
            }),
            Some(Ok(())) if self.reached.go_on.is_some() => {
                Err(Failure::new(format!("interrupted{go_on}")))
            }
            Some(Ok(())) => match self.refusals.total() {
                0 => Ok(()),
                refused => Err(Failure::new(format!(
                    "{refused} could not be written, named above{}",
                    if self.args.file_letters {
                        " and filed as dead letters"
                    } else {
                        ""
                    }
                ))),
            },
        }
    }

    /// The command that does the rest. The first record of it may be written again, which changes
    /// nothing.
    fn go_on(&self) -> String {
        let Some(go_on) = &self.reached.go_on else {
            return String::new();
        };
        let from = match go_on {
            GoOn::Anew => self.range.from.clone(),
            GoOn::Time(time) => Some(Place::Time(*time)),
            GoOn::Record(_, seq) => Some(Place::Record(seq.clone())),
        };
        let mut command = "tidewire replay stream".to_owned();
        let mut add = |option: &str, value: &str| {
            command.push_str(&format!(" --{option} {value}"));
        };
        if let Some(from) = from {
            add("from", &written(&from));
        }
        add("to", &written(&self.range.to));
        match (go_on, &self.args.shard) {
            (GoOn::Record(shard, _), _) => add("shard", shard.as_str()),
            (_, Some(shard)) => add("shard", shard),
            (_, None) => {}
        }
        let only: Vec<&str> = self.args.only.iter().map(|sink| sink.as_str()).collect();
        if !only.is_empty() {
            add("only", &only.join(","));
        }
        if self.args.file_letters {
            command.push_str(" --file-letters");
        }
        format!("; nothing is half done, the rest is done by: {command}")
    }
}
