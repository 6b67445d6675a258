//! A stand and workers as child processes, and the means to look at what they did.

use std::future::Future;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::http::http;
use crate::viewer::Viewer;

/// Nothing in a story takes longer, on a machine that is busy with others.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A program of ours, running.
pub(crate) struct Process {
    child: Child,
    pub(crate) log: Log,
    reader: tokio::task::JoinHandle<()>,
}

/// What a program wrote to standard error so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no test panics with it").clone()
    }

    /// Lines of level WARN and ERROR, but for those that hold one of `expected`.
    pub(crate) fn complaints(&self, expected: &[&str]) -> Vec<String> {
        let loud = |line: &String| line.contains("WARN") || line.contains("ERROR");
        let known = |line: &String| expected.iter().any(|text| line.contains(text));
        self.lines()
            .into_iter()
            .filter(|line| loud(line) && !known(line))
            .collect()
    }
}

impl Process {
    pub(crate) fn spawn(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewire"))
            .args(args)
            .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary under test starts");
        let log = Log::default();
        let stderr = child.stderr.take().expect("standard error is piped");
        let lines = log.clone();
        #[expect(clippy::disallowed_methods, reason = "a test's own reader")]
        let reader = tokio::spawn(async move {
            let mut reader = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.0.lock().expect("no test panics with it").push(line);
            }
        });
        Self { child, log, reader }
    }

    pub(crate) fn kill_9(&mut self) {
        self.child
            .start_kill()
            .expect("the process is there to be killed");
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal, named as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the process is running").to_string();
        let status = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(status.expect("there is a kill command").success());
    }

    /// What the process says it believes, from its own HTTP server.
    pub(crate) async fn state(&self) -> Value {
        let address = eventually("the address of the HTTP server", || async {
            let lines = self.log.lines();
            let said = |line: &&String| line.contains("health and state are served");
            let line: Value = serde_json::from_str(lines.iter().find(said)?).ok()?;
            line["address"].as_str().map(str::to_owned)
        })
        .await;
        state_of(&format!("http://{address}")).await
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        // What it said last is in the log only once all of it was read.
        let read = tokio::time::timeout(DEADLINE, &mut self.reader).await;
        assert!(read.is_ok(), "its standard error ends with it");
        status
            .expect("the process ends in time")
            .expect("its status can be read")
            .code()
    }
}

/// When a story fails, what each of its programs said tells why.
impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let pid = self.child.id();
            eprintln!("log of process {pid:?}:\n{}", self.log.lines().join("\n"));
        }
    }
}

/// A local stand.
pub(crate) struct Stand {
    pub(crate) process: Process,
    pub(crate) card: Value,
    kinesis: aws_sdk_kinesis::Client,
}

impl Stand {
    /// Starts `tidewire local`, without devices of its own unless it is told otherwise.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[]).await
    }

    /// The same with these variables in its environment.
    pub(crate) async fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let fixed: &[&str] = &["local", "--json", "--port-base", "0"];
        let silent: &[&str] = &["--devices", "0"];
        let none = if args.contains(&"--devices") {
            &[]
        } else {
            silent
        };
        let all: Vec<&str> = [fixed, none, args].concat();
        let mut process = Process::spawn(&all, env);
        let stdout = process
            .child
            .stdout
            .take()
            .expect("standard output is piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = tokio::time::timeout(DEADLINE, stdout.read_line(&mut line)).await;
        let log = process.log.lines().join("\n");
        assert!(
            matches!(read, Ok(Ok(n)) if n > 0),
            "the stand says where it is; its log:\n{log}"
        );
        let card: Value = serde_json::from_str(&line).expect("the card is JSON");
        Self {
            process,
            kinesis: kinesis(&card),
            card,
        }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.card[key]
            .as_str()
            .unwrap_or_else(|| panic!("the card has {key}"))
    }

    /// A worker process of its own on this stand.
    pub(crate) fn worker(&self, env: &[(&str, &str)]) -> Process {
        let mut all = vec![("TIDEWIRE_HTTP__LISTEN", "127.0.0.1:0")];
        all.extend_from_slice(env);
        Process::spawn(&["worker", "--config", self.text("config")], &all)
    }

    pub(crate) fn kinesis(&self) -> aws_sdk_kinesis::Client {
        self.kinesis.clone()
    }

    /// Puts payloads on the stream, each under its own partition key, until all are taken.
    pub(crate) async fn put(&self, records: impl IntoIterator<Item = (String, String)>) {
        self.put_by(&self.kinesis(), records).await;
    }

    /// The same by a client that puts often.
    pub(crate) async fn put_by(
        &self,
        client: &aws_sdk_kinesis::Client,
        records: impl IntoIterator<Item = (String, String)>,
    ) {
        let mut waiting: Vec<(String, String)> = records.into_iter().collect();
        while !waiting.is_empty() {
            let batch: Vec<_> = waiting.drain(..waiting.len().min(200)).collect();
            let entries = batch.iter().map(|(key, data)| {
                PutRecordsRequestEntry::builder()
                    .partition_key(key)
                    .data(Blob::new(data.as_bytes()))
                    .build()
                    .expect("key and data are given")
            });
            let sent = client
                .put_records()
                .stream_name(self.text("stream"))
                .set_records(Some(entries.collect()))
                .send();
            let answer = sent.await.expect("the embedded Kinesis takes records");
            let refused = batch.into_iter().zip(answer.records());
            let again: Vec<_> = refused
                .filter(|(_, result)| result.error_code().is_some())
                .map(|(record, _)| record)
                .collect();
            if !again.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                waiting.splice(0..0, again);
            }
        }
    }

    pub(crate) async fn sql(&self, statement: &str) -> Vec<Value> {
        let (status, body) = http("POST", self.text("timestream"), "/sql", statement).await;
        assert_eq!(status, 200, "{statement}: {body}");
        body.lines()
            .map(|line| serde_json::from_str(line).expect("a row is JSON"))
            .collect()
    }

    /// Rows in the Timestream table; none before the table exists.
    pub(crate) async fn rows(&self) -> u64 {
        let table = self.text("table");
        let rows = self
            .sql(&format!("select count(*) as n from {table}"))
            .await;
        rows[0]["n"].as_u64().expect("a count is a number")
    }

    /// The dead letters, without receiving them.
    pub(crate) async fn letters(&self) -> Vec<Value> {
        let queue = self
            .text("dead_letter_queue_url")
            .rsplit('/')
            .next()
            .expect("a queue's name");
        let path = format!("/_local/peek?queue={queue}&limit=10000");
        let (status, body) = http("GET", self.text("sqs"), &path, "").await;
        assert_eq!(status, 200, "{body}");
        let peek: Value = serde_json::from_str(&body).expect("peek answers JSON");
        let messages = peek["messages"].as_array().expect("peek lists messages");
        let bodies = messages
            .iter()
            .map(|m| m["body"].as_str().expect("a body is text"));
        bodies
            .map(|body| serde_json::from_str(body).expect("a letter is JSON"))
            .collect()
    }

    /// Sets switches of one embedded server, replacing those it had.
    pub(crate) async fn fault(&self, server: &str, switches: Value) {
        let root = origin(self.text(server));
        let (status, body) = http("DELETE", &root, "/_local/faults", "").await;
        assert!(status < 300, "{body}");
        if switches != json!([]) {
            let (status, body) = http("PUT", &root, "/_local/faults", &switches.to_string()).await;
            assert!(status < 300, "{body}");
        }
    }

    /// How often an operation was called on one embedded server.
    pub(crate) async fn calls(&self, server: &str, operation: &str) -> u64 {
        let (status, body) = http("GET", &origin(self.text(server)), "/_local/calls", "").await;
        assert_eq!(status, 200, "{body}");
        let calls: Value = serde_json::from_str(&body).expect("calls are JSON");
        calls[operation].as_u64().unwrap_or(0)
    }

    /// What the stand's services believe, from its `/state`.
    pub(crate) async fn beliefs(&self) -> Value {
        let metrics = self.card["metrics"][0].as_str();
        state_of(&origin(metrics.expect("the card has metrics"))).await
    }

    pub(crate) async fn viewer(&self, devices: &[&str]) -> Viewer {
        Viewer::connect(self.text("websocket"), self.text("token"), devices).await
    }

    /// Ends the stand as Ctrl-C does and expects it to end well.
    pub(crate) async fn end(mut self) {
        self.process.terminate();
        let code = self.process.exit_code().await;
        assert_eq!(
            code,
            Some(0),
            "log:\n{}",
            self.process.log.lines().join("\n")
        );
    }
}

fn kinesis(card: &Value) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(card["kinesis"].as_str().expect("the card has kinesis"))
        .build();
    aws_sdk_kinesis::Client::from_conf(config)
}

async fn state_of(origin: &str) -> Value {
    let (status, body) = http("GET", origin, "/state", "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("the state is JSON")
}

/// `http://host:port` of a URL.
fn origin(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

/// Waits until `look` answers something, and says what was waited for if it never does.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not within {DEADLINE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One flat reading under the stand's config.
pub(crate) fn reading(device: &str, ts: i64, value: f64) -> (String, String) {
    let body = json!({ "device_id": device, "ts": ts, "value": value });
    (device.to_owned(), body.to_string())
}

/// `count` readings spread over `devices` devices, all keys distinct.
pub(crate) fn readings(devices: usize, count: usize, first_ts: i64) -> Vec<(String, String)> {
    (0..count)
        .map(|n| {
            let ts = first_ts + i64::try_from(n).expect("small");
            #[expect(clippy::cast_precision_loss, reason = "small")]
            reading(&format!("device-{:02}", n % devices), ts, n as f64)
        })
        .collect()
}

pub(crate) fn now_ms() -> i64 {
    tidewire::service::clock::wall().0
}
