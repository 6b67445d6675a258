//! How a worker's leasing ends, and how its hanging is noticed.

use tidewire::service::http::beat::SILENCE_MAX;

use super::*;

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
