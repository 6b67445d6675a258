use serde_json::{Value, json};

use super::token::{sign, verify};
use super::*;
use crate::model::{Connection, Wanted};

mod doors;
mod messages;
mod ways_in;

use doors::{CONNECTED_AT, ID, Log, Mood, NOW, NOW_S, SECRET, Stand, devices, secret, token};

fn echoed(answer: &ApiGatewayProxyResponse) -> Option<&str> {
    let value = answer.headers.get("sec-websocket-protocol")?;
    value.to_str().ok()
}

#[tokio::test]
async fn a_good_token_is_let_in_and_sees_nothing_until_it_subscribes() {
    let stand = Stand::new();
    let answer = stand
        .connect(&format!("tidewire.v1, bearer.{}", token()))
        .await;
    assert_eq!(answer.status_code, 200);
    assert_eq!(echoed(&answer), Some("tidewire.v1"));
    let row = Connection {
        id: ID.into(),
        connected_at: Some(StoredTime::Number(CONNECTED_AT.to_string())),
        wanted: devices(&[]),
        allowed: None,
        expires_at: Some(NOW_S + 7_140),
        principal: Some("ada".to_owned()),
    };
    assert_eq!(stand.table.row(ID), Some(row));
}

#[tokio::test]
async fn every_spelling_of_the_offer_is_read() {
    let token = token();
    let good = format!("tidewire.v1, bearer.{token}");
    let turned = format!("bearer.{token},tidewire.v1");
    let offers = [
        json!({ "headers": { "Sec-WebSocket-Protocol": good } }),
        json!({ "headers": { "sec-websocket-protocol": turned } }),
        json!({ "headers": { "SEC-WEBSOCKET-PROTOCOL": format!("  tidewire.v1 ,\tbearer.{token} ") } }),
        json!({ "headers": null, "multiValueHeaders": { "Sec-Websocket-Protocol": [good] } }),
        json!({ "multiValueHeaders":
            { "Sec-WebSocket-Protocol": ["tidewire.v1", format!("bearer.{token}")] } }),
        json!({ "headers": { "Sec-WebSocket-Protocol": "tidewire.v1" }, "multiValueHeaders":
            { "Sec-WebSocket-Protocol": [format!("tidewire.v1,bearer.{token}")] } }),
        json!({ "headers": { "Sec-WebSocket-Protocol": format!("other, {good}") } }),
    ];
    for offer in offers {
        let answer = Stand::new().send(offer.clone(), "$connect").await;
        assert_eq!(answer.status_code, 200, "{offer}");
        assert_eq!(echoed(&answer), Some("tidewire.v1"), "{offer}");
    }
}

#[tokio::test]
async fn a_handshake_without_one_good_token_is_401_and_leaves_no_row() {
    let (token, other) = (token(), sign(&secret(), &json!({ "exp": NOW_S + 60 })));
    let expired = sign(&secret(), &json!({ "exp": NOW_S - 3600 }));
    let offers = [
        String::new(),
        "tidewire.v1".to_owned(),
        "tidewire.v1, bearer.".to_owned(),
        "tidewire.v1, bearer.rubbish".to_owned(),
        format!("bearer.{token}"),
        format!("tidewire.v2, bearer.{token}"),
        format!("tidewire.v1, Bearer.{token}"),
        format!("tidewire.v1, {token}"),
        format!("tidewire.v1, bearer.{token}, bearer.{other}"),
        format!("tidewire.v1, bearer.{expired}"),
        token,
    ];
    let stand = Stand::new();
    for offer in offers {
        let answer = stand.connect(&offer).await;
        assert_eq!(answer.status_code, 401, "{offer}");
        assert_eq!((echoed(&answer), &answer.body), (None, &None), "{offer}");
    }
    assert_eq!(stand.send(json!({}), "$connect").await.status_code, 401);
    assert_eq!(stand.table.row(ID), None);
    assert!(stand.told().concat().is_empty());
}

#[tokio::test]
async fn a_token_without_the_configured_claim_is_403() {
    let stand = Stand::with(|options| options.rules.allowed_claim = Some("devices".to_owned()));
    let offer = format!("tidewire.v1, bearer.{}", token());
    assert_eq!(stand.connect(&offer).await.status_code, 403);

    let claims = json!({ "exp": NOW_S + 60, "devices": ["pump-1", "hall-*"] });
    let offer = format!("tidewire.v1, bearer.{}", sign(&secret(), &claims));
    assert_eq!(stand.connect(&offer).await.status_code, 200);
    let row = stand.table.row(ID).unwrap();
    assert_eq!(
        row.allowed,
        Some(vec!["pump-1".to_owned(), "hall-*".to_owned()])
    );
}

#[tokio::test]
async fn pages_of_other_origins_are_403() {
    let stand = Stand::with(|options| options.origins = vec!["https://screens.example".to_owned()]);
    let protocols = format!("tidewire.v1, bearer.{}", token());
    for (origin, status) in [
        (json!("https://screens.example"), 200),
        (json!("https://SCREENS.example"), 200),
        (json!("https://screens.example.evil.example"), 403),
        (json!("http://screens.example"), 403),
        (json!("null"), 403),
        (json!(""), 403),
    ] {
        let headers = json!({ "Sec-WebSocket-Protocol": protocols, "origin": origin });
        let answer = stand.send(json!({ "headers": headers }), "$connect").await;
        assert_eq!(answer.status_code, status, "{origin}");
    }
    assert_eq!(
        stand.connect(&protocols).await.status_code,
        200,
        "no browser, no origin"
    );
}

#[tokio::test]
async fn a_bare_token_is_taken_only_where_configured() {
    let stand = Stand::with(|options| options.legacy_token = true);
    let token = token();
    let answer = stand.connect(&token).await;
    assert_eq!(answer.status_code, 200);
    assert_eq!(echoed(&answer), Some(token.as_str()));
    assert_eq!(stand.wanted(), Wanted::All, "as in the blog");

    let answer = stand.connect(&format!("tidewire.v1, bearer.{token}")).await;
    assert_eq!(echoed(&answer), Some("tidewire.v1"), "ours works beside it");
    assert_eq!(stand.wanted(), devices(&[]));
    for offer in ["tidewire.v1", "bearer.x", "rubbish"] {
        assert_eq!(stand.connect(offer).await.status_code, 401, "{offer}");
    }
}

#[tokio::test]
async fn no_right_outlives_the_two_hours_of_a_connection() {
    let stand = Stand::new();
    let long = sign(&secret(), &json!({ "exp": NOW_S + 1_000_000 }));
    stand.connect(&format!("tidewire.v1, bearer.{long}")).await;
    let ends = stand.table.row(ID).unwrap().expires_at;
    assert_eq!(ends, Some(CONNECTED_AT / 1000 + 7_200));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_fails_is_500_without_a_word_of_why() {
    for mood in [Mood::Broken, Mood::Stuck] {
        let stand = Stand::new();
        *stand.table.mood.lock().unwrap() = mood;
        let answer = stand
            .connect(&format!("tidewire.v1, bearer.{}", token()))
            .await;
        assert_eq!(answer.status_code, 500);
        assert_eq!((echoed(&answer), answer.body.clone()), (None, None));
        assert_eq!(stand.send(json!({}), "$disconnect").await.status_code, 500);
        let frame = stand.say("subscribe", r#"{"action":"subscribe"}"#).await;
        assert_eq!(frame["code"], "unavailable");
        assert!(!frame.to_string().contains("AccessDenied"));
    }
}

#[tokio::test]
async fn disconnect_deletes_the_row_and_says_so() {
    let stand = Stand::connected(|_| {}).await;
    assert_eq!(stand.send(json!({}), "$disconnect").await.status_code, 200);
    assert_eq!(stand.table.row(ID), None);
    assert_eq!(stand.told().concat().len(), 1);
    assert_eq!(
        stand.send(json!({}), "$disconnect").await.status_code,
        200,
        "once more"
    );
    assert_eq!(stand.told().concat().len(), 1);
}

#[tokio::test]
async fn disconnect_deletes_rows_of_the_blogs_lambda_too() {
    let text = StoredTime::Text("2027-01-15T08:00:00.123456".to_owned());
    let stand = Stand::connected(|row| row.connected_at = Some(text)).await;
    stand.send(json!({}), "$disconnect").await;
    assert_eq!(stand.table.row(ID), None);
}

#[tokio::test]
async fn a_late_disconnect_leaves_the_row_of_a_later_connection() {
    let later = StoredTime::Number((CONNECTED_AT + 1).to_string());
    let stand = Stand::connected(|row| row.connected_at = Some(later)).await;
    assert_eq!(stand.send(json!({}), "$disconnect").await.status_code, 200);
    assert!(stand.table.row(ID).is_some());
}

#[tokio::test]
async fn each_change_is_told_to_the_viewers_queue_and_no_other() {
    let stand = Stand::new();
    stand
        .connect(&format!("tidewire.v1, bearer.{}", token()))
        .await;
    let message = format!(r#"{{"v":1,"control":"changed","connection":"{ID}"}}"#);
    assert_eq!(
        stand.told(),
        [vec![], vec![message], vec![]],
        "1 of 3, by the hash of the id"
    );
    stand
        .say("subscribe", r#"{"action":"subscribe","device_ids":["a"]}"#)
        .await;
    stand.say("ping", r#"{"action":"ping"}"#).await;
    assert_eq!(stand.told()[1].len(), 2, "a ping changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fails_or_hangs_delays_little_and_fails_nothing() {
    for mood in [Mood::Broken, Mood::Stuck] {
        let stand = Stand::new();
        for queue in &stand.queues {
            *queue.mood.lock().unwrap() = mood;
        }
        let began = tokio::time::Instant::now();
        let answer = stand
            .connect(&format!("tidewire.v1, bearer.{}", token()))
            .await;
        assert_eq!(answer.status_code, 200);
        assert!(began.elapsed() <= CONTROL_WAIT + Duration::from_millis(1));
    }
}

#[tokio::test]
async fn an_event_without_a_connection_is_400() {
    let event = json!({ "requestContext":
        { "routeKey": "$connect", "connectedAt": 0, "requestTimeEpoch": 0 } });
    let event = serde_json::from_value(event).unwrap();
    assert_eq!(
        Stand::new().gateway.handle_at(event, NOW).await.status_code,
        400
    );
}

#[tokio::test]
async fn neither_token_nor_secret_shows_anywhere() {
    let log = Log::default();
    let listening = log.listen();
    let mut seen = String::new();
    let expired = sign(&secret(), &json!({ "exp": NOW_S - 3600 }));
    let forged = format!("{}x", token());
    let unsigned = "eyJhbGciOiJub25lIn0.e30.".to_owned();
    let tokens = [token(), expired, forged, unsigned];
    for mood in [Mood::Well, Mood::Broken] {
        let stand = Stand::new();
        *stand.table.mood.lock().unwrap() = mood;
        for token in &tokens {
            let answer = stand.connect(&format!("tidewire.v1, bearer.{token}")).await;
            seen += &serde_json::to_string(&answer).unwrap();
            seen += &format!("{answer:?} {:?}", stand.table.row(ID));
            let frame = stand
                .say("$default", &format!(r#"{{"action":"{token}"}}"#))
                .await;
            seen += &frame.to_string();
            let judged = verify(token, NOW_S, &stand.gateway.options.rules);
            seen += &format!("{judged:?}");
        }
        seen += &format!("{:?} {:?}", stand.gateway, stand.told());
    }
    drop(listening);
    let logged = log.text();
    assert!(logged.contains("handshake refused") && logged.contains("the connection table failed"));
    seen += &logged;
    assert!(!seen.contains(SECRET));
    for token in &tokens {
        for part in token.split('.').filter(|part| part.len() > 4) {
            assert!(!seen.contains(part), "{part} in {seen}");
        }
    }
}

fn object(frame: &Value) -> (&str, &str) {
    let field = |name: &str| frame[name].as_str().unwrap_or("");
    (field("type"), field("code"))
}
