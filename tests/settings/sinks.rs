//! The settings of the sinks: what goes together, and what is missing.

use super::load_text;

#[test]
fn an_influx_is_complete_by_its_api_or_says_what_is_missing() {
    let wrong = [
        ("org = \"o\"", "needs `influx.url`"),
        (
            "url = \"https://i\"",
            "`influx.api = \"v2\"` needs `influx.org`",
        ),
        ("url = \"https://i\"\norg = \"o\"", "needs `influx.bucket`"),
        (
            "url = \"https://i\"\napi = \"v3\"",
            "`influx.api = \"v3\"` needs `influx.database`",
        ),
        (
            "url = \"https://i\"\napi = \"v3\"\ndatabase = \"d\"\nbucket = \"b\"",
            "means nothing to `influx.api = \"v3\"`",
        ),
        ("url = \"https://i\"\napi = \"v4\"", "`v1`, `v2` or `v3`"),
    ];
    for (text, expected) in wrong {
        let problems = load_text("influx", &format!("[influx]\n{text}\n")).unwrap_err();
        assert!(problems.contains(expected), "{text}: {problems}");
    }
    let alone = r#"[source]
stream = "s"
[influx]
url = "https://i:8086/"
org = "o"
bucket = "b"
token = "s3cret"
[dead_letter]
queue_url = "https://sqs.example/dead"
"#;
    let settings = load_text("influx-alone", alone).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let needs = settings.worker().unwrap();
    assert_eq!(needs.timestream, None);
    let influx = needs.influx.unwrap();
    assert_eq!(
        (influx.url.as_str(), influx.database.as_str()),
        ("https://i:8086", "b")
    );
    let both = format!("{alone}[timestream]\ndatabase = \"d\"\ntable = \"t\"\n");
    let needs = load_text("influx-both", &both).unwrap().worker().unwrap();
    assert!(needs.timestream.is_some() && needs.influx.is_some());
}

#[test]
fn routes_and_groups_are_read_and_checked() {
    let text = r#"[timestream]
database = "d"
table = "t"
routes = ["device:pump-* -> pumps", "field:site=north->north"]
version = "arrival"
"#;
    let routes = load_text("routes", text).unwrap().timestream.routes;
    let read: Vec<_> = routes
        .iter()
        .map(|route| {
            (
                route.field.as_deref(),
                route.pattern.as_str(),
                route.table.as_str(),
            )
        })
        .collect();
    assert_eq!(
        read,
        [(None, "pump-*", "pumps"), (Some("site"), "north", "north")]
    );
    for (text, expected) in [
        (
            "[timestream]\nroutes = [\"pump-* -> pumps\"]",
            "device:PATTERN -> TABLE",
        ),
        (
            "[timestream]\nroutes = [\"device:x ->\"]",
            "device:PATTERN -> TABLE",
        ),
        (
            "[timestream]\nroutes = [\"device:x -> y\"]",
            "needs `timestream.table`",
        ),
        ("[queue]\nfair = true", "queue.format = \"single\""),
    ] {
        let problems = load_text("routes-wrong", text).unwrap_err();
        assert!(problems.contains(expected), "{text}: {problems}");
    }
}
