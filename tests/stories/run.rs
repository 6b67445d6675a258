//! Programs of ours that run to their end: what they print, and how they exit.

use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::DEADLINE;

/// A directory of its own for one test, gone with it.
pub(crate) struct Scratch(std::path::PathBuf);

impl Scratch {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("stories-{}-{test}", std::process::id());
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the target directory takes directories");
        Self(path)
    }

    /// The path of a file in it, as text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the directory takes files");
        path
    }

    /// The names of the files in a directory of it.
    pub(crate) fn files(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(directory)).expect("the directory is there");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("it can be read").file_name();
            name.to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _unless_it_is_gone = std::fs::remove_dir_all(&self.0);
    }
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// What it says at its end, to a person: the last line and those it is made of.
    pub(crate) fn sentence(&self) -> &str {
        let at = self.err.find("tidewire: ");
        at.map_or("", |at| self.err[at..].trim_end())
    }

    /// That it ended with this code, saying all of this, and nothing that only its makers read.
    pub(crate) fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let sentence = self.sentence();
        for words in words {
            assert!(sentence.contains(words), "no {words:?} in: {sentence}");
        }
        for noise in ["panicked", "Error {", "Some(", "SdkError", "ServiceError"] {
            assert!(!self.err.contains(noise), "{noise:?} in: {}", self.err);
        }
    }
}

/// Runs a subcommand to its end in an environment of only `env`, with `input` on standard input.
pub(crate) async fn run(args: &[&str], env: &[(&str, &str)], input: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(args)
        .env_clear()
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary under test starts");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let input = input.as_bytes().to_vec();
    let feeding = async move {
        // A program that does not read ends without this.
        let _unless_it_ended = stdin.write_all(&input).await;
    };
    let both = async { tokio::join!(feeding, child.wait_with_output()).1 };
    let ended = tokio::time::timeout(DEADLINE, both).await;
    let Output {
        status,
        stdout,
        stderr,
    } = ended
        .unwrap_or_else(|_| panic!("{args:?} with {env:?} does not end"))
        .expect("its output can be read");
    Ended {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
