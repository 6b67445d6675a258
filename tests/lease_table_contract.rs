//! The contract of the lease table: the same suite on the in-memory table, which the simulation
//! rests on, and on DynamoDB's adapter against an embedded server.

#![cfg(feature = "local")]
#![expect(clippy::unwrap_used, reason = "in a test the panic is the report")]

#[path = "simulation/faults.rs"]
#[expect(dead_code, reason = "only the dice are needed here")]
mod faults;
#[path = "support/lease_table.rs"]
#[expect(dead_code, reason = "the simulation needs more of it")]
mod table;

use std::collections::BTreeSet;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use tidewire::aws::lease_table::DynamoLeases;
use tidewire::door::fault::{Fault, Faulty as _};
use tidewire::door::lease_table::{Error, LeaseTable};
use tidewire::lease::row::{self, Entry};
use tidewire::lease::{Answer, Author, Item, NewLease, Row, Value};
use tidewire::local::dynamodb::DynamoDb;
use tidewire::local::fault::{Effect, Switch};
use tidewire::model::{Checkpoint, EpochMillis, ShardId, WorkerId};
use tokio_util::sync::CancellationToken;

use faults::Dice;

const TABLE: &str = "leases";

/// An embedded DynamoDB until it is dropped.
struct Server {
    server: DynamoDb,
    client: aws_sdk_dynamodb::Client,
    shutdown: CancellationToken,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = DynamoDb::new(None).unwrap();
        let shutdown = CancellationToken::new();
        let serving = server.clone().serve(listener, shutdown.clone());
        tidewire::service::tasks::Tasks::new().spawn("dynamodb", async {
            serving.await.unwrap();
        });
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "tests"))
            .endpoint_url(format!("http://{address}"))
            .retry_config(RetryConfig::disabled())
            .build();
        let client = aws_sdk_dynamodb::Client::from_conf(config);
        Self {
            server,
            client,
            shutdown,
        }
    }

    fn table(&self) -> DynamoLeases {
        DynamoLeases::new(self.client.clone(), TABLE)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn author(name: &str) -> Author {
    Author {
        me: WorkerId::from(name),
        writer: format!("process-of-{name}"),
    }
}

fn shard(number: u64) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

fn new_lease(number: u64) -> NewLease {
    NewLease {
        shard: shard(number),
        parents: BTreeSet::from([shard(900), shard(901)]),
        hash_range: Some(("0".to_owned(), u128::MAX.to_string())),
        checkpoint: Checkpoint::Latest,
        start_ms: Some(EpochMillis(1_700_000_000_123)),
    }
}

fn parsed(item: Option<&Item>) -> Row {
    match row::read(item.expect("a row")).unwrap() {
        Entry::Lease(row) => row,
        Entry::Other => panic!("no lease: {item:?}"),
    }
}

fn applied(answer: Answer) -> Row {
    match answer {
        Answer::Applied(item) => parsed(item.as_ref()),
        Answer::Refused(item) => panic!("refused by {item:?}"),
    }
}

fn refused(answer: Answer) -> Row {
    match answer {
        Answer::Refused(item) => parsed(item.as_ref()),
        Answer::Applied(item) => panic!("applied: {item:?}"),
    }
}

fn at(number: u64) -> Checkpoint {
    let seq = format!("4958{number:052}").parse().unwrap();
    Checkpoint::At { seq, sub: 3 }
}

/// One lease through its whole life.
async fn a_life(table: &impl LeaseTable) {
    let (a, b) = (author("a"), author("b"));
    let create = a.create(&new_lease(1));
    let created = applied(table.change(&create).await.unwrap());
    assert_eq!(created.parents.len(), 2);
    assert_eq!(created.start_ms, Some(EpochMillis(1_700_000_000_123)));
    assert_eq!(created.counter.0, 0);
    let again = refused(table.change(&b.create(&new_lease(1))).await.unwrap());
    assert_eq!(
        again, created,
        "a second creation meets the first one's row"
    );

    let taken = applied(table.change(&a.take(&created, None)).await.unwrap());
    assert_eq!(
        (taken.owner.as_ref(), taken.counter.0, taken.switches),
        (Some(&a.me), 1, 1)
    );
    let late = refused(table.change(&b.take(&created, None)).await.unwrap());
    assert_eq!(late, taken, "the old image tells the loser who was first");

    let reached = at(7);
    let renewed = applied(
        table
            .change(&a.renew(&taken, Some(&reached)))
            .await
            .unwrap(),
    );
    assert_eq!((&renewed.checkpoint, renewed.switches), (&reached, 0));
    assert!(matches!(
        table.change(&a.renew(&taken, None)).await.unwrap(),
        Answer::Refused(Some(_))
    ));

    let asked = applied(table.change(&b.begin(&renewed)).await.unwrap());
    assert_eq!(
        asked.counter, renewed.counter,
        "asking leaves the counter alone"
    );
    assert_eq!(asked.asked_of(&a.me), Some(&b.me));
    let told = refused(table.change(&a.renew(&renewed, None)).await.unwrap());
    assert_eq!(told, asked, "the owner learns of it by its next heartbeat");
    let kept = applied(table.change(&a.renew(&asked, None)).await.unwrap());
    assert_eq!(kept.asked_of(&a.me), Some(&b.me));
    let handed = applied(table.change(&a.finish(&kept, Some(&at(9)))).await.unwrap());
    assert_eq!(
        (handed.owner.as_ref(), handed.checkpoint_owner.as_ref()),
        (Some(&b.me), None)
    );

    an_end(table, &handed).await;
}

/// The rest of it: the shard ends, and its row goes.
async fn an_end(table: &impl LeaseTable, handed: &Row) {
    let (a, b) = (author("a"), author("b"));
    let held = applied(table.change(&b.take(handed, None)).await.unwrap());
    assert_eq!(held.checkpoint, at(9));
    let children = BTreeSet::from([shard(2), shard(3)]);
    let ended = applied(table.change(&b.end(&held, &children, false)).await.unwrap());
    assert!(ended.ended() && ended.owner.is_none());
    assert_eq!(ended.children, children);
    assert_eq!(
        table
            .read(&ended.shard)
            .await
            .unwrap()
            .as_ref()
            .map(|i| parsed(Some(i))),
        Some(ended.clone())
    );
    assert_eq!(
        table.change(&a.delete(&ended)).await.unwrap(),
        Answer::Applied(None)
    );
    assert_eq!(
        table.change(&a.delete(&ended)).await.unwrap(),
        Answer::Refused(None)
    );
    assert_eq!(
        table.change(&a.renew(&held, None)).await.unwrap(),
        Answer::Refused(None)
    );
    assert_eq!(table.read(&ended.shard).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_lives_the_same_life_in_memory() {
    a_life(&table::MemoryTable::default()).await;
}

#[tokio::test]
async fn a_lease_lives_the_same_life_in_dynamodb() {
    let server = Server::start().await;
    let table = server.table();
    table.prepare(true).await.unwrap();
    a_life(&table).await;
}

/// Random changes, many of them stale: both tables give the same answers and end the same.
#[tokio::test]
async fn both_tables_answer_alike_whatever_is_written() {
    let server = Server::start().await;
    let dynamo = server.table();
    dynamo.prepare(true).await.unwrap();
    let memory = table::MemoryTable::default();
    let authors = [author("a"), author("b")];
    let mut dice = Dice::new(4711);
    let mut known: Vec<Row> = Vec::new();
    let mut counts = (0, 0);
    for step in 0..400 {
        let author = &authors[usize::try_from(dice.between(0, 1)).unwrap()];
        let pick = usize::try_from(dice.next() % 8).unwrap();
        let seen = known
            .len()
            .checked_sub(1 + pick % known.len().max(1))
            .map(|index| known[index].clone());
        let reached = at(step);
        let some = dice.chance(500).then_some(&reached);
        let change = match (dice.between(0, 11), &seen) {
            (0, _) | (_, None) => author.create(&new_lease(dice.between(0, 2))),
            (1..=3, Some(row)) => author.take(row, None),
            (4 | 5, Some(row)) => author.renew(row, some),
            (6, Some(row)) => author.release(row, some),
            (7, Some(row)) => author.begin(row),
            (8, Some(row)) => author.finish(row, some),
            (9, Some(row)) => author.revert(row, some),
            (10, Some(row)) => author.give_back(row),
            (_, Some(row)) if dice.chance(300) => {
                author.end(row, &BTreeSet::from([shard(8)]), false)
            }
            (_, Some(row)) => author.delete(row),
        };
        let expected = memory.change(&change).await.unwrap();
        let answer = dynamo.change(&change).await.unwrap();
        assert_eq!(answer, expected, "step {step}: {change:?}");
        match answer {
            Answer::Applied(item) => {
                counts.0 += 1;
                known.extend(item.map(|item| parsed(Some(&item))));
            }
            Answer::Refused(item) => {
                counts.1 += 1;
                known.extend(item.map(|item| parsed(Some(&item))));
            }
        }
    }
    assert!(counts.0 > 100 && counts.1 > 50, "too one-sided: {counts:?}");
    let sorted = |mut items: Vec<Item>| {
        items.sort_by_key(|item| format!("{:?}", item.get("leaseKey")));
        items
    };
    assert_eq!(
        sorted(dynamo.scan().await.unwrap()),
        sorted(memory.scan().await.unwrap())
    );
}

#[tokio::test]
async fn what_others_wrote_on_a_row_survives_our_writes() {
    let server = Server::start().await;
    let table = server.table();
    table.prepare(true).await.unwrap();
    let a = author("a");
    let created = applied(table.change(&a.create(&new_lease(1))).await.unwrap());
    server
        .client
        .update_item()
        .table_name(TABLE)
        .key("leaseKey", AttributeValue::S(created.shard.to_string()))
        .update_expression("SET throughputKBps = :t, theirs = :b")
        .expression_attribute_values(":t", AttributeValue::N("1.25".to_owned()))
        .expression_attribute_values(":b", AttributeValue::Bool(true))
        .send()
        .await
        .unwrap();
    applied(table.change(&a.take(&created, None)).await.unwrap());
    let item = table.read(&created.shard).await.unwrap().unwrap();
    assert_eq!(item["throughputKBps"], Value::N("1.25".to_owned()));
    assert_eq!(item["theirs"], Value::Other);
}

#[tokio::test]
async fn a_scan_follows_all_pages() {
    let server = Server::start().await;
    let table = server.table();
    table.prepare(true).await.unwrap();
    // DynamoDB cuts a page at 1 MB: 40 rows of 60 KB are three pages.
    for number in 0..40 {
        server
            .client
            .put_item()
            .table_name(TABLE)
            .item("leaseKey", AttributeValue::S(shard(number).to_string()))
            .item("padding", AttributeValue::S("x".repeat(60_000)))
            .send()
            .await
            .unwrap();
    }
    assert_eq!(table.scan().await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_missing_table_is_told_by_name_and_made_only_when_allowed() {
    let server = Server::start().await;
    let table = server.table();
    let missing = Error::TableMissing {
        table: TABLE.to_owned(),
    };
    assert_eq!(table.prepare(false).await, Err(missing.clone()));
    assert_eq!(table.scan().await, Err(missing.clone()));
    assert_eq!(
        table.change(&author("a").create(&new_lease(1))).await,
        Err(missing.clone())
    );
    assert_eq!(missing.fault(), Fault::Fatal);
    table.prepare(true).await.unwrap();
    table.prepare(true).await.unwrap();
    assert_eq!(table.scan().await.unwrap(), Vec::new());
    assert_eq!(
        table.coordinator_row("Leader").await,
        Ok(None),
        "no legacy table is no obstacle"
    );
}

#[tokio::test]
async fn a_lost_answer_is_an_unknown_outcome_and_throttling_is_none() {
    let server = Server::start().await;
    let table = server.table();
    table.prepare(true).await.unwrap();
    for (effect, fault, there) in [
        (Effect::Throttled, Fault::Throttled, false),
        (Effect::LostAnswer, Fault::Transient, true),
    ] {
        server
            .server
            .faults()
            .set(Switch::on("UpdateItem", effect).times(1));
        let failed = table
            .change(&author("a").create(&new_lease(5)))
            .await
            .unwrap_err();
        assert_eq!(failed.fault(), fault, "{failed}");
        assert_eq!(table.read(&shard(5)).await.unwrap().is_some(), there);
    }
}
