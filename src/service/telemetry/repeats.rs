//! Warnings and errors that repeat are written some times, then now and then with how many were left
//! out: an outage of an hour must neither fill a disk nor hide what else goes wrong.
//!
//! One place in the code counts as one kind of line, whatever it names: which shard or sink it is
//! about stands in `/state` and in the metrics as well.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::model::Millis;
use crate::service::clock::Clock;

/// So many lines of a kind are written as they come.
const AT_ONCE: u64 = 5;

/// Then one of them in so long a time.
const EVERY: Duration = Duration::from_secs(10);

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is written; so many of its kind were left out before it.
    Write {
        /// How many.
        left_out: u64,
    },
    /// It is left out, and counted.
    LeaveOut,
}

/// How often each kind of line was written lately.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// By the place in the code, of which there are as many as there are.
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug)]
struct Kind {
    /// Lines that may be written at once.
    left: u64,
    /// When that was reckoned.
    at: Millis,
    left_out: u64,
}

impl Repeats {
    /// A line of this kind comes.
    pub(super) fn step(&mut self, now: Millis, kind: &'static str) -> Verdict {
        let kind = self.kinds.entry(kind).or_insert(Kind {
            left: AT_ONCE,
            at: now,
            left_out: 0,
        });
        let periods = now.since(kind.at).as_millis() / EVERY.as_millis();
        if periods > 0 {
            let periods = u64::try_from(periods).unwrap_or(u64::MAX);
            kind.left = kind.left.saturating_add(periods).min(AT_ONCE);
            kind.at = now;
        }
        if kind.left == 0 {
            kind.left_out += 1;
            return Verdict::LeaveOut;
        }
        kind.left -= 1;
        let left_out = std::mem::take(&mut kind.left_out);
        Verdict::Write { left_out }
    }
}

/// Writes lines as `inner` does, but for warnings and errors that repeat.
#[derive(Debug)]
pub(super) struct Sparing<F> {
    inner: F,
    as_json: bool,
    clock: Clock,
    repeats: Mutex<Repeats>,
}

impl<F> Sparing<F> {
    /// `as_json`: `inner` writes JSON.
    pub(super) fn new(inner: F, as_json: bool, clock: Clock) -> Self {
        Self {
            inner,
            as_json,
            clock,
            repeats: Mutex::default(),
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Sparing<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let data = event.metadata();
        let repeats = matches!(*data.level(), Level::WARN | Level::ERROR);
        let left_out = if repeats {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            match repeats.step(self.clock.now(), data.name()) {
                Verdict::LeaveOut => return Ok(()),
                Verdict::Write { left_out } => left_out,
            }
        } else {
            0
        };
        if left_out > 0 {
            let message = format!("{left_out} lines like the next one were left out before it");
            let mut time = String::new();
            SystemTime.format_time(&mut Writer::new(&mut time))?;
            if self.as_json {
                let line = json!({
                    "timestamp": time, "level": data.level().as_str(), "message": message,
                    "left_out": left_out, "target": data.target(),
                });
                writeln!(writer, "{line}")?;
            } else {
                writeln!(
                    writer,
                    "{time} {:>5} {}: {message}",
                    data.level().as_str(),
                    data.target()
                )?;
            }
        }
        self.inner.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    const WRITE: Verdict = Verdict::Write { left_out: 0 };

    fn at(seconds: u64) -> Millis {
        Millis(1_000_000) + Duration::from_secs(seconds)
    }

    #[test]
    fn a_few_lines_are_written_at_once_and_then_one_in_a_while_with_what_was_left_out() {
        let mut repeats = Repeats::default();
        for _ in 0..AT_ONCE {
            assert_eq!(repeats.step(at(0), "a"), WRITE);
        }
        for second in 0..10 {
            assert_eq!(repeats.step(at(second), "a"), Verdict::LeaveOut);
        }
        assert_eq!(repeats.step(at(10), "a"), Verdict::Write { left_out: 10 });
        assert_eq!(repeats.step(at(10), "a"), Verdict::LeaveOut);
        assert_eq!(
            repeats.step(at(10), "b"),
            WRITE,
            "other kinds are their own"
        );
    }

    #[test]
    fn an_hour_of_ten_lines_a_second_is_a_line_in_ten_seconds_and_none_is_forgotten() {
        let mut repeats = Repeats::default();
        let (mut written, mut told) = (0, 0);
        for tenth in 0..36_000 {
            let now = Millis(1_000_000) + Duration::from_millis(tenth * 100);
            if let Verdict::Write { left_out } = repeats.step(now, "a") {
                written += 1;
                told += left_out;
            }
        }
        assert!((360..=370).contains(&written), "{written}");
        assert!(written + told >= 36_000 - 100, "{written} and {told}");
    }

    #[test]
    fn after_silence_lines_are_written_at_once_again() {
        let mut repeats = Repeats::default();
        for n in 0..20 {
            let written = repeats.step(at(0), "a") != Verdict::LeaveOut;
            assert_eq!(written, n < AT_ONCE);
        }
        assert_eq!(
            repeats.step(at(3_600), "a"),
            Verdict::Write { left_out: 15 }
        );
        assert_eq!(repeats.step(at(3_600), "a"), WRITE);
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_is_whole_lines_and_information_is_never_left_out() {
        let lines = Lines::default();
        let sink = lines.clone();
        let clock = Clock::of_the_runtime();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || sink.clone())
            .json()
            .flatten_event(true)
            .map_event_format(|format| Sparing::new(format, true, clock))
            .finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let warn = |n: u32| tracing::warn!(n, "it fails");
        for n in 0..30 {
            warn(n);
            tracing::info!(n, "it goes on");
        }
        tokio::time::sleep(EVERY).await;
        warn(30);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let said: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect();
        let count = |message: &str| said.iter().filter(|one| one["message"] == message).count();
        assert_eq!((count("it fails"), count("it goes on")), (6, 30));
        assert_eq!(said[said.len() - 2]["left_out"], 25, "{text}");
        assert_eq!(said[said.len() - 2]["level"], "WARN");
    }
}
