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

/// The dashboards.
const DASHBOARDS: [&str; 4] = ["fleet", "sinks", "screens", "cost"];

/// The text of a file of this repository.
fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Labels that the scrape and the exporter add.
const LABELS_OF_THE_SCRAPE: &[&str] = &["instance", "job", "le", "pod"];

/// What is wrong with a query: metrics there are not, labels that its metrics do not have.
fn offences(query: &str) -> Vec<String> {
    // A name with a colon is a rule's, which others look after.
    let words = || query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
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
    let grouped = ["by (", "on ("]
        .into_iter()
        .flat_map(|word| query.split(word).skip(1))
        .filter_map(|rest| rest.split(')').next());
    let selected = query
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .flat_map(|selector| {
            selector
                .split(',')
                .filter_map(|pair| pair.split(['=', '!']).next())
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
fn dashboards_ask_only_for_what_there_is() {
    for name in DASHBOARDS {
        let mut found = Vec::new();
        let dashboard = text(&format!("dashboards/{name}.json"));
        let dashboard = serde_json::from_str(&dashboard).expect("a dashboard is JSON");
        queries(&dashboard, &mut found);
        assert!(found.len() > 10, "{name}: the queries were not found");
        let offences: Vec<String> = found.iter().flat_map(|query| offences(query)).collect();
        assert!(offences.is_empty(), "{name}\n{}", offences.join("\n"));
    }
}

#[cfg(feature = "local")]
#[test]
fn the_dashboard_of_costs_has_the_prices_of_the_stand() {
    use tidewire::local::meter::price;
    use tidewire::model::bill::Unit;

    let dashboard: serde_json::Value =
        serde_json::from_str(&text("dashboards/cost.json")).expect("a dashboard is JSON");
    let variables = dashboard["templating"]["list"].as_array();
    let variables = variables.expect("it has variables");
    let priced = [
        ("usd_timestream_write", Unit::TimestreamWriteUnit, 1e6),
        ("usd_dynamodb_write", Unit::DynamoDbWriteUnit, 1e6),
        ("usd_dynamodb_read", Unit::DynamoDbReadUnit, 1e6),
        ("usd_sqs", Unit::SqsRequest, 1e6),
        ("usd_sqs_fifo", Unit::SqsFifoRequest, 1e6),
        ("usd_message", Unit::WebSocketMessage, 1e6),
        ("usd_minute", Unit::WebSocketMinute, 1e6),
        ("usd_shard_hour", Unit::KinesisShardHour, 1.0),
    ];
    for (name, unit, of) in priced {
        let variable = variables.iter().find(|variable| variable["name"] == name);
        let text = variable.and_then(|variable| variable["query"].as_str());
        let shown: f64 = text.expect(name).parse().expect(name);
        assert!((shown - price::usd(unit) * of).abs() < 1e-9, "{name}");
    }
    let as_of = dashboard["description"].as_str().expect("it has one");
    assert!(as_of.contains(price::AS_OF) && as_of.contains(price::REGION));
}

/// What stands after `key:` in the rules, a folded block made one line.
fn values(rules: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim_start().trim_start_matches("- ");
        let Some(value) = line.strip_prefix(key).and_then(|v| v.strip_prefix(": ")) else {
            continue;
        };
        let mut value = value.to_owned();
        if value == ">-" {
            value.clear();
            let deeper = |next: &&str| next.len() - next.trim_start().len() > indent;
            while let Some(next) = lines.next_if(deeper) {
                value += next.trim_start();
                value.push(' ');
            }
        }
        found.push(value);
    }
    found
}

#[test]
fn rules_ask_only_for_what_there_is() {
    let rules = text("deploy/prometheus/rules.yaml");
    let recorded = values(&rules, "record");
    let found = values(&rules, "expr");
    assert!(found.len() > 30, "the expressions were not found");
    // Labels of what is recorded are those of its name before the first colon.
    let known = |word: &str| !word.contains(':') || recorded.iter().any(|name| name == word);
    for query in &found {
        let offences = offences(&with_the_recorded(query, &rules));
        assert!(offences.is_empty(), "{}", offences.join("\n"));
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        for word in words {
            assert!(
                known(word),
                "no rule records `{word}`, asked for in {query}"
            );
        }
    }
}

/// A query with the expressions of the recorded names beside it, whose metrics' labels it may use.
fn with_the_recorded(query: &str, rules: &str) -> String {
    let mut all = query.to_owned();
    for (name, expr) in values(rules, "record").iter().zip(values(rules, "expr")) {
        if query.contains(name.as_str()) {
            all = format!("{all} + {expr}");
        }
    }
    all
}

/// Each alert has a section in the runbook, which it names, and each section an alert.
#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let rules = text("deploy/prometheus/rules.yaml");
    let alerts = values(&rules, "alert");
    assert!(alerts.len() > 20, "the alerts were not found");
    for key in ["for", "severity", "summary", "description"] {
        assert_eq!(
            values(&rules, key).len(),
            alerts.len(),
            "each alert has `{key}`"
        );
    }
    let places = alerts
        .iter()
        .map(|alert| format!("docs/runbook.md#{}", alert.to_lowercase()));
    assert_eq!(values(&rules, "runbook"), places.collect::<Vec<_>>());
    let runbook = text("docs/runbook.md");
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("### "));
    assert_eq!(sections.collect::<Vec<_>>(), alerts);
    for part in ["**Means.**", "**Look at.**", "**Do.**"] {
        assert_eq!(
            runbook.matches(part).count(),
            alerts.len(),
            "each section has {part}"
        );
    }
}

#[test]
fn a_query_for_what_there_is_not_is_convicted() {
    for bad in [
        "sum(rate(tidewire_shard_record_total[1m]))",
        "tidewire_read_seconds",
        "sum by (device) (tidewire_leases_held)",
        "tidewire_leases_held > on (device) group_left tidewire_workers_seen",
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

/// Every test that the table of promises names is there.
#[test]
fn the_tests_that_hold_promises_exist() {
    let page = text("docs/semantics.md");
    let (_, table) = page
        .split_once("## Which test holds what")
        .expect("the page has its table");
    let is_test = |word: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        word.matches('_').count() > 2 && word.chars().all(plain)
    };
    let named: Vec<&str> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_test)
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let mut sources = String::new();
    for directory in ["src", "tests"] {
        gather(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(directory),
            &mut sources,
        );
    }
    let missing = |name: &&&str| !sources.contains(&format!("fn {name}("));
    let missing: Vec<&&str> = named.iter().filter(missing).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// All Rust code below a directory.
fn gather(below: std::path::PathBuf, to: &mut String) {
    for entry in std::fs::read_dir(below).expect("the repository can be read") {
        let path = entry.expect("the repository can be read").path();
        if path.is_dir() {
            gather(path, to);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            to.push_str(&std::fs::read_to_string(path).expect("sources are text"));
        }
    }
}
