//! Published token keys, over a real connection.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use tidewire::aws::key_set::Published;
use tidewire::door::Fault;
use tidewire::door::key_set::KeySet as _;

use crate::support::{Running, start};

type Answer = Arc<Mutex<(u16, String)>>;

async fn issuer() -> (Running, Answer) {
    let answer: Answer = Arc::new(Mutex::new((200, "{\"keys\":[]}".to_owned())));
    let told = Arc::clone(&answer);
    let router = Router::new().route(
        "/jwks.json",
        get(move || {
            let (status, body) = told.lock().unwrap().clone();
            let answer: Response = match status {
                307 => Redirect::temporary("/elsewhere").into_response(),
                status => (StatusCode::from_u16(status).unwrap(), body).into_response(),
            };
            std::future::ready(answer)
        }),
    );
    let running = start(|listener, _| async move { axum::serve(listener, router).await }).await;
    (running, answer)
}

#[tokio::test]
async fn a_key_set_is_read_whole_or_refused_with_its_reason() {
    let (running, answer) = issuer().await;
    let set = Published::at(format!("{}/jwks.json", running.url));
    assert_eq!(set.fetch().await.unwrap(), "{\"keys\":[]}");
    for (status, body, fault, words) in [
        (404, String::new(), Fault::Fatal, "answers 404"),
        (503, String::new(), Fault::Transient, "answers 503"),
        (
            307,
            String::new(),
            Fault::Fatal,
            "redirects are not followed",
        ),
        (
            200,
            "x".repeat(300_000),
            Fault::Fatal,
            "larger than 262144 bytes",
        ),
    ] {
        *answer.lock().unwrap() = (status, body);
        let failed = set.fetch().await.unwrap_err();
        assert_eq!(failed.fault, fault, "{failed}");
        assert!(failed.to_string().contains(words), "{failed}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_a_passing_failure() {
    let (running, _) = issuer().await;
    let url = format!("{}/jwks.json", running.url);
    drop(running);
    let failed = Published::at(url).fetch().await.unwrap_err();
    assert_eq!(failed.fault, Fault::Transient);
    assert!(failed.to_string().contains("cannot be reached"), "{failed}");
}
