//! Settings: what is read, what wins, and that everything wrong is said at once.

#[path = "settings/sinks.rs"]
mod sinks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidewire::service::settings::{
    DeviceIdFrom, FieldType, InitialPosition, Listen, MeasureName, Place, Problems, QueueFormat,
    SECTIONS, Settings, Streams,
};

/// A file of its own for each test, gone with it.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> Self {
        let name = format!("tidewire-settings-{}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("the temporary directory takes files");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _unless_it_is_gone = std::fs::remove_file(&self.0);
    }
}

fn load(path: Option<&Path>, env: &[(&str, &str)]) -> Result<Settings, Problems> {
    let env: BTreeMap<String, String> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::load_named(path, |name| env.get(name).cloned(), env.keys().cloned())
}

fn load_text(test: &str, text: &str) -> Result<Settings, String> {
    let file = File::new(test, text);
    let shown = |problems: Problems| {
        let name = file.0.display().to_string();
        problems.to_string().replace(&name, "tidewire.toml")
    };
    load(Some(&file.0), &[]).map_err(shown)
}

const FULL: &str = r#"
[source]
stream = "telemetry"
initial_position = "AT_TIMESTAMP"
initial_timestamp = 2026-03-01T12:00:00Z
batch_size = 1_000

[decode]
device_id = "field:id"
time_field = "ts"
time_unit = "ms"
dimensions = ["site", "room"]
types = { count = "int", label = "string" }

[timestream]
database = "iot"
table = "readings"
measure_name = "field:kind"

[queue]
urls = ["https://sqs.eu-central-1.amazonaws.com/123456789012/live"]
format = "single"

[dead_letter]
queue_url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"

[pipeline]
budget_bytes = "64MiB"

[connections]
table = "connections"

[gateway]
hs256_secret = "0123456789abcdef0123456789abcdef"

[aws]
endpoint_management = "https://abc.execute-api.eu-central-1.amazonaws.com/prod"
"#;

#[test]
fn every_default_is_a_value_its_key_accepts() {
    let settings = load(None, &[]).unwrap();
    assert_eq!(settings.lease.duration_ms, 10_000);
    assert_eq!(settings.lease.renew_every_ms, 3_300);
    assert_eq!(
        settings.source.initial_position,
        InitialPosition::TrimHorizon
    );
    assert_eq!(
        settings.http.listen,
        Listen("0.0.0.0:9090".parse().unwrap())
    );
    for section in SECTIONS {
        for key in section.keys {
            let Some(default) = key.default else { continue };
            let name = format!("TIDEWIRE_{}__{}", section.name, key.name).to_uppercase();
            let given = load(None, &[(&name, default)]);
            assert_eq!(given.as_ref(), Ok(&settings), "{name}={default}");
        }
    }
}

#[test]
fn a_full_file_is_read() {
    let settings = load_text("full", FULL).unwrap();
    let initial = settings.source.initial_timestamp.unwrap();
    assert_eq!(initial.0, 1_772_366_400_000);
    assert_eq!(
        settings.decode.device_id,
        DeviceIdFrom::Field("id".to_owned())
    );
    assert_eq!(settings.decode.dimensions, ["site", "room"]);
    assert_eq!(settings.decode.types["count"], FieldType::Int);
    assert_eq!(
        settings.timestream.measure_name,
        MeasureName::Field("kind".to_owned())
    );
    assert_eq!(settings.queue.format, QueueFormat::Single);
    assert_eq!(settings.pipeline.budget_bytes.0, 64 << 20);

    let worker = settings.worker().unwrap();
    assert_eq!(worker.streams, Streams::One("telemetry".to_owned()));
    assert_eq!(worker.timestream.unwrap().database, "iot");
    let broadcaster = settings.broadcaster(|_| None).unwrap();
    let first = (0, settings.queue.urls[0].clone());
    assert_eq!(
        (broadcaster.queues, broadcaster.queues_of),
        (vec![first], 1)
    );
    assert_eq!(settings.gateway().unwrap().connections_table, "connections");
}

#[test]
fn a_variable_wins_over_the_file_and_an_empty_one_does_not() {
    let file = File::new("wins", FULL);
    let env = [
        ("TIDEWIRE_SOURCE__STREAM", "other"),
        ("TIDEWIRE_SOURCE__BATCH_SIZE", "17"),
        ("TIDEWIRE_DECODE__DIMENSIONS", "a, b"),
        ("TIDEWIRE_DECODE__TYPES", "x=int, y=string"),
        ("TIDEWIRE_LEASE__CREATE", "true"),
        ("TIDEWIRE_TIMESTREAM__TABLE", ""),
        ("TIDEWIRE_PORT_9090_TCP", "tcp://10.0.0.1:9090"),
    ];
    let settings = load(Some(&file.0), &env).unwrap();
    assert_eq!(settings.source.stream.as_deref(), Some("other"));
    assert_eq!(settings.source.batch_size, 17);
    assert_eq!(settings.decode.dimensions, ["a", "b"]);
    assert_eq!(settings.decode.types["y"], FieldType::Text);
    assert!(settings.lease.create);
    assert_eq!(settings.timestream.table.as_deref(), Some("readings"));
}

#[test]
fn everything_wrong_is_said_at_once_with_its_line_and_its_remedy() {
    let problems = load_text(
        "wrong",
        r#"stream = "telemetry"
[source]
strem = "telemetry"
poll_interval_ms = 50
mode = "efo"
initial_position = "yesterday"
[sorce]
x = 1
[lease]
duration_ms = "10s"
fleet = "mixed"
scan_every_ms = 20000
[decode]
time_field = "ts"
types = { count = "number" }
colour = "red"
[queue]
urls = ["sqs.example/live"]
[pipeline]
budget_bytes = "64 parsecs"
"#,
    );
    insta::assert_snapshot!(problems.unwrap_err());
}

#[test]
fn bad_variables_are_named() {
    let env = [
        ("TIDEWIRE_SOURCE__POLL_INTERVAL_MS", "fast"),
        ("TIDEWIRE_SOURCE__STREEM", "x"),
        ("TIDEWIRE_LEASES__TABLE", "x"),
        ("TIDEWIRE_QUEUE__URLS", "https://sqs.example/q.fifo"),
        ("TIDEWIRE_LEASE__DURATION_MS", "5000"),
    ];
    insta::assert_snapshot!(load(None, &env).unwrap_err());
}

#[test]
fn letters_go_to_a_standard_queue() {
    let env = [(
        "TIDEWIRE_DEAD_LETTER__QUEUE_URL",
        "https://sqs.example/letters.fifo",
    )];
    let refused = load(None, &env).unwrap_err().to_string();
    assert!(refused.contains("use a standard queue"), "{refused}");
}

#[test]
fn a_consumer_has_a_name_that_aws_takes() {
    let long = "x".repeat(129);
    let mode = ("TIDEWIRE_SOURCE__MODE", "fan-out");
    for (env, words) in [
        (
            [mode, ("TIDEWIRE_SOURCE__CONSUMER", "my fleet")],
            "letters, digits",
        ),
        ([mode, ("TIDEWIRE_SOURCE__CONSUMER", &long)], "1 to 128"),
        (
            [mode, ("TIDEWIRE_LEASE__TABLE", &long)],
            "set `source.consumer`",
        ),
    ] {
        let refused = load(None, &env).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    for env in [
        [mode, mode],
        [mode, ("TIDEWIRE_SOURCE__CONSUMER", "a.b_c-9")],
    ] {
        load(None, &env).unwrap();
    }
}

#[test]
fn every_syntax_error_is_said_and_none_shows_its_line() {
    let problems = load_text(
        "syntax",
        "[gateway]\nhs256_secret = hunter2hunter2\n[source\nstream = \"x\"\n[http]\nlisten = 1\n",
    )
    .unwrap_err();
    assert!(problems.contains("tidewire.toml:2: not TOML"), "{problems}");
    assert!(problems.contains("tidewire.toml:3: not TOML"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn a_secret_is_never_shown() {
    let settings = load_text("secret", FULL).unwrap();
    let shown = format!("{settings:?}");
    assert!(shown.contains("***"));
    assert!(!shown.contains("0123456789abcdef"));
    assert_eq!(settings.gateway.hs256_secret.unwrap().to_string(), "***");

    let short = load(None, &[("TIDEWIRE_GATEWAY__HS256_SECRET", "hunter2")]);
    let short = short.unwrap_err().to_string();
    assert!(
        short.contains("TIDEWIRE_GATEWAY__HS256_SECRET: "),
        "{short}"
    );
    assert!(!short.contains("hunter2"), "{short}");

    let typed = load_text("typed", "[gateway]\nhs256_secret = [\"hunter2\"]\n").unwrap_err();
    assert!(typed.contains("gateway.hs256_secret"), "{typed}");
    assert!(!typed.contains("hunter2"), "{typed}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown_either() {
    let instead = [("TIDEWIRE_GATEWAY__HS256_SECRET_FILE", "hunter2/hunter2")];
    let problems = load(None, &instead).unwrap_err().to_string();
    assert!(problems.contains("cannot be read"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");

    for broken in [
        "[gateway]\nhs256_secret = \"abc\nhunter2\"\n",
        "[gateway]\nhs256_secret =\nhunter2\n",
        "[gateway]\nhs256_secret = \"\"\"abc\n\"\"\" hunter2\n",
    ] {
        let problems = load_text("broken", broken).unwrap_err();
        assert!(!problems.contains("hunter2"), "{problems}");
    }
    let url = [("TIDEWIRE_AWS__ENDPOINT_SQS", "http://me:hunter2@host")];
    let problems = load(None, &url).unwrap_err().to_string();
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn a_secret_can_stand_in_a_file_of_its_own() {
    let secret = "fedcba9876543210fedcba9876543210";
    let file = File::new("secret-file", &format!("{secret}\n"));
    let path = file.0.to_str().unwrap();
    let by_file = [("TIDEWIRE_GATEWAY__HS256_SECRET_FILE", path)];
    let settings = load(None, &by_file).unwrap();
    assert_eq!(settings.gateway.hs256_secret.unwrap().reveal(), secret);

    let both = [by_file[0], ("TIDEWIRE_GATEWAY__HS256_SECRET", secret)];
    let problems = load(None, &both).unwrap_err().to_string();
    assert!(problems.contains("keep one"), "{problems}");

    let nowhere = [("TIDEWIRE_GATEWAY__HS256_SECRET_FILE", "/nowhere/secret")];
    let problems = load(None, &nowhere).unwrap_err().to_string();
    assert!(problems.contains("/nowhere/secret"), "{problems}");
}

#[test]
fn a_file_that_is_not_there_is_one_clear_problem() {
    let path = Path::new("/nowhere/tidewire.toml");
    let problems = load(Some(path), &[]).unwrap_err();
    let first = problems.iter().next().unwrap();
    assert_eq!(
        first.place,
        Place::File("/nowhere/tidewire.toml".to_owned())
    );
    assert!(first.what.contains("--config"));
}

#[test]
fn what_the_rules_of_leases_accept_the_keeper_of_leases_accepts() {
    let durations = [1_000, 6_600, 10_000, 20_000, 600_000];
    for duration in durations {
        let loaded = |renew: u64| {
            let (duration, renew) = (duration.to_string(), renew.to_string());
            load(
                None,
                &[
                    ("TIDEWIRE_LEASE__DURATION_MS", &duration),
                    ("TIDEWIRE_LEASE__RENEW_EVERY_MS", &renew),
                ],
            )
        };
        let margin = 500.max(duration / 20);
        let most = (duration - margin) / 2;
        let settings = loaded(most).unwrap();
        let problems = tidewire::cli::options::leases(&settings).problems();
        assert!(problems.is_empty(), "{problems:?}");
        let refused = loaded(most + 1).unwrap_err().to_string();
        assert!(refused.contains("`lease.renew_every_ms`"), "{refused}");
    }
}

#[test]
fn each_subcommand_says_all_it_lacks() {
    let settings = load(None, &[]).unwrap();
    let worker = settings.worker().unwrap_err().to_string();
    for needed in [
        "`source.stream`",
        "`dead_letter.queue_url`",
        "`timestream.table`",
        "TIDEWIRE_SOURCE__STREAM",
    ] {
        assert!(worker.contains(needed), "{needed} in {worker}");
    }
    let broadcaster = settings.broadcaster(|_| None).unwrap_err().to_string();
    for needed in [
        "`queue.urls`",
        "`connections.table`",
        "`aws.endpoint_management`",
    ] {
        assert!(broadcaster.contains(needed), "{needed} in {broadcaster}");
    }
    let empty = |_: &str| Some(String::new());
    let broadcaster = settings.broadcaster(empty).unwrap_err().to_string();
    assert!(broadcaster.contains("endpoint_management"), "{broadcaster}");
    let by_aws = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "http://x".to_owned());
    let broadcaster = settings.broadcaster(by_aws).unwrap_err().to_string();
    assert!(
        !broadcaster.contains("endpoint_management"),
        "{broadcaster}"
    );
    let gateway = settings.gateway().unwrap_err().to_string();
    for needed in ["`connections.table`", "no way to check tokens"] {
        assert!(gateway.contains(needed), "{needed} in {gateway}");
    }
    let streams = settings.streams().unwrap_err().to_string();
    assert!(streams.contains("`source.stream`"), "{streams}");
}

#[test]
fn several_streams_are_a_list_and_not_beside_the_one() {
    let env = [(
        "TIDEWIRE_SOURCE__STREAMS",
        "a,arn:aws:kinesis:eu-west-1:1:stream/b",
    )];
    let both = ["a", "arn:aws:kinesis:eu-west-1:1:stream/b"].map(str::to_owned);
    let streams = load(None, &env).unwrap().streams().unwrap();
    assert_eq!(streams, Streams::Several(both.to_vec()));
    let env = [env[0], ("TIDEWIRE_SOURCE__STREAM", "c")];
    let clash = load(None, &env).unwrap_err().to_string();
    assert!(
        clash.contains("name one stream there, or several here"),
        "{clash}"
    );
}
