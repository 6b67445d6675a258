use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};

use super::*;
use crate::local::fault::{Effect, Switch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_integrations_choice_of_subprotocol_alone_is_echoed() {
    let stand = stand(Options::default()).await;
    let offered = "bearer.secret, tidewire.v1";
    let (_, answer) = stand.handshake("?choose=tidewire.v1", offered).unwrap();
    let echoed: Vec<_> = answer
        .headers()
        .get_all("sec-websocket-protocol")
        .iter()
        .collect();
    assert_eq!(echoed, ["tidewire.v1"]);
    let (_, answer) = stand.handshake("?choose=bearer.secret", offered).unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "bearer.secret");
    for query in ["", "?choose=other.v1"] {
        let none = match stand.handshake(query, offered) {
            Err(WsError::Protocol(error)) => error,
            other => panic!("a protocol was echoed that nobody chose or offered: {other:?}"),
        };
        let no_protocol = SubProtocolError::NoSubProtocol;
        assert_eq!(
            none,
            ProtocolError::SecWebSocketSubProtocolError(no_protocol)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_is_refused_as_the_integration_says() {
    let short = Options {
        integration_max: Duration::from_millis(50),
        ..Options::default()
    };
    let stand = stand(short).await;
    assert_eq!(refused_with(stand.handshake("?status=401", "")), 401);
    assert_eq!(refused_with(stand.handshake("?status=403", "")), 403);
    assert_eq!(refused_with(stand.handshake("?status=7", "")), 502);
    assert_eq!(refused_with(stand.handshake("?fail=1", "")), 502);
    assert_eq!(refused_with(stand.handshake("?hold=1", "")), 500);
    assert_eq!(refused_with(stand.handshake("x", "")), 403, "another stage");
    assert_eq!(stand.gateway.open(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connect_event_carries_what_the_viewer_sent() {
    let stand = stand(Options::default()).await;
    let (_socket, _) = stand
        .handshake("?choose=tidewire.v1&site=a%20b", "tidewire.v1")
        .unwrap();
    let event = stand.last_event();
    assert_eq!(event.headers["sec-websocket-protocol"], "tidewire.v1");
    assert_eq!(event.multi_value_headers["host"], stand.address.to_string());
    assert_eq!(event.query_string_parameters.first("site"), Some("a b"));
    let context = event.request_context;
    assert_eq!(context.route_key.as_deref(), Some("$connect"));
    assert_eq!(context.event_type.as_deref(), Some("CONNECT"));
    assert_eq!(context.identity.source_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(context.stage.as_deref(), Some("local"));
    assert!(context.connection_id.unwrap().ends_with('='));
    assert!((now_ms() - context.connected_at).abs() < 60_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_gone_until_connect_has_answered() {
    let stand = stand(Options::default()).await;
    let (address, release) = (stand.address, Arc::clone(&stand.release));
    let opening = tokio::task::spawn_blocking(move || open(address, "?hold=1", "").unwrap().0);
    until("$connect is called", || {
        !stand.events.lock().unwrap().is_empty()
    })
    .await;
    let id = stand.last_event().request_context.connection_id.unwrap();
    stand.gone(&id).await;
    release.notify_one();
    let mut socket = opening.await.unwrap();
    stand.post(&id, "welcome").await.unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("welcome"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_viewer_over_the_most_is_refused() {
    let stand = stand(Options {
        viewers_max: 1,
        ..Options::default()
    })
    .await;
    let (socket, id) = stand.viewer();
    assert_eq!(refused_with(stand.handshake("", "")), 429);
    drop(socket);
    until("the seat is free", || stand.handshake("", "").is_ok()).await;
    stand.gone(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switches_hit_the_handshake() {
    let stand = stand(Options::default()).await;
    let faults = stand.gateway.faults();
    faults.set(Switch::on("Connect", Effect::Down).times(1));
    assert_eq!(refused_with(stand.handshake("", "")), 503);
    faults.set(Switch::on("Connect", Effect::Throttled).times(1));
    assert_eq!(refused_with(stand.handshake("", "")), 429);
    assert!(stand.events.lock().unwrap().is_empty());
    faults.set(Switch::on("Connect", Effect::LostAnswer).times(1));
    assert_eq!(refused_with(stand.handshake("", "")), 500);
    until("the lost connection is closed", || {
        stand.gateway.open() == 0
    })
    .await;
    until("and $disconnect called", || stand.disconnects().len() == 1).await;
    assert_eq!(stand.gateway.calls().of("Connect"), 3);
}
