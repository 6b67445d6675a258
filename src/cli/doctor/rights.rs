//! What each process may do, by calls that change nothing ([`crate::aws::rights`]).

use super::{Findings, NOBODY, Process};
use crate::aws::Clients;
use crate::aws::inspect::{Finding, Level};
use crate::aws::kinesis::StreamRef;
use crate::aws::provision::require::Found;
use crate::aws::rights::{self, DryTable, Looked, Right};
use crate::aws::screens::Management;
use crate::cli::{options, parts};
use crate::door::connections::Screens as _;
use crate::door::fault::CallFailed;
use crate::model::{ConnectionId, Posted};
use crate::service::settings::{
    BroadcasterSettings, QueueFormat, ReadMode, Settings, WorkerSettings,
};

/// The key of KCL's lease table, and of the table by which its version 3 says that it leads.
const LEASE_KEY: [&str; 1] = ["leaseKey"];
const COORDINATOR_KEY: [&str; 1] = ["key"];

/// A worker's, for everything that its settings name: these of its streams are there.
pub(super) async fn worker(
    settings: &Settings,
    needs: &WorkerSettings,
    streams: &[(StreamRef, Found)],
    clients: &Clients,
    findings: &mut Findings,
) {
    let kinesis = clients.kinesis();
    let mut all = Vec::new();
    for (stream, found) in streams {
        all.extend(rights::read(&kinesis, stream).await);
        if settings.source.mode != ReadMode::Polling {
            let name = super::consumer_name(settings);
            all.extend(rights::consumer(&kinesis, found.arn(), name).await);
        }
    }
    let client = clients.dynamodb();
    let leases = &settings.lease.table;
    let table = DryTable {
        client: &client,
        table: leases,
        key: &LEASE_KEY,
    };
    let looked =
        Box::pin(async { tokio::join!(table.scan(), table.get(), table.update(), table.delete()) })
            .await;
    all.extend(<[Looked; 4]>::from(looked));
    let coordinator = format!("{leases}-CoordinatorState");
    let table = DryTable {
        client: &client,
        table: &coordinator,
        key: &COORDINATOR_KEY,
    };
    all.push(table.get().await);
    let sqs = clients.sqs();
    for url in needs
        .queue_urls
        .iter()
        .chain([&needs.dead_letter_queue_url])
    {
        all.push(rights::send(&sqs, url.as_str()).await);
    }
    if let Some(target) = &needs.timestream
        && let Ok((client, _)) = clients.timestream().await
    {
        for of in options::timestream_tables(settings, target) {
            all.push(rights::write_records(&client, &of.database, &of.table).await);
        }
    }
    findings.all.push(sum_up(Process::Worker, &all));
}

/// A broadcaster's. `posted` is what a post to nobody was answered, which has a line of its own.
pub(super) async fn broadcaster(
    settings: &Settings,
    needs: &BroadcasterSettings,
    clients: &Clients,
    (screens, posted): (&Management, Result<Posted, CallFailed>),
    findings: &mut Findings,
) {
    let client = clients.dynamodb();
    let names = parts::names(settings, &needs.connections_table);
    let key = [names.hash_key.as_str(), names.sort_key.as_str()];
    let table = DryTable {
        client: &client,
        table: &needs.connections_table,
        key: &key,
    };
    let looked =
        Box::pin(async { tokio::join!(table.query(), table.get(), table.put(), table.delete()) })
            .await;
    let mut all = Vec::from(<[Looked; 4]>::from(looked));
    let sqs = clients.sqs();
    for (_, url) in &needs.queues {
        all.push(rights::receive(&sqs, url.as_str()).await);
        all.push(rights::delete(&sqs, url.as_str()).await);
    }
    let posted = Looked::screens("POST @connections", posted);
    // Where not even a post is let through, it is the endpoint's line that says so.
    if matches!(posted.right, Right::Held | Right::NotRefused) {
        all.push(posted);
        let answer = screens.hang_up(&ConnectionId::from(NOBODY)).await;
        all.push(Looked::screens("DELETE @connections", answer));
    }
    findings.all.push(sum_up(Process::Broadcaster, &all));
}

/// A gateway's.
pub(super) async fn gateway(
    settings: &Settings,
    table: &str,
    clients: &Clients,
    findings: &mut Findings,
) {
    let client = clients.dynamodb();
    let names = parts::names(settings, table);
    let key = [names.hash_key.as_str(), names.sort_key.as_str()];
    let table = DryTable {
        client: &client,
        table,
        key: &key,
    };
    let looked =
        Box::pin(async { tokio::join!(table.get(), table.put(), table.update(), table.delete()) })
            .await;
    let mut all = Vec::from(<[Looked; 4]>::from(looked));
    // Only packed messages have a form for what the gateway tells broadcasters.
    if settings.queue.format == QueueFormat::Packed {
        let sqs = clients.sqs();
        for url in &settings.queue.urls {
            all.push(rights::send(&sqs, url.as_str()).await);
        }
    }
    findings.all.push(sum_up(Process::Gateway, &all));
}

/// One line for a process.
fn sum_up(process: Process, all: &[Looked]) -> Finding {
    let what = format!("rights of the {}", process.name());
    let names = |wanted: fn(&Right) -> bool| {
        let some = all.iter().filter(|looked| wanted(&looked.right));
        let names: Vec<String> = some
            .map(|looked| format!("{} on {}", looked.action, looked.on))
            .collect();
        names
    };
    let refused = names(|right| matches!(right, Right::Refused(_)));
    let unknown = names(|right| matches!(right, Right::Unknown(_)));
    let unsure = names(|right| *right == Right::NotRefused);
    if !refused.is_empty() {
        let words = all.iter().find_map(|looked| match &looked.right {
            Right::Refused(words) => Some(words.as_str()),
            _ => None,
        });
        let says = format!(
            "refused: {}: `tidewire doctor --print-iam` prints the policy that it needs; a permissions boundary, an \
             organization's rule or a VPC endpoint's policy can refuse as well ({})",
            refused.join(", "),
            words.unwrap_or_default(),
        );
        return Finding::new(Level::Red, what, says);
    }
    if !unknown.is_empty() {
        let says = format!(
            "could not be looked at: {}: mend what is red, and ask again",
            unknown.join(", ")
        );
        return Finding::new(Level::Yellow, what, says);
    }
    let held = all.len() - unsure.len();
    let mut says = format!("these credentials have {held} of {} for certain", all.len());
    if !unsure.is_empty() {
        says.push_str(&format!(
            "; not refused, which proves less: {}",
            unsure.join(", ")
        ));
    }
    Finding::new(Level::Green, what, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(action: &'static str, right: Right) -> Looked {
        Looked {
            action,
            on: "table leases".to_owned(),
            right,
        }
    }

    #[test]
    fn one_refusal_makes_the_line_red_and_is_named() {
        let line = sum_up(
            Process::Worker,
            &[
                looked("dynamodb:Scan", Right::Held),
                looked(
                    "dynamodb:UpdateItem",
                    Right::Refused("AccessDeniedException: not authorized".to_owned()),
                ),
                looked("dynamodb:GetItem", Right::Unknown("away".to_owned())),
            ],
        );
        assert_eq!(
            (line.level, line.what.as_str()),
            (Level::Red, "rights of the worker")
        );
        for words in [
            "refused: dynamodb:UpdateItem on table leases:",
            "--print-iam",
            "not authorized",
        ] {
            assert!(line.says.contains(words), "{}", line.says);
        }
        assert!(!line.says.contains("Scan"), "{}", line.says);
    }

    #[test]
    fn what_was_not_learnt_is_not_said_to_be_well() {
        let unknown = sum_up(
            Process::Gateway,
            &[looked(
                "dynamodb:GetItem",
                Right::Unknown("away".to_owned()),
            )],
        );
        assert_eq!(unknown.level, Level::Yellow);
        let unsure = sum_up(
            Process::Gateway,
            &[
                looked("dynamodb:GetItem", Right::Held),
                looked("sqs:SendMessage", Right::NotRefused),
            ],
        );
        assert_eq!(unsure.level, Level::Green);
        assert!(
            unsure.says.contains("1 of 2 for certain; not refused"),
            "{}",
            unsure.says
        );
        assert!(unsure.says.contains("sqs:SendMessage"), "{}", unsure.says);
    }
}
