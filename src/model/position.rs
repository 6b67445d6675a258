//! Where a record stands in its shard, and how far a shard has been done.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A Kinesis sequence number: a decimal of up to 129 digits, ordered as a number.
///
/// It does not fit any machine integer (those of today have 56 digits), so it is kept as text
/// without leading zeros and compared by length, then by text.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SequenceNumber(Arc<str>);

/// Text that is no sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sequence number: 1 to 129 decimal digits are")]
pub struct NotASequenceNumber(String);

/// AWS's pattern for a sequence number is `0|([1-9]\d{0,128})`.
const SEQUENCE_DIGITS_MAX: usize = 129;

impl SequenceNumber {
    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SequenceNumber {
    type Err = NotASequenceNumber;

    fn from_str(text: &str) -> Result<Self, NotASequenceNumber> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if text.is_empty() || text.len() > SEQUENCE_DIGITS_MAX || !digits {
            return Err(NotASequenceNumber(
                text.chars().take(SEQUENCE_DIGITS_MAX).collect(),
            ));
        }
        let trimmed = text.trim_start_matches('0');
        Ok(Self(Arc::from(if trimmed.is_empty() {
            "0"
        } else {
            trimmed
        })))
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reading's place in its shard: record, user record within an aggregate, index within that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The Kinesis record.
    pub seq: SequenceNumber,
    /// The user record within a KPL aggregate; 0 for an ordinary record.
    pub sub: u64,
    /// The reading within the record (a record can carry several).
    pub index: u32,
}

/// How far a shard has been done, as KCL stores it in `checkpoint` and
/// `checkpointSubSequenceNumber`; the variants stand in KCL's order (`ExtendedSequenceNumber`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checkpoint {
    /// Nothing read; start at a time that the row pins.
    AtTimestamp,
    /// Nothing read; start at the oldest record.
    TrimHorizon,
    /// Nothing read; start at what arrives from now on (pinned by the row to a time).
    Latest,
    /// Everything up to and with this (user) record is done.
    At {
        /// The Kinesis record.
        seq: SequenceNumber,
        /// The user record within it.
        sub: u64,
    },
    /// The shard is closed and all of it is done.
    ShardEnd,
}

impl Checkpoint {
    /// The text KCL stores in `checkpoint`.
    #[must_use]
    pub fn as_kcl(&self) -> &str {
        match self {
            Self::AtTimestamp => "AT_TIMESTAMP",
            Self::TrimHorizon => "TRIM_HORIZON",
            Self::Latest => "LATEST",
            Self::At { seq, .. } => seq.as_str(),
            Self::ShardEnd => "SHARD_END",
        }
    }

    /// The number KCL stores in `checkpointSubSequenceNumber`.
    #[must_use]
    pub fn sub(&self) -> u64 {
        match self {
            Self::At { sub, .. } => *sub,
            _ => 0,
        }
    }

    /// Reads the two attributes back.
    ///
    /// # Errors
    /// Text that is neither a sentinel nor a sequence number.
    pub fn from_kcl(text: &str, sub: u64) -> Result<Self, NotASequenceNumber> {
        Ok(match text {
            "AT_TIMESTAMP" => Self::AtTimestamp,
            "TRIM_HORIZON" => Self::TrimHorizon,
            "LATEST" => Self::Latest,
            "SHARD_END" => Self::ShardEnd,
            digits => Self::At {
                seq: digits.parse()?,
                sub,
            },
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { seq, sub } if *sub > 0 => write!(f, "{seq}/{sub}"),
            other => f.write_str(other.as_kcl()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seq(text: &str) -> SequenceNumber {
        text.parse().unwrap()
    }

    #[test]
    fn sentinels_stand_around_the_numbers_as_in_kcl() {
        let at = Checkpoint::At {
            seq: seq("0"),
            sub: 0,
        };
        assert!(Checkpoint::AtTimestamp < Checkpoint::TrimHorizon);
        assert!(Checkpoint::TrimHorizon < Checkpoint::Latest);
        assert!(Checkpoint::Latest < at);
        assert!(at < Checkpoint::ShardEnd);
    }

    #[test]
    fn rubbish_is_refused_with_the_rule() {
        for text in ["", "-1", "12a", " 1", "TRIM"] {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
        assert!("1".repeat(130).parse::<SequenceNumber>().is_err());
    }

    proptest! {
        #[test]
        fn sequence_numbers_order_as_numbers(a in any::<u128>(), b in any::<u128>()) {
            prop_assert_eq!(seq(&a.to_string()).cmp(&seq(&b.to_string())), a.cmp(&b));
        }

        #[test]
        fn leading_zeros_change_nothing(a in any::<u64>(), zeros in 0_usize..5) {
            let padded = format!("{}{a}", "0".repeat(zeros));
            prop_assert_eq!(seq(&padded), seq(&a.to_string()));
        }

        #[test]
        fn a_checkpoint_reads_back_as_it_was_written(a in any::<u128>(), sub in any::<u64>()) {
            let checkpoint = Checkpoint::At { seq: seq(&a.to_string()), sub };
            let read = Checkpoint::from_kcl(checkpoint.as_kcl(), checkpoint.sub()).unwrap();
            prop_assert_eq!(read, checkpoint);
        }
    }
}
