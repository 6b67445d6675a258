//! A stream among several, and the shards of it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::id::ShardId;

/// A stream as KCL names it where a fleet reads several: `account:name:creationEpoch`
/// (`StreamIdentifier`). The epoch, seconds, tells a stream from one of the same name that was
/// deleted: its shards count from zero again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

/// Text that names no stream among several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not such as `123456789012:readings:1700000000` (account, name, creation in epoch seconds)"
)]
pub struct NotAStreamId(String);

impl StreamId {
    /// The stream of an account that was made at `created_s`, epoch seconds.
    #[must_use]
    pub fn new(account: &str, name: &str, created_s: i64) -> Self {
        Self(Arc::from(format!("{account}:{name}:{created_s}")))
    }

    /// As KCL writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account, twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The stream's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }

    /// Its ARN in a region.
    #[must_use]
    pub fn arn(&self, region: &str) -> String {
        let partition = match region {
            cn if cn.starts_with("cn-") => "aws-cn",
            gov if gov.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let (account, name) = (self.account(), self.name());
        format!("arn:{partition}:kinesis:{region}:{account}:stream/{name}")
    }

    /// The key of this stream's shard of that bare id.
    #[must_use]
    pub fn shard(&self, bare: &str) -> ShardId {
        ShardId::from(format!("{}:{bare}", self.0))
    }
}

impl FromStr for StreamId {
    type Err = NotAStreamId;

    fn from_str(text: &str) -> Result<Self, NotAStreamId> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        match text.split(':').collect::<Vec<_>>()[..] {
            [account, name, epoch] if digits(account) && !name.is_empty() && digits(epoch) => {
                Ok(Self(Arc::from(text)))
            }
            _ => Err(NotAStreamId(text.to_owned())),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Between a stream and its shard in a key; neither a name nor a shard's id holds it.
const SEPARATOR: char = ':';

impl ShardId {
    /// The id as Kinesis knows it, which is unique within one stream only.
    #[must_use]
    pub fn bare(&self) -> &str {
        let parts = self.as_str().rsplit_once(SEPARATOR);
        parts.map_or(self.as_str(), |(_, bare)| bare)
    }

    /// The stream, where the fleet reads several.
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        let (stream, _) = self.as_str().rsplit_once(SEPARATOR)?;
        Some(StreamId(Arc::from(stream)))
    }

    /// The shard of the same stream with that bare id.
    #[must_use]
    pub fn sibling(&self, bare: &str) -> Self {
        match self.stream() {
            Some(stream) => stream.shard(bare),
            None => Self::from(bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_several_streams_comes_apart_as_it_was_put_together() {
        let stream = StreamId::new("123456789012", "readings", 1_700_000_000);
        assert_eq!(stream.as_str().parse(), Ok(stream.clone()));
        assert_eq!(
            (stream.account(), stream.name()),
            ("123456789012", "readings")
        );
        let shard = stream.shard("shardId-000000000007");
        let key = "123456789012:readings:1700000000:shardId-000000000007";
        assert_eq!(shard.as_str(), key);
        assert_eq!(shard.bare(), "shardId-000000000007");
        assert_eq!(shard.stream(), Some(stream.clone()));
        assert_eq!(shard.sibling("shardId-1"), stream.shard("shardId-1"));
    }

    #[test]
    fn a_shard_of_the_only_stream_is_its_bare_id() {
        let shard = ShardId::from("shardId-000000000007");
        assert_eq!((shard.bare(), shard.stream()), (shard.as_str(), None));
        assert_eq!(shard.sibling("x"), ShardId::from("x"));
    }

    #[test]
    fn other_text_names_no_stream() {
        for text in [
            "",
            "readings",
            "a:readings:1",
            "1:readings",
            "1::2",
            "1:r:x",
            "1:r:2:3",
        ] {
            assert!(text.parse::<StreamId>().is_err(), "{text}");
        }
    }
}
