//! A viewer's token: a JWT (RFC 7519), checked at the handshake. Pure: the time is an argument.

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Map, Value, json};

use super::keys::{Key, Keys};
use crate::service::settings::Secret;

/// API Gateway takes 10,240 bytes of headers in all: nothing longer can be a token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far our clock and the issuer's may be apart, where nothing else is configured.
pub const LEEWAY_DEFAULT: Duration = Duration::from_secs(30);

/// More leeway than this would lengthen tokens rather than forgive clocks.
pub const LEEWAY_MAX: Duration = Duration::from_secs(120);

/// How long a token made by [`mint`] is good: API Gateway ends a connection after two hours, and
/// the minute less keeps a client from connecting with one that runs out at the same moment.
pub const MINTED_LIFE: Duration = Duration::from_secs(2 * 3600 - 60);

/// What a token must fulfil, and what of it is kept.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The keys signatures are checked with.
    pub keys: Keys,
    /// `iss` must be this, where given.
    pub issuer: Option<String>,
    /// `aud` must name one of these. Where none is given, a token made for somebody (one with an
    /// `aud`) is not for us and refused (RFC 7519, 4.1.3).
    pub audiences: Vec<String>,
    /// The claim that lists the device ids and patterns its bearer may see: text, or an array of
    /// texts. Where configured, a token without it is refused rather than allowed everything.
    pub allowed_claim: Option<String>,
    /// Forgiven between the clocks, at most [`LEEWAY_MAX`].
    pub leeway: Duration,
}

impl Rules {
    /// Only signature, `exp` and `nbf` are checked; every device is allowed.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            issuer: None,
            audiences: Vec::new(),
            allowed_claim: None,
            leeway: LEEWAY_DEFAULT,
        }
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// When the bearer's right ends, seconds since the epoch: `exp`, or the end of the leeway where
    /// `exp` has already passed.
    pub expires_at_s: i64,
    /// `sub`.
    pub principal: Option<String>,
    /// Ids and patterns from the configured claim; `None` where no claim is configured.
    pub allowed: Option<Vec<String>>,
}

/// Why a token is not accepted. Never says what the token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is too long")]
    TooLong,
    /// No JWT, or one of an algorithm that nobody should use (`none`).
    #[error("the token is no signed JWT")]
    Malformed,
    /// Its `crit` header names extensions; none are understood (RFC 7515, 4.1.11).
    #[error("the token has critical extensions")]
    Critical,
    /// No key of that algorithm and key id.
    #[error("no key fits the token's algorithm and key id")]
    NoKey,
    /// Signed by somebody else, or changed since.
    #[error("the token's signature does not hold")]
    Signature,
    /// No `exp`, or one that is no time.
    #[error("the token has no expiry")]
    NoExpiry,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is ahead, or is no time.
    #[error("the token is not valid yet")]
    NotYet,
    /// `iss` is another.
    #[error("the token's issuer is not the configured one")]
    Issuer,
    /// `aud` names none of ours.
    #[error("the token's audience is not a configured one")]
    Audience,
    /// The configured claim is missing, empty, or no list of texts.
    #[error("the token's claim of allowed devices is missing or empty")]
    Claim,
}

/// Checks a token at `now_s`, seconds since the epoch.
///
/// # Errors
/// [`Refused`], with the first reason found.
pub fn verify(token: &str, now_s: i64, rules: &Rules) -> Result<Claims, Refused> {
    verify_with(token, now_s, rules, &rules.keys)
}

/// [`verify`] with other keys than the rules'.
pub(super) fn verify_with(
    token: &str,
    now_s: i64,
    rules: &Rules,
    keys: &Keys,
) -> Result<Claims, Refused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused::TooLong);
    }
    let header = decode_header(token).map_err(|_| Refused::Malformed)?;
    if header.crit.is_some() {
        return Err(Refused::Critical);
    }
    let mut why = Refused::NoKey;
    for key in keys.candidates(header.alg, header.kid.as_deref()) {
        match signed(token, key) {
            Ok(claims) => return judge(&claims, now_s, rules),
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// The claims of a token whose signature holds. The library's own checks of claims are off: it
/// would ask the clock itself.
fn signed(token: &str, key: &Key) -> Result<Map<String, Value>, Refused> {
    let mut checks = Validation::new(key.algorithm);
    checks.required_spec_claims.clear();
    checks.validate_exp = false;
    checks.validate_nbf = false;
    checks.validate_aud = false;
    decode(token, &key.decoding, &checks)
        .map(|token| token.claims)
        .map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::Utf8(_) => Refused::Malformed,
            _ => Refused::Signature,
        })
}

fn judge(claims: &Map<String, Value>, now_s: i64, rules: &Rules) -> Result<Claims, Refused> {
    let leeway_s = i64::try_from(rules.leeway.min(LEEWAY_MAX).as_secs()).unwrap_or(0);
    let exp = seconds(claims.get("exp")).ok_or(Refused::NoExpiry)?;
    let ends = exp.saturating_add(leeway_s);
    if ends <= now_s {
        return Err(Refused::Expired);
    }
    if let Some(nbf) = claims.get("nbf") {
        let nbf = seconds(Some(nbf)).ok_or(Refused::NotYet)?;
        if nbf > now_s.saturating_add(leeway_s) {
            return Err(Refused::NotYet);
        }
    }
    let issuer = claims.get("iss").and_then(Value::as_str);
    if rules.issuer.is_some() && issuer != rules.issuer.as_deref() {
        return Err(Refused::Issuer);
    }
    audience(claims.get("aud"), &rules.audiences)?;
    let subject = claims.get("sub").and_then(Value::as_str);
    Ok(Claims {
        expires_at_s: if exp > now_s { exp } else { ends },
        principal: subject.filter(|text| !text.is_empty()).map(str::to_owned),
        allowed: allowed(claims, rules.allowed_claim.as_deref())?,
    })
}

/// A `NumericDate` (RFC 7519, 2): seconds, perhaps with a fraction, which is cut off.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range is checked; a fraction of a second is meant to go"
)]
fn seconds(claim: Option<&Value>) -> Option<i64> {
    let claim = claim?;
    if let Some(whole) = claim.as_i64() {
        return (whole >= 0).then_some(whole);
    }
    // Exact in f64, and some 285,000 years away.
    let latest = 9_007_199_254_740_992.0;
    claim
        .as_f64()
        .filter(|time| (0.0..latest).contains(time))
        .map(|time| time as i64)
}

fn audience(claim: Option<&Value>, ours: &[String]) -> Result<(), Refused> {
    let is_ours = |one: &Value| {
        one.as_str()
            .is_some_and(|one| ours.iter().any(|our| our == one))
    };
    let fits = match claim {
        None => ours.is_empty(),
        Some(Value::Array(many)) => many.iter().any(is_ours),
        Some(one) => is_ours(one),
    };
    if fits { Ok(()) } else { Err(Refused::Audience) }
}

fn allowed(
    claims: &Map<String, Value>,
    name: Option<&str>,
) -> Result<Option<Vec<String>>, Refused> {
    let Some(name) = name else {
        return Ok(None);
    };
    let texts: Option<Vec<String>> = match claims.get(name) {
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(many)) => many
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    match texts {
        Some(list) if !list.is_empty() && list.iter().all(|text| !text.is_empty()) => {
            Ok(Some(list))
        }
        _ => Err(Refused::Claim),
    }
}

/// Makes an HS256 token for a viewer of the local stand, good for [`MINTED_LIFE`] from `now_s`.
#[must_use]
pub fn mint(secret: &Secret, subject: &str, now_s: i64) -> String {
    let life_s = i64::try_from(MINTED_LIFE.as_secs()).unwrap_or(0);
    let claims = json!({ "sub": subject, "iat": now_s, "exp": now_s.saturating_add(life_s) });
    sign(secret, &claims)
}

/// Signs any claims with HS256.
#[must_use]
pub fn sign(secret: &Secret, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.reveal().as_bytes());
    encode(&Header::new(Algorithm::HS256), claims, &key)
        .expect("a JSON value serializes, and HMAC takes a secret of any length")
}

#[cfg(test)]
mod tests;
