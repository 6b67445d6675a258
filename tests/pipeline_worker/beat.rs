//! `/livez` is about the loop: it turns though nothing comes, and is missed when it hangs.

use std::sync::Arc;

use tidewire::model::StreamName;
use tidewire::pipeline;
use tidewire::service::clock::Clock;
use tidewire::service::http::beat::{Beats, SILENCE_MAX};
use tidewire::service::tasks::Tasks;
use tidewire::service::worker::{self, Options, Parts, Status};
use tokio::sync::{mpsc, watch};

use crate::doors::{MemoryLetters, MemoryQueue, MemoryStore, MemoryStream};

#[tokio::test(start_paused = true)]
async fn the_loop_turns_though_nothing_comes_and_one_that_hangs_is_named() {
    let beats = Beats::new(Clock::of_the_runtime());
    let parts = Parts {
        stream: Arc::new(MemoryStream::default()),
        stores: vec![Arc::new(MemoryStore::default())],
        queues: vec![Arc::new(MemoryQueue::default())],
        dead_letters: Arc::new(MemoryLetters::default()),
        tasks: Tasks::new(),
        beats: beats.clone(),
    };
    let options = Options::new(pipeline::Options::new(StreamName::from("toys"), 1));
    let (_events, granted) = mpsc::channel(1);
    let (say, _said) = mpsc::channel(1);
    let (to_status, _status) = watch::channel(Status::default());
    let clock = Clock::of_the_runtime();
    let work = worker::run(parts, options, clock, granted, say, to_status);
    let mut work = std::pin::pin!(work);
    let most = SILENCE_MAX + SILENCE_MAX / 2;
    tokio::time::timeout(most, &mut work).await.unwrap_err();
    assert_eq!(beats.silent(), []);
    // From here on nobody polls it.
    tokio::time::sleep(most).await;
    let silent = beats.silent();
    let names: Vec<_> = silent.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["worker"]);
}
