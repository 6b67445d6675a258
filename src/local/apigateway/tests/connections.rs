use aws_sdk_apigatewaymanagement::error::ProvideErrorMetadata;

use super::*;
use crate::local::fault::{Effect, Switch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_find_their_route_and_answers_go_back() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    socket.send(Message::text(r#"{"action":"ping"}"#)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text(r#"{"type":"pong"}"#));
    let event = stand.last_event();
    assert_eq!(event.body.as_deref(), Some(r#"{"action":"ping"}"#));
    assert!(!event.is_base64_encoded);
    assert_eq!(event.request_context.event_type.as_deref(), Some("MESSAGE"));
    assert_eq!(
        event.request_context.connection_id.as_deref(),
        Some(id.as_str())
    );
    // `subscribe` answers without a body: the next frame is the one after it.
    socket
        .send(Message::text(r#"{"action":"subscribe"}"#))
        .unwrap();
    socket.send(Message::text("hello")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("what?"));
    socket.send(Message::text("boom")).unwrap();
    let failed = socket.read().unwrap().into_text().unwrap();
    assert!(
        failed.contains("\"message\":\"Internal server error\""),
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_arrive_as_text_in_order_and_the_connection_can_be_looked_at() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    for words in ["one", "two", "drei \u{20ac}"] {
        stand.post(&id, words).await.unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(words));
    }
    let seen = stand
        .client
        .get_connection()
        .connection_id(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(seen.identity().unwrap().source_ip(), Some("127.0.0.1"));
    let connected = seen.connected_at().unwrap().to_millis().unwrap();
    assert!((now_ms() - connected).abs() < 60_000);
    assert!(seen.last_active_at().unwrap().to_millis().unwrap() >= connected);
    assert_eq!(stand.gateway.connections(), [id]);
    assert_eq!(stand.gateway.calls().of("PostToConnection"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_connection_is_closed_and_gone_with_and_without_the_header() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    stand
        .client
        .delete_connection()
        .connection_id(&id)
        .send()
        .await
        .unwrap();
    stand.gone(&id).await;
    assert_eq!(closed(&mut socket), 1000);
    until("$disconnect is called", || stand.disconnects().len() == 1).await;
    let again = stand
        .client
        .delete_connection()
        .connection_id(&id)
        .send()
        .await
        .unwrap_err();
    assert_eq!(again.code(), Some("GoneException"));
    stand.gateway.bare_gone(true);
    let post = stand
        .client
        .post_to_connection()
        .connection_id(&id)
        .data(Blob::new("x"));
    let bare = post.send().await.unwrap_err();
    assert_eq!(bare.raw_response().unwrap().status().as_u16(), 410);
    assert!(!matches!(
        bare.into_service_error(),
        PostToConnectionError::GoneException(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_128_kb_and_an_unknown_stage_are_refused() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    let error = stand.post(&id, &"x".repeat(131_073)).await.unwrap_err();
    assert!(
        matches!(error, PostToConnectionError::PayloadTooLargeException(_)),
        "{error:?}"
    );
    stand.post(&id, &"x".repeat(131_072)).await.unwrap();
    assert_eq!(socket.read().unwrap().len(), 131_072);
    let other = management(stand.address, "prod");
    let post = other
        .post_to_connection()
        .connection_id(&id)
        .data(Blob::new("x"));
    let error = post.send().await.unwrap_err().into_service_error();
    assert!(
        matches!(error, PostToConnectionError::ForbiddenException(_)),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_does_not_read_gets_429_and_others_get_their_messages() {
    let stand = stand(Options::default()).await;
    let (_asleep, slow) = stand.viewer();
    let (mut awake, quick) = stand.viewer();
    let large = "x".repeat(131_072);
    let mut posts = 0;
    let error = loop {
        // Socket buffers take some MB before the server's own bound is met.
        assert!(
            posts < 1_000,
            "130 MB are taken for a viewer that does not read"
        );
        posts += 1;
        if let Err(error) = stand.post(&slow, &large).await {
            break error;
        }
    };
    assert!(
        matches!(error, PostToConnectionError::LimitExceededException(_)),
        "{error:?}"
    );
    stand.post(&quick, "quick").await.unwrap();
    assert_eq!(awake.read().unwrap(), Message::text("quick"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_never_reads_is_dropped_in_the_end() {
    let stall_max = Duration::from_millis(50);
    let stand = stand(Options {
        stall_max,
        ..Options::default()
    })
    .await;
    let (_asleep, id) = stand.viewer();
    let large = "x".repeat(131_072);
    let filling = async {
        while stand.gateway.open() == 1 {
            if stand.post(&id, &large).await.is_err() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    };
    tokio::time::timeout(DEADLINE, filling)
        .await
        .expect("the stalled viewer is dropped");
    stand.gone(&id).await;
    until("$disconnect is called", || stand.disconnects().len() == 1).await;
    assert_eq!(stand.disconnects()[0].0, 1006);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_hit_posts_as_the_sdk_sees_them() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    let faults = stand.gateway.faults();
    faults.set(Switch::on("PostToConnection", Effect::Throttled).times(1));
    let error = stand.post(&id, "lost").await.unwrap_err();
    assert!(
        matches!(error, PostToConnectionError::LimitExceededException(_)),
        "{error:?}"
    );
    faults.set(Switch::on("PostToConnection", Effect::LostAnswer).times(1));
    stand.post(&id, "taken").await.unwrap_err();
    assert_eq!(socket.read().unwrap(), Message::text("taken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_metered_in_both_directions_and_readings_among_them_are_counted() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    let frame = r#"{"type":"readings","readings":[{"device_id":"a"},{"device_id":"b"}]}"#;
    stand.post(&id, frame).await.unwrap();
    let snapshot = r#"{"type":"snapshot","readings":[{"device_id":"a"}]}"#;
    stand.post(&id, snapshot).await.unwrap();
    stand.post(&id, &"x".repeat(32 * 1024 + 1)).await.unwrap();
    stand.gone("nobody=").await;
    socket.send(Message::text(r#"{"action":"ping"}"#)).unwrap();
    // Its answer is the second message of the two.
    until("the ping and its answer are counted", || {
        stand.gateway.meter().tally().of(Unit::WebSocketMessage) >= 6.0
    })
    .await;
    let tally = stand.gateway.meter().tally();
    assert_eq!(tally.of(Unit::WebSocketMessage), 2.0 + 2.0 + 2.0);
    assert_eq!(tally.load.readings_shown, 2);
    assert_eq!(tally.of(Unit::LambdaRequest), 2.0);
    assert!(tally.of(Unit::WebSocketMinute) > 0.0);
}
