//! The special types that settings have: choices between names, addresses, sizes, instants.

use std::net::SocketAddr;

use super::value::{self, Raw, Setting, Unfit};
use crate::model::EpochMillis;
use crate::model::calendar::{self, Zone};

/// A choice between names, and the names that are refused with their own explanation.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        $Choice:ident $form:literal {
            $( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, )+
        }
        $( refused { $( $refused:literal => $why:literal, )+ } )?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Choice {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $Choice {
            /// The name in the file.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }
        }

        impl Setting for $Choice {
            const FORM: &'static str = $form;

            fn read(raw: &Raw) -> Result<Self, Unfit> {
                match raw.text()?.trim() {
                    $( $name => Ok(Self::$variant), )+
                    $( $( $refused => Err(Unfit::because($why)), )+ )?
                    _ => Err(Unfit::PLAIN),
                }
            }
        }
    };
}

pub(super) use choice;

mod sinks;

pub use sinks::{InfluxApi, MeasureName, Measurement, RecordVersion, TableRoute};

choice! {
    /// Where a shard that has no checkpoint yet is begun.
    InitialPosition "`TRIM_HORIZON`, `LATEST` or `AT_TIMESTAMP`" {
        /// At the oldest record kept.
        TrimHorizon = "TRIM_HORIZON",
        /// At what arrives from now on; the instant is pinned in the lease table.
        Latest = "LATEST",
        /// At the first record of or after `source.initial_timestamp`.
        AtTimestamp = "AT_TIMESTAMP",
    }
}

choice! {
    /// How records are fetched.
    ReadMode "`polling`, `fan-out` or `auto`" {
        /// `GetRecords`, at most five times a second a shard.
        Polling = "polling",
        /// `SubscribeToShard`: enhanced fan-out.
        FanOut = "fan-out",
        /// Enhanced fan-out where it is to be had, else polling.
        Auto = "auto",
    }
    refused {
        "fanout" => "say `fan-out`",
        "enhanced" => "say `fan-out`",
        "efo" => "say `fan-out`",
    }
}

choice! {
    /// Who else works on the lease table.
    Fleet "`tidewire` or `mixed`" {
        /// Workers of ours only.
        Tidewire = "tidewire",
        /// Java workers too: KCL 2.x, or 3.5 configured `COMPATIBLE_WITH_2X_PHASE1`.
        Mixed = "mixed",
    }
    refused {
        "kcl" => "say `mixed` where workers of the Java KCL share the table",
        "java" => "say `mixed` where workers of the Java KCL share the table",
    }
}

choice! {
    /// By what leases are spread over workers.
    Weight "`count` or `throughput`" {
        /// Each counts one.
        Count = "count",
        /// By what its shard carried in the last minute.
        Throughput = "throughput",
    }
}

choice! {
    /// How readings are put into SQS messages.
    QueueFormat "`packed` or `single`" {
        /// Many readings a message, up to 62 KB.
        Packed = "packed",
        /// One flat object a message, as the well-known Lambda expects it.
        Single = "single",
    }
}

choice! {
    /// Which of the readings within a window a viewer gets.
    Owed "`latest` or `every`" {
        /// The latest of each device.
        Latest = "latest",
        /// All.
        Every = "every",
    }
}

choice! {
    /// How readings are put into WebSocket frames.
    FrameFormat "`packed` or `single`" {
        /// Many readings a frame.
        Packed = "packed",
        /// One bare object a frame, as the well-known page expects it.
        Single = "single",
    }
}

choice! {
    /// How log lines are written.
    LogFormat "`auto`, `text` or `json`" {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// Text for people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// `kind` or `kind:rest`, where the rest is not empty.
pub(super) fn named(text: &str) -> (&str, Option<String>) {
    match text.split_once(':') {
        Some((kind, rest)) if !rest.is_empty() => (kind, Some(rest.to_owned())),
        _ => (text, None),
    }
}

/// An `http` or `https` URL, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Url {
    const FORM: &'static str = "a URL that begins with `https://` or `http://`";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        let text = raw.text()?.trim();
        if text.starts_with("wss://") || text.starts_with("ws://") {
            return Err(Unfit::because(
                "this is the viewers' address: AWS calls the other one the @connections or callback URL",
            ));
        }
        if value::userinfo(text).is_some() {
            return Err(Unfit::because(
                "credentials do not belong into a URL, which logs and errors show: leave out what stands before the `@`",
            ));
        }
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !text.contains(' ') => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(Unfit::PLAIN),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl Setting for ByteSize {
    const FORM: &'static str = "a size such as `64MiB` or a whole number of bytes";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        if let Ok(bytes) = u64::read(raw) {
            return Ok(Self(bytes));
        }
        let text = raw.text()?.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: u64 = match unit.trim().to_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "kib" => 1 << 10,
            "mb" => 1_000_000,
            "mib" => 1 << 20,
            "gb" => 1_000_000_000,
            "gib" => 1 << 30,
            _ => return Err(Unfit::PLAIN),
        };
        let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
        bytes.map(Self).ok_or(Unfit::PLAIN)
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// An address to listen on; `:9090` means that port on all interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Setting for Listen {
    const FORM: &'static str = "an address such as `0.0.0.0:9090`, `[::]:9090` or `:9090`";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        let text = raw.text()?.trim();
        let full = if text.starts_with(':') {
            format!("0.0.0.0{text}")
        } else {
            text.to_owned()
        };
        full.parse().map(Self).map_err(|_| Unfit::PLAIN)
    }
}

impl Setting for EpochMillis {
    const FORM: &'static str =
        "an instant such as `2026-03-01T12:00:00Z`, or milliseconds since the epoch";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        if let Ok(millis) = u64::read(raw) {
            return i64::try_from(millis).map(Self).map_err(|_| Unfit::PLAIN);
        }
        let text = match raw {
            Raw::Datetime(text) => text,
            other => other.text()?,
        };
        let instant = calendar::instant(text.trim(), Zone::Optional).ok_or(Unfit::PLAIN)?;
        if !instant.has_zone {
            return Err(Unfit::because("it lacks the zone: append `Z` for UTC"));
        }
        let millis = i64::try_from(instant.nanos.div_euclid(1_000_000));
        millis.map(Self).map_err(|_| Unfit::PLAIN)
    }
}

/// Which log lines are written, in the form `RUST_LOG` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The directives as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for LogLevel {
    const FORM: &'static str =
        "`error`, `warn`, `info`, `debug`, `trace`, or directives as in RUST_LOG";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        let text = raw.text()?.trim();
        match tracing_subscriber::EnvFilter::builder().parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(Unfit::PLAIN),
        }
    }
}

#[cfg(test)]
mod tests;
