//! What each subcommand cannot do without.

use super::Settings;
use super::key::variable;
use super::kinds::Url;
use super::problem::{Place, Problem, Problems};

/// What a worker needs, beside what has defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerSettings {
    /// What it reads.
    pub streams: Streams,
    /// The Timestream sink; none where readings go to InfluxDB alone.
    pub timestream: Option<TimestreamTarget>,
    /// The InfluxDB sink, if there is one.
    pub influx: Option<InfluxTarget>,
    /// The live queues; none if that sink is off.
    pub queue_urls: Vec<Url>,
    /// The queue of dead letters.
    pub dead_letter_queue_url: Url,
}

/// The streams to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streams {
    /// One, by name or ARN.
    One(String),
    /// Several, by name, ARN or as KCL writes it; leases are keyed by stream and shard.
    Several(Vec<String>),
}

/// The Timestream table to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestreamTarget {
    /// Its database.
    pub database: String,
    /// Its name.
    pub table: String,
}

/// The InfluxDB to write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfluxTarget {
    /// Its address.
    pub url: Url,
    /// Its bucket or database.
    pub database: String,
}

/// What a broadcaster needs, beside what has defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcasterSettings {
    /// The queues it may serve, each with its place among all.
    pub queues: Vec<(usize, Url)>,
    /// How many queues there are.
    pub queues_of: usize,
    /// The table of connections.
    pub connections_table: String,
    /// The WebSocket API's callback URL; unless AWS's own variable is to give it.
    pub endpoint_management: Option<Url>,
}

/// What a gateway needs, beside what has defaults. One way to check tokens is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// The table of connections.
    pub connections_table: String,
}

/// AWS's own variables that give the callback URL.
const ENDPOINT_VARIABLES: [&str; 2] = [
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
    "AWS_ENDPOINT_URL",
];

impl Settings {
    /// The streams alone, as `leases` needs them.
    ///
    /// # Errors
    /// Neither `source.stream` nor `source.streams` is set.
    pub fn streams(&self) -> Result<Streams, Problems> {
        let mut missing = Missing::new(self);
        let streams = missing.streams();
        missing.finish(streams)
    }

    /// What `worker` needs.
    ///
    /// # Errors
    /// Everything that is missing: stream, dead-letter queue, Timestream table.
    pub fn worker(&self) -> Result<WorkerSettings, Problems> {
        let mut missing = Missing::new(self);
        let streams = missing.streams();
        let dead_letters = missing.want("dead_letter", "queue_url", &self.dead_letter.queue_url);
        // `rules` refuses a URL without the one that its API needs.
        let database = self.influx.bucket.clone().or(self.influx.database.clone());
        let influx = self.influx.url.clone().zip(database);
        let influx = influx.map(|(url, database)| InfluxTarget { url, database });
        let timestream = &self.timestream;
        let is_wanted = influx.is_none() || timestream.database.is_some();
        let target = if is_wanted {
            let database = missing.want("timestream", "database", &timestream.database);
            let table = missing.want("timestream", "table", &timestream.table);
            let both = database.zip(table);
            both.map(|(database, table)| TimestreamTarget { database, table })
        } else {
            None
        };
        let needed = streams.zip(dead_letters);
        missing.finish(
            needed.map(|(streams, dead_letter_queue_url)| WorkerSettings {
                streams,
                timestream: target,
                influx,
                queue_urls: self.queue.urls.clone(),
                dead_letter_queue_url,
            }),
        )
    }

    /// What `broadcaster` needs; `env` is asked for AWS's own endpoint variables.
    ///
    /// # Errors
    /// Everything that is missing: queues, connection table, callback URL.
    pub fn broadcaster(
        &self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<BroadcasterSettings, Problems> {
        let mut missing = Missing::new(self);
        let one = self.broadcaster.queue_url.clone();
        let mut all = self.queue.urls.clone();
        match &one {
            Some(one) if all.is_empty() => all.push(one.clone()),
            Some(one) if !all.contains(one) => missing.note(
                "`broadcaster.queue_url` is none of `queue.urls`: the gateway spreads viewers over those"
                    .to_owned(),
            ),
            _ => {}
        }
        let mut queues: Vec<(usize, Url)> = all.iter().cloned().enumerate().collect();
        queues.retain(|(_, url)| one.as_ref().is_none_or(|one| one == url));
        let queues_of = all.len();
        let any = (!queues.is_empty()).then_some(queues);
        let queues = missing.want("queue", "urls", &any);
        let table = missing.want("connections", "table", &self.connections.table);
        let endpoint = self.aws.endpoint_management.clone();
        // As for AWS's own tools, an empty variable is none.
        let is_set = |name: &&str| env(name).is_some_and(|url| !url.is_empty());
        if !ENDPOINT_VARIABLES.iter().any(is_set) {
            missing.want("aws", "endpoint_management", &endpoint);
        }
        missing.finish(
            queues
                .zip(table)
                .map(|(queues, connections_table)| BroadcasterSettings {
                    queues,
                    queues_of,
                    connections_table,
                    endpoint_management: endpoint,
                }),
        )
    }

    /// What `gateway` needs.
    ///
    /// # Errors
    /// Everything that is missing: connection table, a way to check tokens.
    pub fn gateway(&self) -> Result<GatewaySettings, Problems> {
        let mut missing = Missing::new(self);
        let table = missing.want("connections", "table", &self.connections.table);
        let keys = &self.gateway;
        let any = keys.hs256_secret.is_some()
            || keys.jwks_file.is_some()
            || keys.jwks_url.is_some()
            || keys.tickets;
        if !any {
            missing.note(
                "no way to check tokens: set `gateway.hs256_secret`, `gateway.hs256_secret_file`, `gateway.jwks_url` or `gateway.jwks_file`, or `gateway.tickets = true`".to_owned(),
            );
        }
        missing.finish(table.map(|connections_table| GatewaySettings { connections_table }))
    }
}

/// Collects what is missing.
struct Missing {
    place: Place,
    one: Option<String>,
    several: Vec<String>,
    problems: Vec<Problem>,
}

impl Missing {
    fn new(settings: &Settings) -> Self {
        Self {
            place: match &settings.file {
                Some(path) => Place::File(path.display().to_string()),
                None => Place::Nowhere,
            },
            one: settings.source.stream.clone(),
            several: settings.source.streams.clone(),
            problems: Vec::new(),
        }
    }

    fn note(&mut self, what: String) {
        self.problems.push(Problem {
            place: self.place.clone(),
            what,
        });
    }

    fn want<T: Clone>(&mut self, section: &str, name: &str, value: &Option<T>) -> Option<T> {
        if value.is_none() {
            let form = super::SECTIONS
                .iter()
                .filter(|known| known.name == section)
                .flat_map(|known| known.keys)
                .find(|key| key.name == name)
                .map_or_else(String::new, |key| format!(" to {}", key.expected()));
            self.note(format!(
                "`{section}.{name}` is missing: set `{name}` in `[{section}]`, or {}{form}",
                variable(section, name)
            ));
        }
        value.clone()
    }

    fn streams(&mut self) -> Option<Streams> {
        match self.several.as_slice() {
            [] => {
                let one = self.one.clone();
                self.want("source", "stream", &one).map(Streams::One)
            }
            several => Some(Streams::Several(several.to_vec())),
        }
    }

    fn finish<T>(self, found: Option<T>) -> Result<T, Problems> {
        Problems::check(self.problems)?;
        Ok(found.expect("what is not found is a problem noted"))
    }
}
