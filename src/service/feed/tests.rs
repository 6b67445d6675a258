use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::model::Fault;

/// A stream in memory that fails as it is told to: each entry's outcome by a counter, so that
/// every run is the same.
#[derive(Debug, Default)]
struct Fake {
    /// Each how-many-th entry is to be sent again; 0: none.
    again_each: usize,
    /// What each call answers first, in order.
    calls: Mutex<Vec<CallFailed>>,
    state: Mutex<State>,
    latency: Duration,
}

#[derive(Debug, Default)]
struct State {
    seen: usize,
    taken: Vec<(String, String)>,
    under_way: BTreeMap<String, usize>,
    under_way_most: usize,
}

impl Put for Fake {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Sent>, CallFailed> {
        assert!(entries.len() <= 500);
        {
            let mut state = self.state.lock().unwrap();
            for entry in entries {
                let count = state.under_way.entry(entry.key.to_string()).or_default();
                *count += 1;
                assert_eq!(*count, 1, "two records of one key are under way");
            }
            state.under_way_most = state.under_way_most.max(state.under_way.len());
        }
        tokio::time::sleep(self.latency).await;
        let mut state = self.state.lock().unwrap();
        for entry in entries {
            state.under_way.remove(entry.key.as_str());
        }
        if let Some(failed) = self.calls.lock().unwrap().pop() {
            return Err(failed);
        }
        let outcomes = entries.iter().map(|entry| {
            state.seen += 1;
            if self.again_each > 0 && state.seen.is_multiple_of(self.again_each) {
                return Sent::Again("full".to_owned());
            }
            let text = String::from_utf8(entry.data.to_vec()).unwrap();
            state.taken.push((entry.key.to_string(), text));
            Sent::Accepted
        });
        Ok(outcomes.collect())
    }
}

fn failed(fault: Fault) -> CallFailed {
    CallFailed {
        operation: "PutRecords",
        fault,
        message: "on purpose".to_owned(),
    }
}

fn readings(devices: usize, count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|i| {
            let device = format!("d{}", i % devices);
            (
                device.clone(),
                format!(r#"{{"device_id":"{device}","n":{i}}}"#),
            )
        })
        .collect()
}

fn input(readings: &[(String, String)]) -> Vec<u8> {
    readings
        .iter()
        .flat_map(|(_, line)| format!("{line}\n").into_bytes())
        .collect()
}

fn by_device(taken: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    let mut devices: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (device, line) in taken {
        devices
            .entry(device.clone())
            .or_default()
            .push(line.clone());
    }
    devices
}

async fn run(fake: &Arc<Fake>, input: &[u8], options: &Options) -> Result<Report, Error> {
    feed(
        Arc::clone(fake),
        input,
        options,
        std::future::pending(),
        |_| {},
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn all_lines_arrive_and_each_devices_in_order_though_every_third_fails() {
    let fake = Arc::new(Fake {
        again_each: 3,
        latency: Duration::from_millis(10),
        calls: Mutex::new(vec![failed(Fault::Throttled), failed(Fault::Transient)]),
        ..Fake::default()
    });
    let sent = readings(40, 3000);
    let report = run(&fake, &input(&sent), &Options::default())
        .await
        .unwrap();
    assert_eq!(report.progress.accepted, 3000);
    assert_eq!(report.progress.held, 0);
    assert!(report.progress.again >= 1000, "{report:?}");
    let state = fake.state.lock().unwrap();
    assert_eq!(by_device(&state.taken), by_device(&sent));
}

#[tokio::test(start_paused = true)]
async fn many_devices_fill_several_requests_at_once() {
    let fake = Arc::new(Fake {
        latency: Duration::from_millis(50),
        ..Fake::default()
    });
    run(&fake, &input(&readings(5000, 10_000)), &Options::default())
        .await
        .unwrap();
    assert_eq!(
        fake.state.lock().unwrap().under_way_most,
        2000,
        "four requests of 500"
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_large_is_left_out_with_its_number_and_bad_json_is_not() {
    let fake = Arc::new(Fake::default());
    let options = Options {
        record_bytes_max: 64,
        ..Options::default()
    };
    let text = format!(
        "{{\"device_id\":\"d\"}}\n\nno json\n{}\nlast",
        "x".repeat(65)
    );
    let report = run(&fake, text.as_bytes(), &options).await.unwrap();
    assert_eq!(report.progress.left_out, 1);
    assert_eq!(report.left_out[0].0, 4);
    assert_eq!(report.progress.lines, 5);
    let taken: Vec<_> = by_device(&fake.state.lock().unwrap().taken)
        .into_values()
        .flatten()
        .collect();
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(taken.contains(&"no json".to_owned()), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_ends_it() {
    let fake = Arc::new(Fake {
        calls: Mutex::new(vec![failed(Fault::Fatal)]),
        ..Fake::default()
    });
    let error = run(&fake, b"{}\n", &Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::Put(failed) if failed.fault == Fault::Fatal));
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_what_is_under_way_and_says_what_is_left() {
    let fake = Arc::new(Fake {
        latency: Duration::from_secs(1),
        ..Fake::default()
    });
    let options = Options::default();
    let stop = tokio::time::sleep(Duration::from_millis(1500));
    // One device: one record a second.
    let text = input(&readings(1, 10));
    let report = feed(Arc::clone(&fake), &text[..], &options, stop, |_| {})
        .await
        .unwrap();
    assert!(report.stopped);
    assert_eq!(report.progress.accepted, 2);
    assert_eq!(report.progress.held, 8);
    assert_eq!(fake.state.lock().unwrap().taken.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let fake = Arc::new(Fake::default());
    let mut options = Options::default();
    options.limits.rate = Some(100.0);
    let start = tokio::time::Instant::now();
    run(&fake, &input(&readings(50, 1000)), &options)
        .await
        .unwrap();
    let took = start.elapsed().as_secs_f64();
    assert!(
        (9.5..10.5).contains(&took),
        "{took} s for 1,000 at 100 a second"
    );
}

#[tokio::test(start_paused = true)]
async fn progress_ends_at_the_inputs_length() {
    let fake = Arc::new(Fake::default());
    let text = input(&readings(10, 100));
    let mut last = Progress::default();
    let options = Options::default();
    let stop = std::future::pending();
    feed(fake, &text[..], &options, stop, |progress| {
        last = progress.clone()
    })
    .await
    .unwrap();
    assert_eq!(
        (last.bytes, last.lines, last.accepted),
        (text.len() as u64, 100, 100)
    );
}
