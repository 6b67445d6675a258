//! What clients say once they are connected.

use serde_json::json;

use super::super::message::DEVICE_BYTES_MAX;
use super::*;

async fn subscribe(stand: &Stand, ids: &Value) -> Value {
    let said = json!({ "action": "subscribe", "device_ids": ids });
    stand.say("subscribe", &said.to_string()).await
}

async fn unsubscribe(stand: &Stand, ids: &Value) -> Value {
    let said = json!({ "action": "unsubscribe", "device_ids": ids });
    stand.say("unsubscribe", &said.to_string()).await
}

#[tokio::test]
async fn subscribing_replaces_what_was_wanted() {
    let stand = Stand::connected(|_| {}).await;
    let frame = subscribe(&stand, &json!(["b", "a", "b"])).await;
    assert_eq!(
        frame,
        json!({ "type": "subscribed", "device_ids": ["a", "b"] })
    );
    let frame = subscribe(&stand, &json!(["c"])).await;
    assert_eq!(frame, json!({ "type": "subscribed", "device_ids": ["c"] }));
    assert_eq!(stand.wanted(), devices(&["c"]));
    let frame = subscribe(&stand, &json!([])).await;
    assert_eq!(frame, json!({ "type": "subscribed", "device_ids": [] }));
    assert_eq!(stand.wanted(), devices(&[]));
}

#[tokio::test]
async fn all_devices_are_asked_for_by_a_star_or_by_naming_none() {
    for said in [
        r#"{"action":"subscribe"}"#,
        r#"{"action":"subscribe","device_ids":null}"#,
        r#"{"action":"subscribe","device_ids":["*"]}"#,
        r#"{"action":"subscribe","device_ids":["a","*"]}"#,
    ] {
        let stand = Stand::connected(|_| {}).await;
        let frame = stand.say("subscribe", said).await;
        assert_eq!(
            frame,
            json!({ "type": "subscribed", "device_ids": ["*"] }),
            "{said}"
        );
        assert_eq!(stand.wanted(), Wanted::All, "{said}");
    }
}

#[tokio::test]
async fn unsubscribing_takes_away_and_answers_with_the_rest() {
    let stand = Stand::connected(|row| row.wanted = devices(&["a", "b", "c"])).await;
    let frame = unsubscribe(&stand, &json!(["b", "never asked for"])).await;
    assert_eq!(
        frame,
        json!({ "type": "subscribed", "device_ids": ["a", "c"] })
    );
    let frame = stand
        .say("unsubscribe", r#"{"action":"unsubscribe"}"#)
        .await;
    assert_eq!(frame, json!({ "type": "subscribed", "device_ids": [] }));
    assert_eq!(stand.wanted(), devices(&[]));
}

#[tokio::test]
async fn all_but_some_cannot_be_asked_for() {
    let stand = Stand::connected(|row| row.wanted = Wanted::All).await;
    let frame = unsubscribe(&stand, &json!(["a"])).await;
    assert_eq!(object(&frame), ("error", "all_but_some"));
    assert_eq!(stand.wanted(), Wanted::All);
    unsubscribe(&stand, &json!(["*"])).await;
    assert_eq!(stand.wanted(), devices(&[]));
}

#[tokio::test]
async fn devices_that_are_not_allowed_are_named_and_nothing_changes() {
    let allowed = vec!["pump-1".to_owned(), "hall-7/*".to_owned()];
    let stand = Stand::connected(|row| {
        row.allowed = Some(allowed);
        row.wanted = devices(&["pump-1"]);
    })
    .await;
    let frame = subscribe(&stand, &json!(["pump-1", "pump-2", "hall-7/fan", "hall-8"])).await;
    assert_eq!(object(&frame), ("error", "not_allowed"));
    assert_eq!(frame["device_ids"], json!(["hall-8", "pump-2"]));
    assert_eq!(stand.wanted(), devices(&["pump-1"]));
    assert!(stand.told().concat().is_empty());

    subscribe(&stand, &json!(["pump-1", "hall-7/fan"])).await;
    assert_eq!(stand.wanted(), devices(&["hall-7/fan", "pump-1"]));
    let frame = subscribe(&stand, &json!(["*"])).await;
    assert_eq!(frame["device_ids"], json!(["*"]), "all that it may see");
}

#[tokio::test]
async fn the_number_and_the_size_of_devices_are_bounded() {
    let stand = Stand::connected(|_| {}).await;
    let most = stand.gateway.options.subscriptions_max;
    let many = |count: usize| {
        (0..count)
            .map(|n| json!(format!("d{n}")))
            .collect::<Value>()
    };
    let frame = subscribe(&stand, &many(most + 1)).await;
    assert_eq!(object(&frame), ("error", "too_many"));
    assert!(frame["message"].as_str().unwrap().contains("1001"));
    subscribe(&stand, &many(most)).await;
    assert!(matches!(stand.wanted(), Wanted::Devices(ids) if ids.len() == most));

    let long = "x".repeat(DEVICE_BYTES_MAX + 1);
    assert_eq!(
        object(&subscribe(&stand, &json!([long])).await).1,
        "bad_device_ids"
    );
    let wide: Value = (0..70).map(|n| json!(format!("{n:0>2000}"))).collect();
    assert_eq!(
        object(&subscribe(&stand, &wide).await).1,
        "too_large",
        "over 128 KB"
    );
}

#[tokio::test]
async fn an_answer_larger_than_a_frame_leaves_the_list_out() {
    let stand = Stand::connected(|_| {}).await;
    let wide: Value = (0..40).map(|n| json!(format!("{n:0>2000}"))).collect();
    let frame = subscribe(&stand, &wide).await;
    assert_eq!(frame, json!({ "type": "subscribed", "count": 40 }));
    let refused = Stand::connected(|row| row.allowed = Some(vec!["a".to_owned()])).await;
    let frame = subscribe(&refused, &wide).await;
    assert_eq!(frame["device_ids"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn device_ids_that_are_none_are_refused() {
    let stand = Stand::connected(|_| {}).await;
    for bad in [
        json!("a"),
        json!([1]),
        json!([null]),
        json!({}),
        json!([""]),
        json!(true),
    ] {
        let frame = subscribe(&stand, &bad).await;
        assert_eq!(object(&frame), ("error", "bad_device_ids"), "{bad}");
    }
    let many: Vec<String> = (0..51).map(|n| format!("hall-{n}/*")).collect();
    let frame = subscribe(&stand, &json!(many)).await;
    assert_eq!(object(&frame), ("error", "too_many"));
    assert_eq!(stand.wanted(), devices(&[]));
}

#[tokio::test]
async fn patterns_are_subscribed_as_far_as_the_token_allows_something_in_them() {
    let stand = Stand::connected(|row| row.allowed = Some(vec!["hall-7/*".to_owned()])).await;
    let frame = subscribe(&stand, &json!(["hall-*", "hall-7/fan"])).await;
    assert_eq!(frame["type"], "subscribed");
    assert_eq!(stand.wanted(), devices(&["hall-*", "hall-7/fan"]));
    let frame = subscribe(&stand, &json!(["hall-8/*"])).await;
    assert_eq!(object(&frame), ("error", "not_allowed"));
    assert_eq!(stand.wanted(), devices(&["hall-*", "hall-7/fan"]));
    // A device cannot be taken out of a pattern; the pattern itself can go.
    let out = |ids: Value| json!({ "action": "unsubscribe", "device_ids": ids }).to_string();
    let frame = stand.say("unsubscribe", &out(json!(["hall-7/fan"]))).await;
    assert_eq!(object(&frame), ("error", "all_but_some"));
    let frame = stand.say("unsubscribe", &out(json!(["hall-*"]))).await;
    assert_eq!(frame["device_ids"], json!(["hall-7/fan"]));
}

#[tokio::test]
async fn rubbish_is_answered_with_an_error_frame() {
    let stand = Stand::connected(|_| {}).await;
    for bad in [
        "",
        "hello",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"action":7}"#,
        "\u{feff}{}",
    ] {
        for route in ["$default", "subscribe", "made-up"] {
            assert_eq!(
                object(&stand.say(route, bad).await),
                ("error", "bad_message"),
                "{bad}"
            );
        }
    }
    let frame = stand.say("$default", r#"{"action":"dance"}"#).await;
    assert_eq!(object(&frame), ("error", "unknown_action"));
    let deep = format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
    assert_eq!(object(&stand.say("$default", &deep).await).1, "bad_message");
}

#[tokio::test]
async fn an_api_with_only_the_default_route_works() {
    let stand = Stand::connected(|_| {}).await;
    let frame = stand.say("$default", r#"{"action":"ping"}"#).await;
    assert_eq!(frame, json!({ "type": "pong" }));
    stand
        .say("$default", r#"{"action":"subscribe","device_ids":["a"]}"#)
        .await;
    assert_eq!(stand.wanted(), devices(&["a"]));
}

#[tokio::test]
async fn binary_frames_are_read_too() {
    let stand = Stand::connected(|_| {}).await;
    let event = json!({ "body": STANDARD.encode(r#"{"action":"ping"}"#), "isBase64Encoded": true });
    let answer = stand.send(event, "ping").await;
    assert_eq!(
        answer.body,
        Some(Body::Text(r#"{"type":"pong"}"#.to_owned()))
    );
}

#[tokio::test]
async fn a_viewer_without_a_row_or_with_a_spent_token_is_told_to_come_again() {
    let unknown = Stand::new();
    assert_eq!(
        object(&subscribe(&unknown, &json!(["a"])).await).1,
        "not_connected"
    );
    assert_eq!(unknown.table.row(ID), None, "subscribing makes no row");
    let ping = r#"{"action":"ping"}"#;
    assert_eq!(object(&unknown.say("ping", ping).await).1, "not_connected");
    let spent = Stand::connected(|row| row.expires_at = Some(NOW_S)).await;
    assert_eq!(object(&subscribe(&spent, &json!(["a"])).await).1, "expired");
    assert_eq!(object(&spent.say("ping", ping).await).1, "expired");
    assert_eq!(spent.wanted(), devices(&[]));
}

#[tokio::test]
async fn a_ping_is_answered_while_the_table_is_away() {
    let stand = Stand::connected(|_| {}).await;
    *stand.table.mood.lock().unwrap() = Mood::Broken;
    let frame = stand.say("ping", r#"{"action":"ping"}"#).await;
    assert_eq!(frame, json!({ "type": "pong" }));
}

#[tokio::test]
async fn an_answer_stays_within_a_frame_whatever_was_asked_for() {
    let stand = Stand::connected(|row| row.allowed = Some(vec!["a".to_owned()])).await;
    // Each control character takes six bytes in JSON.
    let ids: Vec<String> = (1..=10_u8)
        .map(|n| char::from(n).to_string().repeat(DEVICE_BYTES_MAX))
        .collect();
    let frame = subscribe(&stand, &json!(ids)).await;
    assert_eq!(object(&frame), ("error", "not_allowed"));
    assert!(frame.to_string().len() < 32 * 1024);
    assert!(!frame["device_ids"].as_array().unwrap().is_empty());
}
