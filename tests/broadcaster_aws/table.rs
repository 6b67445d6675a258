//! The table as the blog's Lambdas and ours write it, on the embedded DynamoDB.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use tidewire::aws::Endpoints;
use tidewire::aws::connections::{Names, SESSION_EXPIRES_AT, TICKETS, Table};
use tidewire::aws::provision::{ConnectionTable, create_connection_table};
use tidewire::door::Fault;
use tidewire::door::connections::{Claimed, Connections as _, Seats as _, Tickets as _};
use tidewire::local::dynamodb::DynamoDb;
use tidewire::model::{
    Connection, ConnectionId, HolderId, SeatRow, StoredTime, Ticket, TicketHash, Wanted, Wish,
};

use tidewire::push::seat::Claim;

use crate::support::{Running, clients, start};

const TABLE: &str = "connections";

async fn table() -> (Running, Client, Table) {
    let server = DynamoDb::new(None).unwrap();
    let running = start(|listener, shutdown| server.serve(listener, shutdown)).await;
    let endpoints = Endpoints {
        dynamodb: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let client = clients(endpoints).await.dynamodb();
    let names = Names::of(TABLE);
    let keys = ConnectionTable {
        table: TABLE,
        hash_key: &names.hash_key,
        sort_key: &names.sort_key,
        expires_attribute: &names.expires_at,
    };
    create_connection_table(&client, &keys).await.unwrap();
    let table = Table::new(client.clone(), names);
    (running, client, table)
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn devices(ids: &[&str]) -> Wanted {
    Wanted::Devices(ids.iter().map(|id| (*id).to_owned()).collect())
}

fn connection(id: &str, at: StoredTime, wanted: Wanted) -> Connection {
    Connection {
        id: id.into(),
        connected_at: Some(at),
        wanted,
        allowed: None,
        expires_at: None,
        principal: None,
    }
}

fn number(text: &str) -> StoredTime {
    StoredTime::Number(text.to_owned())
}

#[tokio::test]
async fn rows_read_back_as_they_were_written() {
    let (_running, _, table) = table().await;
    let full = Connection {
        allowed: Some(vec!["hall-*".to_owned(), "pump-1".to_owned()]),
        expires_at: Some(1_900_000_000),
        principal: Some("alice".to_owned()),
        ..connection(
            "a=",
            number("1800000000123"),
            devices(&["pump-1", "pump-2"]),
        )
    };
    let none = connection(
        "b",
        StoredTime::Text("2026-01-01T00:00:00Z".to_owned()),
        devices(&[]),
    );
    let all = Connection {
        connected_at: None,
        allowed: Some(Vec::new()),
        ..connection("c", number("0"), Wanted::All)
    };
    for row in [&full, &none, &all] {
        table.put(row).await.unwrap();
        assert_eq!(table.get(&row.id).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(table.list().await.unwrap(), [full, none, all]);
    assert_eq!(table.get(&"d".into()).await.unwrap(), None);
}

#[tokio::test]
async fn only_connections_are_listed_and_all_pages_of_them() {
    let (_running, client, table) = table().await;
    let padding = "x".repeat(300_000);
    for id in 0..8 {
        let put = client.put_item().table_name(TABLE);
        let put = put.item("LookupKey", s("CONNECTION"));
        let put = put.item("SortKey", s(&format!("v{id}")));
        put.item("padding", s(&padding)).send().await.unwrap();
    }
    let lease = client.put_item().table_name(TABLE);
    let lease = lease
        .item("LookupKey", s("BROADCASTER"))
        .item("SortKey", s("q"));
    lease.send().await.unwrap();
    let rows = table.list().await.unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(
        ids,
        ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"],
        "2.4 MB: three pages"
    );
    assert!(
        rows.iter().all(|row| row.wanted == Wanted::All),
        "no `subscriber` is everything"
    );
}

#[tokio::test]
async fn a_row_is_deleted_only_with_the_stamp_it_was_seen_with() {
    let (_running, _, table) = table().await;
    let id = ConnectionId::from("v");
    let text = StoredTime::Text("1800000000".to_owned());
    table
        .put(&connection("v", number("1800000000"), Wanted::All))
        .await
        .unwrap();
    for other in [Some(&number("1800000001")), Some(&text), None] {
        assert_eq!(table.forget(&id, other).await, Ok(false), "{other:?}");
    }
    assert_eq!(
        table.forget(&id, Some(&number("1800000000"))).await,
        Ok(true)
    );
    assert_eq!(
        table.forget(&id, Some(&number("1800000000"))).await,
        Ok(false)
    );
    assert_eq!(table.forget(&id, None).await, Ok(false), "there is no row");
    let unstamped = Connection {
        connected_at: None,
        ..connection("v", number("0"), Wanted::All)
    };
    table.put(&unstamped).await.unwrap();
    assert_eq!(table.forget(&id, Some(&text)).await, Ok(false));
    assert_eq!(table.forget(&id, None).await, Ok(true));
}

#[tokio::test]
async fn a_row_whose_stamp_is_no_time_can_be_deleted_as_it_was_read() {
    let (_running, client, table) = table().await;
    let id = ConnectionId::from("v");
    for stamp in [AttributeValue::Null(true), AttributeValue::Bool(false)] {
        client
            .put_item()
            .table_name(TABLE)
            .item("LookupKey", AttributeValue::S("CONNECTION".to_owned()))
            .item("SortKey", AttributeValue::S("v".to_owned()))
            .item("connected_at", stamp.clone())
            .send()
            .await
            .unwrap();
        let row = table.get(&id).await.unwrap().unwrap();
        assert_eq!(row.connected_at, None);
        let forgotten = table.forget(&id, row.connected_at.as_ref()).await;
        assert_eq!(forgotten, Ok(true), "{stamp:?}");
    }
}

#[tokio::test]
async fn a_subscription_changes_only_a_row_that_is_there() {
    let (_running, _, table) = table().await;
    let id = ConnectionId::from("v");
    assert_eq!(table.set_wanted(&id, &devices(&["a"])).await, Ok(false));
    assert_eq!(table.get(&id).await, Ok(None));
    let mut row = connection("v", number("1"), devices(&[]));
    row.principal = Some("alice".to_owned());
    table.put(&row).await.unwrap();
    for wanted in [devices(&["a", "b"]), devices(&[]), Wanted::All] {
        assert_eq!(table.set_wanted(&id, &wanted).await, Ok(true));
        row.wanted = wanted;
        assert_eq!(table.get(&id).await, Ok(Some(row.clone())));
    }
}

#[tokio::test]
async fn a_missing_table_is_a_fault_for_a_person() {
    let (_running, client, _) = table().await;
    let absent = Table::new(client, Names::of("absent"));
    assert_eq!(absent.list().await.unwrap_err().fault, Fault::Fatal);
}

/// A ticket as a server of somebody's own files it.
async fn file(client: &Client, hash: &TicketHash, expires_at: &str) {
    client
        .put_item()
        .table_name(TABLE)
        .item("LookupKey", s(TICKETS))
        .item("SortKey", s(hash.as_str()))
        .item("expires_at", AttributeValue::N(expires_at.to_owned()))
        .item("principal", s("grace"))
        .item("allowed", AttributeValue::Ss(vec!["pump-*".to_owned()]))
        .item(SESSION_EXPIRES_AT, AttributeValue::N("2000".to_owned()))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_ticket_is_spent_by_one_of_many_who_come_with_it() {
    let (_running, client, table) = table().await;
    let hash = TicketHash::of(&[7; 32]);
    file(&client, &hash, "1000").await;
    assert_eq!(table.spend(&hash, 1_000).await.unwrap(), None, "it ran out");
    let all = (0..20).map(|_| table.spend(&hash, 999));
    let all = futures_util::future::join_all(all).await;
    let spent: Vec<Ticket> = all.into_iter().filter_map(|one| one.unwrap()).collect();
    let right = Ticket {
        principal: Some("grace".to_owned()),
        allowed: Some(vec!["pump-*".to_owned()]),
        session_expires_at: Some(2_000),
    };
    assert_eq!(spent, [right]);
    assert_eq!(table.spend(&hash, 999).await.unwrap(), None);
    assert_eq!(
        table.list().await.unwrap(),
        [],
        "tickets are no connections"
    );
}

#[tokio::test]
async fn a_seat_is_claimed_renewed_and_let_go_on_condition_of_what_was_seen() {
    let (_running, client, table) = table().await;
    let seat = |holder: Option<&str>, counter| SeatRow {
        holder: holder.map(|name| HolderId(name.to_owned())),
        counter,
        ..SeatRow::default()
    };
    let claim = |expect, row: &SeatRow| Claim {
        expect,
        row: row.clone(),
    };
    let queue = "https://sqs.example/1/live";
    assert_eq!(table.seat(queue).await.unwrap(), None);
    let all = (0..10).map(|n| {
        let claim = claim(None, &seat(Some(&format!("p{n}")), 1));
        let table = table.clone();
        async move { table.claim(queue, &claim).await.unwrap() }
    });
    let all = futures_util::future::join_all(all).await;
    assert_eq!(
        all.iter().filter(|won| **won != Claimed::Refused).count(),
        1
    );
    let mine = seat(Some("p"), 2);
    let (plain, refused) = (Claimed::Written(None), Claimed::Refused);
    let write = |expect, row: &SeatRow| {
        let (claim, table) = (claim(expect, row), table.clone());
        async move { table.claim(queue, &claim).await.unwrap() }
    };
    assert_eq!(write(Some(7), &mine).await, refused);
    assert_eq!(write(Some(1), &mine).await, plain);
    assert_eq!(table.seat(queue).await.unwrap(), Some(mine.clone()));

    // Another one's wish stands beside it until the next renewal, which is told of it.
    let wish = Some(Wish {
        by: HolderId("q".to_owned()),
        held: 0,
    });
    let wished = SeatRow {
        wish: wish.clone(),
        ..mine
    };
    assert_eq!(
        write(Some(1), &wished).await,
        refused,
        "it was renewed meanwhile"
    );
    assert_eq!(write(Some(2), &wished).await, plain);
    assert_eq!(table.seat(queue).await.unwrap(), Some(wished));
    let renewed = seat(Some("p"), 3);
    assert_eq!(write(Some(2), &renewed).await, Claimed::Written(wish));
    assert_eq!(table.seat(queue).await.unwrap(), Some(renewed));
    let free = SeatRow {
        next: Some(HolderId("q".to_owned())),
        ..seat(None, 4)
    };
    assert_eq!(write(Some(3), &free).await, plain);
    assert_eq!(table.seat(queue).await.unwrap(), Some(free));
    assert_eq!(table.list().await.unwrap(), [], "seats are no connections");

    // Somebody has written something else there.
    let item = client.put_item().table_name(TABLE);
    let item = item
        .item("LookupKey", s("BROADCASTER"))
        .item("SortKey", s(queue));
    item.send().await.unwrap();
    let refused = table.seat(queue).await.unwrap_err();
    assert_eq!(refused.fault, Fault::Fatal);
}
