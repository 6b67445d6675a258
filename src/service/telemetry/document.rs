//! `docs/metrics.md`, written from the table of metrics.

use std::fmt::Write as _;

use super::exporter;
use crate::service::metric::{ALL, Kind};

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            metric.name,
            labels.join(", "),
            metric.help
        )
        .expect("writing to a string cannot fail");
    }
    page += "\n## Buckets\n\n";
    for metric in ALL.iter().filter(|metric| metric.kind == Kind::Histogram) {
        let bounds: Vec<String> = exporter::buckets(metric)
            .iter()
            .map(f64::to_string)
            .collect();
        writeln!(page, "- `{}`: {}", metric.name, bounds.join(", "))
            .expect("writing to a string cannot fail");
    }
    page
}

const HEAD: &str = "\
# Metrics

This page is written by the program from its own table of metrics (`tests/docs.rs` compares it, and
`TIDEWIRE_BLESS=1 cargo test --test docs` writes it anew).

Every process answers `GET /metrics` on `http.listen` in Prometheus's text format. Units are in the names; all are base units. Devices
and connections are never labels, since their number has no bound, and shards are labels of gauges and counters only. Which process it
is, the scrape's own labels say (`instance`, `pod`). A gauge of a shard disappears five minutes after its lease went elsewhere; a counter
stays until the process ends.

| metric | kind | labels | meaning |
|---|---|---|---|
";
