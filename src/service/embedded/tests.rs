use super::*;
use crate::lease::keeper::LeaseStatus;
use crate::model::{LeaseCounter, ShardId};
use crate::service::tasks::Tasks;

fn names() -> Names {
    Names {
        namespace: "tidewire".to_owned(),
        table: "tidewire-leases".to_owned(),
        worker: WorkerId::from("host-a"),
    }
}

fn believes(states: &[State], speaks: bool) -> leases::Status {
    let lease = |(index, state): (usize, &State)| LeaseStatus {
        shard: ShardId::from(format!("shardId-{index:012}")),
        owner: None,
        mine: false,
        checkpoint: String::new(),
        epoch: None,
        counter: LeaseCounter(1),
        state: *state,
    };
    leases::Status {
        speaks_for_fleet: speaks,
        workers: ["host-a", "host-b"].map(WorkerId::from).into(),
        leases: states.iter().enumerate().map(lease).collect(),
        ..leases::Status::default()
    }
}

fn reads(behind_ms: &[u64]) -> worker::Status {
    let shard = |(index, behind_ms): (usize, &u64)| {
        let status = worker::ShardStatus {
            epoch: LeaseCounter(1),
            read_by: worker::ReadBy::Polling,
            behind_ms: *behind_ms,
            records_read: 0,
            bytes_read: 0,
            readings_read: 0,
            records_done: 0,
            records_in_flight: 0,
            last_read: None,
            checkpoint: None,
            checkpoint_age_ms: 0,
            draining: false,
            ended: false,
            error: None,
        };
        (ShardId::from(format!("shardId-{index:012}")), status)
    };
    worker::Status {
        shards: behind_ms.iter().enumerate().map(shard).collect(),
        ..worker::Status::default()
    }
}

const STATES: [State; 4] = [State::Reading, State::Others, State::Free, State::Ended];

#[test]
fn one_counts_the_fleet_and_each_says_how_late_it_is() {
    let both = figures(&believes(&STATES, true), &reads(&[20, 1_500]));
    assert_eq!(both.fleet, Some((3, 2)));
    assert_eq!(both.lag, Some(Duration::from_millis(1_500)));
    let lag = figures(&believes(&STATES, false), &reads(&[20]));
    assert_eq!(
        (lag.fleet, lag.lag),
        (None, Some(Duration::from_millis(20)))
    );
    let none = figures(&believes(&STATES, false), &reads(&[]));
    assert_eq!(line(&names(), EpochMillis(0), &none), None);
}

/// As the specification asks: one JSON object and nothing around it, `_aws` with `Timestamp` and
/// `CloudWatchMetrics`, every metric and dimension that it names on the root, numbers and text.
#[test]
fn the_line_is_as_cloudwatch_reads_it() {
    let all = figures(&believes(&STATES, true), &reads(&[1_500]));
    let said = line(&names(), EpochMillis(1_772_366_400_000), &all).unwrap();
    assert_eq!(said.matches('\n').count(), 1);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        said,
        json!({
            "_aws": {
                "Timestamp": 1_772_366_400_000_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "tidewire",
                    "Dimensions": [["LeaseTable"]],
                    "Metrics": [
                        { "Name": "OpenShards", "Unit": "Count" },
                        { "Name": "Workers", "Unit": "Count" },
                        { "Name": "Lag", "Unit": "Seconds" },
                    ],
                }],
            },
            "LeaseTable": "tidewire-leases",
            "OpenShards": 3, "Workers": 2, "Lag": 1.5,
            "worker_id": "host-a",
        })
    );
    let directive = &said["_aws"]["CloudWatchMetrics"][0];
    for metric in directive["Metrics"].as_array().unwrap() {
        let name = metric["Name"].as_str().unwrap();
        assert!(said[name].is_number(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_a_minute_until_the_worker_ends() {
    let (leases_to, leases) = watch::channel(believes(&STATES, true));
    let (readings_to, readings) = watch::channel(reads(&[10]));
    let (to, mut from) = tokio::io::duplex(64 * 1024);
    let tasks = Tasks::new();
    tasks.spawn("embedded-metrics", async move {
        report(names(), leases, readings, || EpochMillis(7), to).await;
    });
    tokio::time::sleep(EVERY * 3 + Duration::from_secs(1)).await;
    leases_to.send_replace(believes(&STATES, false));
    readings_to.send_replace(reads(&[]));
    tokio::time::sleep(EVERY * 2).await;
    drop((leases_to, readings_to));
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut from, &mut said)
        .await
        .unwrap();
    assert_eq!(said.lines().count(), 3, "{said}");
    tasks.ended().await;
}

#[tokio::test(start_paused = true)]
async fn that_nobody_reads_the_lines_ends_the_lines_alone() {
    let (_leases_to, leases) = watch::channel(believes(&STATES, true));
    let (_readings_to, readings) = watch::channel(reads(&[10]));
    let (to, from) = tokio::io::duplex(64);
    drop(from);
    report(names(), leases, readings, || EpochMillis(7), to).await;
}
