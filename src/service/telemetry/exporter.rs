//! The recorder behind every metric, rendered for Prometheus.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

use super::build;
use crate::service::metric::{self, Kind, Metric};

/// Histograms gather samples that only this moves into their buckets: without it they grow.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// A gauge that nobody set for so long is dropped: that of a shard whose lease went elsewhere.
/// Every other gauge must be set more often than this (see [`crate::service::http::Probes`]).
pub const GAUGE_IDLE_MAX: Duration = Duration::from_secs(300);

/// From a call on loopback to one at its timeout.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Readings a request: Timestream takes 100, a packed message some hundreds.
const READINGS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 99.0, 100.0, 250.0, 500.0,
];

/// A frame's bytes; API Gateway bills by 32 KB.
const BYTES: &[f64] = &[
    256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0, 16_384.0, 32_768.0,
];

/// Installs the recorder, once; later calls answer with the same handle, so that several services
/// of one process share it.
///
/// # Errors
/// Another recorder is installed.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let handle = builder()?.install_recorder()?;
    describe();
    *installed = Some(handle.clone());
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder =
        PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(GAUGE_IDLE_MAX));
    for metric in metric::ALL
        .iter()
        .filter(|metric| metric.kind == Kind::Histogram)
    {
        let matcher = Matcher::Full(metric.name.to_owned());
        builder = builder.set_buckets_for_metric(matcher, buckets(metric))?;
    }
    Ok(builder)
}

/// A histogram's buckets, by the unit in its name.
#[must_use]
pub fn buckets(metric: &Metric) -> &'static [f64] {
    match unit(metric) {
        Some(Unit::Seconds) => SECONDS,
        Some(Unit::Bytes) => BYTES,
        _ => READINGS,
    }
}

fn unit(metric: &Metric) -> Option<Unit> {
    let name = metric.name.trim_end_matches("_total");
    if name.ends_with("_seconds") {
        Some(Unit::Seconds)
    } else if name.ends_with("_bytes") {
        Some(Unit::Bytes)
    } else {
        None
    }
}

fn describe() {
    for metric in metric::ALL {
        let unit = unit(metric).unwrap_or(Unit::Count);
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

/// Sets what never changes; repeated with every upkeep so that it is not dropped as idle.
pub(crate) fn identify() {
    let (version, commit) = (build::VERSION, build::COMMIT);
    metrics::gauge!(metric::BUILD_INFO, "version" => version, "commit" => commit).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_buckets_and_help_and_never_quantiles() {
        let handle = install().unwrap();
        install().expect("a second call shares the recorder");
        identify();
        for metric in metric::ALL.iter().filter(|m| m.kind == Kind::Histogram) {
            metrics::histogram!(metric.name, "sink" => "test").record(0.004);
        }
        handle.run_upkeep();
        let page = handle.render();
        for metric in metric::ALL.iter().filter(|m| m.kind == Kind::Histogram) {
            let bucket = format!("{}_bucket{{sink=\"test\",le=", metric.name);
            assert!(page.contains(&bucket), "{bucket} in {page}");
            let help = format!("# HELP {} {}", metric.name, metric.help);
            assert!(page.contains(&help), "{help} in {page}");
        }
        assert!(!page.contains("quantile="), "{page}");
        assert!(page.contains("tidewire_build_info{version=\""), "{page}");
    }
}
