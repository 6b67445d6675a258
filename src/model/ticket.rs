//! One-time tickets: the other way in for a viewer, beside a JWT.

use std::fmt;

/// The SHA-256 of a ticket in lower-case hex: what its row is filed under. The ticket itself is a
/// secret and stands nowhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TicketHash(String);

impl TicketHash {
    /// Of a digest.
    #[must_use]
    pub fn of(digest: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 * digest.len());
        for byte in digest {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        Self(text)
    }

    /// In hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a ticket's row grants to whoever spends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// `principal`: who it was made for.
    pub principal: Option<String>,
    /// `allowed`: ids or patterns; absent: all.
    pub allowed: Option<Vec<String>>,
    /// `session_expires_at`: when the connection's right ends, seconds since the epoch; absent:
    /// when API Gateway ends it anyway. Not the ticket's own `expires_at`, which is seconds away.
    pub session_expires_at: Option<i64>,
}
