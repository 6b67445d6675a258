//! Endpoints and viewers in trouble.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_wrong_endpoint_empties_no_table() {
    let world = World::default();
    for n in 0..200 {
        world.put(row(&format!("v{n}"), OLD, Wanted::All));
    }
    world.script_all(Script::Always(Posted::Gone));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("viewers are known", |_, s| s.viewers == 200)
        .await;
    for n in 0..120 {
        stand.world.send(packed(&[("a", n)]));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(stand.status.borrow().breaker, Some(push::Why::Gone));
    assert_eq!(stand.world.rows(), 181);
    stand.world.script_all(Script::Always(Posted::Accepted));
    stand
        .until("all that are left are served", |w, _| {
            w.shown_to(119) == 181
        })
        .await;
    let world = stand.stop().await;
    assert_eq!(world.rows(), 181);
}

#[tokio::test(start_paused = true)]
async fn a_forbidding_endpoint_deletes_nothing_and_brings_no_message_back() {
    let world = World::default();
    for n in 0..50 {
        world.put(row(&format!("v{n}"), OLD, Wanted::All));
    }
    world.script_all(Script::Always(Posted::Forbidden("not you".to_owned())));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("viewers are known", |_, s| s.viewers == 50)
        .await;
    for n in 0..60 {
        stand.world.send(packed(&[("a", n)]));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stand
        .until("messages are deleted", |w, _| w.left() == 0)
        .await;
    assert_eq!(stand.status.borrow().breaker, Some(push::Why::Forbidden));
    assert_eq!(
        stand.status.borrow().last_post_error.as_deref(),
        Some("not you")
    );
    assert_eq!(stand.world.forgets(), 0);
    assert_eq!(stand.world.received_again(), 0);
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_gets_the_newest_and_moves_nobody_elses_frames() {
    let calm = frames_of_the_calm(Posted::Accepted).await;
    let beside_a_slow_one = frames_of_the_calm(Posted::Slow).await;
    assert_eq!(calm, beside_a_slow_one);
}

/// When which frame reached a viewer, beside one that answers so.
async fn frames_of_the_calm(other: Posted) -> Vec<(Duration, String)> {
    let world = World::default();
    world.put(row("calm", OLD, Wanted::All));
    world.put(row("other", OLD, Wanted::All));
    world.script("other", Script::Always(other));
    let mut stand = Stand::start(world, Options::default());
    stand
        .until("viewers are known", |_, s| s.viewers == 2)
        .await;
    for n in 0..100 {
        stand.world.send(packed(&[("a", n)]));
        tokio::time::sleep(Duration::from_millis(70)).await;
    }
    stand
        .world
        .script("other", Script::Always(Posted::Accepted));
    stand
        .until("the other has the newest", |w, _| {
            w.last("other", "a") == Some(99)
        })
        .await;
    let world = stand.stop().await;
    world.frames("calm")
}

#[tokio::test(start_paused = true)]
async fn viewers_whose_posts_hang_cost_the_others_nothing() {
    let world = World::default();
    for n in 0..40 {
        world.put(row(&format!("dead{n}"), OLD, Wanted::All));
        world.script(&format!("dead{n}"), Script::Hang);
    }
    world.put(row("zz", OLD, Wanted::All));
    let options = push::Options {
        posts_max: 48,
        ..push::Options::default()
    };
    let mut stand = Stand::start(world, options);
    stand
        .until("viewers are known", |_, s| s.viewers == 41)
        .await;
    for n in 0..300 {
        stand.world.send(packed(&[("a", n)]));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let newest = stand.world.last("zz", "a");
        assert!(newest >= Some(n - 2), "{newest:?} at {n}");
    }
    stand.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_loop_turns_though_nothing_comes_and_one_that_hangs_is_named() {
    let world = World::default();
    let beats = Beats::new(Clock::of_the_runtime());
    let parts = Parts {
        queue: world.clone(),
        connections: world.clone(),
        screens: world,
        beats: beats.clone(),
    };
    let options = Options {
        refresh: beat::SILENCE_MAX * 4,
        ..Options::default()
    };
    let (status, _seen) = watch::channel(Status::default());
    let clock = Clock::of_the_runtime();
    let work = run(parts, options, clock, status, CancellationToken::new());
    let mut work = std::pin::pin!(work);
    let most = beat::SILENCE_MAX + beat::SILENCE_MAX / 2;
    tokio::time::timeout(most, &mut work).await.unwrap_err();
    assert_eq!(beats.silent(), []);
    // From here on nobody polls it.
    tokio::time::sleep(most).await;
    let silent = beats.silent();
    let names: Vec<_> = silent.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["broadcaster"]);
}
