//! Where the public keys of viewers' tokens are published.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use super::fault::CallFailed;

/// A document under way. Boxed, so that a gateway need not be of another type for each way there.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<String, CallFailed>> + Send + 'a>>;

/// A published JWKS (RFC 7517).
pub trait KeySet: Debug + Send + Sync + 'static {
    /// The document as it is published now. One request; the caller bounds its time and decides
    /// when to ask again.
    fn fetch(&self) -> Fetching<'_>;
}
