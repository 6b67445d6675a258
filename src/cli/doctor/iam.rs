//! The IAM policies of our processes: deploy/iam's, with the names of these settings.

use serde_json::{Map, Value, json};

use crate::cli::failure::Failure;
use crate::service::settings::{ReadMode, Settings, Streams, Url};

/// The processes and their policies, in which names in `${jsonencode(..)}` stand for lists of ARNs.
/// Terraform fills the same files in, so that the two cannot differ.
const POLICIES: [(&str, &str); 3] = [
    ("worker", include_str!("../../../deploy/iam/worker.json")),
    (
        "broadcaster",
        include_str!("../../../deploy/iam/broadcaster.json"),
    ),
    ("gateway", include_str!("../../../deploy/iam/gateway.json")),
];

/// Where ARNs are.
struct Where {
    partition: &'static str,
    region: String,
    account: String,
}

impl Where {
    fn arn(&self, service: &str, rest: &str) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{rest}")
    }

    /// `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, or a bare name.
    fn queue(&self, url: &Url) -> String {
        let name = url.as_str().rsplit('/').next().unwrap_or_default();
        self.arn("sqs", name)
    }
}

/// All three policies as one JSON object.
///
/// # Errors
/// The settings name no region.
pub(super) fn policies(settings: &Settings) -> Result<String, Failure> {
    let place = place(settings)?;
    let names = names(settings, &place);
    let mut all = Map::new();
    for (process, policy) in POLICIES {
        let mut policy = filled(policy, &names);
        // Statements about what these settings do not use.
        if let Some(statements) = policy["Statement"].as_array_mut() {
            statements.retain(|one| {
                one["Resource"]
                    .as_array()
                    .is_some_and(|arns| !arns.is_empty())
            });
        }
        all.insert(process.to_owned(), policy);
    }
    let text = serde_json::to_string_pretty(&Value::Object(all)).expect("JSON values serialize");
    Ok(text + "\n")
}

fn filled(policy: &str, names: &[(&str, Vec<String>)]) -> Value {
    let mut text = policy.to_owned();
    for (name, arns) in names {
        text = text.replace(
            &format!("${{jsonencode({name})}}"),
            &json!(arns).to_string(),
        );
    }
    serde_json::from_str(&text)
        .expect("deploy/iam's policies are JSON once every name is filled in")
}

fn place(settings: &Settings) -> Result<Where, Failure> {
    let of_environment = || {
        std::env::var("AWS_REGION")
            .ok()
            .filter(|region| !region.is_empty())
    };
    let region = settings.aws.region.clone().or_else(of_environment);
    let region = region.ok_or_else(|| {
        Failure::settings("no region: set `aws.region`, or AWS_REGION in the environment")
    })?;
    let partition = match &region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    // A queue's URL is the one setting that always names the account.
    let urls = settings
        .queue
        .urls
        .iter()
        .chain(&settings.dead_letter.queue_url);
    let account = urls
        .filter_map(|url| url.as_str().rsplit('/').nth(1))
        .find(|part| part.len() == 12 && part.bytes().all(|digit| digit.is_ascii_digit()));
    Ok(Where {
        partition,
        region,
        account: account.unwrap_or("*").to_owned(),
    })
}

fn names(settings: &Settings, place: &Where) -> Vec<(&'static str, Vec<String>)> {
    let streams = streams(settings, place);
    let fan_out = match settings.source.mode {
        ReadMode::Polling => Vec::new(),
        _ => streams
            .iter()
            .flat_map(|arn| [arn.clone(), format!("{arn}/consumer/*")])
            .collect(),
    };
    let table = |name: &str| place.arn("dynamodb", &format!("table/{name}"));
    let lease = &settings.lease.table;
    let stores = timestream(settings, place);
    let anywhere = if stores.is_empty() {
        Vec::new()
    } else {
        vec!["*".to_owned()]
    };
    let mut urls: Vec<&Url> = settings.queue.urls.iter().collect();
    // A broadcaster's config may name its queue alone.
    let one = settings.broadcaster.queue_url.as_ref();
    urls.extend(one.filter(|one| !settings.queue.urls.contains(one)));
    let queues = urls.into_iter().map(|url| place.queue(url));
    let letters = settings
        .dead_letter
        .queue_url
        .iter()
        .map(|url| place.queue(url));
    let connections = settings.connections.table.iter().map(|name| table(name));
    vec![
        ("stream_arns", streams),
        ("fan_out_arns", fan_out),
        // Which key is on the stream only the account knows.
        ("stream_key_arns", Vec::new()),
        ("lease_table_arns", vec![table(lease)]),
        (
            "coordinator_table_arns",
            vec![table(&format!("{lease}-CoordinatorState"))],
        ),
        ("timestream_anywhere", anywhere),
        ("timestream_table_arns", stores),
        ("live_queue_arns", queues.collect()),
        ("dead_letter_queue_arns", letters.collect()),
        ("connection_table_arns", connections.collect()),
        ("management_arns", management(settings, place)),
    ]
}

fn streams(settings: &Settings, place: &Where) -> Vec<String> {
    let names = match settings.streams() {
        Ok(Streams::One(name)) => vec![name],
        Ok(Streams::Several(names)) => names,
        Err(_) => Vec::new(),
    };
    let arn = |name: String| match name.parse::<crate::model::StreamId>() {
        Ok(id) => id.arn(&place.region),
        Err(_) if name.starts_with("arn:") => name,
        Err(_) => place.arn("kinesis", &format!("stream/{name}")),
    };
    names.into_iter().map(arn).collect()
}

fn timestream(settings: &Settings, place: &Where) -> Vec<String> {
    let target = &settings.timestream;
    let (Some(database), Some(table)) = (&target.database, &target.table) else {
        return Vec::new();
    };
    let routed = target.routes.iter().map(|route| &route.table);
    let tables: std::collections::BTreeSet<&String> = routed.chain([table]).collect();
    let arn = |table| place.arn("timestream", &format!("database/{database}/table/{table}"));
    tables.into_iter().map(arn).collect()
}

/// `https://API.execute-api.REGION.amazonaws.com/STAGE`; behind a name of one's own, any API.
fn management(settings: &Settings, place: &Where) -> Vec<String> {
    let Some(url) = &settings.aws.endpoint_management else {
        return Vec::new();
    };
    let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let api = host.split_once(".execute-api.").map_or("*", |(api, _)| api);
    let stage = path
        .split('/')
        .next()
        .filter(|stage| !stage.is_empty() && api != "*");
    let stage = stage.unwrap_or("*");
    let arn = |method| {
        place.arn(
            "execute-api",
            &format!("{api}/{stage}/{method}/@connections/*"),
        )
    };
    ["DELETE", "POST"].map(arn).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(set: &[(&str, &str)]) -> Value {
        let named = |name: &str| set.iter().find(|(key, _)| *key == name);
        let settings = Settings::load(None, |name| Some(named(name)?.1.to_owned())).unwrap();
        serde_json::from_str(&policies(&settings).unwrap()).unwrap()
    }

    fn statement<'a>(policy: &'a Value, sid: &str) -> Option<&'a Value> {
        let all = policy["Statement"].as_array().unwrap();
        all.iter().find(|one| one["Sid"] == sid)
    }

    const ALL: [(&str, &str); 8] = [
        ("TIDEWIRE_AWS__REGION", "eu-central-1"),
        ("TIDEWIRE_SOURCE__STREAM", "telemetry"),
        ("TIDEWIRE_LEASE__TABLE", "leases"),
        ("TIDEWIRE_TIMESTREAM__DATABASE", "d"),
        ("TIDEWIRE_TIMESTREAM__TABLE", "t"),
        (
            "TIDEWIRE_QUEUE__URLS",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/live",
        ),
        ("TIDEWIRE_CONNECTIONS__TABLE", "connections"),
        (
            "TIDEWIRE_AWS__ENDPOINT_MANAGEMENT",
            "https://abc123.execute-api.eu-central-1.amazonaws.com/prod",
        ),
    ];

    #[test]
    fn policies_name_what_the_settings_name_and_nothing_else() {
        let all = printed(&ALL);
        let of =
            |process: &str, sid| statement(&all[process], sid).map(|one| one["Resource"].clone());
        assert_eq!(
            of("worker", "ReadStreams"),
            Some(json!([
                "arn:aws:kinesis:eu-central-1:123456789012:stream/telemetry"
            ]))
        );
        assert_eq!(
            of("worker", "WriteTimestream"),
            Some(json!([
                "arn:aws:timestream:eu-central-1:123456789012:database/d/table/t"
            ]))
        );
        assert_eq!(
            of("broadcaster", "PostAndHangUp").unwrap()[1],
            "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/POST/@connections/*"
        );
        assert_eq!(of("worker", "SubscribeToStreams"), None, "it polls");
        assert_eq!(of("worker", "FileDeadLetters"), None, "no queue is named");
        assert!(of("gateway", "Connections").is_some());
    }

    #[test]
    fn other_partitions_have_other_arns() {
        let mut china = ALL;
        china[0].1 = "cn-north-1";
        let text = printed(&china).to_string();
        assert!(text.contains("arn:aws-cn:kinesis:cn-north-1:"), "{text}");
    }
}
