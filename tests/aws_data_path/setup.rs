//! Where clients get their region, credentials and endpoints from. AWS's variables are tried in a
//! child process, since a test must not change its own.

use std::process::Command;

use tidewire::aws::kinesis::{Kinesis, StreamRef};
use tidewire::aws::{Endpoints, Setup};
use tidewire::door::stream::Stream as _;

use super::support::{Canned, nobody};

const AWS_VARIABLES: &[&str] = &[
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KINESIS",
    "AWS_ENDPOINT_URL_TIMESTREAM_WRITE",
];

/// Runs one of the ignored tests below in a process of its own, with these variables only.
async fn child(test: &'static str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", test]);
    for name in AWS_VARIABLES {
        command.env_remove(name);
    }
    command
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        .envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

const KEYS: [(&str, &str); 3] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "a"),
    ("AWS_SECRET_ACCESS_KEY", "b"),
];

#[tokio::test]
async fn awss_variables_give_region_credentials_and_endpoints() {
    let canned = Canned::new(&[(200, r#"{"Shards":[]}"#)]);
    let server = canned.start().await;
    let nobody = nobody().await;
    let mut variables = KEYS.to_vec();
    variables.push(("AWS_ENDPOINT_URL_KINESIS", &server.url));
    variables.push(("AWS_ENDPOINT_URL", &nobody));
    child("setup::in_a_child_settings_say_nothing", &variables).await;
    assert_eq!(
        canned.requests().len(),
        1,
        "the service's own variable is the stronger"
    );
}

#[tokio::test]
#[ignore = "run by another test in a child process"]
async fn in_a_child_settings_say_nothing() {
    let clients = Setup::default().load().await.unwrap();
    assert_eq!(clients.region(), "eu-central-1");
    let stream = Kinesis::new(clients.kinesis(), StreamRef::from("readings"));
    assert_eq!(stream.shards().await.unwrap(), []);
    let (_, discovery) = clients.timestream().await.unwrap();
    assert!(
        discovery.is_none(),
        "AWS_ENDPOINT_URL is for Timestream, too"
    );
}

#[tokio::test]
async fn an_endpoint_in_settings_is_stronger_than_awss_variables() {
    let nobody = nobody().await;
    let mut variables = KEYS.to_vec();
    variables.push(("AWS_ENDPOINT_URL_KINESIS", &nobody));
    child("setup::in_a_child_settings_name_the_endpoint", &variables).await;
}

#[tokio::test]
#[ignore = "run by another test in a child process"]
async fn in_a_child_settings_name_the_endpoint() {
    let canned = Canned::new(&[(200, r#"{"Shards":[]}"#)]);
    let server = canned.start().await;
    let setup = Setup {
        endpoints: Endpoints {
            kinesis: Some(server.url.clone()),
            ..Endpoints::default()
        },
        ..Setup::default()
    };
    let clients = setup.load().await.unwrap();
    let stream = Kinesis::new(clients.kinesis(), StreamRef::from("readings"));
    assert_eq!(stream.shards().await.unwrap(), []);
}

#[tokio::test]
async fn without_region_or_credentials_the_remedy_is_named() {
    child("setup::in_a_child_nothing_is_set", &[]).await;
}

#[tokio::test]
#[ignore = "run by another test in a child process"]
async fn in_a_child_nothing_is_set() {
    let error = Setup::default().load().await.unwrap_err().to_string();
    assert!(error.contains("AWS_REGION"), "{error}");
    let setup = Setup {
        region: Some("us-east-1".to_owned()),
        ..Setup::default()
    };
    let error = setup.load().await.unwrap_err().to_string();
    assert!(error.contains("AWS_ACCESS_KEY_ID"), "{error}");
}
