//! Which build this is.

use std::sync::LazyLock;

/// The version, as in Cargo.toml.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built of, where whoever built it said so by the variable `TIDEWIRE_COMMIT` (the
/// Dockerfile's argument `COMMIT`); else `unknown`.
pub const COMMIT: &str = match option_env!("TIDEWIRE_COMMIT") {
    Some(commit) if !commit.is_empty() => commit,
    _ => "unknown",
};

/// Both, for `--version`.
pub static LONG: LazyLock<String> = LazyLock::new(|| format!("{VERSION} (commit {COMMIT})"));
