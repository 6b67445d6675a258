//! Calls to the lease table and the stream: each a task, each answered exactly once, in time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::{Semaphore, mpsc};

use super::{Error, Parts, report};
use crate::door::fault::Faulty;
use crate::door::lease_table::{self, LeaseTable};
use crate::door::stream::{self, Stream};
use crate::lease::change::{Answer, Change};
use crate::lease::item::Item;
use crate::lease::keeper::{Input, Listed};
use crate::model::{Fault, ShardId};
use crate::service::clock::Clock;
use crate::service::metric;
use crate::service::tasks::Tasks;

/// The longest a call to one row may take: more than that and a heartbeat is better tried again,
/// well before the fence.
const ROW_CALL: Duration = Duration::from_secs(2);

/// The longest a scan or a listing may take: many pages.
const TABLE_CALL: Duration = Duration::from_secs(20);

/// How many calls to rows run at once: enough to take hundreds of leases within a second, and few
/// enough for DynamoDB's connections.
const ROW_CALLS_MAX: usize = 64;

/// The answer to a call.
#[derive(Debug)]
pub(super) enum Outcome {
    Scanned(Result<Vec<Item>, lease_table::Error>),
    Listed(Result<Listed, stream::Error>),
    Read(ShardId, Result<Option<Item>, lease_table::Error>),
    Wrote(ShardId, Result<Answer, lease_table::Error>),
}

impl Outcome {
    /// As the keeper takes it. What nothing mends ends the service.
    pub(super) fn into_input(self) -> Result<Input, Error> {
        Ok(match self {
            Self::Scanned(answer) => Input::Scanned(passing(answer)?),
            Self::Listed(answer) => Input::Listed(passing(answer)?),
            Self::Read(shard, answer) => Input::Read {
                shard,
                answer: passing(answer)?,
            },
            Self::Wrote(shard, answer) => Input::Wrote {
                shard,
                answer: passing(answer)?,
            },
        })
    }
}

fn passing<T, E: Faulty + Into<Error>>(answer: Result<T, E>) -> Result<Result<T, Fault>, Error> {
    match answer {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.fault() {
            Fault::Fatal | Fault::Rejected => Err(error.into()),
            fault => {
                tracing::debug!(%error, "a lease call failed and will be tried again");
                Ok(Err(fault))
            }
        },
    }
}

pub(super) struct Callers<T, S> {
    table: Arc<T>,
    stream: Arc<S>,
    tasks: Tasks,
    answers: mpsc::Sender<Outcome>,
    rows: Arc<Semaphore>,
    clock: Clock,
}

impl<T: LeaseTable, S: Stream> Callers<T, S> {
    pub(super) fn new(parts: Parts<T, S>, answers: mpsc::Sender<Outcome>, clock: Clock) -> Self {
        Self {
            table: parts.table,
            stream: parts.stream,
            tasks: parts.tasks,
            answers,
            rows: Arc::new(Semaphore::new(ROW_CALLS_MAX)),
            clock,
        }
    }

    pub(super) fn scan(&self) {
        let table = Arc::clone(&self.table);
        self.call("scan", Outcome::Scanned, TABLE_CALL, async move {
            table.scan().await
        });
    }

    pub(super) fn list(&self) {
        let stream = Arc::clone(&self.stream);
        self.call("list", Outcome::Listed, TABLE_CALL, async move {
            // In this order: a shard split in between is read from its parent.
            let shards = stream.shards().await?;
            let server_time = stream.server_time().await?;
            Ok(Listed {
                shards,
                server_time,
            })
        });
    }

    pub(super) fn read(&self, shard: ShardId) {
        let (table, rows) = (Arc::clone(&self.table), Arc::clone(&self.rows));
        let key = shard.clone();
        let answer = move |read| Outcome::Read(key, read);
        self.call("read", answer, ROW_CALL, async move {
            let _permit = rows.acquire().await;
            table.read(&shard).await
        });
    }

    pub(super) fn write(&self, change: Change) {
        let (table, rows) = (Arc::clone(&self.table), Arc::clone(&self.rows));
        let key = change.shard.clone();
        let answer = move |wrote| Outcome::Wrote(key, wrote);
        self.call("write", answer, ROW_CALL, async move {
            let _permit = rows.acquire().await;
            let answer = table.change(&change).await?;
            report::written(&answer);
            Ok(answer)
        });
    }

    fn call<V, E, W>(
        &self,
        operation: &'static str,
        wrap: impl FnOnce(Result<V, E>) -> Outcome + Send + 'static,
        patience: Duration,
        work: W,
    ) where
        W: Future<Output = Result<V, E>> + Send + 'static,
        V: Send + 'static,
        E: TimedOut,
    {
        let answers = self.answers.clone();
        let clock = self.clock.clone();
        self.tasks.spawn(operation, async move {
            let began = clock.now();
            let answer = match tokio::time::timeout(patience, work).await {
                Ok(answer) => answer,
                Err(_) => Err(E::timed_out(operation, patience)),
            };
            let result = match &answer {
                Ok(_) => "ok",
                Err(error) => error.fault().as_str(),
            };
            counter!(metric::LEASE_CALLS, "operation" => operation, "result" => result)
                .increment(1);
            histogram!(metric::LEASE_CALL_SECONDS, "operation" => operation)
                .record(clock.now().since(began));
            // Nobody waits for it any more once the service has ended.
            drop(answers.send(wrap(answer)).await);
        });
    }
}

/// An error that can say that time ran out: the outcome is unknown.
trait TimedOut: Faulty {
    fn timed_out(operation: &'static str, patience: Duration) -> Self;
}

impl TimedOut for lease_table::Error {
    fn timed_out(operation: &'static str, patience: Duration) -> Self {
        Self::Call(no_answer(operation, patience))
    }
}

impl TimedOut for stream::Error {
    fn timed_out(operation: &'static str, patience: Duration) -> Self {
        Self::Call(no_answer(operation, patience))
    }
}

fn no_answer(operation: &'static str, patience: Duration) -> crate::door::fault::CallFailed {
    crate::door::fault::CallFailed {
        operation,
        fault: Fault::Transient,
        message: format!("no answer within {patience:?}"),
    }
}

/// Makes a call of the start until it succeeds or nothing can mend it.
pub(super) async fn until_done<V, E, W, F>(operation: &'static str, call: F) -> Result<V, E>
where
    E: Faulty,
    W: Future<Output = Result<V, E>>,
    F: Fn() -> W,
{
    let (mut wait, longest) = super::START_RETRY;
    loop {
        match call().await {
            Err(error) if error.fault().is_worth_again() => {
                tracing::warn!(operation, %error, "the lease table does not answer yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(longest);
            }
            answer => return answer,
        }
    }
}
