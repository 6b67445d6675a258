//! Timestream against the embedded server.

use std::sync::Arc;

use tidewire::aws::Endpoints;
use tidewire::aws::provision::create_timestream;
use tidewire::aws::timestream::{MeasureName, Table, Timestream};
use tidewire::door::fault::Fault;
use tidewire::door::time_series::TimeSeries as _;
use tidewire::local::fault::{Effect, Faults, Switch};
use tidewire::local::timestream::{Options, Timestream as Server};
use tidewire::model::{EpochMillis, EpochNanos, Position, Reading, RejectionKind, Value};

use super::support::{Running, clients, start};

/// A reading of the measure `t`.
pub(crate) fn reading(device: &str, time: i64, value: f64) -> Reading {
    Reading {
        device: device.into(),
        time: EpochNanos(1_700_000_000_000_000_000 + time),
        measures: vec![("t".into(), Value::Double(value))],
        dimensions: vec![("site".into(), "north".into())],
        shard: "shardId-000000000000".into(),
        position: Position {
            seq: "1".parse().unwrap(),
            sub: 0,
            index: 0,
        },
        arrival: EpochMillis(1_700_000_000_000),
    }
}

async fn stand() -> (Running, Timestream, Server) {
    let server = Server::new(&Options::default()).unwrap();
    let running = start({
        let server = server.clone();
        |listener, shutdown| server.serve(listener, shutdown)
    })
    .await;
    let endpoints = Endpoints {
        timestream: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let clients = clients(endpoints).await;
    let (client, discovery) = clients.timestream().await.unwrap();
    create_timestream(&client, "iot", "readings", None)
        .await
        .unwrap();
    create_timestream(&client, "iot", "readings", None)
        .await
        .expect("twice is no error");
    let table = Table {
        database: "iot".to_owned(),
        table: "readings".to_owned(),
        measure_name: MeasureName::Auto,
        routes: Arc::default(),
        version_from_arrival: false,
    };
    (running, Timestream::new(client, discovery, table), server)
}

async fn rows(server: &Server) -> i64 {
    let sql = "SELECT count(*) AS n FROM readings";
    let answer = server.sql(sql.to_owned()).await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    answer["n"].as_i64().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn readings_land_with_their_types_and_a_replay_changes_nothing() {
    let (_running, store, server) = stand().await;
    let mut batch: Vec<Reading> = (0..100)
        .map(|n| reading(&format!("d{}", n % 7), n, 0.1))
        .collect();
    batch[3].measures = vec![
        ("door".into(), Value::Bool(true)),
        ("note".into(), Value::Text("ünïcode".into())),
        ("steps".into(), Value::Int(i64::MAX)),
        ("t".into(), Value::Double(f64::MIN_POSITIVE)),
    ];
    for reading in &batch {
        assert_eq!(store.check(reading), Ok(()));
    }
    assert_eq!(store.write(&batch).await, Ok(Vec::new()));
    assert_eq!(store.write(&batch).await, Ok(Vec::new()));
    assert_eq!(rows(&server).await, 100);
}

#[tokio::test]
async fn what_is_rejected_is_named_in_the_callers_order_and_the_rest_is_stored() {
    let (_running, store, server) = stand().await;
    assert_eq!(store.write(&[reading("b", 1, 1.0)]).await, Ok(Vec::new()));
    let batch = [
        reading("c", 1, 1.0),
        reading("b", 1, 2.0),
        reading("a", 1, 1.0),
    ];
    let rejections = store.write(&batch).await.unwrap();
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert_eq!(rejections[0].index, 1);
    assert_eq!(
        rejections[0].kind,
        RejectionKind::Duplicate,
        "{rejections:?}"
    );
    assert_eq!(rows(&server).await, 3);
}

#[tokio::test]
async fn a_measure_of_another_type_is_rejected_alone() {
    let (_running, store, _server) = stand().await;
    assert_eq!(store.write(&[reading("a", 1, 1.0)]).await, Ok(Vec::new()));
    let mut text = reading("a", 2, 1.0);
    text.measures[0].1 = Value::Text("warm".into());
    let rejections = store.write(&[reading("a", 3, 1.0), text]).await.unwrap();
    assert_eq!(rejections.len(), 1, "{rejections:?}");
    assert_eq!(rejections[0].index, 1);
    assert_eq!(
        rejections[0].kind,
        RejectionKind::TypeConflict,
        "{rejections:?}"
    );
}

#[tokio::test]
async fn throttling_and_outage_are_worth_another_try() {
    let (_running, store, server) = stand().await;
    let faults: Faults = server.faults().clone();
    for (effect, fault) in [
        (Effect::Throttled, Fault::Throttled),
        (Effect::Down, Fault::Transient),
        (Effect::LostAnswer, Fault::Transient),
    ] {
        faults.set(Switch::on("WriteRecords", effect).times(1));
        let failed = store.write(&[reading("a", 1, 1.0)]).await.unwrap_err();
        assert_eq!(failed.fault, fault, "{failed}");
        assert_eq!(store.write(&[reading("a", 1, 1.0)]).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn with_versions_from_arrival_the_value_that_arrived_last_stays() {
    let (running, _, server) = stand().await;
    let endpoints = Endpoints {
        timestream: Some(running.url.clone()),
        ..Endpoints::default()
    };
    let (client, discovery) = clients(endpoints).await.timestream().await.unwrap();
    let table = Table {
        database: "iot".to_owned(),
        table: "readings".to_owned(),
        measure_name: MeasureName::Auto,
        routes: Arc::default(),
        version_from_arrival: true,
    };
    let timestream = Timestream::new(client, discovery, table);
    let at = |arrival: i64, value: f64| Reading {
        arrival: EpochMillis(arrival),
        ..reading("d", 1, value)
    };
    assert_eq!(timestream.write(&[at(10, 1.0)]).await.unwrap(), []);
    assert_eq!(timestream.write(&[at(20, 2.0)]).await.unwrap(), []);
    // A replay changes nothing, and the older value does not come back.
    assert_eq!(timestream.write(&[at(20, 2.0)]).await.unwrap(), []);
    let older = timestream.write(&[at(10, 1.0)]).await.unwrap();
    assert_eq!(older[0].kind, RejectionKind::Superseded);
    let answer = server
        .sql("SELECT t FROM readings".to_owned())
        .await
        .unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["t"], 2.0, "{answer}");
}
