//! A process around a service: log lines, signals, metrics and health, and the end in order.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::{broadcaster, feed, gateway, health, parts, worker};
use crate::aws::{Clients, Service};
use crate::service::clock::Clock;
use crate::service::http::beat::Beats;
use crate::service::http::{self, Probes};
use crate::service::settings::{Log, Settings};
use crate::service::shutdown::{Phase, Shutdown, Signals};
use crate::service::tasks::Tasks;
use crate::service::telemetry::{self, build, exporter};

/// `tidewire worker`.
///
/// # Errors
/// Why it ended, other than by a signal.
pub fn worker(settings: &Settings) -> Result<(), Failure> {
    settings.worker()?;
    let process = Process::begin(&settings.log)?;
    process.runtime.block_on(async {
        let around = Around::begin(settings).await?;
        let (clients, beats) = (&around.clients, around.beats.clone());
        let (worker, work) = worker::start(settings, clients, beats, around.drain()).await?;
        let (version, commit) = (build::VERSION, build::COMMIT);
        tracing::info!(worker_id = %worker.id, version, commit, "worker started");
        let seen = worker.clone();
        let probes = Probes {
            beats: around.beats.clone(),
            ready: Arc::new(move || seen.ready()),
            state: Arc::new(move || worker.state()),
        };
        Box::pin(around.serve(&process, probes, work)).await
    })
}

/// `tidewire broadcaster`.
///
/// # Errors
/// Why it ended, other than by a signal.
pub fn broadcaster(settings: &Settings) -> Result<(), Failure> {
    settings.broadcaster(|name| std::env::var(name).ok())?;
    let process = Process::begin(&settings.log)?;
    process.runtime.block_on(async {
        let around = Around::begin(settings).await?;
        let (clients, beats) = (&around.clients, around.beats.clone());
        let (live, work) = broadcaster::start(settings, clients, beats, around.drain()).await?;
        let (version, commit) = (build::VERSION, build::COMMIT);
        tracing::info!(version, commit, "broadcaster started");
        let seen = live.clone();
        let probes = Probes {
            beats: around.beats.clone(),
            ready: Arc::new(move || seen.ready()),
            state: Arc::new(move || live.state()),
        };
        Box::pin(around.serve(&process, probes, work)).await
    })
}

/// What stands around a service that runs until a signal.
struct Around {
    listener: TcpListener,
    clients: Clients,
    beats: Beats,
    shutdown: Shutdown,
}

impl Around {
    /// A taken port is known before anything else starts.
    async fn begin(settings: &Settings) -> Result<Self, Failure> {
        let listener = http::bind(settings.http.listen.0).await;
        let listener = listener.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self {
            listener,
            clients: parts::clients(settings).await?,
            beats: Beats::new(Clock::start()),
            shutdown: Shutdown::new(Duration::from_secs(settings.shutdown.grace_s)),
        })
    }

    fn drain(&self) -> CancellationToken {
        self.shutdown.draining().clone()
    }

    async fn serve(
        self,
        process: &Process,
        probes: Probes,
        work: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let metrics = process.metrics.clone();
        serve(self.listener, metrics, probes, self.shutdown, work).await
    }
}

/// `tidewire gateway`, the Lambda function.
///
/// # Errors
/// Why it ended.
pub fn gateway(settings: &Settings) -> Result<(), Failure> {
    settings.gateway()?;
    let process = Process::begin(&settings.log)?;
    process.runtime.block_on(async {
        let clients = parts::clients(settings).await?;
        let handler = parts::gateway(settings, &clients)?;
        gateway::run(handler)
            .await
            .map_err(|error| Failure::new(error.to_string()))
    })
}

/// `tidewire health`.
///
/// # Errors
/// It is not well; the sentence is the line to print.
pub fn health(health: &health::Health, settings: &Settings) -> Result<(), Failure> {
    let runtime = runtime()?;
    let said = runtime.block_on(health.run(settings.http.listen.0));
    println!("{}", said.map_err(Failure::new)?.trim_end());
    Ok(())
}

/// `tidewire feed`. Without a config, and without a stream in the environment, it finds the local
/// stand that was started last.
///
/// # Errors
/// Nothing to feed to, or lines that could not be put.
pub fn feed(args: &feed::Args, config: Option<&Path>) -> Result<(), Failure> {
    let settings = feed_settings(args, config)?;
    let process = Process::begin(&settings.log)?;
    process.runtime.block_on(async {
        let clients = parts::clients(&settings).await?;
        let stream = settings.source.stream.as_deref();
        let signals = Signals::of_the_process();
        let mut signals = signals.map_err(|error| Failure::new(format!("no signals: {error}")))?;
        let stop = async move {
            signals.next().await;
        };
        feed::run(args, clients.kinesis(), stream, clients.endpoints(), stop).await
    })
}

fn feed_settings(args: &feed::Args, config: Option<&Path>) -> Result<Settings, Failure> {
    let settings = Settings::load_from_process(config)?;
    let named = args.stream.is_some() || settings.source.stream.is_some();
    if config.is_some() || named {
        return Ok(settings);
    }
    // Whoever points AWS's own variables somewhere does not mean the stand on this machine.
    let elsewhere = Service::Kinesis.endpoint_of_environment().is_some();
    match local_config().filter(|_| !elsewhere) {
        Some(path) => Ok(Settings::load_from_process(Some(&path))?),
        None => Err(Failure::settings(
            "no stream to feed: start a local stand with `tidewire local`, or name a config with \
             `--config FILE`, or a stream with `--stream NAME`",
        )),
    }
}

/// The config of the local stand that was started last.
pub(super) fn local_config() -> Option<std::path::PathBuf> {
    #[cfg(feature = "local")]
    {
        use crate::local::place;
        place::current(&place::directory(|name| std::env::var(name).ok()))
    }
    #[cfg(not(feature = "local"))]
    None
}

/// What every long-running subcommand begins with.
#[derive(Debug)]
pub struct Process {
    /// Where everything runs.
    pub runtime: Runtime,
    /// What `/metrics` renders.
    pub metrics: PrometheusHandle,
}

impl Process {
    /// Log lines, metrics, a runtime.
    ///
    /// # Errors
    /// `RUST_LOG` is no filter, or the system gives no threads.
    pub fn begin(log: &Log) -> Result<Self, Failure> {
        let rust_log = std::env::var("RUST_LOG").ok();
        telemetry::init(log, rust_log.as_deref())
            .map_err(|error| Failure::settings(error.to_string()))?;
        let metrics = exporter::install();
        let metrics = metrics.map_err(|error| Failure::new(format!("metrics: {error}")))?;
        Ok(Self {
            runtime: runtime()?,
            metrics,
        })
    }
}

/// Where everything runs.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let built = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    built.map_err(|error| Failure::new(format!("no runtime: {error}")))
}

/// Runs a service with its HTTP server until it ends by itself or by a signal. A second signal, or
/// the end of the grace period, ends it at once.
///
/// # Errors
/// The service's own failure, or that its end had to be forced.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    probes: Probes,
    shutdown: Shutdown,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let tasks = Tasks::new();
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "metrics, health and state are served");
    }
    let signals = Signals::of_the_process();
    let signals = signals.map_err(|error| Failure::new(format!("no signals: {error}")))?;
    tasks.spawn("signals", shutdown.clone().run(signals));
    let gone = shutdown.clone();
    tasks.spawn("http", async move {
        let until = async move { gone.reached(Phase::Gone).await };
        if let Err(error) = http::serve(listener, metrics, probes, until).await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });
    let ended = tokio::select! {
        biased;
        () = shutdown.forced().cancelled() => Err(Failure {
            exit: shutdown.exit_code(),
            sentence: "ended at once: what was in flight is read again by whoever comes next".to_owned(),
        }),
        ended = work => ended,
    };
    shutdown.enter(Phase::Gone);
    ended
}
