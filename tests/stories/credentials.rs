//! Credentials that run out while a worker works, as those of a task's or a pod's role do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use axum::Router;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use crate::run::Scratch;
use crate::support::{Process, Stand, eventually, now_ms, readings};

/// How long one set lasts: the SDK asks for the next some seconds before its end.
const LASTS_S: i64 = 12;

/// Renewals to see.
const RENEWED: u32 = 2;

/// A role's credentials as ECS gives them out, and how often they were asked for.
async fn role() -> (String, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let credentials = move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let ends = DateTime::from_secs(now_ms() / 1000 + LASTS_S);
        let ends = ends.fmt(DateTimeFormat::DateTime);
        let body = json!({
            "AccessKeyId": format!("key-{number}"),
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": ends.expect("a time of this century"),
        });
        std::future::ready(axum::Json(body))
    };
    let router = Router::new().route("/role", get(credentials));
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    tokio::spawn(async move {
        let served = axum::serve(listener, router).await;
        served.expect("it serves until the test ends");
    });
    (format!("http://{address}/role"), asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_run_out_are_renewed_and_nothing_is_lost() {
    let stand = Stand::start(&["--shards", "2", "--workers", "0"]).await;
    let scratch = Scratch::new("credentials");
    let config = std::fs::read_to_string(stand.text("config")).expect("the stand's config");
    let without = |line: &&str| !line.contains("access_key");
    let config: Vec<&str> = config.lines().filter(without).collect();
    let config = scratch.write("role.toml", &config.join("\n"));
    let (url, asked) = role().await;
    let env = [
        ("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    let mut worker = Process::spawn(&["worker", "--config", &config], &env);
    let mut put = 0_u32;
    eventually("the credentials are renewed", || {
        let some = readings(4, 20, now_ms() + i64::from(put));
        put += 20;
        let (stand, asked) = (&stand, &asked);
        async move {
            stand.put(some).await;
            (asked.load(Ordering::SeqCst) > RENEWED).then_some(())
        }
    })
    .await;
    eventually("every reading is a row", || async {
        (stand.rows().await == u64::from(put)).then_some(())
    })
    .await;
    worker.terminate();
    assert_eq!(worker.exit_code().await, Some(0));
    assert_eq!(worker.log.complaints(&[]), Vec::<String>::new());
    stand.end().await;
}
