//! Settings of broadcaster and gateway.

use super::super::key::section;
use super::super::kinds::{FrameFormat, Owed, Url};
use super::super::secret::Secret;

section! {
    /// The broadcaster: from the live queue to the viewers.
    Broadcaster "broadcaster" {
        /// The one queue of `queue.urls` that it serves. Not set: any of them that no other
        /// broadcaster serves; of several broadcasters for a queue one is active, the others stand by.
        queue_url: Option<Url>;
        /// Milliseconds over which what a viewer is owed is joined into frames. API Gateway bills
        /// by message: this is the setting that decides the bill.
        window_ms: u64 = "100", 10..=60_000;
        /// Which readings within a window a viewer gets.
        mode: Owed = "latest";
        /// What a frame holds.
        frame: FrameFormat = "packed";
        /// Milliseconds between full reads of the connection table. Not set: 30 s with
        /// `queue.format = "packed"`, where tidewire's gateway tells of each change by the queue, so
        /// that a full read only makes good what was missed; 2 s with `single`, which carries
        /// readings only. Set 2000 where rows are written by somebody who tells of nothing.
        snapshot_every_ms: Option<u64>, 500..=300_000;
        /// Posts under way at once; one a viewer in any case.
        posts_in_flight_max: u64 = "128", 1..=1_024;
        /// Posts a second that all broadcasters together may send; each queue's has an equal share,
        /// and viewers take turns. Not set: as many as API Gateway takes.
        posts_per_second: Option<u64>, 1..=1_000_000;
        /// Readings that arrived on the stream more than this many seconds ago are no news and are
        /// not shown. Not set: all are.
        max_age_s: Option<u64>, 1..=604_800;
    }
}

section! {
    /// The DynamoDB table of WebSocket connections.
    Connections "connections" {
        /// The table. Broadcaster and gateway need it.
        table: Option<String>;
        /// Create the table if there is none.
        create: bool = "false";
        /// The name of its hash key.
        hash_key: String = "LookupKey";
        /// The name of its sort key, which holds the connection's id.
        sort_key: String = "SortKey";
        /// The hash key's value in a connection's row.
        hash_value: String = "CONNECTION";
    }
}

section! {
    /// The gateway: who may connect and what they may see. It needs a way to check tokens.
    Gateway "gateway" {
        /// The shared secret of HS256 tokens, at least 32 bytes.
        hs256_secret: Option<Secret>;
        /// A file with the public keys (JWKS) of RS256, ES256 or `EdDSA` tokens.
        jwks_file: Option<String>;
        /// Where the issuer publishes those keys (a JWKS URL). Read at the first handshake, every
        /// hour, and when a token names a key that is missing (at most every 30 s); while it cannot
        /// be reached, the keys last read serve for a day.
        jwks_url: Option<Url>;
        /// Take one-time tickets as well (docs/screens.md): rows of the connection table that your
        /// own server writes, each good for one handshake.
        tickets: bool = "false";
        /// The issuer (`iss`) a token must name. Not set: any.
        issuer: Option<String>;
        /// The audience (`aud`) a token must name. Not set: a token that names one is refused,
        /// having been made for somebody else.
        audience: Option<String>;
        /// The claim that lists the devices (ids or patterns) its bearer may see. Not set: all.
        allowed_claim: Option<String>;
        /// Accept a bare token as the only WebSocket subprotocol, and echo it, as the well-known
        /// page does it. A token in a response header ends up in logs: off unless you must.
        legacy_token: bool = "false";
        /// Values of `Origin` that may connect. Empty: any.
        origins: Vec<String>;
        /// The most devices a connection may subscribe to.
        subscriptions_max: u64 = "500", 1..=10_000;
    }
}
