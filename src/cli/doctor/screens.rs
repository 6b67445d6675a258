//! The side of the screens: connections, the way to viewers, the keys of their tokens.

use super::{Findings, NOBODY, Process, limits, rights};
use crate::aws::Clients;
use crate::aws::connections::Names;
use crate::aws::inspect::{self, Finding, Level};
use crate::aws::key_set::Published;
use crate::aws::provision::{ConnectionTable, QueueKind, require};
use crate::aws::screens::Management;
use crate::cli::parts;
use crate::door::connections::Screens as _;
use crate::door::key_set::KeySet as _;
use crate::model::ConnectionId;
use crate::service::gateway::keys::Keys;
use crate::service::settings::{BroadcasterSettings, Settings, Url};

/// What a broadcaster needs.
pub(super) async fn broadcaster(
    settings: &Settings,
    needs: &BroadcasterSettings,
    process: Option<Process>,
    clients: &Clients,
    findings: &mut Findings,
) {
    let table = &needs.connections_table;
    let names = parts::names(settings, table);
    let there = connection_table(settings, table, &names, clients, findings).await;
    // Of a worker they are looked at already.
    if process.is_some() {
        for (_, url) in &needs.queues {
            super::queue(url.as_str(), QueueKind::Live, clients, findings).await;
        }
    }
    let endpoint = needs.endpoint_management.as_ref().map(|url| url.as_str());
    let screens = Management::new(clients.management(endpoint));
    let posted = screens.post(&ConnectionId::from(NOBODY), "{}").await;
    findings.all.push(inspect::endpoint(&posted));
    if there {
        limits::screens(settings, table, clients, findings).await;
        rights::broadcaster(settings, needs, clients, (&screens, posted), findings).await;
    }
}

/// Its settings are usable; are the keys that it is to read published?
pub(super) async fn gateway(settings: &Settings, clients: &Clients, findings: &mut Findings) {
    if let Some(url) = &settings.gateway.jwks_url {
        published(url, findings).await;
    } else {
        let says = "there is a way to check viewers' tokens";
        findings
            .all
            .push(Finding::new(Level::Green, "gateway", says));
    }
    if let Some(table) = settings.connections.table.as_deref() {
        rights::gateway(settings, table, clients, findings).await;
    }
}

async fn published(url: &Url, findings: &mut Findings) {
    let read = match Published::at(url.as_str()).fetch().await {
        Ok(text) => Keys::of_jwks(&text).map_err(|error| error.to_string()),
        Err(failed) => Err(failed.to_string()),
    };
    match read {
        Ok(_) => {
            let says = "the keys of viewers' tokens can be read from here";
            findings
                .all
                .push(Finding::new(Level::Green, "gateway", says));
        }
        Err(why) => findings.red("gateway", format!("`gateway.jwks_url`: {why}")),
    }
}

/// Whether it is there, so that more can be asked of it.
async fn connection_table(
    settings: &Settings,
    table: &str,
    names: &Names,
    clients: &Clients,
    findings: &mut Findings,
) -> bool {
    let client = clients.dynamodb();
    let wanted = ConnectionTable {
        table,
        hash_key: &names.hash_key,
        sort_key: &names.sort_key,
        expires_attribute: &names.expires_at,
    };
    if let Err(unmet) = require::connection_table(&client, &wanted, clients.endpoints()).await {
        let made = (settings.connections.create, "connections.create");
        findings.unmet("connection table", &unmet, made);
        return false;
    }
    let found = inspect::time_to_live(&client, table, &names.expires_at).await;
    findings.add_if_permitted("connection table", found);
    true
}
