//! What AWS bills for this process's calls, as a metric.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::metric;
use crate::model::bill::Unit;

/// What a process's own calls are billed by.
pub const UNITS: [Unit; 6] = [
    Unit::DynamoDbReadUnit,
    Unit::DynamoDbWriteUnit,
    Unit::SqsRequest,
    Unit::SqsFifoRequest,
    Unit::TimestreamWriteUnit,
    Unit::WebSocketMessage,
];

/// Counts units into [`metric::BILLED_UNITS`], whose series are there from now on. DynamoDB counts
/// halves; a counter shows whole units, so that what is missing is half a unit at most.
pub fn counter() -> Arc<dyn Fn(Unit, f64) + Send + Sync> {
    for unit in UNITS {
        series(unit).increment(0);
    }
    let sums = Mutex::new(BTreeMap::<Unit, f64>::new());
    Arc::new(move |unit, units| {
        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = sums.entry(unit).or_default();
        let before = whole(*sum);
        *sum += units.max(0.0);
        series(unit).increment(whole(*sum) - before);
    })
}

fn series(unit: Unit) -> metrics::Counter {
    let (service, unit) = unit.name();
    metrics::counter!(metric::BILLED_UNITS, "service" => service, "unit" => unit)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of what is not negative, below 2^53"
)]
fn whole(sum: f64) -> u64 {
    sum.floor() as u64
}
