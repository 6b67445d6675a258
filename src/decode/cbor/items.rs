//! Items of CBOR one by one, bounded by the payload they stand in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ciborium_io::Read as _;
use ciborium_ll::{Decoder, Header, simple};

use crate::decode::value::Scalar;

/// One item, or the beginning of one that holds others.
#[derive(Debug)]
pub(in crate::decode) enum Item {
    Scalar(Scalar<'static>),
    /// Null, and undefined, which says as little.
    Null,
    /// How many elements; none where a break ends them.
    Array(Option<usize>),
    /// How many pairs; none where a break ends them.
    Map(Option<usize>),
    Break,
}

/// An item with the tag nearest to it, of those that matter here.
#[derive(Debug)]
pub(in crate::decode) struct Tagged {
    pub(in crate::decode) tag: Option<u64>,
    pub(in crate::decode) item: Item,
}

impl Item {
    /// A map's key as a name.
    pub(in crate::decode) fn into_key(self) -> Option<String> {
        match self {
            Self::Scalar(Scalar::Text(text)) => Some(text.into_owned()),
            Self::Scalar(Scalar::Whole(number)) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// Tags of RFC 8949, 3.4.
mod tag {
    pub(super) const DATE: u64 = 0;
    pub(super) const SECONDS: u64 = 1;
    pub(super) const BIGNUM: u64 = 2;
    pub(super) const NEGATIVE_BIGNUM: u64 = 3;
    pub(super) const DECIMAL_FRACTION: u64 = 4;
    pub(super) const BIGFLOAT: u64 = 5;
}

/// A payload's items.
pub(in crate::decode) struct Items<'de> {
    decoder: Decoder<&'de [u8]>,
    bytes: usize,
}

impl<'de> Items<'de> {
    pub(in crate::decode) fn new(payload: &'de [u8]) -> Self {
        Self {
            decoder: Decoder::from(payload),
            bytes: payload.len(),
        }
    }

    pub(in crate::decode) fn at_end(&mut self) -> bool {
        self.decoder.offset() >= self.bytes
    }

    /// A sentence with the place it is about.
    pub(in crate::decode) fn at(&mut self, what: &str) -> String {
        format!("{what} (before byte {})", self.decoder.offset())
    }

    /// The next element of something that has so many left, or is ended by a break.
    pub(in crate::decode) fn element(
        &mut self,
        left: &mut Option<usize>,
    ) -> Result<Option<Tagged>, String> {
        match left {
            Some(0) => Ok(None),
            Some(more) => {
                *more -= 1;
                self.next().map(Some)
            }
            None => match self.next()? {
                Tagged {
                    item: Item::Break,
                    tag: None,
                } => Ok(None),
                other => Ok(Some(other)),
            },
        }
    }

    /// The next item.
    pub(in crate::decode) fn next(&mut self) -> Result<Tagged, String> {
        let mut nearest = None;
        loop {
            let item = match self.pull()? {
                Header::Tag(tag @ (tag::DATE | tag::SECONDS)) => {
                    nearest = Some(tag);
                    continue;
                }
                Header::Tag(tag @ (tag::BIGNUM | tag::NEGATIVE_BIGNUM)) => {
                    Item::Scalar(self.bignum(tag == tag::NEGATIVE_BIGNUM)?)
                }
                Header::Tag(tag @ (tag::DECIMAL_FRACTION | tag::BIGFLOAT)) => {
                    return Err(self.at(&format!(
                        "a decimal fraction or bigfloat (tag {tag}) is not taken: send a float"
                    )));
                }
                // Whatever else a tag says of a value, it is a value.
                Header::Tag(_) => continue,
                Header::Positive(number) => Item::Scalar(Scalar::Whole(number.into())),
                Header::Negative(number) => Item::Scalar(Scalar::Whole(-1 - i128::from(number))),
                Header::Float(number) => Item::Scalar(Scalar::Double(number)),
                Header::Simple(simple::TRUE) => Item::Scalar(Scalar::Bool(true)),
                Header::Simple(simple::FALSE) => Item::Scalar(Scalar::Bool(false)),
                Header::Simple(simple::NULL | simple::UNDEFINED) => Item::Null,
                Header::Simple(other) => {
                    return Err(self.at(&format!("the simple value {other} has no meaning here")));
                }
                Header::Text(len) => Item::Scalar(Scalar::Text(self.text(len)?.into())),
                // As everywhere where bytes are to be text.
                Header::Bytes(len) => Item::Scalar(Scalar::Text(
                    STANDARD.encode(self.string(len, false)?).into(),
                )),
                Header::Array(len) => Item::Array(len),
                Header::Map(len) => Item::Map(len),
                Header::Break => Item::Break,
            };
            return Ok(Tagged { tag: nearest, item });
        }
    }

    fn pull(&mut self) -> Result<Header, String> {
        let begun = self.decoder.offset();
        self.decoder.pull().map_err(|error| match error {
            ciborium_ll::Error::Io(_) => self.cut(begun),
            ciborium_ll::Error::Syntax(offset) => {
                format!("the payload is not CBOR: no item begins at byte {offset}")
            }
        })
    }

    fn cut(&self, begun: usize) -> String {
        format!(
            "the payload is not CBOR: it ends within the item that begins at byte {begun}, after \
             {} bytes",
            self.bytes
        )
    }

    fn text(&mut self, len: Option<usize>) -> Result<String, String> {
        let bytes = self.string(len, true)?;
        String::from_utf8(bytes)
            .map_err(|_| self.at("the payload is not CBOR: text that is not UTF-8"))
    }

    /// Bytes of a string, whole or in chunks of its own kind (RFC 8949, 3.2.3).
    fn string(&mut self, len: Option<usize>, is_text: bool) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        if let Some(len) = len {
            self.append(len, &mut bytes)?;
            return Ok(bytes);
        }
        loop {
            match self.pull()? {
                Header::Break => return Ok(bytes),
                Header::Text(Some(len)) if is_text => self.append(len, &mut bytes)?,
                Header::Bytes(Some(len)) if !is_text => self.append(len, &mut bytes)?,
                _ => return Err(self.at("the payload is not CBOR: a chunk of another kind")),
            }
        }
    }

    fn append(&mut self, len: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
        let begun = self.decoder.offset();
        // A length is a claim until the payload has as many bytes.
        if len > self.bytes.saturating_sub(begun) {
            return Err(self.cut(begun));
        }
        let old = bytes.len();
        bytes.resize(old + len, 0);
        self.decoder
            .read_exact(&mut bytes[old..])
            .map_err(|_| self.cut(begun))
    }

    fn bignum(&mut self, negative: bool) -> Result<Scalar<'static>, String> {
        let Header::Bytes(len) = self.pull()? else {
            return Err(self.at("a bignum that is not a byte string"));
        };
        let bytes = self.string(len, false)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = &bytes[zeros..];
        // As many as always fit; the rest decides at most how a double is rounded.
        let (head, rest) = digits.split_at(digits.len().min(15));
        let mut value = head
            .iter()
            .fold(0_i128, |value, byte| value << 8 | i128::from(*byte));
        if rest.is_empty() {
            return Ok(Scalar::Whole(if negative { -1 - value } else { value }));
        }
        value |= i128::from(rest.iter().any(|byte| *byte != 0));
        let exponent = i32::try_from(8 * rest.len()).unwrap_or(i32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "to the nearest double")]
        let double = value as f64 * 2.0_f64.powi(exponent);
        Ok(Scalar::Double(if negative { -double } else { double }))
    }
}
