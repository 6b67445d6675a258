//! The InfluxDB sink against an InfluxDB of our own: each version's request, and what becomes of
//! the lines that it refuses.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "support/influx.rs"]
mod influx;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use influx::{Database, FakeInflux};
use tidewire::door::fault::CallFailed;
use tidewire::door::time_series::TimeSeries as _;
use tidewire::influx::{Api, Influx, Measurement, Target, Unusable};
use tidewire::model::{
    DeviceId, EpochMillis, EpochNanos, Fault, Position, Reading, RejectionKind, Secret, ShardId,
    Value,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

const APIS: [Api; 3] = [Api::V1, Api::V2, Api::V3];

fn target(url: &str, api: Api) -> Target {
    Target {
        url: url.to_owned(),
        api,
        org: Some("my org".to_owned()),
        database: "sensors".to_owned(),
        token: Some(Secret::new("s3cret:x")),
        ca_pem: None,
        gzip: true,
        batch_max: 5_000,
        measurement: Measurement::Constant("readings".to_owned()),
    }
}

fn reading(time: i64, value: Value) -> Reading {
    Reading {
        device: DeviceId::from("pump-1"),
        time: EpochNanos(time),
        measures: vec![(Arc::from("t"), value)],
        dimensions: Vec::new(),
        shard: ShardId::from("shardId-000000000000"),
        position: Position {
            seq: "1".parse().unwrap(),
            sub: 0,
            index: 0,
        },
        arrival: EpochMillis(0),
    }
}

/// Floats, but for those at these places, which are whole numbers.
fn readings(count: usize, whole: &[usize]) -> Vec<Reading> {
    (0..count)
        .map(|index| {
            let value = match whole.contains(&index) {
                true => Value::Int(1),
                false => Value::Double(1.5),
            };
            reading(i64::try_from(index).unwrap(), value)
        })
        .collect()
}

async fn refused(influx: &Influx, batch: &[Reading]) -> Result<Vec<usize>, CallFailed> {
    let rejections = influx.write(batch).await?;
    let mut indices: Vec<_> = rejections.iter().map(|one| one.index).collect();
    indices.sort_unstable();
    Ok(indices)
}

#[tokio::test]
async fn each_version_gets_its_path_its_token_and_the_precision() {
    let expected = [
        ("/write", "db=sensors&precision=ns", "Basic czNjcmV0Ong="),
        (
            "/api/v2/write",
            "org=my%20org&bucket=sensors&precision=ns",
            "Token s3cret:x",
        ),
        (
            "/api/v3/write_lp",
            "db=sensors&precision=nanosecond&accept_partial=true",
            "Bearer s3cret:x",
        ),
    ];
    for (api, (path, query, token)) in APIS.into_iter().zip(expected) {
        for gzip in [true, false] {
            let fake = FakeInflux::start().await;
            let influx = Influx::new(Target {
                gzip,
                ..target(&fake.url, api)
            })
            .unwrap();
            assert_eq!(influx.write(&readings(3, &[])).await.unwrap(), []);
            let seen = fake.with(|database| database.seen.remove(0));
            assert_eq!(
                (seen.path.as_str(), seen.query.as_str(), seen.lines),
                (path, query, 3)
            );
            assert_eq!(seen.headers["authorization"], token);
            assert_eq!(seen.headers.contains_key("content-encoding"), gzip);
            let fields = fake.with(|database| database.fields.clone());
            let place = ("readings,device_id=pump-1".to_owned(), 2, "t".to_owned());
            assert_eq!((fields.len(), fields[&place].as_str()), (3, "1.5"));
            assert!(!format!("{influx:?}").contains("s3cret"));
        }
    }
}

#[tokio::test]
async fn of_a_partial_write_the_refused_lines_are_found_in_few_requests() {
    for api in APIS {
        let fake = FakeInflux::start().await;
        let influx = Influx::new(target(&fake.url, api)).unwrap();
        let batch = readings(1_000, &[17, 400, 999]);
        assert_eq!(refused(&influx, &batch).await.unwrap(), [17, 400, 999]);
        let kinds = influx.write(&batch).await.unwrap();
        assert!(
            kinds
                .iter()
                .all(|one| one.kind == RejectionKind::TypeConflict)
        );
        let (requests, fields) = fake.with(|database| (database.seen.len(), database.fields.len()));
        assert_eq!(fields, 997, "the others are stored");
        assert_eq!(requests, if api == Api::V3 { 2 } else { 4 }, "{api:?}");
    }
}

#[tokio::test]
async fn points_beyond_retention_are_refused_and_the_others_stored() {
    for api in APIS {
        let fake = FakeInflux::start().await;
        fake.with(|database| database.oldest = Some(7));
        let influx = Influx::new(target(&fake.url, api)).unwrap();
        let rejections = influx.write(&readings(20, &[])).await.unwrap();
        assert_eq!(rejections.len(), 7);
        let is_old = |kind| kind == RejectionKind::OutsideRetention;
        assert!(
            rejections
                .iter()
                .all(|one| one.index < 7 && is_old(one.kind))
        );
        assert_eq!(fake.with(|database| database.fields.len()), 13);
        // All of them at once: nothing is left to send again.
        assert_eq!(
            refused(&influx, &readings(5, &[])).await.unwrap(),
            [0, 1, 2, 3, 4]
        );
    }
}

#[tokio::test]
async fn one_reading_that_is_refused_whole_is_its_own_rejection_and_several_are_halved() {
    let fake = FakeInflux::start().await;
    let influx = Influx::new(target(&fake.url, Api::V2)).unwrap();
    fake.with(|database| database.lines_max = Some(0));
    let failed = influx.write(&readings(4, &[])).await.unwrap_err();
    assert_eq!(failed.fault, Fault::Rejected);
    let rejections = influx.write(&readings(1, &[])).await.unwrap();
    assert_eq!(rejections[0].kind, RejectionKind::OverLimit);
}

#[tokio::test]
async fn a_pause_that_the_server_asks_for_is_known_until_it_is_over() {
    let fake = FakeInflux::start().await;
    let influx = Influx::new(target(&fake.url, Api::V3)).unwrap();
    assert_eq!(influx.asked_pause(), Duration::ZERO);
    for status in [429, 503] {
        fake.with(|database| {
            database
                .answers
                .push_back((status, Some("40"), "slow down"))
        });
        let failed = influx.write(&readings(1, &[])).await.unwrap_err();
        assert_eq!(failed.fault, Fault::Throttled);
        assert!(failed.message.contains("slow down"));
        let asked = influx.asked_pause();
        assert!(
            asked > Duration::from_secs(30) && asked <= Duration::from_secs(40),
            "{asked:?}"
        );
    }
    assert_eq!(influx.write(&readings(1, &[])).await.unwrap(), []);
    assert_eq!(influx.asked_pause(), Duration::ZERO);
}

#[tokio::test]
async fn what_a_person_must_mend_is_fatal_and_names_the_setting() {
    let fake = FakeInflux::start().await;
    let influx = Influx::new(target(&fake.url, Api::V2)).unwrap();
    for (status, setting) in [
        (401, "influx.token"),
        (403, "influx.token"),
        (404, "influx.bucket"),
    ] {
        for _ in 0..2 {
            fake.with(|database| database.answers.push_back((status, None, "no")));
        }
        let failed = influx.write(&readings(2, &[])).await.unwrap_err();
        assert_eq!(failed.fault, Fault::Fatal);
        assert!(failed.message.contains(setting), "{failed}");
        assert!(influx.probe().await.is_err(), "{status}");
    }
    fake.with(|database| {
        database
            .answers
            .push_back((400, None, r#"{"message":"writing requires points"}"#));
    });
    influx.probe().await.unwrap();

    let nobody = Influx::new(target("http://127.0.0.1:1", Api::V2)).unwrap();
    let failed = nobody.write(&readings(1, &[])).await.unwrap_err();
    assert_eq!(failed.fault, Fault::Transient);
    assert!(failed.message.contains("cannot be reached"), "{failed}");
}

const AUTHORITY: &[u8] = include_bytes!("support/tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("support/tls/server.pem");
const KEY: &[u8] = include_bytes!("support/tls/server.key");

/// A TLS server whose certificate a private authority signed.
async fn behind_tls(database: Arc<Mutex<Database>>) -> String {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let provider = crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = plain.local_addr().unwrap();
    let router = influx::router(database);
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    tokio::spawn(async move { axum::serve(plain, router).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own server")]
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            #[expect(clippy::disallowed_methods, reason = "a test's own server")]
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(socket).await else {
                    return;
                };
                let mut inside = tokio::net::TcpStream::connect(behind).await.unwrap();
                let copied = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                drop(copied);
            });
        }
    });
    format!("https://{address}")
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named_and_only_there() {
    let database = Arc::new(Mutex::new(Database::default()));
    let url = behind_tls(Arc::clone(&database)).await;
    let trusting = Target {
        ca_pem: Some(AUTHORITY.to_vec()),
        ..target(&url, Api::V3)
    };
    let influx = Influx::new(trusting).unwrap();
    assert_eq!(influx.write(&readings(10, &[])).await.unwrap(), []);
    assert_eq!(database.lock().unwrap().fields.len(), 10);

    let strange = Influx::new(target(&url, Api::V3)).unwrap();
    let failed = strange.write(&readings(1, &[])).await.unwrap_err();
    assert!(failed.message.contains("certificate"), "{failed}");

    let broken = Target {
        ca_pem: Some(b"not PEM".to_vec()),
        ..target(&url, Api::V3)
    };
    assert!(matches!(Influx::new(broken), Err(Unusable::Authority(_))));
}
