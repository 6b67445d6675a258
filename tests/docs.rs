//! Pages that are written from tables in the code are as those tables say.

use std::path::Path;

use tidewire::service::metric::{ALL, Kind};
use tidewire::service::settings::Settings;

/// Compares a page with what the code says, or, with `TIDEWIRE_BLESS` set, writes it.
fn compare(page: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("TIDEWIRE_BLESS").is_some() {
        std::fs::write(&path, expected).expect("the page can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let first_difference = written
        .lines()
        .zip(expected.lines())
        .position(|(written, expected)| written != expected)
        .unwrap_or_else(|| written.lines().count().min(expected.lines().count()));
    assert!(
        written == expected,
        "{page} differs from the code from line {}: write it anew with `TIDEWIRE_BLESS=1 cargo test --test docs`",
        first_difference + 1
    );
}

#[test]
fn the_page_of_settings_is_as_the_code_says() {
    let page = tidewire::service::settings::document::markdown();
    compare("docs/configuration.md", &page);
}

#[test]
fn the_page_of_metrics_is_as_the_code_says() {
    let page = tidewire::service::telemetry::document::markdown();
    compare("docs/metrics.md", &page);
}

/// Labels that the scrape and the exporter add.
const LABELS_OF_THE_SCRAPE: &[&str] = &["instance", "job", "le", "pod"];

/// What is wrong with a query: metrics there are not, labels that its metrics do not have.
fn offences(query: &str) -> Vec<String> {
    let words = || query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut offences = Vec::new();
    let mut labels = LABELS_OF_THE_SCRAPE.to_vec();
    for name in words().filter(|word| word.starts_with("tidewire_")) {
        let found = ALL.iter().find(|metric| match metric.kind {
            Kind::Histogram => name
                .strip_prefix(metric.name)
                .is_some_and(|part| matches!(part, "_bucket" | "_sum" | "_count")),
            Kind::Counter | Kind::Gauge => name == metric.name,
        });
        match found {
            Some(metric) => labels.extend(metric.labels),
            None => offences.push(format!("no metric `{name}` in {query}")),
        }
    }
    let grouped = query
        .split("by (")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let selected = query
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .flat_map(|selector| {
            selector
                .split(',')
                .filter_map(|pair| pair.split('=').next())
        });
    for label in grouped.flat_map(|labels| labels.split(',')).chain(selected) {
        if !labels.contains(&label.trim()) {
            offences.push(format!("no label `{}` in {query}", label.trim()));
        }
    }
    offences
}

/// All queries of a dashboard.
fn queries(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            if let Some(serde_json::Value::String(query)) = fields.get("expr") {
                found.push(query.clone());
            }
            fields.values().for_each(|value| queries(value, found));
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| queries(value, found));
        }
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_only_for_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/tidewire.json");
    let dashboard = std::fs::read_to_string(path).unwrap();
    let mut found = Vec::new();
    queries(&serde_json::from_str(&dashboard).unwrap(), &mut found);
    assert!(found.len() > 20, "the queries were not found");
    let offences: Vec<String> = found.iter().flat_map(|query| offences(query)).collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn a_query_for_what_there_is_not_is_convicted() {
    for bad in [
        "sum(rate(tidewire_shard_record_total[1m]))",
        "tidewire_read_seconds",
        "sum by (device) (tidewire_leases_held)",
        "tidewire_leases_known{colour=\"red\"}",
    ] {
        assert!(!offences(bad).is_empty(), "acquitted: {bad}");
    }
}

#[test]
fn the_deployed_settings_suffice_for_what_is_deployed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/tidewire.toml");
    let settings = Settings::load(Some(&path), |_| None).unwrap();
    settings.worker().unwrap();
    settings.broadcaster(|_| None).unwrap();
}
