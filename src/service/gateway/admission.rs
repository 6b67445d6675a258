//! Who is let in, and with which right: by a JWT, or by a ticket that is spent on it.

use std::collections::BTreeSet;

use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;

use super::handshake::{self, Headers, Offer, Refusal};
use super::ticket;
use super::token::{self, Claims, LEEWAY_MAX, Refused};
use super::{CONNECTION_LIFE, Gateway};
use crate::door::connections::{Connections, Tickets};
use crate::door::queue::QueueSender;
use crate::model::{Connection, ConnectionId, EpochMillis, StoredTime, Wanted};

impl<C: Connections + Tickets, Q: QueueSender> Gateway<C, Q> {
    /// Decides about a handshake: the row to write and what was offered.
    pub(super) async fn admit(
        &self,
        id: &ConnectionId,
        event: &ApiGatewayWebsocketProxyRequest,
        connected_at: EpochMillis,
        now: EpochMillis,
    ) -> Result<(Connection, Offer), Refusal> {
        let headers = Headers {
            single: &event.headers,
            multi: &event.multi_value_headers,
        };
        handshake::check_origin(headers, &self.options.origins)?;
        let offer = Offer::read(headers, self.options.legacy_token)?;
        let now_s = now.0.div_euclid(1000);
        let claims = if self.options.tickets && ticket::is_one(&offer.token) {
            self.spend(&offer.token, now_s).await?
        } else {
            self.verify(&offer.token, now_s).await?
        };
        let life_s = i64::try_from(CONNECTION_LIFE.as_secs()).unwrap_or(i64::MAX);
        let ends_s = connected_at.0.div_euclid(1000).saturating_add(life_s);
        let wanted = if offer.is_bare {
            Wanted::All
        } else {
            Wanted::Devices(BTreeSet::new())
        };
        let row = Connection {
            id: id.clone(),
            connected_at: Some(StoredTime::Number(connected_at.to_string())),
            wanted,
            allowed: claims.allowed,
            expires_at: Some(claims.expires_at_s.min(ends_s)),
            principal: claims.principal,
        };
        Ok((row, offer))
    }

    /// Checks a JWT: with the keys that are configured, then with those that are published, then
    /// with those that are published by now.
    async fn verify(&self, token: &str, now_s: i64) -> Result<Claims, Refusal> {
        let rules = &self.options.rules;
        let lacks_key = |verdict: &Result<Claims, Refused>| {
            matches!(verdict, Err(Refused::NoKey | Refused::Signature))
        };
        let verdict = token::verify(token, now_s, rules);
        let Some(published) = self.published.as_ref().filter(|_| lacks_key(&verdict)) else {
            return Ok(verdict?);
        };
        let keys = published.keys().await.ok_or(Refusal::NoKeys)?;
        let verdict = token::verify_with(token, now_s, rules, &keys);
        if !lacks_key(&verdict) {
            return Ok(verdict?);
        }
        // The issuer may have begun to sign with another key.
        match published.others(&keys).await {
            Some(keys) => Ok(token::verify_with(token, now_s, rules, &keys)?),
            None => Ok(verdict?),
        }
    }

    /// Spends a ticket. An answer lost on the way has spent it all the same: its bearer comes back
    /// with another.
    async fn spend(&self, token: &str, now_s: i64) -> Result<Claims, Refusal> {
        let rules = &self.options.rules;
        let hash = ticket::hash(token).ok_or(Refusal::Ticket)?;
        let leeway_s = i64::try_from(rules.leeway.min(LEEWAY_MAX).as_secs()).unwrap_or(0);
        let spent = self.connections.spend(&hash, now_s - leeway_s);
        let spent = self.table("spend", spent).await;
        let ticket = spent
            .map_err(|_| Refusal::Unavailable)?
            .ok_or(Refusal::Ticket)?;
        if rules.allowed_claim.is_some() && ticket.allowed.is_none() {
            return Err(Refusal::Token(Refused::Claim));
        }
        let ends_s = ticket.session_expires_at.unwrap_or(i64::MAX);
        if ends_s <= now_s {
            return Err(Refusal::Token(Refused::Expired));
        }
        Ok(Claims {
            expires_at_s: ends_s,
            principal: ticket.principal,
            allowed: ticket.allowed,
        })
    }
}
