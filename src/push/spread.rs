//! Which queue, and so which broadcaster, serves a viewer.
//!
//! The gateway and every broadcaster answer this by themselves and must agree, on any machine and
//! in any version: the function is part of the contract, and its values are pinned by tests.

use crate::model::ConnectionId;
use crate::model::hash::fnv1a;

/// The place, in the list `queue.urls`, of the queue that serves this connection; `None` where the
/// list is empty. Changing the length of the list moves viewers to other broadcasters, which costs
/// them one snapshot and nothing else.
#[must_use]
pub fn queue_of(connection: &ConnectionId, queues: usize) -> Option<usize> {
    let queues = u64::try_from(queues).ok()?;
    let place = hash(connection.as_str().as_bytes()).checked_rem(queues)?;
    usize::try_from(place).ok()
}

/// FNV-1a, then mixed: its low bits alone are too regular for a remainder by a power of two.
fn hash(bytes: &[u8]) -> u64 {
    mix(fnv1a(bytes.iter().copied()))
}

/// The finalizer of `MurmurHash3`'s 128-bit variant (public domain): every bit moves every other.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(id: &str) -> Vec<Option<usize>> {
        let id = ConnectionId::from(id);
        [1, 2, 3, 4, 16].map(|n| queue_of(&id, n)).to_vec()
    }

    #[test]
    fn the_places_are_what_every_release_says_they_are() {
        // Computed apart from this code, from the published definitions.
        assert_eq!(hash(b""), 0xefd0_1f60_ba99_2926);
        assert_eq!(hash(b"L0SM9cOFvHcCIhw="), 0x2e9f_3572_3d43_efbd);
        assert_eq!(places("L0SM9cOFvHcCIhw="), [0, 1, 1, 1, 13].map(Some));
        assert_eq!(places("e9qEfdWLoAMCKJA="), [0, 1, 1, 1, 5].map(Some));
        assert_eq!(places(""), [0, 0, 2, 2, 6].map(Some));
    }

    #[test]
    fn no_queue_serves_nobody() {
        assert_eq!(queue_of(&ConnectionId::from("a"), 0), None);
    }

    #[test]
    fn viewers_spread_evenly() {
        for queues in [2, 3, 7, 8] {
            let mut counts = vec![0_u32; queues];
            for n in 0..8_000 {
                let id = ConnectionId::from(format!("L0SM9cOFv{n:05}Ihw="));
                counts[queue_of(&id, queues).unwrap()] += 1;
            }
            let fair = 8_000.0 / queues as f64;
            for count in counts {
                assert!(
                    (f64::from(count) - fair).abs() < fair * 0.1,
                    "{count} of {fair}"
                );
            }
        }
    }
}
