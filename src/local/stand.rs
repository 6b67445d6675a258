//! The local stand: everything that tidewire is and everything it talks to, in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::card::Card;
use super::config::{
    self, CONNECTION_TABLE, DATABASE, DEAD_LETTER_QUEUE, LEASE_TABLE, STREAM, TABLE,
};
use super::devices::Fleet;
use super::drill::Drill;
use super::drill::plan::Fault;
use super::drill::reshard::Shards;
use super::keep::DataDir;
use super::page::{self, PageInfo};
use super::place::{self, ConfigFile};
use super::ports::Ports;
use super::provision::provision;
use super::servers::{self, REGION, Servers, Urls};
use super::staff::Staff;
use super::view::View;
use super::{kinesis, mqtt, speaking, timestream};
use crate::aws::Clients;
use crate::aws::kinesis::Kinesis;
use crate::cli::failure::Failure;
use crate::cli::parts;
use crate::service::clock;
use crate::service::entropy;
use crate::service::gateway::token;
use crate::service::http::beat::Beats;
use crate::service::settings::{Secret, Settings};
use crate::service::tasks::Tasks;

/// What a stand is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Simulated devices; none is fine.
    pub devices: usize,
    /// Readings a second of all devices together.
    pub rate: u32,
    /// Shards of the stream.
    pub shards: u16,
    /// Workers, each as if it were a process of its own; none is fine.
    pub workers: usize,
    /// How they read: `source.mode`.
    pub mode: String,
    /// Over how long what a viewer is owed is joined: `broadcaster.window_ms`.
    pub window_ms: u64,
    /// Where what can outlive the stand is kept; `None`: nothing does.
    pub data_dir: Option<PathBuf>,
    /// Without the rates at which AWS refuses more.
    pub unlimited: bool,
    /// What is to go wrong on purpose, from when the stand is up.
    pub faults: Vec<Fault>,
    /// The collector of traces: `traces.endpoint`.
    pub traces: Option<String>,
    /// The topic rule that puts MQTT messages on the stream, and their partition key.
    pub rule: (mqtt::rule::Rule, mqtt::rule::Template),
    /// The first of eight ports; 0 lets the system choose.
    pub port_base: u16,
    /// AWS's own memory store of so many hours, in place of one that takes any past time.
    pub memory_store_hours: Option<u64>,
    /// Disk that records of the stream may use; beyond, the oldest are dropped.
    pub retained_bytes: u64,
}

/// A running stand.
#[derive(Debug)]
pub struct Stand {
    /// Where everything is.
    pub card: Card,
    /// What the services believe.
    pub view: Arc<View>,
    /// Whose loops must turn.
    pub beats: Beats,
    drill: Arc<Drill>,
    tasks: Tasks,
    services: Tasks,
    stop_devices: CancellationToken,
    stop_services: CancellationToken,
    stop_servers: CancellationToken,
    config: ConfigFile,
    /// Nobody else has it before this stand has ended.
    _data: Option<Arc<DataDir>>,
    failures: mpsc::Receiver<Failure>,
}

/// Seed of the simulated devices: every stand has the same ones.
const DEVICES_SEED: u64 = 20;

impl Stand {
    /// Starts everything; when it returns, all of it is up. The listener is for metrics, health
    /// and state, which whoever owns the process serves.
    ///
    /// # Errors
    /// A port is taken, or a part does not start.
    pub async fn start(options: &Options, grace: Duration) -> Result<(Self, TcpListener), Failure> {
        let data = data_of(options)?;
        let ports = Ports::take(options.port_base).await;
        let ports = ports.map_err(|error| Failure::new(error.to_string()))?;
        let urls = Urls::of(&ports);
        let secret = Secret::new(format!("{}{}", entropy::uuid(), entropy::uuid()));
        let (config, settings) = configure(&urls, &secret, options, grace)?;
        let tasks = Tasks::new();
        let stop_servers = CancellationToken::new();
        let listeners = [ports.kinesis, ports.dynamodb, ports.sqs, ports.timestream];
        let limited = !options.unlimited;
        let servers = servers_of(options, &config, data.as_ref());
        let servers = Servers::start(servers, listeners, &tasks, &stop_servers)?;
        let clients = parts::clients(&settings).await?;
        provision(&settings, &clients, options.shards).await?;
        servers.kinesis.count_shards(STREAM).await;
        let gateway = parts::gateway(&settings, &clients)?;
        let viewers = servers::websocket(gateway, limited, ports.websocket, &tasks, &stop_servers);
        let stop_devices = CancellationToken::new();
        listen(options, ports.mqtt, &clients, &tasks, &stop_devices);

        let shards = Shards {
            server: servers.kinesis.clone(),
            client: clients.kinesis(),
            stream: STREAM,
        };
        let staff = Staff::start(settings, &clients, options.workers).await?;
        let crew = Arc::clone(&staff.crew);
        let view = View::new(
            Arc::clone(&crew),
            staff.broadcaster,
            servers,
            viewers,
            grace,
        );
        let view = Arc::new(view);
        let drill = Arc::new(Drill::new(view.faults(), crew, shards));

        if options.devices > 0 && options.rate > 0 {
            let fleet = Fleet::new(options.devices, DEVICES_SEED);
            let speaking = speaking::speak(clients.kinesis(), STREAM, fleet, options.rate);
            let stop = stop_devices.clone();
            tasks.spawn("devices", async move {
                stop.run_until_cancelled(speaking).await;
            });
        }
        let card = card(&urls, &secret, &config);
        let page = page_of(&card, secret, Arc::clone(&view), &drill);
        servers::spawn(
            &tasks,
            "page",
            page::serve(ports.page, page, stop_servers.clone()),
        );
        follow(&drill, options, &tasks, &stop_devices)?;
        let stand = Self {
            card,
            view,
            beats: staff.beats,
            drill,
            tasks,
            services: staff.services,
            stop_devices,
            stop_services: staff.stop,
            stop_servers,
            config,
            _data: data,
            failures: staff.failures,
        };
        Ok((stand, ports.metrics))
    }

    /// Waits until a service or a server ends though nobody asked it to.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            biased;
            Some(failure) = self.failures.recv() => failure,
            () = self.tasks.failed().cancelled() => Failure::new("a part of the stand panicked"),
            () = self.services.failed().cancelled() => Failure::new("a service panicked"),
        }
    }

    /// Ends in order: devices, then services, which drain and release their leases, then servers.
    /// What went wrong on purpose does so no more: a drain into a sink that is down would only wait.
    pub async fn end(self) {
        self.stop_devices.cancel();
        self.drill.end_all();
        self.stop_services.cancel();
        self.services.ended().await;
        self.stop_servers.cancel();
        self.tasks.ended().await;
        self.config.remove();
    }
}

/// Takes in what devices publish, until the devices end.
fn listen(
    options: &Options,
    listener: TcpListener,
    clients: &Clients,
    tasks: &Tasks,
    stop: &CancellationToken,
) {
    let (rule, key) = options.rule.clone();
    let stream = Kinesis::new(clients.kinesis(), STREAM.into());
    let serving = mqtt::serve(listener, rule, key, stream, tasks.clone(), stop.clone());
    servers::spawn(tasks, "mqtt", serving);
}

/// Plans the faults that were asked for, and brings them about until the stand ends.
fn follow(
    drill: &Arc<Drill>,
    options: &Options,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    drill.plan(&options.faults).map_err(Failure::settings)?;
    let (drill, stop) = (Arc::clone(drill), stop.clone());
    tasks.spawn("drill", async move {
        stop.run_until_cancelled(drill.run()).await;
    });
    Ok(())
}

/// Writes the config file and reads it back: the stand runs by what it shows.
fn configure(
    urls: &Urls,
    secret: &Secret,
    options: &Options,
    grace: Duration,
) -> Result<(ConfigFile, Settings), Failure> {
    let directory = place::directory(|name| std::env::var(name).ok());
    place::sweep(&directory);
    let name = urls.page.rsplit(':').next().unwrap_or("0").to_owned();
    let text = config::toml(
        urls,
        secret.reveal(),
        &options.mode,
        options.window_ms,
        options.traces.as_deref(),
    );
    let file = ConfigFile::write(&directory, &name, &text);
    let file = file.map_err(|error| {
        let place = directory.display();
        Failure::new(format!("cannot write the config file in {place}: {error}; set XDG_STATE_HOME to a directory that can be written"))
    })?;
    let mut settings = Settings::load(Some(file.path()), |_| None)?;
    // The services of this process end within its own grace period.
    settings.shutdown.grace_s = grace.as_secs();
    Ok((file, settings))
}

fn data_of(options: &Options) -> Result<Option<Arc<DataDir>>, Failure> {
    let data = options.data_dir.as_deref().map(DataDir::open);
    Ok(data.transpose()?.map(Arc::new))
}

/// How the servers are started.
fn servers_of(
    options: &Options,
    config: &ConfigFile,
    data: Option<&Arc<DataDir>>,
) -> servers::Options {
    let kinesis = kinesis::Options {
        region: REGION.to_owned(),
        limits: !options.unlimited,
        retained_bytes: options.retained_bytes,
        ..kinesis::Options::default()
    };
    let hours = options.memory_store_hours;
    let timestream = timestream::Options {
        memory_store: hours,
        rejections: hours.map(|_| rejections_beside(config)),
        ..timestream::Options::default()
    };
    servers::Options {
        kinesis,
        timestream,
        limited: !options.unlimited,
        data: data.cloned(),
    }
}

/// Refused writes of the magnetic store go to a file beside the config, as AWS's go to a bucket.
fn rejections_beside(config: &ConfigFile) -> PathBuf {
    config.path().with_extension("rejections.ndjson")
}

fn card(urls: &Urls, secret: &Secret, config: &ConfigFile) -> Card {
    Card {
        kinesis: urls.kinesis.clone(),
        dynamodb: urls.dynamodb.clone(),
        sqs: urls.sqs.clone(),
        timestream: urls.timestream.clone(),
        websocket: urls.websocket.clone(),
        management: urls.management.clone(),
        page: urls.page.clone(),
        mqtt: urls.mqtt.clone(),
        metrics: vec![format!("{}/metrics", urls.metrics)],
        stream: STREAM.to_owned(),
        lease_table: LEASE_TABLE.to_owned(),
        connection_table: CONNECTION_TABLE.to_owned(),
        queue_urls: vec![config::queue_url(urls, config::LIVE_QUEUE)],
        dead_letter_queue_url: config::queue_url(urls, DEAD_LETTER_QUEUE),
        database: DATABASE.to_owned(),
        table: TABLE.to_owned(),
        token: viewer_token(secret),
        config: config.path().display().to_string(),
    }
}

fn viewer_token(secret: &Secret) -> String {
    token::mint(secret, "local-viewer", clock::wall().0 / 1000)
}

fn page_of(card: &Card, secret: Secret, view: Arc<View>, drill: &Arc<Drill>) -> PageInfo {
    let metered = Arc::clone(&view);
    let page = PageInfo::new(
        card.websocket.clone(),
        card.stream.clone(),
        move || viewer_token(&secret),
        move || {
            let view = Arc::clone(&view);
            async move { view.page_state().await }
        },
    );
    let page = page.with_meter(move || metered.meter());
    page.with_drill(Arc::clone(drill))
}
