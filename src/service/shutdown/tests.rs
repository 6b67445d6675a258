use super::*;
use crate::service::tasks::Tasks;

const GRACE: Duration = Duration::from_secs(25);

fn started() -> (Shutdown, mpsc::Sender<Signal>, Tasks) {
    let shutdown = Shutdown::new(GRACE);
    let (signals, receiver) = mpsc::channel(2);
    let tasks = Tasks::new();
    tasks.spawn("shutdown", shutdown.clone().run(Signals::Channel(receiver)));
    (shutdown, signals, tasks)
}

#[tokio::test(start_paused = true)]
async fn the_first_signal_drains_and_an_orderly_end_is_code_0() {
    let (shutdown, signals, tasks) = started();
    signals.send(Signal::Terminate).await.unwrap();
    shutdown.draining().cancelled().await;
    assert_eq!(shutdown.phase(), Phase::Draining);
    shutdown.enter(Phase::Gone);
    tasks.ended().await;
    assert!(!shutdown.forced().is_cancelled());
    assert_eq!(shutdown.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_second_signal_forces_with_its_own_code() {
    for (second, code) in [(Signal::Interrupt, 130), (Signal::Terminate, 143)] {
        let (shutdown, signals, tasks) = started();
        signals.send(Signal::Interrupt).await.unwrap();
        shutdown.draining().cancelled().await;
        signals.send(second).await.unwrap();
        shutdown.forced().cancelled().await;
        tasks.ended().await;
        assert_eq!(shutdown.exit_code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_is_kept() {
    let (shutdown, signals, tasks) = started();
    let began = Instant::now();
    signals.send(Signal::Terminate).await.unwrap();
    shutdown.forced().cancelled().await;
    assert_eq!(began.elapsed(), GRACE);
    assert_eq!(shutdown.exit_code(), 1);
    tasks.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_begun_by_ourselves_is_timed_too() {
    let (shutdown, _signals, tasks) = started();
    let began = Instant::now();
    shutdown.enter(Phase::Draining);
    shutdown.forced().cancelled().await;
    assert_eq!(began.elapsed(), GRACE);
    tasks.ended().await;
}

#[tokio::test(start_paused = true)]
async fn phases_never_go_back() {
    let shutdown = Shutdown::new(GRACE);
    shutdown.enter(Phase::Gone);
    shutdown.enter(Phase::Draining);
    assert_eq!(shutdown.phase(), Phase::Gone);
    shutdown.reached(Phase::Draining).await;
}

#[test]
fn the_shares_end_before_the_grace_period_does() {
    for seconds in 1..=600 {
        let grace = Duration::from_secs(seconds);
        let shares = Shares::of(grace);
        assert!(
            shares.drain + shares.last_writes <= grace * 9 / 10,
            "{grace:?}"
        );
        assert!(
            shares.drain >= grace / 2 && !shares.last_writes.is_zero(),
            "{grace:?}"
        );
    }
}
