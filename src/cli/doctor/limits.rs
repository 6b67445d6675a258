//! Limits that will bite: what these settings will ask for, beside what AWS gives.

use super::Findings;
use crate::aws::Clients;
use crate::aws::inspect::{self, Finding, Level, StreamFacts, TableFacts};
use crate::aws::timestream;
use crate::service::settings::{MeasureName, ReadMode, Settings};

/// `GetRecords` calls a second that a shard answers, to all consumers together (Kinesis developer
/// guide, "Quotas and limits").
const READS_OF_A_SHARD_PER_S: u64 = 5;

/// Consumers of enhanced fan-out that a stream may have; with On-demand Advantage 50 (as above).
const CONSUMERS_MAX: i32 = 20;

/// Calls of `@connections` a second, shared by all APIs of an account in a region: the default of
/// the quota "throttle quota per account per Region" (API Gateway developer guide).
const POSTS_OF_AN_ACCOUNT_PER_S: u64 = 10_000;

/// Values of `measure_name`, and names of measures, that a table holds (Timestream developer guide,
/// "Quotas").
const MEASURE_NAMES_OF_A_TABLE: u64 = 8_192;
const MEASURES_OF_A_TABLE: u64 = 1_024;

/// Shards x reads.
pub(super) fn reads(settings: &Settings, name: &str, stream: StreamFacts) -> Finding {
    let what = format!("limit: reads of stream {name}");
    let StreamFacts { shards, consumers } = stream;
    let source = &settings.source;
    if source.mode != ReadMode::Polling && consumers >= CONSUMERS_MAX {
        let says = format!(
            "{consumers} consumers are registered, and {CONSUMERS_MAX} are allowed (On-demand Advantage: 50): \
             without one of its own the worker cannot be sent records; take back one that nobody uses \
             (aws kinesis list-stream-consumers, deregister-stream-consumer)"
        );
        return Finding::new(Level::Yellow, what, says);
    }
    if source.mode != ReadMode::Polling {
        let says = format!("{consumers} of {CONSUMERS_MAX} consumers are registered");
        return Finding::new(Level::Green, what, says);
    }
    // The setting's least value is the shard's limit.
    let per_s = 1000 / source.poll_interval_ms.max(1);
    let mut says = format!(
        "{shards} shards x {per_s} a second, of the {READS_OF_A_SHARD_PER_S} that a shard answers to all its consumers"
    );
    if per_s >= READS_OF_A_SHARD_PER_S {
        says.push_str(
            "; beside another consumer that polls, raise `source.poll_interval_ms` or set `source.mode = \"fan-out\"`",
        );
    }
    Finding::new(Level::Green, what, says)
}

/// Renewals x shards, against a table of provisioned capacity.
pub(super) fn leases(settings: &Settings, shards: i32, table: TableFacts) -> Finding {
    let lease = &settings.lease;
    let what = format!("limit: units of table {}", lease.table);
    let renewals_per_s = f64::from(shards) * 1000.0 / as_f64(lease.renew_every_ms.max(1));
    let says = format!(
        "{shards} leases take {renewals_per_s:.1} write units a second, and each worker reads up to {} units a second",
        lease.scan_read_units_per_s
    );
    let Some((reads, writes)) = table.provisioned_units else {
        return Finding::new(
            Level::Green,
            what,
            format!("{says}; it is billed on demand"),
        );
    };
    let says = format!("{says}; it has {writes} and {reads}");
    if as_f64(writes) < renewals_per_s || reads < lease.scan_read_units_per_s {
        let says = format!(
            "{says}: leases would be lost to throttling; aws dynamodb update-table --table-name {} \
             --billing-mode PAY_PER_REQUEST, or provision more",
            lease.table
        );
        return Finding::new(Level::Yellow, what, says);
    }
    Finding::new(Level::Green, what, says)
}

/// Posts x viewers, by the rows that DynamoDB counted in the last six hours.
pub(super) async fn screens(
    settings: &Settings,
    table: &str,
    clients: &Clients,
    findings: &mut Findings,
) {
    let found = inspect::table(&clients.dynamodb(), table).await;
    let found = found.map(|facts| posts(settings, facts.rows));
    findings.add_if_permitted("limit: posts", found);
}

fn posts(settings: &Settings, rows: u64) -> Finding {
    let what = "limit: posts";
    let window_ms = settings.broadcaster.window_ms.max(1);
    let own = settings.broadcaster.posts_per_second;
    let most = own.unwrap_or(POSTS_OF_AN_ACCOUNT_PER_S);
    let viewers_max = most.saturating_mul(window_ms) / 1000;
    let whose = match own {
        Some(_) => "of `broadcaster.posts_per_second`",
        None => "of an account's default quota in a region",
    };
    let says = format!(
        "a window of {window_ms} ms serves {viewers_max} viewers at once with the {most} posts a second {whose}; \
         the table had {rows} rows when DynamoDB last counted"
    );
    if rows > viewers_max {
        let says = format!(
            "{says}: raise `broadcaster.window_ms` (each viewer's posts are then fewer), or have the quota raised"
        );
        return Finding::new(Level::Yellow, what, says);
    }
    Finding::new(Level::Green, what, says)
}

/// The names that settings fix, against Timestream's rules and a table's quotas. A payload's own
/// names show when it comes: `tidewire decode` tells of them, and a dead letter.
pub(super) fn names(settings: &Settings) -> Finding {
    let what = "limit: Timestream names";
    let decode = &settings.decode;
    let renamed = |name: &String| decode.rename.get(name).unwrap_or(name).clone();
    let mut dimensions: Vec<String> = decode.dimensions.iter().map(renamed).collect();
    dimensions.extend(decode.constants.keys().cloned());
    dimensions.extend(decode.partition_key_as.clone());
    let included = decode.include.iter().filter(|name| !name.ends_with('*'));
    let mut measures: Vec<String> = included.map(renamed).collect();
    measures.extend(decode.rename.values().cloned());
    measures.retain(|name| !dimensions.contains(name));
    let wrong = timestream::wrong_names(&dimensions, &measures);
    if !wrong.is_empty() {
        let says = format!(
            "every reading that has it becomes a dead letter: {} (`decode.rename`, `decode.exclude`)",
            wrong.join("; ")
        );
        return Finding::new(Level::Red, what, says);
    }
    let by = match &settings.timestream.measure_name {
        MeasureName::Auto => "each set of measures is a measure name".to_owned(),
        MeasureName::Constant(name) => format!("`{name}` is the only measure name"),
        MeasureName::Field(name) => format!("each value of `{name}` is a measure name"),
    };
    let says = format!(
        "{by}; a table holds {MEASURE_NAMES_OF_A_TABLE} of those and {MEASURES_OF_A_TABLE} measures"
    );
    Finding::new(Level::Green, what, says)
}

/// The table of leases, if it may be asked.
pub(super) async fn lease_table(
    settings: &Settings,
    shards: i32,
    clients: &Clients,
    findings: &mut Findings,
) {
    let found = inspect::table(&clients.dynamodb(), &settings.lease.table).await;
    let found = found.map(|facts| leases(settings, shards, facts));
    findings.add("lease table", found);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "units a second are far below 2^52"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[(&str, &str)]) -> Settings {
        let named = |name: &str| {
            set.iter()
                .find(|(key, _)| format!("TIDEWIRE_{key}") == name)
        };
        Settings::load(None, |name| Some(named(name)?.1.to_owned())).unwrap()
    }

    #[test]
    fn a_stream_full_of_consumers_is_yellow_where_one_is_needed() {
        let full = StreamFacts {
            shards: 4,
            consumers: 20,
        };
        let polls = reads(&settings(&[]), "readings", full);
        assert_eq!(polls.level, Level::Green);
        assert!(
            polls.says.contains("4 shards x 5 a second"),
            "{}",
            polls.says
        );
        let slower = settings(&[("SOURCE__POLL_INTERVAL_MS", "1000")]);
        assert!(!reads(&slower, "readings", full).says.contains("raise"));
        let sent = settings(&[("SOURCE__MODE", "fan-out")]);
        assert_eq!(reads(&sent, "readings", full).level, Level::Yellow);
        let room = StreamFacts {
            shards: 4,
            consumers: 19,
        };
        assert_eq!(reads(&sent, "readings", room).level, Level::Green);
    }

    #[test]
    fn a_lease_table_must_take_the_renewals_of_all_shards() {
        let of = |provisioned_units| TableFacts {
            rows: 0,
            provisioned_units,
        };
        let default = settings(&[]);
        // 40 leases, every 3.3 s: 12.1 units a second.
        assert_eq!(leases(&default, 40, of(None)).level, Level::Green);
        assert_eq!(
            leases(&default, 40, of(Some((10, 12)))).level,
            Level::Yellow
        );
        assert_eq!(leases(&default, 40, of(Some((10, 13)))).level, Level::Green);
        assert_eq!(leases(&default, 40, of(Some((4, 13)))).level, Level::Yellow);
    }

    #[test]
    fn viewers_beyond_the_rate_of_posts_are_yellow() {
        let default = settings(&[]);
        assert_eq!(posts(&default, 1_000).level, Level::Green);
        let many = posts(&default, 1_001);
        assert_eq!(many.level, Level::Yellow);
        assert!(many.says.contains("broadcaster.window_ms"), "{}", many.says);
        let slower = settings(&[("BROADCASTER__WINDOW_MS", "1000")]);
        assert_eq!(posts(&slower, 10_000).level, Level::Green);
        let own = settings(&[("BROADCASTER__POSTS_PER_SECOND", "100")]);
        assert_eq!(posts(&own, 11).level, Level::Yellow);
    }

    #[test]
    fn names_that_timestream_would_refuse_are_red_before_a_reading_comes() {
        assert_eq!(names(&settings(&[])).level, Level::Green);
        let long = "d".repeat(61);
        for (key, value, words) in [
            ("DECODE__DIMENSIONS", "ts_site", "ts_site"),
            ("DECODE__DIMENSIONS", long.as_str(), "60"),
            ("DECODE__CONSTANTS", "measure_name=x", "measure_name"),
            ("DECODE__RENAME", "t=time", "time"),
            ("DECODE__INCLUDE", "ts_a,ok", "ts_a"),
            ("DECODE__PARTITION_KEY_AS", "a:b", "colon"),
        ] {
            let found = names(&settings(&[(key, value)]));
            assert_eq!(found.level, Level::Red, "{key}={value}: {}", found.says);
            assert!(found.says.contains(words), "{key}={value}: {}", found.says);
        }
        let renamed = settings(&[
            ("DECODE__DIMENSIONS", "ts_site"),
            ("DECODE__RENAME", "ts_site=site"),
        ]);
        assert_eq!(names(&renamed).level, Level::Green);
    }
}
