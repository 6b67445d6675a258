//! Whatever bytes come, every decoder and the parser of lease rows answers: it does not panic, takes
//! no boundless memory, and says the same twice.
//!
//! A mutation loop of our own, on stable Rust: inputs of `tests/fuzz/corpus` are bent, spliced and
//! repeated; those that are answered in a new way join them for the run. `cargo test` runs it for
//! some thousand inputs, `just fuzz MINUTES` for as long as it is told. An input that fails is kept
//! under `target/fuzz`, to be put into the corpus.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/targets.rs"]
mod targets;

use std::alloc::System;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use cap::Cap;

use targets::{TARGETS, Target};

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// Memory is counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Memory that one input may take at its worst: what it may inflate to, twice while a buffer grows,
/// and what its readings may take, of which this counts more than the decoder does.
const BYTES_MAX: usize = 160 * 1024 * 1024;

/// Inputs of a run within `cargo test`, each target.
const INPUTS: usize = 2_000;

/// Inputs that a run remembers besides the corpus, each target.
const REMEMBERED_MAX: usize = 2_000;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(path.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    let read = |path: &PathBuf| std::fs::read(path).unwrap();
    files.iter().map(read).collect()
}

/// Tries one input; what it was answered.
fn try_one(target: &Target, input: &[u8]) -> String {
    let before = ALLOCATED.max_allocated();
    let held = ALLOCATED.allocated();
    let answer = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let most = ALLOCATED.max_allocated();
    let taken = if most > before { most - held } else { 0 };
    match answer {
        Ok(answer) if taken <= BYTES_MAX => answer,
        answer => {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
            std::fs::create_dir_all(&directory).unwrap();
            let path = directory.join(format!("{}-{}", target.name, input.len()));
            std::fs::write(&path, input).unwrap();
            let how = if answer.is_ok() {
                "takes much memory"
            } else {
                "panics"
            };
            panic!("{} {how} ({taken} bytes): {}", target.name, path.display());
        }
    }
}

/// What is alike about answers: their words, without names and numbers.
fn class(answer: &str) -> String {
    let words = answer.split(|c: char| !c.is_ascii_alphabetic());
    let words: Vec<&str> = words.filter(|word| word.len() > 1).take(12).collect();
    words.join(" ")
}

fn run(
    target: &Target,
    mut goes_on: impl FnMut(usize) -> bool,
    random: &mut fastrand::Rng,
) -> usize {
    let mut pool = corpus(target.name);
    let kept = pool.len();
    let mut known = BTreeSet::new();
    for input in &pool {
        known.insert(class(&try_one(target, input)));
    }
    let mut tried = pool.len();
    while goes_on(tried) {
        let mut input = mutate::mutated(&pool, random);
        (target.mend)(&mut input, random);
        let answer = try_one(target, &input);
        tried += 1;
        if pool.len() < kept + REMEMBERED_MAX && known.insert(class(&answer)) {
            pool.push(input);
        }
    }
    tried
}

#[test]
fn no_input_makes_a_decoder_panic_or_take_boundless_memory() {
    let _alone = ALONE.lock().unwrap();
    let seconds = std::env::var("TIDEWIRE_FUZZ_SECONDS").ok();
    let seconds: Option<u64> = seconds.map(|text| text.parse().unwrap());
    let seed = match seconds {
        // The same inputs in every `cargo test`.
        None => 1,
        Some(_) => fastrand::u64(..),
    };
    println!("seed {seed}");
    for target in TARGETS {
        let mut random = fastrand::Rng::with_seed(seed);
        let tried = match seconds {
            None => run(target, |tried| tried < INPUTS, &mut random),
            Some(seconds) => {
                let share = Duration::from_secs(seconds) / u32::try_from(TARGETS.len()).unwrap();
                let clock = tidewire::service::clock::Clock::start();
                let begun = clock.now();
                run(target, |_| clock.now().since(begun) < share, &mut random)
            }
        };
        println!("{}: {tried} inputs", target.name);
    }
}

#[test]
fn a_panic_and_much_memory_are_found() {
    let _alone = ALONE.lock().unwrap();
    let fails = |run: fn(&[u8]) -> String| {
        let target = Target {
            name: "convicted",
            run,
            mend: |_, _| {},
        };
        catch_unwind(|| try_one(&target, b"x")).is_err()
    };
    assert!(fails(|input| if input.is_empty() {
        String::new()
    } else {
        panic!("as it should")
    }));
    assert!(fails(|input| vec![1_u8; BYTES_MAX + input.len()]
        .len()
        .to_string()));
    assert!(!fails(|_| String::new()));
}
