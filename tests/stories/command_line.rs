//! What a person reads when something is not as it should be: one sentence with the remedy, and an
//! exit code that scripts can tell apart (64: the settings; 1: what they point at).

use axum::http::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;

use crate::run::{Ended, Scratch, run};
use crate::support::{Stand, eventually, now_ms, readings};

/// A port of this machine on which nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

/// Runs a subcommand on a stand, with some settings changed by variables.
async fn on(stand: &Stand, subcommand: &str, env: &[(&str, &str)]) -> Ended {
    let mut all = vec![("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0")];
    all.extend_from_slice(env);
    run(&["--config", stand.text("config"), subcommand], &all, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_config_is_told_whole_with_lines_and_remedies() {
    let scratch = Scratch::new("bad-config");
    let config = scratch.write(
        "bad.toml",
        r#"[source]
strem = "readings"
poll_interval_ms = 50

[decode]
time_field = "ts"

[dead_letters]
queue_url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"
"#,
    );
    for subcommand in ["worker", "broadcaster", "gateway", "health"] {
        let ended = run(&["--config", &config, subcommand], &[], "").await;
        ended.expect(
            64,
            &[
                "4 problems with the settings",
                "bad.toml:2: unknown key `source.strem`: did you mean `source.stream`?",
                "bad.toml:3: `source.poll_interval_ms` is `50`: expected a whole number from 200",
                "bad.toml:6: `decode.time_field`: needs its unit",
                "bad.toml:8: unknown section `[dead_letters]`: did you mean `[dead_letter]`?",
            ],
        );
    }
    let broken = scratch.write("broken.toml", "[source\nstream = 1\n");
    let ended = run(&["worker", "--config", &broken], &[], "").await;
    ended.expect(64, &["broken.toml:1"]);
    let ended = run(&["worker", "--config", &scratch.path("none.toml")], &[], "").await;
    ended.expect(64, &["none.toml: cannot be read", "--config"]);
    let ended = run(&["worker"], &[("TIDEWIRE_SOURCE__STREM", "x")], "").await;
    ended.expect(
        64,
        &["TIDEWIRE_SOURCE__STREM", "did you mean `source.stream`?"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_config_at_all_is_told_with_what_to_set() {
    let scratch = Scratch::new("no-config");
    let state = scratch.path("");
    let env = [("XDG_STATE_HOME", state.as_str())];
    run(&["worker"], &env, "").await.expect(
        64,
        &[
            "4 problems",
            "TIDEWIRE_SOURCE__STREAM",
            "TIDEWIRE_DEAD_LETTER__QUEUE_URL",
            "TIDEWIRE_TIMESTREAM__DATABASE",
            "TIDEWIRE_TIMESTREAM__TABLE",
        ],
    );
    run(&["broadcaster"], &env, "").await.expect(
        64,
        &[
            "TIDEWIRE_QUEUE__URLS",
            "TIDEWIRE_CONNECTIONS__TABLE",
            "TIDEWIRE_AWS__ENDPOINT_MANAGEMENT",
        ],
    );
    let ended = run(&["gateway"], &env, "").await;
    ended.expect(64, &["TIDEWIRE_CONNECTIONS__TABLE", "gateway.hs256_secret"]);
    let ended = run(&["feed", "readings.ndjson"], &env, "").await;
    ended.expect(64, &["tidewire local", "--config FILE", "--stream NAME"]);
    let ended = run(&["health", "--url", NOBODY], &env, "").await;
    ended.expect(1, &["127.0.0.1:1", "is tidewire running there?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_with_what_makes_it() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let nope = format!("{}/000000000000/nope", stand.text("sqs"));
    let ended = on(&stand, "worker", &[("TIDEWIRE_SOURCE__STREAM", "nope")]).await;
    ended.expect(
        1,
        &["no stream `nope`", "aws kinesis create-stream", "Terraform"],
    );
    let lease = [
        ("TIDEWIRE_LEASE__TABLE", "nope"),
        ("TIDEWIRE_LEASE__CREATE", "false"),
    ];
    on(&stand, "worker", &lease).await.expect(
        1,
        &[
            "lease table `nope` does not exist",
            "aws dynamodb create-table",
            "lease.create = true",
            "Terraform",
        ],
    );
    let ended = on(&stand, "worker", &[("TIDEWIRE_QUEUE__URLS", &nope)]).await;
    ended.expect(1, &["no queue `nope`", "aws sqs create-queue"]);
    let dead = [("TIDEWIRE_DEAD_LETTER__QUEUE_URL", nope.as_str())];
    let ended = on(&stand, "worker", &dead).await;
    ended.expect(1, &["no dead-letter queue `nope`", "aws sqs create-queue"]);
    let ended = on(&stand, "worker", &[("TIDEWIRE_TIMESTREAM__TABLE", "nope")]).await;
    ended.expect(1, &["Timestream table `local`.`nope`", "create-table"]);
    let connections = [
        ("TIDEWIRE_CONNECTIONS__TABLE", "nope"),
        ("TIDEWIRE_CONNECTIONS__CREATE", "false"),
    ];
    let ended = on(&stand, "broadcaster", &connections).await;
    ended.expect(1, &["no connection table `nope`", "connections.create"]);
    let queue = [("TIDEWIRE_QUEUE__URLS", nope.as_str())];
    let ended = on(&stand, "broadcaster", &queue).await;
    ended.expect(1, &["no queue `nope`", "aws sqs create-queue"]);
    let stranger = [("TIDEWIRE_BROADCASTER__QUEUE_URL", nope.as_str())];
    let ended = on(&stand, "broadcaster", &stranger).await;
    ended.expect(64, &["`broadcaster.queue_url` is none of `queue.urls`"]);

    let scratch = Scratch::new("missing");
    let file = scratch.write("one.ndjson", r#"{"device_id":"d","ts":1,"value":1}"#);
    let config = stand.text("config");
    let args = ["feed", &file, "--config", config, "--stream", "nope"];
    let ended = run(&args, &[], "").await;
    ended.expect(1, &["no stream `nope`", "aws kinesis create-stream"]);
    let ended = run(
        &["feed", &scratch.path("none"), "--config", config],
        &[],
        "",
    )
    .await;
    ended.expect(1, &["cannot read", "none"]);
    stand.end().await;
}

/// The variables that point each of a worker's services somewhere else, and the service's name.
const ENDPOINTS: [(&str, &str, &str); 4] = [
    (
        "TIDEWIRE_AWS__ENDPOINT_KINESIS",
        "Kinesis",
        "aws.endpoint_kinesis",
    ),
    (
        "TIDEWIRE_AWS__ENDPOINT_DYNAMODB",
        "DynamoDB",
        "aws.endpoint_dynamodb",
    ),
    ("TIDEWIRE_AWS__ENDPOINT_SQS", "SQS", "aws.endpoint_sqs"),
    (
        "TIDEWIRE_AWS__ENDPOINT_TIMESTREAM",
        "Timestream",
        "aws.endpoint_timestream",
    ),
];

/// A server that refuses every caller with this error.
async fn refusing(code: &'static str) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let body = json!({ "__type": code, "message": "The security token is invalid." }).to_string();
    let router = axum::Router::new().fallback(move || {
        let body = body.clone();
        async move { (StatusCode::BAD_REQUEST, [("x-amzn-errortype", code)], body) }
    });
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    let serving = tokio::spawn(async move {
        let _until_aborted = axum::serve(listener, router).await;
    });
    (format!("http://{address}"), serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_out_of_reach_or_that_refuses_the_keys_is_named() {
    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    let (unknown, unknown_server) = refusing("UnrecognizedClientException").await;
    let (denied, denied_server) = refusing("AccessDeniedException").await;
    for (variable, service, setting) in ENDPOINTS {
        let ended = on(&stand, "worker", &[(variable, NOBODY)]).await;
        ended.expect(1, &[service, "cannot be reached", NOBODY, setting]);
        let ended = on(&stand, "worker", &[(variable, &unknown)]).await;
        ended.expect(
            1,
            &[
                service,
                "does not accept the credentials",
                "AWS_ACCESS_KEY_ID",
            ],
        );
        if service == "SQS" {
            // A worker may not be allowed to ask about queues: sending is all it must be.
            continue;
        }
        let ended = on(&stand, "worker", &[(variable, &denied)]).await;
        ended.expect(1, &["not allowed to call", "permission"]);
        assert_eq!(ended.sentence().lines().count(), 1, "{ended:?}");
    }
    unknown_server.abort();
    denied_server.abort();
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_another_way() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let port = taken.local_addr().expect("an address").port().to_string();
    let ended = run(&["local", "--port-base", &port], &[], "").await;
    ended.expect(1, &["is taken", &port, "--port-base"]);
    let ended = run(&["local", "--port-base", "65530"], &[], "").await;
    ended.expect(1, &["--port-base 65530", "choose a lower one"]);

    let stand = Stand::start(&["--shards", "1", "--workers", "0"]).await;
    for subcommand in ["worker", "broadcaster"] {
        let env = [("TIDEWIRE_HTTP__LISTEN", address.as_str())];
        let ended = on(&stand, subcommand, &env).await;
        ended.expect(1, &["cannot listen on", &address, "TIDEWIRE_HTTP__LISTEN"]);
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stand_ends_by_either_signal_and_leaves_nothing_behind() {
    for signal in ["-TERM", "-INT"] {
        let scratch = Scratch::new(&format!("end{signal}"));
        let state = scratch.path("");
        let env = [("XDG_STATE_HOME", state.as_str())];
        let mut stand = Stand::start_with(&[], &env).await;
        assert!(std::path::Path::new(stand.text("config")).exists());
        stand.put(readings(5, 50, now_ms())).await;
        eventually("rows", || async { (stand.rows().await > 0).then_some(()) }).await;
        stand.process.signal(signal);
        let code = stand.process.exit_code().await;
        let log = stand.process.log.lines().join("\n");
        assert_eq!(code, Some(0), "{signal}: {log}");
        assert_eq!(scratch.files("tidewire"), Vec::<String>::new());
        assert_eq!(stand.process.log.complaints(&[]), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_stand_that_cannot_drain() {
    let scratch = Scratch::new("forced");
    let state = scratch.path("");
    let env = [("XDG_STATE_HOME", state.as_str())];
    let mut stand = Stand::start_with(&["--shards", "1"], &env).await;
    // A sink that is down keeps what was read in flight, and so the drain from ending.
    stand.fault("timestream", json!([{ "kind": "down" }])).await;
    stand.put(readings(1, 10, now_ms())).await;
    eventually("a refused write", || async {
        (stand.calls("timestream", "WriteRecords").await > 0).then_some(())
    })
    .await;
    stand.process.signal("-INT");
    let log = stand.process.log.clone();
    eventually("draining", || async {
        let lines = log.lines().join("\n");
        lines.contains("asked to end: draining").then_some(())
    })
    .await;
    stand.process.signal("-INT");
    let code = stand.process.exit_code().await;
    assert_eq!(code, Some(130), "{}", log.lines().join("\n"));
    let said = log.lines().join("\n");
    assert!(said.contains("tidewire: ended at once"), "{said}");
    assert_eq!(scratch.files("tidewire"), Vec::<String>::new());
}
