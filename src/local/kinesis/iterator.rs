//! Shard iterators: a place in a shard, and when it was handed out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Refusal;

/// A place in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) shard: String,
    pub(super) sequence: String,
    /// Whether reading starts behind the sequence number, not at it.
    pub(super) after: bool,
}

impl Place {
    /// The text that callers hand back, opaque to them.
    pub(super) fn token(&self, wall_ms: u64) -> String {
        let Self {
            stream,
            shard,
            sequence,
            after,
        } = self;
        let side = if *after { "after" } else { "at" };
        STANDARD.encode(format!("{wall_ms}/{stream}/{shard}/{sequence}/{side}"))
    }

    /// Reads a token back; refuses a foreign one, and one older than `ttl_ms`.
    pub(super) fn of(token: &str, wall_ms: u64, ttl_ms: u64) -> Result<Self, Refusal> {
        let invalid = || Refusal::argument("Invalid ShardIterator.");
        let bytes = STANDARD.decode(token).map_err(|_| invalid())?;
        let text = String::from_utf8(bytes).map_err(|_| invalid())?;
        let parts: Vec<&str> = text.split('/').collect();
        let [made, stream, shard, sequence, side] = parts[..] else {
            return Err(invalid());
        };
        let made: u64 = made.parse().map_err(|_| invalid())?;
        let age = wall_ms.saturating_sub(made);
        if age > ttl_ms {
            let message = format!(
                "Iterator expired. It was handed out {age} ms ago, which is more than the \
                 {ttl_ms} ms it may be used."
            );
            return Err(Refusal::new("ExpiredIteratorException", message));
        }
        Ok(Self {
            stream: stream.to_owned(),
            shard: shard.to_owned(),
            sequence: sequence.to_owned(),
            after: match side {
                "after" => true,
                "at" => false,
                _ => return Err(invalid()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_until_it_expires() {
        let place = Place {
            stream: "s".to_owned(),
            shard: "shardId-000000000000".to_owned(),
            sequence: "495".to_owned(),
            after: true,
        };
        let token = place.token(1_000);
        assert_eq!(Place::of(&token, 301_000, 300_000), Ok(place));
        let refusal = Place::of(&token, 301_001, 300_000).unwrap_err();
        assert_eq!(refusal.code, "ExpiredIteratorException");
        assert_eq!(
            Place::of("AAAA", 0, 0).unwrap_err().code,
            "InvalidArgumentException"
        );
    }
}
