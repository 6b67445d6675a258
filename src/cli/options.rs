//! From settings, which operators tune, to the options of each part.

use std::sync::Arc;
use std::time::Duration;

use super::decoding;
use crate::aws;
use crate::influx;
use crate::lease;
use crate::model::Stage;
use crate::pipeline;
use crate::push;
use crate::service::broadcaster;
use crate::service::settings::{
    Fleet, FrameFormat, InfluxApi, InfluxTarget, InitialPosition, MeasureName, Measurement, Owed,
    QueueFormat, ReadMode, RecordVersion, Settings, Streams, TableRoute, TimestreamTarget, Weight,
    WorkerSettings,
};
use crate::service::shutdown::Shares;
use crate::service::worker;

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A setting's bound is below the platform's; what it cuts off was never reachable.
fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The keeper of leases.
#[must_use]
pub fn leases(settings: &Settings) -> lease::Options {
    let lease = &settings.lease;
    let shares = shares(settings);
    lease::Options {
        renew_every: millis(lease.renew_every_ms),
        scan_every: millis(lease.scan_every_ms),
        scan_units_max: u32::try_from(lease.scan_read_units_per_s).unwrap_or(u32::MAX),
        drain_deadline: shares.drain,
        last_writes: shares.last_writes,
        initial_position: match settings.source.initial_position {
            InitialPosition::TrimHorizon => lease::Initial::TrimHorizon,
            InitialPosition::Latest => lease::Initial::Latest,
            // `rules` refuses AT_TIMESTAMP without its instant.
            InitialPosition::AtTimestamp => {
                lease::Initial::AtTimestamp(settings.source.initial_timestamp.unwrap_or_default())
            }
        },
        leases_max: lease.leases_max.map_or(usize::MAX, count),
        fleet: match lease.fleet {
            Fleet::Tidewire => lease::Fleet::Tidewire,
            Fleet::Mixed => lease::Fleet::Mixed,
        },
        weight: match lease.weight {
            Weight::Count => lease::Weight::Count,
            Weight::Throughput => lease::Weight::Throughput,
        },
        ..lease::Options::lasting(millis(lease.duration_ms))
    }
}

fn shares(settings: &Settings) -> Shares {
    Shares::of(Duration::from_secs(settings.shutdown.grace_s))
}

/// The reading side.
#[must_use]
pub fn worker(settings: &Settings, needs: &WorkerSettings) -> worker::Options {
    // Among several, a letter's shard names its stream itself.
    let stream = match &needs.streams {
        Streams::One(stream) => stream.as_str(),
        Streams::Several(streams) => streams.first().map_or("", String::as_str),
    };
    let stream = aws::kinesis::StreamRef::from(stream);
    let pipeline = pipeline::Options {
        stores: stores(settings, needs),
        queue_format: match settings.queue.format {
            QueueFormat::Packed => pipeline::message::Format::Packed,
            QueueFormat::Single => pipeline::message::Format::Single,
        },
        fifo_queues: needs
            .queue_urls
            .iter()
            .enumerate()
            .filter(|(_, url)| aws::sqs::is_fifo(url.as_str()))
            .map(|(index, _)| index)
            .collect(),
        fair_queues: settings.queue.fair,
        queue_window: millis(settings.queue.window_ms),
        budget_bytes: settings.pipeline.budget_bytes.0,
        reads_max: count(settings.pipeline.reads_max),
        records_max: u32::try_from(settings.source.batch_size).unwrap_or(u32::MAX),
        ..pipeline::Options::new(stream.bare_name().into(), needs.queue_urls.len())
    };
    worker::Options {
        decode: decoding::options(&settings.decode),
        poll_every: millis(settings.source.poll_interval_ms),
        falls_back: settings.source.mode == ReadMode::Auto,
        queue_max_age: settings.queue.max_age_s.map(Duration::from_secs),
        record_max_age: settings
            .source
            .maximum_record_age_s
            .map(Duration::from_secs),
        ..worker::Options::new(pipeline)
    }
}

/// Bytes of a request to InfluxDB as they stand in memory: some 3 MB of lines, well under the
/// 10 MB that its servers take.
const INFLUX_BYTES_MAX: usize = 16 * 1024 * 1024;

/// In the order of [`super::parts`].
fn stores(settings: &Settings, needs: &WorkerSettings) -> Vec<pipeline::StoreOptions> {
    let mut stores = Vec::new();
    let routes = needs
        .timestream
        .as_ref()
        .map(|target| routes(settings, target));
    for (index, table) in routes.iter().flat_map(|routes| routes.tables()).enumerate() {
        let mut store = pipeline::StoreOptions {
            window: millis(settings.timestream.window_ms),
            requests_max: count(settings.timestream.requests_in_flight_max),
            ..pipeline::StoreOptions::new(Stage::Timestream)
        };
        if index > 0 {
            store.label = format!("{}:{table}", store.label);
        }
        stores.push(store);
    }
    let influx = needs.influx.as_ref().map(|_| pipeline::StoreOptions {
        batch_max: count(settings.influx.batch_lines),
        bytes_max: INFLUX_BYTES_MAX,
        window: millis(settings.influx.window_ms),
        requests_max: count(settings.influx.requests_in_flight_max),
        ..pipeline::StoreOptions::new(Stage::Influx)
    });
    stores.extend(influx);
    stores
}

/// The InfluxDB sink.
#[must_use]
pub fn influx_target(
    settings: &Settings,
    target: &InfluxTarget,
    ca_pem: Option<Vec<u8>>,
) -> influx::Target {
    let influx = &settings.influx;
    influx::Target {
        url: target.url.as_str().to_owned(),
        api: match influx.api {
            InfluxApi::V1 => influx::Api::V1,
            InfluxApi::V2 => influx::Api::V2,
            InfluxApi::V3 => influx::Api::V3,
        },
        org: influx.org.clone(),
        database: target.database.clone(),
        token: influx.token.clone(),
        ca_pem,
        gzip: influx.gzip,
        batch_max: count(influx.batch_lines),
        measurement: match &influx.measurement {
            Measurement::Constant(name) => influx::Measurement::Constant(name.clone()),
            Measurement::Field(name) => influx::Measurement::Field(name.clone()),
        },
    }
}

/// The Timestream tables, the one of all readings that fit no route first.
#[must_use]
pub fn timestream_tables(
    settings: &Settings,
    target: &TimestreamTarget,
) -> Vec<aws::timestream::Table> {
    let routes = Arc::new(routes(settings, target));
    let tables = routes
        .tables()
        .into_iter()
        .map(|table| aws::timestream::Table {
            database: target.database.clone(),
            table: table.to_owned(),
            measure_name: match &settings.timestream.measure_name {
                MeasureName::Auto => aws::timestream::MeasureName::Auto,
                MeasureName::Constant(name) => aws::timestream::MeasureName::Constant(name.clone()),
                MeasureName::Field(name) => aws::timestream::MeasureName::Field(name.clone()),
            },
            routes: Arc::clone(&routes),
            version_from_arrival: settings.timestream.version == RecordVersion::Arrival,
        });
    tables.collect()
}

fn routes(settings: &Settings, target: &TimestreamTarget) -> aws::timestream::Routes {
    let routes = settings.timestream.routes.iter();
    let route = |route: &TableRoute| aws::timestream::Route {
        by: match &route.field {
            None => aws::timestream::RouteBy::Device,
            Some(name) => aws::timestream::RouteBy::Field(name.clone()),
        },
        pattern: route.pattern.clone(),
        table: route.table.clone(),
    };
    aws::timestream::Routes {
        routes: routes.map(route).collect(),
        otherwise: target.table.clone(),
    }
}

/// The broadcaster of one of so many queues.
#[must_use]
pub fn broadcaster(settings: &Settings, queues: usize) -> broadcaster::Options {
    let live = &settings.broadcaster;
    broadcaster::Options {
        push: push::Options {
            window: millis(live.window_ms),
            mode: match live.mode {
                Owed::Latest => push::Mode::Latest,
                Owed::Every => push::Mode::Every,
            },
            form: match live.frame {
                FrameFormat::Packed => push::Form::Joined,
                FrameFormat::Single => push::Form::Single,
            },
            posts_per_second: live.posts_per_second.map(|all| {
                let queues = u64::try_from(queues).unwrap_or(u64::MAX).max(1);
                u32::try_from(all / queues).unwrap_or(u32::MAX)
            }),
            posts_max: count(live.posts_in_flight_max),
            max_age: live.max_age_s.map(Duration::from_secs),
            ..push::Options::default()
        },
        refresh: match (live.snapshot_every_ms, settings.queue.format) {
            (Some(set), _) => millis(set),
            (None, QueueFormat::Packed) => broadcaster::REFRESH_TOLD,
            (None, QueueFormat::Single) => broadcaster::REFRESH_UNTOLD,
        },
        drain: shares(settings).drain,
        ..broadcaster::Options::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[(&str, &str)]) -> Settings {
        let named = |name: &str| set.iter().find(|(key, _)| *key == name);
        Settings::load(None, |name| Some(named(name)?.1.to_owned())).unwrap()
    }

    #[test]
    fn the_parts_have_the_defaults_that_the_settings_have() {
        let settings = settings(&[
            ("TIDEWIRE_SOURCE__STREAM", "toys"),
            ("TIDEWIRE_TIMESTREAM__DATABASE", "d"),
            ("TIDEWIRE_TIMESTREAM__TABLE", "t"),
            (
                "TIDEWIRE_DEAD_LETTER__QUEUE_URL",
                "https://sqs.example/dead",
            ),
        ]);
        assert_eq!(leases(&settings), lease::Options::default());
        assert_eq!(broadcaster(&settings, 1), broadcaster::Options::default());
        let pipeline = pipeline::Options::new("toys".into(), 0);
        let needs = settings.worker().unwrap();
        let expected = worker::Options {
            // A time field has no default in the settings, and a device sends one.
            decode: decoding::options(&settings.decode),
            ..worker::Options::new(pipeline)
        };
        assert_eq!(worker(&settings, &needs), expected);
    }

    #[test]
    fn each_queue_has_an_equal_share_of_the_posts() {
        let set = [("TIDEWIRE_BROADCASTER__POSTS_PER_SECOND", "1000")];
        let share = |queues| broadcaster(&settings(&set), queues).push.posts_per_second;
        assert_eq!((share(1), share(3)), (Some(1_000), Some(333)));
    }

    #[test]
    fn the_connection_table_is_read_often_only_where_nobody_tells_of_changes() {
        let refresh = |set: &[(&str, &str)]| broadcaster(&settings(set), 1).refresh;
        let single = ("TIDEWIRE_QUEUE__FORMAT", "single");
        let every = ("TIDEWIRE_BROADCASTER__SNAPSHOT_EVERY_MS", "700");
        assert_eq!(refresh(&[]), Duration::from_secs(30));
        assert_eq!(refresh(&[single]), Duration::from_secs(2));
        assert_eq!(refresh(&[single, every]), Duration::from_millis(700));
        assert_eq!(refresh(&[every]), Duration::from_millis(700));
    }
}
