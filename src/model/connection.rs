//! Viewers: rows of the connection table, and what became of a post.

use std::collections::BTreeSet;

use super::id::ConnectionId;

/// What a viewer asked to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every device: `subscriber` missing or empty, as in the blog.
    All,
    /// These device ids; none at all is written as the list `[""]`.
    Devices(BTreeSet<String>),
}

/// A row of the connection table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The sort key.
    pub id: ConnectionId,
    /// `connected_at` exactly as stored (text or number), since deletes are conditional on it.
    pub connected_at: Option<StoredTime>,
    /// `subscriber`.
    pub wanted: Wanted,
    /// `allowed`: ids or patterns (a trailing `*`) from the token's claim; absent: all.
    pub allowed: Option<Vec<String>>,
    /// `expires_at`, seconds since the epoch.
    pub expires_at: Option<i64>,
    /// `principal`: who connected (the token's subject).
    pub principal: Option<String>,
}

/// A time as another writer may have stored it: the blog's Lambda writes text, ours a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredTime {
    /// DynamoDB `S`: ISO 8601 or digits.
    Text(String),
    /// DynamoDB `N`: seconds or milliseconds since the epoch.
    Number(String),
}

/// What became of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// API Gateway took it.
    Accepted,
    /// 410: no such connection.
    Gone,
    /// 429: the viewer's buffer is full, or the account's rate is used up.
    Slow,
    /// 413: larger than 128 KB.
    TooLarge,
    /// 403: permission or endpoint is wrong; says nothing about the viewer.
    Forbidden(String),
}
