//! What `tidewire leases` can be asked.

use std::time::Duration;

use crate::model::{EpochMillis, SequenceNumber};
use crate::service::settings;

/// What [`super::run`] is asked; the help for people stands with the subcommand.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The lease table [default: the setting lease.table]
    #[arg(long, global = true, value_name = "NAME")]
    pub table: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do with leases.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum What {
    /// Show every lease: who owns it, how far it is, whose child it is
    List(List),
    /// Take leases from their owners; any worker may take them then
    ///
    /// The owner is not asked: it reads on until its next renewal is refused (3.3 s by default),
    /// and what it did since its last checkpoint is done again by whoever takes the lease. That
    /// may be the same worker. To move a lease without repeats, use hand-over.
    Release(Release),
    /// Set leases to another position and take them from their owners
    ///
    /// An earlier position reads records again (in Timestream a repeat changes nothing); a later
    /// one skips what lies between, for good. The children of a shard that is read again are not
    /// held back once they were begun. The owner is not asked, as with release.
    Reset(Reset),
    /// Move leases to a worker gently: what is in flight is finished, nothing is repeated
    ///
    /// Both workers must be tidewire's and alive: their heartbeats are watched for first, so the
    /// receiver must hold a lease already. The owner drains and hands over within ten seconds, or
    /// keeps the lease. Workers that hold two fewer leases than the receiver then ask it for one,
    /// not necessarily this one.
    HandOver(HandOver),
    /// Compare leases with the stream and mend what is wrong
    ///
    /// Makes leases that are missing, and sets right parents, children and hash ranges that are
    /// not what the stream says. No worker loses a lease by it.
    Repair(Consent),
    /// Take over a table that a stopped fleet of Java KCL (2.x or 3.x) left behind
    ///
    /// Watches for one lease duration that nobody renews, then frees every lease (with what KCL 3
    /// left in `checkpointOwner`) and deletes the rows by which a leader of KCL 3 forbids others
    /// to take leases (`Leader`, `Migration3.0`). Checkpoints stay. Other rows of KCL 3 are listed
    /// and left alone.
    Adopt(Consent),
    /// Make the table of a stopped tidewire fleet one that Java KCL goes on with
    ///
    /// Watches for one lease duration that nobody renews, then frees every lease, so that none
    /// carries a `checkpointOwner`. Attributes of tidewire's own (tw_*) stay: KCL keeps and ignores
    /// them. Says which leases KCL would begin elsewhere.
    ReadyForJava(Consent),
}

/// Agreement to a change.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Consent {
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

/// `list`.
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// Only these
    #[arg(value_name = "SHARD")]
    pub shards: Vec<String>,
    /// As JSON, for scripts
    #[arg(long)]
    pub json: bool,
    /// How old the first record after each checkpoint is (a worker reads ahead of what it has
    /// written, by a renewal at most). Costs one `GetRecords` of a single record a shard, of the
    /// five a second that a shard allows all its readers
    #[arg(long)]
    pub lag: bool,
    /// Watch for so many seconds and say how long ago each heartbeat was. Rows hold no times:
    /// whether an owner lives shows only in a counter that moves
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub watch: Option<Duration>,
}

/// Which leases.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub struct Which {
    /// The shards
    #[arg(value_name = "SHARD", conflicts_with = "all")]
    pub shards: Vec<String>,
    /// Every lease
    #[arg(long)]
    pub all: bool,
    /// Those that this worker owns
    #[arg(long, value_name = "WORKER", conflicts_with_all = ["all", "shards"])]
    pub owner: Option<String>,
}

/// `release`.
#[derive(Clone, Debug, clap::Args)]
pub struct Release {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// Agreement.
    #[command(flatten)]
    pub consent: Consent,
}

/// `reset`.
#[derive(Clone, Debug, clap::Args)]
pub struct Reset {
    /// Which.
    #[command(flatten)]
    pub which: Which,
    /// `TRIM_HORIZON` (the oldest record kept), LATEST (what arrives from now on), a time such as
    /// 2026-03-01T12:00:00Z (what arrived since), or a sequence number (reading goes on after it)
    #[arg(long, value_name = "POSITION", value_parser = position)]
    pub to: Position,
    /// Agreement.
    #[command(flatten)]
    pub consent: Consent,
}

/// `hand-over`.
#[derive(Clone, Debug, clap::Args)]
pub struct HandOver {
    /// The shards
    #[arg(value_name = "SHARD", required = true)]
    pub shards: Vec<String>,
    /// The worker that is to have them, as `list` shows it
    #[arg(long, value_name = "WORKER")]
    pub to: String,
    /// Agreement.
    #[command(flatten)]
    pub consent: Consent,
}

/// A position as a person gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// The oldest record kept.
    TrimHorizon,
    /// What arrives from now on.
    Latest,
    /// What arrived since.
    Since(EpochMillis),
    /// What comes after a record.
    After(SequenceNumber),
}

/// A day: whoever wants to watch longer wants metrics.
const WATCH_MAX_S: u64 = 86_400;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (1..=WATCH_MAX_S).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("a whole number of seconds, 1 to {WATCH_MAX_S}")),
    }
}

fn position(text: &str) -> Result<Position, String> {
    match text.to_ascii_uppercase().as_str() {
        "TRIM_HORIZON" => return Ok(Position::TrimHorizon),
        "LATEST" => return Ok(Position::Latest),
        "AT_TIMESTAMP" => return Err("give the time itself, such as 2026-03-01T12:00:00Z".into()),
        _ => {}
    }
    if let Ok(seq) = text.parse() {
        return Ok(Position::After(seq));
    }
    settings::instant(text)
        .map(Position::Since)
        .map_err(|form| format!("neither TRIM_HORIZON, LATEST, a sequence number, nor {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_word_a_time_or_a_sequence_number() {
        assert_eq!(position("trim_horizon"), Ok(Position::TrimHorizon));
        assert_eq!(position("LATEST"), Ok(Position::Latest));
        let seq = "49590338271490256608559692538361571095921575989136588898";
        assert_eq!(position(seq), Ok(Position::After(seq.parse().unwrap())));
        let noon = position("2026-03-01T12:00:00Z");
        assert_eq!(noon, Ok(Position::Since(EpochMillis(1_772_366_400_000))));
        for (text, hint) in [
            ("AT_TIMESTAMP", "give the time itself"),
            ("yesterday", "neither TRIM_HORIZON"),
            ("2026-03-01T12:00:00", "an instant such as"),
            ("-5", "neither"),
        ] {
            let why = position(text).unwrap_err();
            assert!(why.contains(hint), "{text}: {why}");
        }
    }

    #[test]
    fn watching_takes_whole_seconds() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        for text in ["0", "1.5", "-1", "90000"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
