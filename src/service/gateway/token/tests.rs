use std::time::Duration;

use serde_json::{Value, json};

use super::super::keys::KeysError;
use super::*;

/// When the stored tokens are good: an hour before their `exp`.
const NOW_S: i64 = 1_800_000_000;

const SECRET: &str = "an-hmac-secret-of-thirty-two-or-more-bytes";

fn stored(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("tokens.json")).unwrap();
    all[name].clone()
}

fn text(name: &str) -> String {
    stored(name).as_str().unwrap().to_owned()
}

/// The rules of an identity provider's tokens.
fn provider() -> Rules {
    Rules {
        issuer: Some("https://id.example".to_owned()),
        audiences: vec!["tidewire".to_owned()],
        allowed_claim: Some("devices".to_owned()),
        ..Rules::new(Keys::of_jwks(&stored("jwks").to_string()).unwrap())
    }
}

fn secret() -> Secret {
    Secret::new(SECRET.to_owned())
}

fn shared() -> Rules {
    Rules::new(Keys::of_secret(&secret()).unwrap())
}

fn verdict(claims: &Value) -> Result<Claims, Refused> {
    verify(&sign(&secret(), claims), NOW_S, &shared())
}

fn base64url(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn the_three_public_algorithms_are_accepted() {
    for name in ["rs256", "es256", "eddsa"] {
        let claims = verify(&text(name), NOW_S, &provider());
        let expected = Claims {
            expires_at_s: NOW_S + 3600,
            principal: Some("ada".to_owned()),
            allowed: Some(vec!["pump-1".to_owned(), "hall-7/*".to_owned()]),
        };
        assert_eq!(claims, Ok(expected), "{name}");
    }
}

#[test]
fn a_key_serves_only_the_algorithm_it_is_for() {
    assert_eq!(
        verify(&text("rs512"), NOW_S, &provider()),
        Err(Refused::NoKey)
    );
    let by_encryption_key = text("es256_by_encryption_key");
    assert_eq!(
        verify(&by_encryption_key, NOW_S, &provider()),
        Err(Refused::NoKey)
    );
}

#[test]
fn an_hmac_with_the_public_key_as_its_secret_is_no_signature() {
    let modulus = stored("jwks")["keys"][0]["n"].as_str().unwrap().to_owned();
    let published = stored("jwks")["keys"][4]["k"].as_str().unwrap().to_owned();
    for public in [text("rsa_public_pem"), modulus, published] {
        let forged = sign(
            &Secret::new(public),
            &json!({ "sub": "eve", "iss": "https://id.example", "aud": "tidewire",
                     "exp": NOW_S + 60, "devices": ["*"] }),
        );
        assert_eq!(verify(&forged, NOW_S, &provider()), Err(Refused::NoKey));
    }
}

#[test]
fn a_token_of_the_provider_is_none_of_the_shared_secret() {
    assert_eq!(
        verify(&text("rs256"), NOW_S, &shared()),
        Err(Refused::NoKey)
    );
}

#[test]
fn unsigned_and_broken_tokens_are_malformed() {
    let claims = base64url(&json!({ "exp": NOW_S + 60 }).to_string());
    for alg in ["none", "None", "NONE", "hs256", ""] {
        let header = base64url(&json!({ "alg": alg }).to_string());
        for signature in ["", "c2ln"] {
            let token = format!("{header}.{claims}.{signature}");
            assert_eq!(
                verify(&token, NOW_S, &shared()),
                Err(Refused::Malformed),
                "{alg}"
            );
        }
    }
    for token in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "{}",
        "\u{0}.\u{0}.\u{0}",
    ] {
        assert_eq!(
            verify(token, NOW_S, &shared()),
            Err(Refused::Malformed),
            "{token}"
        );
    }
}

#[test]
fn a_changed_byte_anywhere_breaks_a_token() {
    let good = sign(&secret(), &json!({ "sub": "ada", "exp": NOW_S + 60 }));
    assert!(verify(&good, NOW_S, &shared()).is_ok());
    for at in 0..good.len() {
        // Not the last character of a part: some of its bits are padding, which need not decode.
        if matches!(good.as_bytes().get(at + 1), None | Some(b'.')) || good.as_bytes()[at] == b'.' {
            continue;
        }
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verify(&changed, NOW_S, &shared()).is_err(), "byte {at}");
    }
}

#[test]
fn another_secret_does_not_do() {
    let other = Secret::new("another-secret-of-thirty-two-or-more-bytes".to_owned());
    let token = sign(&other, &json!({ "exp": NOW_S + 60 }));
    assert_eq!(verify(&token, NOW_S, &shared()), Err(Refused::Signature));
}

#[test]
fn expiry_is_required_and_forgives_the_leeway_only() {
    let leeway = i64::try_from(LEEWAY_DEFAULT.as_secs()).unwrap();
    assert_eq!(verdict(&json!({ "sub": "ada" })), Err(Refused::NoExpiry));
    for odd in [
        json!("1800000060"),
        json!(null),
        json!(-5),
        json!([]),
        json!(1e300),
    ] {
        assert_eq!(
            verdict(&json!({ "exp": odd })),
            Err(Refused::NoExpiry),
            "{odd}"
        );
    }
    assert_eq!(
        verdict(&json!({ "exp": NOW_S - leeway })),
        Err(Refused::Expired)
    );
    let late = verdict(&json!({ "exp": NOW_S - leeway + 1 })).unwrap();
    assert_eq!(late.expires_at_s, NOW_S + 1, "what is left of the leeway");
    let fraction = verdict(&json!({ "exp": NOW_S as f64 + 60.9 })).unwrap();
    assert_eq!(fraction.expires_at_s, NOW_S + 60);
}

#[test]
fn no_configuration_makes_the_leeway_long() {
    let rules = Rules {
        leeway: Duration::from_secs(86_400),
        ..shared()
    };
    let most = i64::try_from(LEEWAY_MAX.as_secs()).unwrap();
    let token = sign(&secret(), &json!({ "exp": NOW_S - most }));
    assert_eq!(verify(&token, NOW_S, &rules), Err(Refused::Expired));
}

#[test]
fn a_token_is_not_good_before_its_time() {
    let leeway = i64::try_from(LEEWAY_DEFAULT.as_secs()).unwrap();
    let from = |nbf: Value| verdict(&json!({ "exp": NOW_S + 600, "nbf": nbf }));
    assert_eq!(from(json!(NOW_S + leeway + 1)), Err(Refused::NotYet));
    assert_eq!(from(json!("soon")), Err(Refused::NotYet));
    assert!(from(json!(NOW_S + leeway)).is_ok());
}

#[test]
fn issuer_and_audience_must_be_ours_where_configured() {
    let token = text("eddsa");
    let mut rules = provider();
    rules.issuer = Some("https://other.example".to_owned());
    assert_eq!(verify(&token, NOW_S, &rules), Err(Refused::Issuer));

    let mut rules = provider();
    rules.audiences = vec!["somebody".to_owned()];
    assert_eq!(verify(&token, NOW_S, &rules), Err(Refused::Audience));
    rules.audiences = vec!["somebody".to_owned(), "other".to_owned()];
    assert!(verify(&token, NOW_S, &rules).is_ok());
    rules.audiences.clear();
    assert_eq!(verify(&token, NOW_S, &rules), Err(Refused::Audience));

    let mut rules = shared();
    rules.audiences = vec!["tidewire".to_owned()];
    rules.issuer = Some("us".to_owned());
    let with = |claims: Value| verify(&sign(&secret(), &claims), NOW_S, &rules);
    let exp = NOW_S + 60;
    assert_eq!(
        with(json!({ "exp": exp, "aud": "tidewire" })),
        Err(Refused::Issuer)
    );
    assert_eq!(
        with(json!({ "exp": exp, "iss": "us" })),
        Err(Refused::Audience)
    );
    assert!(with(json!({ "exp": exp, "iss": "us", "aud": "tidewire" })).is_ok());
}

#[test]
fn a_configured_claim_must_name_devices() {
    let rules = Rules {
        allowed_claim: Some("devices".to_owned()),
        ..shared()
    };
    let with = |devices: Value| {
        let claims = json!({ "exp": NOW_S + 60, "devices": devices });
        verify(&sign(&secret(), &claims), NOW_S, &rules).map(|claims| claims.allowed)
    };
    assert_eq!(with(json!("pump-*")), Ok(Some(vec!["pump-*".to_owned()])));
    for bad in [
        json!(null),
        json!([]),
        json!(""),
        json!([""]),
        json!([1]),
        json!({}),
        json!(true),
    ] {
        assert_eq!(with(bad.clone()), Err(Refused::Claim), "{bad}");
    }
}

#[test]
fn critical_extensions_and_long_tokens_are_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["b64".to_owned()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&header, &json!({ "exp": NOW_S + 60 }), &key).unwrap();
    assert_eq!(verify(&token, NOW_S, &shared()), Err(Refused::Critical));

    let long = sign(
        &secret(),
        &json!({ "exp": NOW_S + 60, "x": "x".repeat(TOKEN_BYTES_MAX) }),
    );
    assert_eq!(verify(&long, NOW_S, &shared()), Err(Refused::TooLong));
}

#[test]
fn a_minted_token_is_good_for_a_minute_less_than_two_hours() {
    let token = mint(&secret(), "local viewer", NOW_S);
    let claims = verify(&token, NOW_S, &shared()).unwrap();
    assert_eq!(claims.expires_at_s, NOW_S + 7_140);
    assert_eq!(claims.principal.as_deref(), Some("local viewer"));
    assert_eq!(claims.allowed, None);
    let is_token_character = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(
        token.chars().all(is_token_character),
        "it fits a subprotocol"
    );
}

#[test]
fn bad_keys_say_what_is_wrong_and_not_what_they_are() {
    let short = Keys::of_secret(&Secret::new("too short".to_owned())).unwrap_err();
    assert_eq!(short, KeysError::SecretTooShort(9));
    let error = Keys::of_jwks("{\"keys\": \"hush\"").unwrap_err();
    assert!(!error.to_string().contains("hush"), "{error}");
    assert_eq!(
        Keys::of_jwks("{\"keys\":[]}").unwrap_err(),
        KeysError::NoUsableKey
    );
    assert!(!format!("{:?}", shared()).contains(SECRET));
    assert!(!format!("{:?}", secret()).contains(SECRET));
}

#[test]
fn a_secret_and_a_jwks_can_stand_side_by_side() {
    let rules = Rules {
        keys: provider().keys.and(shared().keys),
        ..provider()
    };
    assert!(verify(&text("es256"), NOW_S, &rules).is_ok());
    let claims = json!({ "exp": NOW_S + 60, "iss": "https://id.example", "aud": "tidewire",
                         "devices": "*" });
    assert!(verify(&sign(&secret(), &claims), NOW_S, &rules).is_ok());
    let modulus = stored("jwks")["keys"][0]["n"].as_str().unwrap().to_owned();
    let forged = sign(&Secret::new(modulus), &claims);
    assert_eq!(verify(&forged, NOW_S, &rules), Err(Refused::Signature));
}
