//! What a client offers at the handshake. Pure.

use std::fmt;

use axum::http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, HeaderName};

use super::token::Refused;

/// The subprotocol that clients speak, the only thing echoed to them.
pub const PROTOCOL: &str = "tidewire.v1";

/// What stands before the token in the other subprotocol a client offers. Both halves, and a JWT,
/// consist of characters that RFC 6455 (4.1, by RFC 2616's `token`) allows in a subprotocol.
pub const BEARER: &str = "bearer.";

/// A client of ours offers two; more than this is nobody's client.
const OFFERS_MAX: usize = 16;

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No `tidewire.v1` with one `bearer.` value beside it, nor a bare token where those are taken.
    #[error("no token was offered")]
    NoToken,
    /// The page that connects is not one of ours.
    #[error("the origin is not allowed")]
    Origin,
    /// See there.
    #[error(transparent)]
    Token(#[from] Refused),
    /// Never made, run out, or spent by somebody before.
    #[error("there is no such ticket, or it was spent, or it ran out")]
    Ticket,
    /// The issuer's keys have not been read yet, and cannot be.
    #[error("the token keys could not be read")]
    NoKeys,
    /// The table did not say whether there is such a ticket.
    #[error("the ticket could not be looked up")]
    Unavailable,
}

impl Refusal {
    /// 401: come with another token; 403: no token of this kind, or no page of that origin, helps;
    /// 500 and 503: the token may be good, come again.
    pub(super) fn status(self) -> i64 {
        match self {
            Self::NoToken | Self::Ticket => 401,
            Self::Origin | Self::Token(Refused::Claim) => 403,
            Self::Token(_) => 401,
            Self::Unavailable => 500,
            Self::NoKeys => 503,
        }
    }
}

/// The two places where API Gateway puts headers; names match without case in both.
#[derive(Clone, Copy)]
pub(super) struct Headers<'a> {
    pub(super) single: &'a HeaderMap,
    pub(super) multi: &'a HeaderMap,
}

impl<'a> Headers<'a> {
    /// Every value of a header, from the place that has them all if it has any. A value that is no
    /// text reads as an empty one.
    fn all(self, name: &HeaderName) -> impl Iterator<Item = &'a str> {
        let from = if self.multi.contains_key(name) {
            self.multi
        } else {
            self.single
        };
        from.get_all(name)
            .into_iter()
            .map(|value| value.to_str().unwrap_or(""))
    }
}

/// What was offered. Its token is never printed.
#[derive(PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) token: String,
    /// A bare token, as the blog's page offers it: it is echoed, and its viewer begins with all
    /// devices.
    pub(super) is_bare: bool,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("is_bare", &self.is_bare)
            .finish_non_exhaustive()
    }
}

impl Offer {
    /// Reads the offered subprotocols: values split at commas and trimmed.
    pub(super) fn read(headers: Headers<'_>, bare_is_taken: bool) -> Result<Self, Refusal> {
        let offered: Vec<&str> = headers
            .all(&SEC_WEBSOCKET_PROTOCOL)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .take(OFFERS_MAX)
            .collect();
        if let [bare] = offered[..]
            && bare_is_taken
            && bare != PROTOCOL
            && !bare.starts_with(BEARER)
        {
            return Ok(Self {
                token: bare.to_owned(),
                is_bare: true,
            });
        }
        let tokens: Vec<&str> = offered
            .iter()
            .filter_map(|value| value.strip_prefix(BEARER))
            .filter(|token| !token.is_empty())
            .collect();
        match tokens[..] {
            [token] if offered.contains(&PROTOCOL) => Ok(Self {
                token: token.to_owned(),
                is_bare: false,
            }),
            _ => Err(Refusal::NoToken),
        }
    }

    /// What the answer's `Sec-WebSocket-Protocol` says.
    pub(super) fn echo(&self) -> &str {
        if self.is_bare { &self.token } else { PROTOCOL }
    }
}

/// Browsers name the page's origin, and a page of a stranger must not connect with what it found.
/// Clients that are no browsers send none and could send any: those the token keeps out. An empty
/// list of origins takes every page.
pub(super) fn check_origin(headers: Headers<'_>, origins: &[String]) -> Result<(), Refusal> {
    let is_ours = |value: &str| origins.iter().any(|our| our.eq_ignore_ascii_case(value));
    if origins.is_empty() || headers.all(&ORIGIN).all(is_ours) {
        Ok(())
    } else {
        Err(Refusal::Origin)
    }
}
