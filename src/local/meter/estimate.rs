//! A month's bill at the rate counted so far, and the blog's architecture under the same load.
//!
//! The blog: one `WriteRecords` and one `SendMessage` for each reading; a Lambda that SQS hands ten
//! messages a batch, that queries the whole connection table for each batch and posts each reading to
//! each viewer that wants it. Where that Lambda is a better one (it may batch its writes), its rows
//! for Timestream and SQS shrink up to tenfold; the messages do not.

use serde_json::{Value, json};

use super::price::{self, MONTH_S};
use super::{Tally, count};
use crate::model::bill::Unit;

/// Messages that Lambda takes from SQS, and records from Kinesis, in one batch: its defaults.
const SQS_BATCH: f64 = 10.0;
const KINESIS_BATCH: f64 = 100.0;
/// What one post takes of the Lambda's time, several going at once, and its memory in GB.
const POST_S: f64 = 0.008;
const POSTS_AT_ONCE: f64 = 8.0;
const LAMBDA_GB: f64 = 0.25;

/// One line of the comparison: units of a month.
struct Line {
    unit: Unit,
    formula: &'static str,
    ours: f64,
    blog: f64,
}

/// What `/_local/meter` answers.
#[must_use]
pub fn report(tally: &Tally) -> Value {
    let month = month(tally);
    let lines = lines(tally, month);
    let units: Vec<Value> = Unit::ALL
        .into_iter()
        .filter(|unit| tally.of(*unit) > 0.0)
        .map(|unit| {
            let (service, name) = unit.name();
            let units = tally.of(unit);
            json!({
                "service": service,
                "unit": name,
                "count": units,
                "usd_per_million": price::usd(unit) * 1e6,
                "month_usd": price::month_usd(unit, units * month),
                "source": price::source(unit),
            })
        })
        .collect();
    let usd = |pick: fn(&Line) -> f64| -> f64 {
        let each = lines.iter();
        each.map(|line| price::month_usd(line.unit, pick(line)))
            .sum()
    };
    let (ours, blog) = (usd(|line| line.ours), usd(|line| line.blog));
    json!({
        "since_s": tally.since_s,
        "region": price::REGION,
        "prices_as_of": price::AS_OF,
        "units": units,
        "load": {
            "readings_written": tally.load.readings_written,
            "readings_shown": tally.load.readings_shown,
            "table_read_units": tally.load.table_read_units,
        },
        "comparison": lines.iter().map(written).collect::<Vec<_>>(),
        "month_usd": {
            "ours": ours,
            "blog": blog,
            "our_tasks": price::TASKS_MONTH_USD,
            "same_for_both": shared(tally, month),
        },
        "blog_to_ours": ratio(blog, ours),
        "blog_to_ours_with_tasks": ratio(blog, ours + price::TASKS_MONTH_USD),
    })
}

/// How often the time counted so far goes into a month.
fn month(tally: &Tally) -> f64 {
    if tally.since_s > 0.0 {
        MONTH_S / tally.since_s
    } else {
        0.0
    }
}

/// What the two architectures do differently.
fn lines(tally: &Tally, month: f64) -> Vec<Line> {
    let load = tally.load;
    let (written, shown) = (count(load.readings_written), count(load.readings_shown));
    let batches = written / SQS_BATCH;
    let line = |unit, formula, blog: f64| Line {
        unit,
        formula,
        ours: tally.of(unit) * month,
        blog: blog * month,
    };
    let mut lines = vec![
        line(
            Unit::TimestreamWriteUnit,
            "a request for each reading",
            count(load.single_write_units),
        ),
        line(
            Unit::SqsRequest,
            "readings x 1.2: one sent each, received and deleted by tens",
            written + 2.0 * batches,
        ),
        line(
            Unit::DynamoDbReadUnit,
            "readings / 10 x a Query of the whole connection table",
            batches * load.table_read_units,
        ),
        line(Unit::DynamoDbWriteUnit, "none", 0.0),
        line(
            Unit::WebSocketMessage,
            "a post for each reading and viewer",
            shown,
        ),
        line(
            Unit::LambdaRequest,
            "readings / 100 from Kinesis, readings / 10 from SQS",
            written / KINESIS_BATCH + batches,
        ),
        line(
            Unit::LambdaGbSecond,
            "posts x 8 ms / 8 at once x 0.25 GB",
            shown * POST_S / POSTS_AT_ONCE * LAMBDA_GB,
        ),
    ];
    // Behind the routes the blog has a Lambda as we do: what that costs, both pay.
    for line in &mut lines {
        if matches!(line.unit, Unit::LambdaRequest | Unit::LambdaGbSecond) {
            line.blog += line.ours;
        }
    }
    lines
}

/// Dollars a month for what is the same in both.
fn shared(tally: &Tally, month: f64) -> f64 {
    let same = [
        Unit::KinesisPutPayloadUnit,
        Unit::KinesisShardHour,
        Unit::WebSocketMinute,
    ];
    same.into_iter()
        .map(|unit| price::month_usd(unit, tally.of(unit) * month))
        .sum()
}

fn written(line: &Line) -> Value {
    let (service, name) = line.unit.name();
    json!({
        "service": service,
        "unit": name,
        "blog_is": line.formula,
        "ours_month": line.ours,
        "blog_month": line.blog,
        "ours_usd": price::month_usd(line.unit, line.ours),
        "blog_usd": price::month_usd(line.unit, line.blog),
    })
}

/// How many times as much; nothing where there is nothing to divide by.
fn ratio(blog: f64, ours: f64) -> Option<f64> {
    (ours > 0.0).then(|| blog / ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::meter::Load;

    /// The middle load of the project's cost model: 1,000 readings a second, 50 viewers of 50
    /// devices each, a table of 50 rows. Ours is not asked here.
    #[test]
    fn the_blogs_month_is_what_its_formulas_say() {
        let tally = Tally {
            since_s: 10.0,
            counts: [(Unit::WebSocketMessage, 500.0)].into(),
            load: Load {
                readings_written: 10_000,
                single_write_units: 10_000,
                readings_shown: 25_000,
                table_read_units: 8.0,
            },
        };
        let report = report(&tally);
        let blog = |unit: &str| -> f64 {
            let lines = report["comparison"].as_array().unwrap();
            let line = lines.iter().find(|line| line["unit"] == unit).unwrap();
            line["blog_usd"].as_f64().unwrap()
        };
        for (unit, usd) in [
            ("write unit", 1314.0),
            ("request", 1261.44),
            ("read request unit", 262.8),
            // A thousand million at the first price, the rest at the second.
            ("message", 1000.0 + 5570.0 * 0.8),
        ] {
            assert!((blog(unit) - usd).abs() < 0.01, "{unit}: {}", blog(unit));
        }
        let ours = report["month_usd"]["ours"].as_f64().unwrap();
        assert!((ours - 131.4).abs() < 0.01, "{ours}");
        assert!(report["blog_to_ours"].as_f64().unwrap() > 50.0);
    }

    #[test]
    fn a_stand_that_did_nothing_yet_claims_nothing() {
        let report = report(&Tally::default());
        assert_eq!(report["blog_to_ours"], Value::Null);
        assert_eq!(report["units"], json!([]));
    }
}
