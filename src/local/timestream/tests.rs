//! The server as the SDK sees it.

use aws_sdk_timestreamwrite::Client;
use aws_sdk_timestreamwrite::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_timestreamwrite::operation::write_records::{WriteRecordsError, WriteRecordsOutput};
use aws_sdk_timestreamwrite::types::{
    Dimension, MeasureValue, MeasureValueType, MeasureValueType as Type, Record, RejectedRecord,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::*;

mod sql;
mod tables;

struct Stand {
    server: Timestream,
    client: Client,
    address: SocketAddr,
    _serving: AbortOnDropHandle<io::Result<()>>,
}

async fn stand(options: Options) -> Stand {
    let server = Timestream::new(&options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        TaskTracker::new().spawn(server.clone().serve(listener, CancellationToken::new()));
    let config = aws_sdk_timestreamwrite::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .retry_config(RetryConfig::disabled())
        .build();
    let client = Client::from_conf(config);
    client
        .create_database()
        .database_name("iot")
        .send()
        .await
        .unwrap();
    client
        .create_table()
        .database_name("iot")
        .table_name("readings")
        .send()
        .await
        .unwrap();
    Stand {
        server,
        client,
        address,
        _serving: AbortOnDropHandle::new(serving),
    }
}

impl Stand {
    async fn write(&self, records: Vec<Record>) -> Result<WriteRecordsOutput, WriteRecordsError> {
        let write = self
            .client
            .write_records()
            .database_name("iot")
            .table_name("readings");
        write
            .set_records(Some(records))
            .send()
            .await
            .map_err(|error| error.into_service_error())
    }

    async fn rejected(&self, records: Vec<Record>) -> Vec<RejectedRecord> {
        match self.write(records).await {
            Err(WriteRecordsError::RejectedRecordsException(rejected)) => {
                assert!(rejected.message().unwrap().contains("have been rejected"));
                rejected.rejected_records.unwrap()
            }
            other => panic!("not a rejection: {other:?}"),
        }
    }

    async fn rows(&self, sql: &str) -> Vec<Value> {
        let rows = self.server.sql(sql.to_owned()).await.unwrap();
        rows.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    async fn count(&self) -> i64 {
        self.rows("select count(*) as n from readings").await[0]["n"]
            .as_i64()
            .unwrap()
    }
}

/// A MULTI record with the measures (name, value, type).
fn multi(device: &str, time_ms: i64, measures: &[(&str, &str, Type)]) -> Record {
    let values = measures.iter().map(|(name, value, kind)| {
        let measure = MeasureValue::builder()
            .name(*name)
            .value(*value)
            .r#type(kind.clone());
        measure.build().unwrap()
    });
    Record::builder()
        .dimensions(
            Dimension::builder()
                .name("device_id")
                .value(device)
                .build()
                .unwrap(),
        )
        .measure_name("reading")
        .measure_value_type(MeasureValueType::Multi)
        .set_measure_values(Some(values.collect()))
        .time(time_ms.to_string())
        .build()
}

fn warm(device: &str, time_ms: i64, degrees: &str) -> Record {
    multi(device, time_ms, &[("temperature", degrees, Type::Double)])
}

fn versioned(record: Record, version: i64) -> Record {
    let mut record = record;
    record.version = Some(version);
    record
}

fn now_ms() -> i64 {
    now_ns() / 1_000_000
}

#[tokio::test]
async fn the_sdk_parses_a_rejection_with_index_and_reason_and_the_rest_is_stored() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    let records = vec![
        warm("d1", now, "20"),
        warm("d2", now + 16 * 60_000, "20"),
        warm("d1", now, "21"),
        warm("d3", now, "22"),
    ];
    let rejected = stand.rejected(records).await;
    assert_eq!(rejected.len(), 2);
    assert_eq!(rejected[0].record_index, 1);
    assert!(
        rejected[0]
            .reason()
            .unwrap()
            .contains("is outside the time range [")
    );
    assert_eq!(rejected[1].record_index, 2);
    assert_eq!(rejected[1].reason(), Some(rule::SAME_KEY));
    assert_eq!(rejected[1].existing_version(), None);
    let rows = stand
        .rows("select device_id, temperature from readings order by 1")
        .await;
    let wanted = [
        json!({"device_id": "d1", "temperature": 20.0}),
        json!({"device_id": "d3", "temperature": 22.0}),
    ];
    assert_eq!(rows, wanted);
}

#[tokio::test]
async fn a_replay_is_accepted_and_changes_nothing() {
    let stand = stand(Options::default()).await;
    let old = 1_000_000_000_000;
    let records = vec![
        warm("d1", old, "20"),
        warm("d1", old + 1, "20.50"),
        warm("d1", old, "20.0"),
    ];
    for _ in 0..2 {
        let written = stand.write(records.clone()).await.unwrap();
        assert_eq!(written.records_ingested().unwrap().total, 3);
        assert_eq!(written.records_ingested().unwrap().memory_store, 3);
    }
    assert_eq!(stand.count().await, 2);
}

#[tokio::test]
async fn another_set_of_measures_under_one_key_is_a_conflict() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    let both = [
        ("temperature", "20", Type::Double),
        ("humidity", "40", Type::Bigint),
    ];
    stand.write(vec![warm("d1", now, "20")]).await.unwrap();
    let more = stand.rejected(vec![multi("d1", now, &both)]).await;
    assert_eq!(more[0].reason(), Some(rule::SAME_KEY));
    stand.write(vec![multi("d2", now, &both)]).await.unwrap();
    let fewer = stand.rejected(vec![warm("d2", now, "20")]).await;
    assert_eq!(fewer[0].reason(), Some(rule::SAME_KEY));
    stand
        .write(vec![
            multi("d2", now, &both),
            versioned(warm("d1", now, "20"), 1),
        ])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_higher_version_replaces_all_measures_and_a_lower_one_is_told_the_existing() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    let both = [
        ("temperature", "20", Type::Double),
        ("humidity", "40", Type::Bigint),
    ];
    stand
        .write(vec![versioned(multi("d1", now, &both), 5)])
        .await
        .unwrap();
    stand
        .write(vec![versioned(warm("d1", now, "21"), 6)])
        .await
        .unwrap();
    let rows = stand
        .rows("select temperature, humidity from readings")
        .await;
    assert_eq!(rows, [json!({"temperature": 21.0, "humidity": null})]);
    let lower = stand
        .rejected(vec![versioned(warm("d1", now, "22"), 2)])
        .await;
    assert_eq!(lower[0].existing_version(), Some(6));
    assert!(
        lower[0]
            .reason()
            .unwrap()
            .contains("lower than the existing version 6")
    );
    stand
        .write(vec![versioned(warm("d1", now, "21"), 9)])
        .await
        .unwrap();
    let moved = stand
        .rejected(vec![versioned(warm("d1", now, "22"), 8)])
        .await;
    assert_eq!(
        moved[0].existing_version(),
        Some(9),
        "the same content moves the version"
    );
}

#[tokio::test]
async fn a_type_other_than_the_tables_is_rejected_alone() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    stand.write(vec![warm("d1", now, "20")]).await.unwrap();
    let text = multi("d2", now, &[("temperature", "warm", Type::Varchar)]);
    let scalar = Record::builder()
        .dimensions(
            Dimension::builder()
                .name("device_id")
                .value("d4")
                .build()
                .unwrap(),
        )
        .measure_name("reading")
        .measure_value("1")
        .time(now.to_string())
        .build();
    let rejected = stand
        .rejected(vec![text, warm("d3", now, "22"), scalar])
        .await;
    let indices: Vec<i32> = rejected.iter().map(|record| record.record_index).collect();
    assert_eq!(indices, [0, 2]);
    assert!(
        rejected[0]
            .reason()
            .unwrap()
            .contains("of the data type DOUBLE")
    );
    assert_eq!(stand.count().await, 2);
}

#[tokio::test]
async fn common_attributes_and_101_records_meet_their_rules() {
    let stand = stand(Options::default()).await;
    let now = now_ms();
    let common = Record::builder()
        .dimensions(
            Dimension::builder()
                .name("site")
                .value("north")
                .build()
                .unwrap(),
        )
        .measure_name("temperature")
        .build();
    let short = |device: &str| {
        Record::builder()
            .dimensions(
                Dimension::builder()
                    .name("device_id")
                    .value(device)
                    .build()
                    .unwrap(),
            )
            .measure_value("20.5")
            .time(now.to_string())
            .build()
    };
    let write = stand
        .client
        .write_records()
        .database_name("iot")
        .table_name("readings");
    let write = write
        .common_attributes(common)
        .records(short("d1"))
        .records(short("d2"));
    write.send().await.unwrap();
    let rows = stand.rows(
        "select device_id, site, \"measure_value::double\" as v from readings order by 1 limit 1",
    );
    assert_eq!(
        rows.await,
        [json!({"device_id": "d1", "site": "north", "v": 20.5})]
    );

    let many = (0..101).map(|n| warm("d9", now - n, "20")).collect();
    let error = stand.write(many).await.unwrap_err();
    assert!(
        matches!(error, WriteRecordsError::ValidationException(_)),
        "{error:?}"
    );
    assert_eq!(
        stand.count().await,
        2,
        "nothing of a refused request is stored"
    );
}
