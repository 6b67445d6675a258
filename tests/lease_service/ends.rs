//! How a worker's leasing ends, and how its hanging is noticed.

use tidewire::service::http::beat::SILENCE_MAX;

use super::*;
use tidewire::cli::options;
use tidewire::service::settings::Settings;
use tidewire::service::shutdown::{Shutdown, Signal, Signals};

#[tokio::test(start_paused = true)]
async fn the_loop_turns_though_nothing_is_due_and_one_that_hangs_is_named() {
    let parts = parts("a", &Arc::new(Far::default()), 0);
    let beats = parts.beats.clone();
    let options = Options {
        scan_every: SILENCE_MAX * 4,
        ..Options::default()
    };
    let (events, _heard) = mpsc::channel(1);
    let (_says, said) = mpsc::channel(1);
    let (shown, _status) = watch::channel(Status::default());
    let clock = Clock::of_the_runtime();
    let work = leases::run(
        parts,
        options,
        clock,
        events,
        said,
        shown,
        CancellationToken::new(),
    );
    let mut work = std::pin::pin!(work);
    let most = SILENCE_MAX + SILENCE_MAX / 2;
    tokio::time::timeout(most, &mut work).await.unwrap_err();
    assert_eq!(beats.silent(), []);
    // From here on nobody polls it.
    tokio::time::sleep(most).await;
    let silent = beats.silent();
    assert_eq!(
        silent.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["leases"]
    );
}

/// The options that settings with this grace period give, with leases that outlive it.
fn with_grace(grace: Duration) -> Options {
    let settings = Settings::load(None, |name| match name {
        "TIDEWIRE_SHUTDOWN__GRACE_S" => Some(grace.as_secs().to_string()),
        "TIDEWIRE_LEASE__DURATION_MS" => Some("600000".to_owned()),
        _ => None,
    });
    options::leases(&settings.unwrap())
}

/// Stops a worker that does not get done, and says how long it took; its end is never forced.
async fn stop_within(grace: Duration, worker: Worker) -> Duration {
    let shutdown = Shutdown::new(grace);
    let (signals, signalled) = mpsc::channel(1);
    let tasks = Tasks::new();
    tasks.spawn(
        "shutdown",
        shutdown.clone().run(Signals::Channel(signalled)),
    );
    signals.send(Signal::Terminate).await.unwrap();
    shutdown.draining().cancelled().await;
    let began = Instant::now();
    worker.shutdown.cancel();
    tokio::select! {
        biased;
        () = shutdown.forced().cancelled() => panic!("{grace:?}: forced"),
        ended = worker.service => ended.unwrap().unwrap(),
    }
    began.elapsed()
}

const GRACES_S: [u64; 8] = [1, 2, 5, 9, 10, 25, 60, 600];

#[tokio::test(start_paused = true)]
async fn within_any_grace_period_what_is_not_done_is_given_back() {
    for grace in GRACES_S.map(Duration::from_secs) {
        let table = Arc::new(Far::default());
        let worker = start_with("a", &table, 16, with_grace(grace), false);
        until("16 shards", Duration::from_secs(2), || worker.count() == 16).await;
        let took = stop_within(grace, worker).await;
        assert!(took >= grace / 2, "{grace:?}: abandoned after {took:?}");
        for item in table.scan().await.unwrap() {
            assert!(!item.contains_key("leaseOwner"), "{grace:?}: {item:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn within_any_grace_period_a_silent_table_is_given_up() {
    for grace in GRACES_S.map(Duration::from_secs) {
        let table = Arc::new(Far::default());
        let worker = start_with("a", &table, 16, with_grace(grace), false);
        until("16 shards", Duration::from_secs(2), || worker.count() == 16).await;
        table.fail(Error::Call(CallFailed {
            operation: "UpdateItem",
            fault: Fault::Transient,
            message: "silence".to_owned(),
        }));
        stop_within(grace, worker).await;
    }
}
