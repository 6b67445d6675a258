//! The command. Everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use tidewire::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tidewire: {failure}");
            failure.exit_code()
        }
    }
}
