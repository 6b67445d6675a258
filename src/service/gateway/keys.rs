//! The keys that viewers' tokens are checked with.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::service::settings::Secret;

/// An HS256 secret is at least as long as its hash (RFC 7518, 3.2): 256 bits.
pub const SECRET_BYTES_MIN: usize = 32;

/// More keys than any issuer publishes; it bounds the signatures tried for one token.
const KEYS_MAX: usize = 32;

/// Why a set of keys cannot be used. Never says what a key is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The HS256 secret can be guessed.
    #[error("the token secret has {0} bytes, it needs {SECRET_BYTES_MIN}: `openssl rand -hex 32`")]
    SecretTooShort(usize),
    /// The JWKS is not one (RFC 7517).
    #[error("the JWKS is not valid JSON of the form {{\"keys\":[..]}}, line {line}")]
    NotJwks {
        /// Where reading stopped; the text itself is not repeated.
        line: usize,
    },
    /// None of its keys is for checking RS256, ES256 or `EdDSA` signatures.
    #[error("the JWKS holds no key for RS256, ES256 or EdDSA")]
    NoUsableKey,
    /// Somebody put a whole directory in.
    #[error("the JWKS holds {0} keys, at most {KEYS_MAX} are read")]
    TooManyKeys(usize),
}

/// One key with the one algorithm it is for: a token's header chooses among keys, never how a key
/// is used, or an RS256 public key would serve as an HS256 secret (RFC 8725, 2.1 and 3.1).
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys: of a secret, of a JWKS, or of both.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// HS256 with a shared secret.
    ///
    /// # Errors
    /// [`KeysError::SecretTooShort`].
    pub fn of_secret(secret: &Secret) -> Result<Self, KeysError> {
        let bytes = secret.reveal().as_bytes();
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(KeysError::SecretTooShort(bytes.len()));
        }
        Ok(Self(vec![Key {
            id: None,
            algorithm: Algorithm::HS256,
            decoding: DecodingKey::from_secret(bytes),
        }]))
    }

    /// None: where tokens are checked with published keys only, or tickets are all there is.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// These keys and those of another set.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The public keys of a JWKS (RFC 7517): RSA for RS256, P-256 for ES256, Ed25519 for `EdDSA`.
    /// Keys for anything else are passed over, as the RFC (section 5) asks; so are symmetric ones,
    /// since a published set keeps no secret.
    ///
    /// # Errors
    /// [`KeysError`], where the text is no JWKS or holds no usable key.
    pub fn of_jwks(json: &str) -> Result<Self, KeysError> {
        let set: JwkSet = serde_json::from_str(json)
            .map_err(|error| KeysError::NotJwks { line: error.line() })?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeysError::TooManyKeys(set.keys.len()));
        }
        let keys: Vec<Key> = set.keys.iter().filter_map(usable).collect();
        if keys.is_empty() {
            return Err(KeysError::NoUsableKey);
        }
        Ok(Self(keys))
    }

    /// The keys that may have signed a token with this algorithm and key id: those of the algorithm
    /// whose id is the token's, or unknown on either side.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        self.0
            .iter()
            .filter(move |key| key.algorithm == algorithm)
            .filter(move |key| match (key.id.as_deref(), id) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => true,
            })
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let stated = jwk.common.key_algorithm;
    if stated.is_some_and(|stated| stated != algorithm.into()) {
        return None;
    }
    let purpose = jwk.common.public_key_use.as_ref();
    if purpose.is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        decoding: DecodingKey::from_jwk(jwk).ok()?,
    })
}
