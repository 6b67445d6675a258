//! Traces: which readings are followed, by which ids, and how the next process is told.
//!
//! Both the choice and the trace's id come from a reading's place on the stream alone. A reading
//! that is read again, after a crash or by `tidewire replay`, is chosen again and shows up in the
//! trace that it had.

use std::fmt;
use std::num::NonZeroU64;

use super::hash::fnv1a_128;
use super::id::ShardId;
use super::position::Position;
use super::time::EpochNanos;

/// A trace: one reading's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The trace of the reading at this place.
    #[must_use]
    pub fn of(shard: &ShardId, position: &Position) -> Self {
        let hash = fnv1a_128(bytes_of(shard, position));
        // Whoever samples by a trace's id looks at its last bytes: every bit counts there.
        let low = mixed(hash as u64);
        let high = mixed((hash >> 64) as u64 ^ low);
        let mut id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        // All zeros means none (W3C Trace Context, 3.2.2.3).
        id[15] |= u8::from(id == [0; 16]);
        Self(id)
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A step within a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// From dice that somebody else rolled.
    #[must_use]
    pub fn new(dice: u64) -> Self {
        // All zeros means none.
        Self(dice.max(1).to_be_bytes())
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Under what the next step hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The step.
    pub span: SpanId,
}

/// The message attribute, or header, that carries a [`TraceContext`] (W3C Trace Context).
pub const TRACEPARENT: &str = "traceparent";

/// Characters of a `traceparent` of version 00.
const TRACEPARENT_CHARS: usize = 55;

impl TraceContext {
    /// Its form in [`TRACEPARENT`]. What is not followed has none, so it always says `sampled`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    /// Reads what another process wrote; none where that is no `traceparent`, or says that nobody
    /// follows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex::<1>(parts.next()?)?[0];
        let trace = hex::<16>(parts.next()?)?;
        let span = hex::<8>(parts.next()?)?;
        let flags = hex::<1>(parts.next()?)?[0];
        // A later version may say more, behind what is here.
        let whole = version > 0 || text.len() == TRACEPARENT_CHARS;
        let given = version != 0xff && trace != [0; 16] && span != [0; 8];
        let sampled = flags & 1 == 1;
        (whole && given && sampled).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
        })
    }
}

/// Lower-case hexadecimal digits of exactly so many bytes.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// A reading that is followed, on its way through one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Under what its next step hangs.
    pub context: TraceContext,
    /// When its last step ended, and waiting for the next began.
    pub since: EpochNanos,
}

/// Which readings are followed: one in so many, chosen by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    one_in: NonZeroU64,
}

impl Sampling {
    /// One reading in `one_in`; 0 counts as 1, every one.
    #[must_use]
    pub fn one_in(one_in: u64) -> Self {
        Self {
            one_in: NonZeroU64::new(one_in).unwrap_or(NonZeroU64::MIN),
        }
    }

    /// Whether the reading at this place is followed.
    #[must_use]
    pub fn takes(self, shard: &ShardId, position: &Position) -> bool {
        let hash = fnv1a_128(bytes_of(shard, position));
        mixed(hash as u64 ^ (hash >> 64) as u64) % self.one_in == 0
    }
}

/// A place, as it is hashed.
fn bytes_of(shard: &ShardId, position: &Position) -> impl Iterator<Item = u8> {
    let (sub, index) = (position.sub.to_be_bytes(), position.index.to_be_bytes());
    let bytes = shard.as_str().bytes().chain([0]);
    let bytes = bytes.chain(position.seq.as_str().bytes()).chain([0]);
    bytes.chain(sub).chain(index)
}

/// FNV's lower bits follow those of what it was fed; this spreads them (`SplitMix64`'s last steps).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(seq: u128, sub: u64, index: u32) -> (ShardId, Position) {
        let seq = seq.to_string().parse().unwrap();
        ("shardId-000000000003".into(), Position { seq, sub, index })
    }

    fn context(place: &(ShardId, Position), dice: u64) -> TraceContext {
        TraceContext {
            trace: TraceId::of(&place.0, &place.1),
            span: SpanId::new(dice),
        }
    }

    #[test]
    fn a_place_has_one_trace_and_no_two_places_share_one() {
        let (shard, at) = place(49_600, 2, 1);
        let id = TraceId::of(&shard, &at);
        // A trace must be found again by a later release, too.
        assert_eq!(id.to_string(), "64b5b242c54e41eebf55494252656258");
        for (other_shard, other) in [
            place(49_601, 2, 1),
            place(49_600, 1, 1),
            place(49_600, 2, 0),
            ("shardId-000000000004".into(), at),
        ] {
            assert_ne!(TraceId::of(&other_shard, &other), id);
        }
    }

    #[test]
    fn one_in_so_many_is_taken_and_always_the_same_ones() {
        let taken = |one_in| -> Vec<u128> {
            let sampling = Sampling::one_in(one_in);
            (0..100_000)
                .filter(|seq| {
                    let (shard, at) = place(49_600_000_000 + seq, 0, 0);
                    sampling.takes(&shard, &at)
                })
                .collect()
        };
        assert_eq!(taken(1).len(), 100_000);
        assert_eq!(taken(0).len(), 100_000, "nobody divides by zero");
        let some = taken(64);
        assert!((1_300..1_830).contains(&some.len()), "{}", some.len());
        assert_eq!(taken(64), some);
        assert!(taken(u64::MAX).is_empty());
    }

    #[test]
    fn what_the_standard_forbids_is_not_followed() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let good = format!("00-{trace}-{span}-01");
        assert_eq!(
            TraceContext::parse(&good).unwrap().traceparent(),
            good,
            "the standard's own example"
        );
        assert!(TraceContext::parse(&format!("cc-{trace}-{span}-09-more")).is_some());
        for bad in [
            format!("00-{trace}-{span}-00"),
            format!("00-{trace}-{span}-01-more"),
            format!("00-{trace}-{span}-01-"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}{span}-01"),
            String::new(),
        ] {
            assert_eq!(TraceContext::parse(&bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_ignored(text in ".{0,80}", tail in "[0-9a-f-]{0,60}") {
            let _unless_it_panics = TraceContext::parse(&text);
            let _nor_this = TraceContext::parse(&format!("00-{tail}"));
        }

        #[test]
        fn what_is_written_reads_back(seq in any::<u128>(), dice in any::<u64>()) {
            let context = context(&place(seq, 0, 0), dice);
            prop_assert_eq!(TraceContext::parse(&context.traceparent()), Some(context));
        }
    }
}
