//! From settings, which operators tune, to the options of each part.

use std::time::Duration;

use super::decoding;
use crate::aws;
use crate::lease;
use crate::model::Stage;
use crate::pipeline;
use crate::push;
use crate::service::broadcaster;
use crate::service::settings::{
    Fleet, FrameFormat, InitialPosition, MeasureName, Owed, QueueFormat, Settings, Streams,
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
        stores: vec![pipeline::StoreOptions {
            window: millis(settings.timestream.window_ms),
            requests_max: count(settings.timestream.requests_in_flight_max),
            ..pipeline::StoreOptions::new(Stage::Timestream)
        }],
        queue_format: match settings.queue.format {
            QueueFormat::Packed => pipeline::message::Format::Packed,
            QueueFormat::Single => pipeline::message::Format::Single,
        },
        queue_window: millis(settings.queue.window_ms),
        budget_bytes: settings.pipeline.budget_bytes.0,
        reads_max: count(settings.pipeline.reads_max),
        records_max: u32::try_from(settings.source.batch_size).unwrap_or(u32::MAX),
        ..pipeline::Options::new(stream.bare_name().into(), needs.queue_urls.len())
    };
    worker::Options {
        decode: decoding::options(&settings.decode),
        poll_every: millis(settings.source.poll_interval_ms),
        queue_max_age: settings.queue.max_age_s.map(Duration::from_secs),
        record_max_age: settings
            .source
            .maximum_record_age_s
            .map(Duration::from_secs),
        ..worker::Options::new(pipeline)
    }
}

/// The Timestream table.
#[must_use]
pub fn timestream_table(settings: &Settings, needs: &WorkerSettings) -> aws::timestream::Table {
    aws::timestream::Table {
        database: needs.timestream.database.clone(),
        table: needs.timestream.table.clone(),
        measure_name: match &settings.timestream.measure_name {
            MeasureName::Auto => aws::timestream::MeasureName::Auto,
            MeasureName::Constant(name) => aws::timestream::MeasureName::Constant(name.clone()),
            MeasureName::Field(name) => aws::timestream::MeasureName::Field(name.clone()),
        },
    }
}

/// The broadcaster.
#[must_use]
pub fn broadcaster(settings: &Settings) -> broadcaster::Options {
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
        assert_eq!(broadcaster(&settings), broadcaster::Options::default());
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
    fn the_connection_table_is_read_often_only_where_nobody_tells_of_changes() {
        let refresh = |set: &[(&str, &str)]| broadcaster(&settings(set)).refresh;
        let single = ("TIDEWIRE_QUEUE__FORMAT", "single");
        let every = ("TIDEWIRE_BROADCASTER__SNAPSHOT_EVERY_MS", "700");
        assert_eq!(refresh(&[]), Duration::from_secs(30));
        assert_eq!(refresh(&[single]), Duration::from_secs(2));
        assert_eq!(refresh(&[single, every]), Duration::from_millis(700));
        assert_eq!(refresh(&[every]), Duration::from_millis(700));
    }
}
