//! The rules of the house that no lint holds: floors, sizes, biased selects, and the like.
//!
//! Each rule is a function from a source to its offences, and is itself tried on bad snippets.

#[path = "house/source.rs"]
mod source;
#[path = "house/trials.rs"]
mod trials;

use std::path::{Path, PathBuf};

use source::{Source, words};

/// The six floors, by top-level module. Imports point down, or stay on their floor.
const FLOORS: &[(&str, u8)] = &[
    ("model", 0),
    ("lease", 1),
    ("pipeline", 1),
    ("decode", 1),
    ("push", 1),
    // The root of the simulation's crate.
    ("pure", 1),
    ("door", 2),
    ("aws", 3),
    ("influx", 3),
    ("otlp", 3),
    ("service", 4),
    ("cli", 5),
    ("local", 5),
    ("main", 5),
];

/// What decisions may not name: they are handed the time, and come out the same on every run.
const NOT_BELOW_THE_DOORS: &[&str] = &[
    "tokio",
    "async",
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "fastrand",
];

/// A file that is longer is two files.
const LINES_MAX: usize = 400;

/// A function that is longer, from its `fn` to its last brace, is two functions. (Clippy's
/// `too_many_lines` leaves out comments, empty lines and the signature.)
const FUNCTION_LINES_MAX: usize = 70;

fn floor(module: &str) -> Option<u8> {
    let found = FLOORS.iter().find(|(name, _)| *name == module);
    found.map(|(_, floor)| *floor)
}

fn imports_point_down(source: &Source) -> Vec<String> {
    let Some(own) = floor(source.module()) else {
        return Vec::new();
    };
    let above = |named: &&String| floor(named).is_some_and(|floor| floor > own);
    let named = source.modules_named();
    let mut offences: Vec<String> = named
        .iter()
        .filter(above)
        .map(|named| format!("names `{named}`, which is on a higher floor"))
        .collect();
    let behind = |named: &&String| matches!(named.as_str(), "aws" | "influx" | "otlp");
    if source.module() == "service" {
        let met = named.iter().filter(behind);
        offences.extend(met.map(|named| format!("names `{named}`: services know doors only")));
    }
    offences
}

fn decisions_are_deterministic(source: &Source) -> Vec<String> {
    if floor(source.module()).is_none_or(|floor| floor > 1) {
        return Vec::new();
    }
    words(&source.code)
        .filter(|word| NOT_BELOW_THE_DOORS.contains(word) || word.starts_with("aws_"))
        .map(|word| format!("names `{word}` below the doors"))
        .collect()
}

/// Who may ask the wall clock, and what for; whoever decides about leases, order or waiting is not
/// among them, so that a clock that is wrong by minutes changes no decision.
const ASK_THE_WALL_CLOCK: &[&str] = &[
    "src/service/clock.rs",
    // The age of readings, against `queue.max_age_s` and `source.maximum_record_age_s`.
    "src/service/worker/reader",
    // The age of readings on screens, and of rows of viewers.
    "src/service/broadcaster",
    // When the steps of a trace began and ended, for people to look at.
    "src/service/traces",
    // The time that a line of metrics bears.
    "src/cli/worker.rs",
    // When a token ends.
    "src/service/gateway",
    // What a payload would become now.
    "src/cli/decode.rs",
    // Compares it with AWS's and says so.
    "src/cli/doctor.rs",
    // The stand plays the servers, whose clock is the one that counts.
    // The time that a log line bears.
    "src/service/telemetry/repeats.rs",
    "src/local/",
];

fn the_wall_clock_is_asked_for_ages_only(source: &Source) -> Vec<String> {
    let may = |path: &&str| source.path.starts_with(*path);
    if !source.is_product() || ASK_THE_WALL_CLOCK.iter().any(may) {
        return Vec::new();
    }
    ["clock::wall", "SystemTime"]
        .into_iter()
        .filter(|word| source.code.contains(word))
        .map(|word| format!("asks the wall clock (`{word}`)"))
        .collect()
}

fn files_are_short(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    match lines > LINES_MAX {
        true => vec![format!("has {lines} lines, more than {LINES_MAX}")],
        false => Vec::new(),
    }
}

fn functions_are_short(source: &Source) -> Vec<String> {
    let functions = source.functions().into_iter();
    functions
        .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
        .map(|(name, lines)| {
            format!("has `fn {name}` of {lines} lines, more than {FUNCTION_LINES_MAX}")
        })
        .collect()
}

fn modules_have_names(source: &Source) -> Vec<String> {
    match source.path.ends_with("mod.rs") {
        true => vec!["is a mod.rs: name it after its module".to_owned()],
        false => Vec::new(),
    }
}

fn selects_are_biased(source: &Source) -> Vec<String> {
    let after_each = source.code.split("select!").skip(1);
    after_each
        .filter(|rest| {
            let body = rest.trim_start().trim_start_matches(['{', '(']);
            !body.trim_start().starts_with("biased;")
        })
        .map(|_| "has a select! that is not biased".to_owned())
        .collect()
}

/// Text that may stand nowhere in code, tests included.
const NOWHERE: &[(&str, &str)] = &[
    ("#[allow", "use #[expect] with a reason"),
    ("#![allow", "use #[expect] with a reason"),
    ("unbounded_channel", "every queue has a bound"),
    ("anyhow", "errors have types"),
    ("todo!", "no stubs"),
    ("unimplemented!", "no stubs"),
];

/// Text that may stand in tests only.
const IN_TESTS_ONLY: &[(&str, &str)] = &[
    (".unwrap()", "say with expect why it cannot fail"),
    ("tokio::spawn(", "tasks are started by service::tasks"),
];

fn nothing_forbidden(source: &Source) -> Vec<String> {
    let found = NOWHERE
        .iter()
        .filter(|(text, _)| source.code.contains(text));
    let mut offences: Vec<String> = found
        .map(|(text, remedy)| format!("has `{text}`: {remedy}"))
        .collect();
    if source.is_product() {
        let code = source.product_code();
        let found = IN_TESTS_ONLY.iter().filter(|(text, _)| code.contains(text));
        offences.extend(found.map(|(text, remedy)| format!("has `{text}`: {remedy}")));
    }
    offences
}

/// Traces of the machine it was written on, or of where packages were fetched from. In pieces, or
/// this file would convict itself.
const TRACES: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/tm", "p/wt"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("registry.", "npmjs"),
    concat!("proxy.", "golang"),
];

fn no_traces(text: &str) -> Vec<String> {
    let found = TRACES.iter().filter(|trace| text.contains(*trace));
    found.map(|trace| format!("names `{trace}`")).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory, build output and version control left out.
fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).expect("the repository can be read") {
        let path = entry.expect("the repository can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match path.is_dir() {
            _ if matches!(&*name, "target" | ".git") => {}
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for directory in ["src", "tests"] {
        files(&root().join(directory), &mut paths);
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        let path = path.strip_prefix(root()).expect("it is below the root");
        Source::new(&path.to_string_lossy(), &text)
    };
    let mut sources: Vec<Source> = paths.into_iter().map(read).collect();
    // Modules below a module for tests are for tests, too.
    let roots: Vec<String> = sources.iter().flat_map(Source::modules_for_tests).collect();
    for source in &mut sources {
        source.for_tests = roots.iter().any(|root| {
            let below = format!("{}/", root.trim_end_matches(".rs"));
            source.path == *root || source.path.starts_with(&below)
        });
    }
    sources
}

fn hold(rule: fn(&Source) -> Vec<String>) {
    let sources = sources();
    assert!(sources.len() > 20, "the sources were not found");
    let offences: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let offences = rule(source).into_iter();
            offences.map(|offence| format!("{} {offence}", source.path))
        })
        .collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn no_floor_names_a_higher_one_and_services_know_doors_only() {
    hold(imports_point_down);
}

#[test]
fn decisions_know_no_runtime_no_clock_and_no_chance() {
    hold(decisions_are_deterministic);
}

#[test]
fn no_decision_rests_on_the_wall_clock() {
    hold(the_wall_clock_is_asked_for_ages_only);
}

#[test]
fn no_file_is_too_long() {
    hold(files_are_short);
}

#[test]
fn no_function_is_too_long() {
    hold(functions_are_short);
}

#[test]
fn no_module_is_called_mod() {
    hold(modules_have_names);
}

#[test]
fn every_select_is_biased() {
    hold(selects_are_biased);
}

#[test]
fn forbidden_words_stand_nowhere() {
    hold(nothing_forbidden);
}

#[test]
fn every_module_has_its_floor() {
    for source in sources().iter().filter(|source| source.is_product()) {
        let module = source.module();
        assert!(
            module == "lib" || floor(module).is_some(),
            "{}",
            source.path
        );
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let mut paths = Vec::new();
    files(&root(), &mut paths);
    let offences: Vec<String> = paths
        .iter()
        .filter_map(|path| Some((path, std::fs::read_to_string(path).ok()?)))
        .flat_map(|(path, text)| {
            let found = no_traces(&text).into_iter();
            found.map(move |offence| format!("{} {offence}", path.display()))
        })
        .collect();
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}
