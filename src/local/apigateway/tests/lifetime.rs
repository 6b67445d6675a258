use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_over_32_kb_and_messages_over_128_kb_close_with_1009() {
    let stand = stand(Options::default()).await;
    let (mut socket, _) = stand.viewer();
    socket
        .send(Message::text("x".repeat(32 * 1024 + 1)))
        .unwrap();
    assert_eq!(closed(&mut socket), 1009);

    let (mut socket, _) = stand.viewer();
    let part = || vec![b'x'; 32 * 1024];
    let first = Frame::message(part(), OpCode::Data(Data::Text), false);
    socket.send(Message::Frame(first)).unwrap();
    for _ in 0..4 {
        let next = Frame::message(part(), OpCode::Data(Data::Continue), false);
        socket.send(Message::Frame(next)).unwrap();
    }
    assert_eq!(closed(&mut socket), 1009);
    until("both ends are told", || stand.disconnects().len() == 2).await;
    assert!(stand.disconnects().iter().all(|(code, _)| *code == 1009));
    let messages = stand.events.lock().unwrap();
    assert!(messages.iter().all(|event| event.body.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_128_kb_in_frames_of_32_kb_is_taken() {
    let stand = stand(Options::default()).await;
    let (mut socket, _) = stand.viewer();
    for n in 0..4 {
        let data = if n == 0 { Data::Text } else { Data::Continue };
        let frame = Frame::message(vec![b'x'; 32 * 1024], OpCode::Data(data), n == 3);
        socket.send(Message::Frame(frame)).unwrap();
    }
    assert_eq!(socket.read().unwrap(), Message::text("what?"));
    assert_eq!(stand.last_event().body.unwrap().len(), 128 * 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_age_end_a_connection_with_1001() {
    let quiet = Options {
        idle_max: Duration::from_millis(50),
        ..Options::default()
    };
    let old = Options {
        duration_max: Duration::from_millis(50),
        ..Options::default()
    };
    for options in [quiet, old] {
        let stand = stand(options).await;
        let (mut socket, id) = stand.viewer();
        assert_eq!(closed(&mut socket), 1001);
        stand.gone(&id).await;
        until("$disconnect is called", || stand.disconnects().len() == 1).await;
        assert_eq!(stand.disconnects(), [(1001, "Going away".to_owned())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewers_own_close_and_its_vanishing_are_told() {
    let stand = stand(Options::default()).await;
    let (mut socket, id) = stand.viewer();
    let frame = CloseFrame {
        code: CloseCode::Library(4001),
        reason: "enough".into(),
    };
    socket.close(Some(frame)).unwrap();
    assert_eq!(closed(&mut socket), 4001, "the closing frame is answered");
    until("$disconnect is called", || stand.disconnects().len() == 1).await;
    assert_eq!(stand.disconnects(), [(4001, "enough".to_owned())]);
    let ended = stand.last_event().request_context;
    assert_eq!(ended.connection_id.as_deref(), Some(id.as_str()));
    assert_eq!(ended.event_type.as_deref(), Some("DISCONNECT"));

    let (socket, id) = stand.viewer();
    drop(socket);
    until("$disconnect is called", || stand.disconnects().len() == 2).await;
    assert_eq!(stand.disconnects()[1].0, 1006);
    stand.gone(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_viewer_and_a_lost_event_leave_no_disconnect() {
    let stand = stand(Options::default()).await;
    let (mut killed, id) = stand.viewer();
    assert!(stand.gateway.kill(&id));
    assert!(!stand.gateway.kill(&id));
    match killed.read().unwrap_err() {
        WsError::Io(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        error => assert!(
            error.to_string().contains("without closing handshake"),
            "{error}"
        ),
    }
    stand.gone(&id).await;

    stand.gateway.lose_disconnects(true);
    let (mut lost, _) = stand.viewer();
    lost.close(None).unwrap();
    until("the connection ends", || stand.gateway.open() == 0).await;
    stand.gateway.lose_disconnects(false);
    let (mut last, _) = stand.viewer();
    last.close(None).unwrap();
    until("the last $disconnect is called", || {
        !stand.disconnects().is_empty()
    })
    .await;
    assert_eq!(stand.disconnects().len(), 1);
    assert_eq!(stand.disconnects()[0].0, 1005);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_says_1001_and_returns() {
    let stand = stand(Options::default()).await;
    let (mut socket, _) = stand.viewer();
    let serving = stand._serving;
    stand.shutdown.cancel();
    assert_eq!(closed(&mut socket), 1001);
    tokio::time::timeout(DEADLINE, serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
