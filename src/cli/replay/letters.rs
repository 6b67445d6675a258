//! `tidewire replay letters`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::dry_run::{from_the_stream, look, position};
use super::{Sink, progress};
use crate::aws::kinesis::StreamRef;
use crate::aws::sqs::Queue;
use crate::cli::failure::Failure;
use crate::cli::parts::{self, Sinks};
use crate::cli::store::Store;
use crate::cli::worker as worker_options;
use crate::door::fault::CallFailed;
use crate::model::{Stage, StreamId, StreamName};
use crate::service::clock::Clock;
use crate::service::http::beat::Beats;
use crate::service::replay::desk::{Desk, Through};
use crate::service::replay::hand::{Filter, Report};
use crate::service::replay::letters::{self, THROUGH_MAX};
use crate::service::replay::line::{self, Only};
use crate::service::settings::{Settings, Streams, WorkerSettings};
use crate::service::tasks::Tasks;
use crate::service::worker;

/// Letters are at hand: nobody counts how often they are asked for.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// What a line's parts tell each other; none waits for the other.
const TALK_MAX: usize = 256;

/// `tidewire replay letters`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Letters of these stages alone.
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    stage: Vec<OfStage>,
    /// Letters whose reason holds this text.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The sinks to write to, each getting the letters of its own stage; those that did not decode
    /// only where every store is among them [default: every store; and the live queue for what it
    /// refused itself].
    #[arg(long, value_name = "SINK", value_delimiter = ',')]
    only: Vec<Sink>,
    /// Show what each letter would become, write nothing, and leave all of them.
    #[arg(long)]
    dry_run: bool,
}

/// A stage, as it is written in letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OfStage {
    /// It did not decode.
    Decode,
    /// Timestream refused it.
    Timestream,
    /// InfluxDB refused it.
    Influx,
    /// The live queue refused it.
    Queue,
}

impl OfStage {
    fn stage(self) -> Stage {
        match self {
            Self::Decode => Stage::Decode,
            Self::Timestream => Stage::Timestream,
            Self::Influx => Stage::Influx,
            Self::Queue => Stage::Queue,
        }
    }
}

/// Replays the letters, or shows them.
pub(super) async fn run(args: &Args, settings: &Settings) -> Result<(), Failure> {
    let (sinks, stages) = chosen(args, settings)?;
    let needs = super::with_sinks(settings, &sinks)?;
    let clients = parts::clients(settings).await?;
    let found = parts::sinks(settings, &needs, &clients).await?;
    let letter_box = Arc::new(found.dead_letters.queue().clone());
    let filter = Filter {
        stages: args.stage.iter().map(|stage| stage.stage()).collect(),
        reason: args.reason.clone(),
        streams: streams(&needs),
    };
    if args.dry_run {
        return look(letter_box, filter, settings).await;
    }
    let line = progress::line();
    let (report_to, report) = watch::channel(Report::default());
    let (ended, code) = super::until_signalled(settings, async |stop| {
        let replay = Replay {
            letter_box,
            filter,
            stages,
            options: worker_options::reading_options(settings, &needs, &found.queues),
            live: args.only.contains(&Sink::Queue),
            report: report_to,
        };
        tokio::select! {
            biased;
            ended = replay.run(found, stop) => ended,
            () = show(&line, report.clone()) => Ok(()),
        }
    })
    .await?;
    line.finish_and_clear();
    told(&report.borrow(), ended, code)
}

/// The sinks to write to, and the stages whose letters they stand for.
fn chosen(args: &Args, settings: &Settings) -> Result<(Vec<Sink>, BTreeSet<Stage>), Failure> {
    let mut sinks = args.only.clone();
    if sinks.is_empty() {
        sinks = super::stores(settings)?;
        if !settings.queue.urls.is_empty() {
            sinks.push(Sink::Queue);
        }
    }
    let stages = sinks.iter().map(|sink| match sink {
        Sink::Timestream => Stage::Timestream,
        Sink::Influx => Stage::Influx,
        Sink::Queue => Stage::Queue,
    });
    let mut stages: BTreeSet<Stage> = stages.collect();
    // What did not decode has been to no sink: its letter may go only once every store has it.
    if super::stores(settings)?
        .iter()
        .all(|store| sinks.contains(store))
    {
        stages.insert(Stage::Decode);
    }
    Ok((sinks, stages))
}

/// The streams whose letters these settings made.
fn streams(needs: &WorkerSettings) -> BTreeSet<StreamName> {
    let names = match &needs.streams {
        Streams::One(name) => std::slice::from_ref(name),
        Streams::Several(names) => names,
    };
    let bare = names.iter().map(|name| match name.parse::<StreamId>() {
        Ok(id) => id.name().into(),
        Err(_) => StreamRef::from(name.as_str()).bare_name().into(),
    });
    bare.collect()
}

/// One replay.
struct Replay {
    letter_box: Arc<Queue>,
    filter: Filter,
    stages: BTreeSet<Stage>,
    options: worker::Options,
    /// Whether what did not decode goes to the live queue, too.
    live: bool,
    report: watch::Sender<Report>,
}

impl Replay {
    async fn run(self, found: Sinks, stop: CancellationToken) -> Result<(), Failure> {
        let tasks = Tasks::new();
        let stores: Vec<Arc<Store>> = found.stores.into_iter().map(Arc::new).collect();
        let queues: Vec<Arc<Queue>> = found.queues.into_iter().map(Arc::new).collect();
        let (through_to, through) = mpsc::channel(THROUGH_MAX);
        let mut lines = BTreeMap::new();
        for stage in self.stages {
            let is_of = |store: &&Arc<Store>| match stage {
                Stage::Decode => true,
                stage => store.stage() == stage,
            };
            let live = match stage {
                Stage::Decode => self.live,
                Stage::Queue => true,
                Stage::Timestream | Stage::Influx => false,
            };
            let (letters_to, letters) = mpsc::channel(TALK_MAX);
            let line = Line {
                stage,
                stores: stores.iter().filter(is_of).cloned().collect(),
                queues: if live { queues.clone() } else { Vec::new() },
                options: self.options.clone(),
                tasks: tasks.clone(),
                letters,
                through: through_to.clone(),
                stop: stop.clone(),
            };
            lines.insert(stage, letters_to);
            tasks.spawn("replay-line", line.run());
        }
        drop(through_to);
        // It ends when all lines have.
        let taking = letters::replay(
            self.letter_box,
            self.filter,
            lines,
            through,
            stop,
            self.report,
        );
        let discovery = async {
            match found.discovery {
                Some(discovery) => discovery.keep_fresh().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = tasks.failed().cancelled() => {
                Err(Failure::new("a task of the replay panicked: the log says which"))
            }
            ended = taking => ended.map_err(unreadable),
            () = discovery => Ok(()),
        }
    }
}

pub(super) fn unreadable(error: CallFailed) -> Failure {
    Failure::new(format!("the dead letters cannot be read: {error}"))
}

/// One stage's pipeline, with the sinks that its letters go to.
struct Line {
    stage: Stage,
    stores: Vec<Arc<Store>>,
    queues: Vec<Arc<Queue>>,
    options: worker::Options,
    tasks: Tasks,
    letters: mpsc::Receiver<letters::Posted>,
    through: mpsc::Sender<Through>,
    stop: CancellationToken,
}

impl Line {
    async fn run(self) {
        // Nothing between the pipeline and a queue sees which readings a record makes.
        let desk = Arc::new(match self.stage {
            Stage::Queue => Desk::for_a_queue(Arc::new(self.options.decode.clone())),
            _ => Desk::default(),
        });
        let clock = Clock::start();
        let (events_to, events) = mpsc::channel(TALK_MAX);
        let (says_to, says) = mpsc::channel(TALK_MAX);
        let keeping = line::keep(
            Arc::clone(&desk),
            self.letters,
            self.through,
            events_to,
            says,
            self.stop,
        );
        let stage = self.stage;
        let mut options = worker::Options {
            poll_every: POLL_EVERY,
            // A letter is replayed because it is old.
            queue_max_age: None,
            record_max_age: None,
            ..self.options
        };
        let stores = &mut options.pipeline.stores;
        stores.retain(|store| stage == Stage::Decode || store.name == stage);
        let only = self
            .stores
            .into_iter()
            .map(|store| Arc::new(Only::new(store, Arc::clone(&desk))));
        let (status, _unseen) = watch::channel(worker::Status::default());
        let reading = worker::run(
            worker::Parts {
                stream: Arc::clone(&desk),
                stores: only.collect(),
                queues: self.queues,
                dead_letters: desk,
                tasks: self.tasks,
                beats: Beats::new(clock.clone()),
            },
            options,
            clock,
            events,
            says_to,
            status,
        );
        tokio::join!(keeping, reading);
    }
}

async fn show(line: &indicatif::ProgressBar, report: watch::Receiver<Report>) {
    loop {
        tokio::time::sleep(progress::EVERY).await;
        line.set_message(counted(&report.borrow()));
        line.tick();
    }
}

fn counted(report: &Report) -> String {
    let mut text = format!(
        "{} of {} letters replayed and removed",
        report.replayed, report.taken
    );
    let mut left = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    };
    left(report.stayed, "stay");
    left(report.not_meant, "not meant");
    left(report.other_streams, "of other streams");
    left(report.no_letters, "no letters");
    left(report.not_removed, "written but not removed");
    text
}

pub(super) fn told(
    report: &Report,
    ended: Option<Result<(), Failure>>,
    code: u8,
) -> Result<(), Failure> {
    eprintln!("{}", counted(report));
    for (letter, why) in &report.told {
        let why = from_the_stream(letter).unwrap_or_else(|| why.clone());
        eprintln!("{}: {why}", position(letter));
    }
    let more = report.stayed.saturating_sub(report.told.len() as u64);
    if more > 0 {
        eprintln!("and {more} more");
    }
    match ended {
        Some(Err(failure)) => Err(failure),
        None => Err(Failure {
            exit: code,
            sentence: "ended at once: letters in hand are back in their queue within ten minutes"
                .to_owned(),
        }),
        Some(Ok(())) if report.interrupted => Err(Failure::new(
            "interrupted: letters not yet written are back in their queue; run it again for the rest",
        )),
        Some(Ok(())) if report.stayed > 0 => Err(Failure::new(format!(
            "letters that stay: {}, named above",
            report.stayed
        ))),
        Some(Ok(())) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_decode_goes_only_where_every_store_gets_it() {
        let set = [
            ("TIDEWIRE_SOURCE__STREAM", "toys"),
            ("TIDEWIRE_TIMESTREAM__DATABASE", "d"),
            ("TIDEWIRE_TIMESTREAM__TABLE", "t"),
            ("TIDEWIRE_INFLUX__URL", "http://127.0.0.1:1"),
            ("TIDEWIRE_INFLUX__ORG", "o"),
            ("TIDEWIRE_INFLUX__BUCKET", "b"),
            ("TIDEWIRE_QUEUE__URLS", "https://sqs.example/1/live"),
            (
                "TIDEWIRE_DEAD_LETTER__QUEUE_URL",
                "https://sqs.example/1/dead",
            ),
        ];
        let named = |name: &str| set.iter().find(|(key, _)| *key == name);
        let settings = Settings::load(None, |name| Some(named(name)?.1.to_owned()));
        let settings = settings.expect("the settings are complete");
        let decodes = |only: &[Sink]| {
            let args = Args {
                stage: Vec::new(),
                reason: None,
                only: only.to_vec(),
                dry_run: false,
            };
            let (_, stages) = chosen(&args, &settings).expect("every sink is set");
            stages.contains(&Stage::Decode)
        };
        assert!(decodes(&[]) && decodes(&[Sink::Timestream, Sink::Influx]));
        assert!(decodes(&[Sink::Timestream, Sink::Influx, Sink::Queue]));
        assert!(!decodes(&[Sink::Timestream]) && !decodes(&[Sink::Queue]));
    }
}
