//! What an operator decides about the gateway.

use std::io;

use super::keys::{Keys, KeysError};
use super::token::Rules;
use crate::service::settings;

/// What an operator decides about the gateway.
#[derive(Clone, Debug)]
pub struct Options {
    /// What tokens must fulfil.
    pub rules: Rules,
    /// `gateway.legacy_token`: a single bare token is taken, and echoed, as the blog's page needs.
    pub legacy_token: bool,
    /// `gateway.tickets`: one-time tickets are taken, too.
    pub tickets: bool,
    /// Where token keys are published, beside those of the rules.
    pub jwks_url: Option<String>,
    /// Origins of pages that may connect, as browsers write them (`https://example.org`); none
    /// given: every page may.
    pub origins: Vec<String>,
    /// Device ids in one subscription. Beyond this "all", or a token's patterns, serve better.
    pub subscriptions_max: usize,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The file of public keys cannot be read.
    #[error("`gateway.jwks_file`: {path}: {source}")]
    JwksFile {
        /// As configured.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The keys themselves.
    #[error("the gateway's token keys: {0}")]
    Keys(#[from] KeysError),
    /// Keys that somebody on the way could change.
    #[error(
        "`gateway.jwks_url` must begin with `https://`: token keys over plain HTTP can be anybody's"
    )]
    PlainHttp,
    /// Nothing is configured to check tokens with.
    #[error(
        "set `gateway.hs256_secret`, `gateway.hs256_secret_file`, `gateway.jwks_url` or `gateway.jwks_file`, or `gateway.tickets = true`"
    )]
    NoKeys,
}

impl Options {
    /// From the settings; reads the file of public keys.
    ///
    /// # Errors
    /// [`OptionsError`], each a sentence for the operator.
    pub fn read(settings: &settings::Gateway) -> Result<Self, OptionsError> {
        let keys = match (&settings.hs256_secret, &settings.jwks_file) {
            (Some(secret), Some(path)) => Keys::of_secret(secret)?.and(of_file(path)?),
            (Some(secret), None) => Keys::of_secret(secret)?,
            (None, Some(path)) => of_file(path)?,
            (None, None) if settings.jwks_url.is_some() || settings.tickets => Keys::none(),
            (None, None) => return Err(OptionsError::NoKeys),
        };
        let jwks_url = settings.jwks_url.as_ref().map(|url| url.as_str());
        if !jwks_url.is_none_or(is_safe) {
            return Err(OptionsError::PlainHttp);
        }
        Ok(Self {
            rules: Rules {
                issuer: settings.issuer.clone(),
                audiences: settings.audience.iter().cloned().collect(),
                allowed_claim: settings.allowed_claim.clone(),
                ..Rules::new(keys)
            },
            legacy_token: settings.legacy_token,
            tickets: settings.tickets,
            jwks_url: jwks_url.map(str::to_owned),
            origins: settings.origins.clone(),
            subscriptions_max: usize::try_from(settings.subscriptions_max).unwrap_or(usize::MAX),
        })
    }
}

/// Nobody sits between us and this machine.
fn is_safe(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|rest| {
        let authority = rest.split('/').next().unwrap_or_default();
        authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host)
    });
    host.is_none_or(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"))
}

fn of_file(path: &str) -> Result<Keys, OptionsError> {
    let text = std::fs::read_to_string(path).map_err(|source| OptionsError::JwksFile {
        path: path.to_owned(),
        source,
    })?;
    Ok(Keys::of_jwks(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::Settings;

    fn read(variables: &[(&str, &str)]) -> Result<Options, String> {
        let names = || variables.iter().map(|(name, _)| (*name).to_owned());
        let lookup = |wanted: &str| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::load_named(None, lookup, names()).unwrap();
        Options::read(&settings.gateway).map_err(|error| error.to_string())
    }

    const SECRET: (&str, &str) = (
        "TIDEWIRE_GATEWAY__HS256_SECRET",
        "an-hmac-secret-of-thirty-two-or-more-bytes",
    );

    #[test]
    fn what_is_configured_is_what_holds() {
        let options = read(&[
            SECRET,
            ("TIDEWIRE_GATEWAY__AUDIENCE", "screens"),
            ("TIDEWIRE_GATEWAY__ALLOWED_CLAIM", "devices"),
            ("TIDEWIRE_GATEWAY__SUBSCRIPTIONS_MAX", "7"),
        ])
        .unwrap();
        assert_eq!(options.rules.audiences, ["screens"]);
        assert_eq!(options.rules.allowed_claim.as_deref(), Some("devices"));
        assert_eq!(options.subscriptions_max, 7);
        assert!(!options.legacy_token && options.origins.is_empty());
    }

    #[test]
    fn published_keys_come_over_tls_or_from_this_machine() {
        let url = |url| read(&[("TIDEWIRE_GATEWAY__JWKS_URL", url)]);
        for safe in [
            "https://id.example/jwks",
            "http://127.0.0.1:9/jwks",
            "http://localhost",
        ] {
            assert_eq!(url(safe).unwrap().jwks_url.as_deref(), Some(safe));
        }
        for open in [
            "http://id.example/jwks",
            "http://127.0.0.1.example/jwks",
            "http://10.0.0.1",
        ] {
            assert!(
                url(open)
                    .unwrap_err()
                    .contains("must begin with `https://`"),
                "{open}"
            );
        }
    }

    #[test]
    fn tickets_alone_are_a_way_in() {
        assert!(
            read(&[("TIDEWIRE_GATEWAY__TICKETS", "true")])
                .unwrap()
                .tickets
        );
    }

    #[test]
    fn no_keys_or_unreadable_ones_are_said_in_a_sentence() {
        assert!(
            read(&[])
                .unwrap_err()
                .starts_with("set `gateway.hs256_secret`")
        );
        let missing = [
            SECRET,
            ("TIDEWIRE_GATEWAY__JWKS_FILE", "/nonexistent/keys.json"),
        ];
        let error = read(&missing).unwrap_err();
        assert!(
            error.starts_with("`gateway.jwks_file`: /nonexistent/keys.json: "),
            "{error}"
        );
    }
}
