//! How a command ends badly: one clear sentence with the remedy, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Settings are wrong (`EX_USAGE` of sysexits.h).
pub const EXIT_SETTINGS: u8 = 64;
/// The lease table is run by a fleet that tidewire must not join (`EX_CONFIG`).
pub const EXIT_FOREIGN_FLEET: u8 = 78;
/// The process could not start, or could not go on.
pub const EXIT_FAILED: u8 = 1;

/// Why a command ends, said once, to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The process's exit code.
    pub exit: u8,
    /// What is wrong and what to do about it.
    pub sentence: String,
}

impl Failure {
    /// The process could not start, or could not go on.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self {
            exit: EXIT_FAILED,
            sentence: sentence.into(),
        }
    }

    /// Settings are wrong.
    pub fn settings(sentence: impl Into<String>) -> Self {
        Self {
            exit: EXIT_SETTINGS,
            sentence: sentence.into(),
        }
    }

    /// The exit code for `main`.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}
