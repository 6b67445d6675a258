//! One-time tickets, as their bearers offer them. Pure.

use sha2::{Digest as _, Sha256};

use crate::model::TicketHash;

/// 128 random bits in base64: nothing shorter is safe from being guessed.
const CHARS_MIN: usize = 22;

/// More is no ticket.
const CHARS_MAX: usize = 256;

/// Whether a token is a ticket rather than a JWT, whose parts are joined by dots.
pub(super) fn is_one(token: &str) -> bool {
    !token.contains('.')
}

/// What a ticket is filed under; `None` where it is too short to be safe, or no base64url or hex.
pub(super) fn hash(ticket: &str) -> Option<TicketHash> {
    let of_it = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let fits = (CHARS_MIN..=CHARS_MAX).contains(&ticket.len()) && ticket.bytes().all(of_it);
    fits.then(|| TicketHash::of(&Sha256::digest(ticket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_sha256sum_prints() {
        // printf %s 0123456789abcdef0123456789abcdef | sha256sum
        let hash = hash("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(
            hash.as_str(),
            "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9"
        );
    }

    #[test]
    fn what_could_be_guessed_or_is_no_ticket_has_none() {
        for text in [
            "",
            "short",
            "0123456789abcdef01234",
            "0123456789abcdef 0123456789",
        ] {
            assert_eq!(hash(text), None, "{text}");
        }
        assert_eq!(hash(&"a".repeat(257)), None);
        assert!(is_one("0123456789abcdef0123456789abcdef") && !is_one("a.b.c"));
    }
}
