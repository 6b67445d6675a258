//! What an operator tunes: one TOML file, every key of it also an environment variable.
//!
//! Each key is declared once, in [`sections`]; reading, error messages and
//! `docs/configuration.md` come from that declaration. Everything that is wrong is reported at
//! once, with its place and its remedy.

pub mod decoding;
pub mod document;
pub mod key;
pub mod kinds;
pub mod problem;
mod reader;
pub mod role;
mod rules;
pub mod secret;
pub mod sections;
mod value;

use std::path::{Path, PathBuf};

pub use decoding::{
    DeviceIdFrom, Envelope, FieldType, Format, NotFinite, TimePolicy, TimeUnit, Units,
};
pub use key::{Key, Section};
pub use kinds::{
    ByteSize, Fleet, FrameFormat, InfluxApi, InitialPosition, Listen, LogFormat, LogLevel,
    MeasureName, Measurement, Owed, QueueFormat, ReadMode, RecordVersion, TableRoute, Url, Weight,
};
pub use problem::{Place, Problem, Problems};
pub use role::{
    BroadcasterSettings, GatewaySettings, InfluxTarget, Streams, TimestreamTarget, WorkerSettings,
};
pub use secret::Secret;
pub use sections::{
    Aws, Broadcaster, Cloudwatch, Connections, DeadLetter, Decode, Gateway, Http, Influx, Lease,
    Log, Pipeline, Queue, Shutdown, Source, Timestream, Top, Traces,
};
pub use value::instant;

use reader::Reader;

/// All settings, valid each by itself and together. What a subcommand cannot do without is
/// checked where that subcommand asks: [`Settings::worker`] and its like.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[aws]`
    pub aws: Aws,
    /// `[source]`
    pub source: Source,
    /// `[lease]`
    pub lease: Lease,
    /// `[decode]`
    pub decode: Decode,
    /// `[timestream]`
    pub timestream: Timestream,
    /// `[influx]`
    pub influx: Influx,
    /// `[queue]`
    pub queue: Queue,
    /// `[dead_letter]`
    pub dead_letter: DeadLetter,
    /// `[pipeline]`
    pub pipeline: Pipeline,
    /// `[broadcaster]`
    pub broadcaster: Broadcaster,
    /// `[connections]`
    pub connections: Connections,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[http]`
    pub http: Http,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[log]`
    pub log: Log,
    /// `[traces]`
    pub traces: Traces,
    /// `[cloudwatch]`
    pub cloudwatch: Cloudwatch,
    /// `[top]`
    pub top: Top,
    /// The file they came from, for messages.
    pub file: Option<PathBuf>,
}

/// All sections, in the order of the documentation.
pub const SECTIONS: &[&Section] = &[
    &Source::SECTION,
    &Lease::SECTION,
    &Decode::SECTION,
    &Timestream::SECTION,
    &Influx::SECTION,
    &Queue::SECTION,
    &DeadLetter::SECTION,
    &Pipeline::SECTION,
    &Broadcaster::SECTION,
    &Connections::SECTION,
    &Gateway::SECTION,
    &Aws::SECTION,
    &Http::SECTION,
    &Shutdown::SECTION,
    &Log::SECTION,
    &Traces::SECTION,
    &Cloudwatch::SECTION,
    &Top::SECTION,
];

impl Settings {
    /// Reads the file, if one is given, and the variables that `env` knows; a variable wins.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(
        path: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Problems> {
        Self::load_named(path, env, [])
    }

    /// The same from the process's own environment, where a `TIDEWIRE_` variable that is no
    /// setting is a problem too.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load_from_process(path: Option<&Path>) -> Result<Self, Problems> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Self::load_named(path, |name| std::env::var(name).ok(), names)
    }

    /// [`Settings::load`], with the names of all variables there are, to find the misspelt ones.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load_named(
        path: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
        names: impl IntoIterator<Item = String>,
    ) -> Result<Self, Problems> {
        let mut reader = Reader::new(path, &env, SECTIONS);
        reader.strangers(names, SECTIONS);
        let settings = Self {
            aws: Aws::read(&mut reader),
            source: Source::read(&mut reader),
            lease: Lease::read(&mut reader),
            decode: Decode::read(&mut reader),
            timestream: Timestream::read(&mut reader),
            influx: Influx::read(&mut reader),
            queue: Queue::read(&mut reader),
            dead_letter: DeadLetter::read(&mut reader),
            pipeline: Pipeline::read(&mut reader),
            broadcaster: Broadcaster::read(&mut reader),
            connections: Connections::read(&mut reader),
            gateway: Gateway::read(&mut reader),
            http: Http::read(&mut reader),
            shutdown: Shutdown::read(&mut reader),
            log: Log::read(&mut reader),
            traces: Traces::read(&mut reader),
            cloudwatch: Cloudwatch::read(&mut reader),
            top: Top::read(&mut reader),
            file: path.map(Path::to_path_buf),
        };
        rules::check(&settings, &mut reader);
        Problems::check(reader.problems)?;
        Ok(settings)
    }
}
