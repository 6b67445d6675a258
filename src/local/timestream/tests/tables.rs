use aws_sdk_timestreamwrite::error::ProvideErrorMetadata;
use aws_sdk_timestreamwrite::types::RetentionProperties;

use super::*;
use crate::local::fault::{Effect, Switch};

#[tokio::test]
async fn the_tables_limit_of_measures_is_kept() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    for hundred in 0..8_i64 {
        let names: Vec<String> = (0..128).map(|n| format!("m{hundred}_{n}")).collect();
        let measures: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), "1", Type::Bigint))
            .collect();
        stand
            .write(vec![multi("d1", now + hundred, &measures)])
            .await
            .unwrap();
    }
    let rejected = stand.rejected(vec![warm("d1", now - 1, "20")]).await;
    assert!(
        rejected[0]
            .reason()
            .unwrap()
            .contains("limit of 1024 distinct measures")
    );
    let wide = stand.rows("select * from readings limit 1").await;
    assert_eq!(wide[0].as_object().unwrap().len(), 3 + 1 + 1024);
}

#[tokio::test]
async fn with_a_memory_store_old_conflicts_are_answered_200_and_reported_in_the_file() {
    let path = std::env::temp_dir().join(format!("tidewire-rejections-{}", std::process::id()));
    let options = Options {
        memory_store: Some(6),
        rejections: Some(path.clone()),
        ..Options::default()
    };
    let stand = stand(options).await;
    let old = now_ms() - 7 * 3_600_000;
    stand.write(vec![warm("d1", old, "20")]).await.unwrap();
    let written = stand.write(vec![warm("d1", old, "21")]).await.unwrap();
    assert_eq!(written.records_ingested().unwrap().magnetic_store, 1);
    let report = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let line: Value = serde_json::from_str(report.trim_end()).unwrap();
    assert_eq!(line["dimensions"]["device_id"], "d1");
    assert_eq!(line["rejectedReason"], rule::SAME_KEY);
    assert_eq!(
        stand.rows("select temperature as t from readings").await,
        [json!({"t": 20.0})]
    );
}

#[tokio::test]
async fn a_table_without_magnetic_writes_rejects_what_is_older_than_its_memory_store() {
    let options = Options {
        memory_store: Some(6),
        magnetic_writes: false,
        ..Options::default()
    };
    let stand = stand(options).await;
    let retention = RetentionProperties::builder()
        .memory_store_retention_period_in_hours(2)
        .magnetic_store_retention_period_in_days(30);
    let create = stand
        .client
        .create_table()
        .database_name("iot")
        .table_name("short");
    create
        .retention_properties(retention.build().unwrap())
        .send()
        .await
        .unwrap();
    let three_hours = now_ms() - 3 * 3_600_000;
    stand
        .write(vec![warm("d1", three_hours, "20")])
        .await
        .unwrap();
    let write = stand
        .client
        .write_records()
        .database_name("iot")
        .table_name("short");
    let error = write
        .records(warm("d1", three_hours, "20"))
        .send()
        .await
        .unwrap_err();
    let WriteRecordsError::RejectedRecordsException(rejected) = error.into_service_error() else {
        panic!("taken");
    };
    assert!(
        rejected.rejected_records()[0]
            .reason()
            .unwrap()
            .ends_with("of the memory store.")
    );
}

#[tokio::test]
async fn databases_and_tables_are_found_listed_or_missing() {
    let stand = stand(Options::default()).await;
    let client = &stand.client;
    let again = client
        .create_database()
        .database_name("iot")
        .send()
        .await
        .unwrap_err();
    assert_eq!(again.code(), Some("ConflictException"));
    let again = client
        .create_table()
        .database_name("iot")
        .table_name("readings")
        .send()
        .await;
    assert_eq!(again.unwrap_err().code(), Some("ConflictException"));
    let missing = client
        .describe_table()
        .database_name("iot")
        .table_name("nope")
        .send()
        .await;
    assert_eq!(
        missing.unwrap_err().code(),
        Some("ResourceNotFoundException")
    );
    let missing = client
        .describe_database()
        .database_name("nope")
        .send()
        .await;
    assert_eq!(
        missing.unwrap_err().code(),
        Some("ResourceNotFoundException")
    );
    let found = client
        .describe_table()
        .database_name("iot")
        .table_name("readings")
        .send()
        .await;
    assert_eq!(
        found
            .unwrap()
            .table()
            .unwrap()
            .table_status()
            .unwrap()
            .as_str(),
        "ACTIVE"
    );
    let endpoints = client.describe_endpoints().send().await.unwrap();
    assert_eq!(
        endpoints.endpoints()[0].address(),
        stand.address.to_string()
    );
}

#[tokio::test]
async fn listings_come_in_pages() {
    let stand = stand(Options::default()).await;
    let client = &stand.client;
    for n in 0..24 {
        let create = client
            .create_table()
            .database_name("iot")
            .table_name(format!("more{n}"));
        create.send().await.unwrap();
    }
    let mut pages = client
        .list_tables()
        .database_name("iot")
        .into_paginator()
        .send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        names.extend(
            page.unwrap()
                .tables()
                .iter()
                .map(|t| t.table_name().unwrap().to_owned()),
        );
    }
    assert_eq!(names.len(), 25);
    let databases = client.list_databases().send().await.unwrap();
    assert_eq!(databases.databases()[0].table_count, 25);
}

#[tokio::test]
async fn switches_throttle_and_lose_answers_as_the_sdk_sees_them() {
    let stand = stand(Options::default()).await;
    stand
        .server
        .faults()
        .set(Switch::on("WriteRecords", Effect::Throttled).times(1));
    let error = stand.write(vec![warm("d1", 1, "20")]).await.unwrap_err();
    assert!(
        matches!(error, WriteRecordsError::ThrottlingException(_)),
        "{error:?}"
    );
    stand
        .server
        .faults()
        .set(Switch::on("WriteRecords", Effect::LostAnswer).times(1));
    stand.write(vec![warm("d1", 1, "20")]).await.unwrap_err();
    assert_eq!(stand.count().await, 1, "served, though the answer was lost");
    assert_eq!(stand.server.calls().of("WriteRecords"), 2);
}

#[tokio::test]
async fn the_tables_limits_of_measure_names_and_dimensions_are_kept() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    let named = |n: usize| {
        let mut record = warm("d1", now, "20");
        record.measure_name = Some(format!("reading{n}"));
        record
    };
    for hundred in 0..81 {
        stand
            .write((0..100).map(|n| named(hundred * 100 + n)).collect())
            .await
            .unwrap();
    }
    let rejected = stand.rejected((8100..8200).map(named).collect()).await;
    assert_eq!(rejected.len(), 8);
    assert_eq!(rejected[0].record_index, 92);
    assert!(
        rejected[0]
            .reason()
            .unwrap()
            .contains("limit of 8192 distinct measure names")
    );

    let dimension = |n: usize| {
        Dimension::builder()
            .name(format!("d{n}"))
            .value("x")
            .build()
    };
    let mut many = named(0);
    many.dimensions
        .as_mut()
        .unwrap()
        .extend((1..128).map(|n| dimension(n).unwrap()));
    stand.write(vec![many]).await.unwrap();
    let mut more = named(0);
    more.dimensions
        .as_mut()
        .unwrap()
        .push(dimension(128).unwrap());
    let rejected = stand.rejected(vec![more]).await;
    assert!(
        rejected[0]
            .reason()
            .unwrap()
            .contains("limit of 128 distinct dimensions")
    );
}
