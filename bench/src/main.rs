//! The two programs that `bench/run` needs beside the worker: the server it reads from and writes
//! to, and the floor.

mod floor;
mod leases;
mod readings;
mod serve;
mod sinks;
mod stream;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments
        .iter()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    match (arguments.first().map(String::as_str), &numbers[..]) {
        (Some("serve"), [shards, readings]) => serve::run(*shards, *readings),
        (Some("floor"), [shards, readings, page]) => floor::run(*shards, *readings, *page),
        _ => {
            eprintln!("usage: tidewire-bench serve SHARDS READINGS | floor SHARDS READINGS PAGE");
            ExitCode::from(64)
        }
    }
}
