//! One look at a fleet: the lease table, and what workers and broadcasters say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::state::{self, Answer};
use crate::aws::Clients;
use crate::aws::kinesis::Streams;
use crate::aws::lease_table::DynamoLeases;
use crate::cli::failure::Failure;
use crate::cli::leases::lag::{self, Lag};
use crate::cli::{ask, leases, parts};
use crate::door::stream::Stream as _;
use crate::lease::operate::table::Contents;
use crate::model::{Millis, ShardId};
use crate::service::clock::Clock;
use crate::service::operator::Operator;
use crate::service::settings::Settings;

/// One that does not answer within this is shown as such: a look must not wait for the dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// `/state` of a worker that knows ten thousand leases stays well below.
const STATE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What one look found.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// When, by our own clock.
    pub(super) at: Millis,
    /// The lease table; none where it is not looked at.
    pub(super) table: Option<Result<Contents, String>>,
    /// The age of the first record after each checkpoint, where asked for.
    pub(super) lags: BTreeMap<ShardId, Lag>,
    /// What each address said, or why it said nothing.
    pub(super) answers: Vec<(String, Result<Answer, String>)>,
}

/// Where to look.
pub(super) struct Places {
    clock: Clock,
    table: Option<Table>,
    /// Each address as it was given, and its host and port.
    ask: Vec<(String, String)>,
}

struct Table {
    name: String,
    operator: Result<Operator<DynamoLeases>, String>,
    stream: Option<Streams>,
}

impl Places {
    /// Of these addresses, and no table yet.
    ///
    /// # Errors
    /// An address is none.
    pub(super) fn of(urls: &[String]) -> Result<Self, String> {
        let mut ask = Vec::new();
        for url in urls {
            let place = (url.clone(), ask::authority(url)?);
            if !ask.contains(&place) {
                ask.push(place);
            }
        }
        Ok(Self {
            clock: Clock::start(),
            table: None,
            ask,
        })
    }

    /// Whether there is anything to look at but the table.
    pub(super) fn asks(&self) -> bool {
        !self.ask.is_empty()
    }

    /// With the lease table of the settings, or `name`. Where workers are asked, that the table
    /// cannot be looked at is shown beside them.
    ///
    /// # Errors
    /// The table, or the stream for `lag`, is not to be had, and nothing else is looked at.
    pub(super) async fn with_table(
        mut self,
        settings: &Settings,
        name: Option<String>,
        lag: bool,
    ) -> Result<Self, Failure> {
        let name = name.unwrap_or_else(|| settings.lease.table.clone());
        let opened = open(settings, &name, lag).await;
        let (operator, stream) = match opened {
            Ok((operator, stream)) => (Ok(operator), stream),
            Err(failure) if self.asks() => (Err(failure.to_string()), None),
            Err(failure) => return Err(failure),
        };
        self.table = Some(Table {
            name,
            operator,
            stream,
        });
        Ok(self)
    }

    /// The table's name, where it is looked at.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_ref().map(|table| table.name.as_str())
    }

    /// Looks once, at all places together.
    pub(super) async fn look(&self) -> Look {
        let (answers, (table, lags)) = tokio::join!(self.answers(), self.contents());
        Look {
            at: self.clock.now(),
            table,
            lags,
            answers,
        }
    }

    async fn answers(&self) -> Vec<(String, Result<Answer, String>)> {
        let mut asked = JoinSet::new();
        for (index, (_, authority)) in self.ask.iter().enumerate() {
            let authority = authority.clone();
            asked.spawn(async move { (index, state_of(&authority).await) });
        }
        let mut answers: Vec<_> = self
            .ask
            .iter()
            .map(|(url, _)| (url.clone(), Err("asking it failed".to_owned())))
            .collect();
        while let Some(ended) = asked.join_next().await {
            if let Ok((index, answer)) = ended {
                answers[index].1 = answer;
            }
        }
        answers
    }

    async fn contents(&self) -> (Option<Result<Contents, String>>, BTreeMap<ShardId, Lag>) {
        let Some(table) = &self.table else {
            return (None, BTreeMap::new());
        };
        let contents = match &table.operator {
            Ok(operator) => operator.look().await.map_err(|error| error.to_string()),
            Err(why) => Err(why.clone()),
        };
        let lags = match (&contents, &table.stream) {
            (Ok(contents), Some(stream)) => lags(stream, contents).await,
            _ => BTreeMap::new(),
        };
        (Some(contents), lags)
    }
}

async fn open(
    settings: &Settings,
    name: &str,
    lag: bool,
) -> Result<(Operator<DynamoLeases>, Option<Streams>), Failure> {
    let clients: Clients = parts::clients(settings).await?;
    let door = Arc::new(parts::lease_table(name, false, &clients).await?);
    let stream = match lag {
        true => Some(parts::streams(&settings.streams()?, &clients).await?),
        false => None,
    };
    Ok((leases::operator(door), stream))
}

async fn lags(stream: &Streams, contents: &Contents) -> BTreeMap<ShardId, Lag> {
    let mut lags = BTreeMap::new();
    let Ok(now) = stream.server_time().await else {
        return lags;
    };
    for row in contents.leases.values() {
        if let Some(lag) = lag::of(stream, row, now).await {
            lags.insert(row.shard.clone(), lag);
        }
    }
    lags
}

async fn state_of(authority: &str) -> Result<Answer, String> {
    let asked = ask::get(authority, "/state", STATE_BYTES_MAX);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((200, body))) => state::read(&body),
        Ok(Ok((status, _))) => Err(format!("it answers {status}")),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
