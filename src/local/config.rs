//! The config file of a stand: all that any subcommand needs to work on it.

use super::servers::{REGION, Urls};

/// The stream that devices speak on.
pub const STREAM: &str = "readings";
/// The lease table; of KCL, the application's name.
pub const LEASE_TABLE: &str = "tidewire-leases";
/// The table of WebSocket connections.
pub const CONNECTION_TABLE: &str = "connections";
/// The live queue.
pub const LIVE_QUEUE: &str = "live";
/// The queue of dead letters.
pub const DEAD_LETTER_QUEUE: &str = "dead-letters";
/// The Timestream database.
pub const DATABASE: &str = "local";
/// The Timestream table, and the name to ask for in SQL.
pub const TABLE: &str = "readings";

/// What the embedded SQS makes of a queue's name.
#[must_use]
pub fn queue_url(urls: &Urls, name: &str) -> String {
    format!("{}/000000000000/{name}", urls.sqs)
}

/// The file's text. `secret` signs viewers' tokens; it is the stand's own and dies with it. `mode` is
/// how workers read the stream, `window_ms` over how long what a viewer is owed is joined, `traces` the
/// collector of traces.
#[must_use]
pub fn toml(urls: &Urls, secret: &str, mode: &str, window_ms: u64, traces: Option<&str>) -> String {
    let live = queue_url(urls, LIVE_QUEUE);
    let dead = queue_url(urls, DEAD_LETTER_QUEUE);
    let traces = traces.map_or_else(String::new, |url| format!("endpoint = \"{url}\"\n"));
    format!(
        r#"# Written by `tidewire local`; good for as long as that stand runs. Credentials are dummies.

[aws]
region = "{REGION}"
access_key_id = "local"
secret_access_key = "local"
endpoint_kinesis = "{kinesis}"
endpoint_dynamodb = "{dynamodb}"
endpoint_sqs = "{sqs}"
endpoint_timestream = "{timestream}"
endpoint_management = "{management}"

[source]
stream = "{STREAM}"
mode = "{mode}"

[lease]
table = "{LEASE_TABLE}"
create = true

[decode]
device_id = "field:device_id"
time_field = "ts"
time_unit = "ms"

[timestream]
database = "{DATABASE}"
table = "{TABLE}"

[queue]
urls = ["{live}"]

[dead_letter]
queue_url = "{dead}"

[connections]
table = "{CONNECTION_TABLE}"
create = true

[broadcaster]
window_ms = {window_ms}

[gateway]
hs256_secret = "{secret}"

# Any free port, so that several workers can be started by hand; each logs its own.
[http]
listen = "127.0.0.1:0"

# Where traces are asked for, every reading is followed.
[traces]
one_in = 1
{traces}
# The stand's own workers and broadcaster.
[top]
ask = ["{metrics}"]
"#,
        kinesis = urls.kinesis,
        dynamodb = urls.dynamodb,
        sqs = urls.sqs,
        timestream = urls.timestream,
        management = urls.management,
        metrics = urls.metrics,
    )
}
