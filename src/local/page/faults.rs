//! `GET` and `POST /_local/faults`: what goes wrong on purpose.
//!
//! `GET` answers `{"parts": [{"part": "sqs", "on": ["outage"]}], "coming": [{"fault": "worker:kill@30s",
//! "in_ms": 0}], "told": [{"words": "", "failed": false, "ago_ms": 0}], "workers": 1}`. `POST` takes
//! one of `{"begin": FAULT}`, `{"end": FAULT}` and `{"end": "all"}`, a fault being written as for
//! `--fault`, and answers the same once it is done.
//!
//! Any page that is open in a browser can send requests to this machine. So a change is taken from
//! the stand's own page only: what is no JSON is refused, which keeps out forms of other sites (with
//! a JSON type a browser asks this server first, which never consents), as is an `Origin` other than
//! the `Host` that was asked. That `Host` is this machine, and that browsers call the request their
//! own page's, is looked at for all of the page's API. Programs send no `Origin`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::PageInfo;
use crate::local::drill::Drill;
use crate::local::drill::plan::Fault;

/// A change is one short line.
const BODY_MAX: usize = 1024;

/// What a change may ask for.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Change {
    Begin(String),
    End(String),
}

pub(super) async fn tell(State(info): State<PageInfo>) -> Response {
    match info.drill {
        Some(drill) => Json(drill.state()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) async fn change(
    State(info): State<PageInfo>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err((status, why)) = own(&headers) {
        return (status, format!("{why}\n")).into_response();
    }
    let Some(drill) = info.drill else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match carry_out(&drill, &body).await {
        Ok(()) => Json(drill.state()).into_response(),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

type Refused = (StatusCode, String);

async fn carry_out(drill: &Arc<Drill>, body: &[u8]) -> Result<(), Refused> {
    let bad = |why: String| (StatusCode::BAD_REQUEST, why);
    match read(body).map_err(bad)? {
        Change::Begin(fault) => {
            let fault = Fault::parse(&fault).map_err(bad)?;
            let begun = drill.begin(fault).await;
            begun.map_err(|why| (StatusCode::CONFLICT, why))
        }
        Change::End(all) if all == "all" => {
            drill.end_all();
            Ok(())
        }
        Change::End(fault) => {
            let fault = Fault::parse(&fault).map_err(bad)?;
            let Some((part, effect)) = fault.ill() else {
                return Err(bad(format!(
                    "{fault} is done once: there is nothing to end"
                )));
            };
            drill.end(part, effect);
            Ok(())
        }
    }
}

fn read(body: &[u8]) -> Result<Change, String> {
    if body.len() > BODY_MAX {
        return Err(format!("a change has {BODY_MAX} bytes at most"));
    }
    serde_json::from_slice(body).map_err(|error| {
        format!(
            "a change is {{\"begin\": FAULT}}, {{\"end\": FAULT}} or {{\"end\": \"all\"}}: {error}"
        )
    })
}

/// Whether the stand's own page asks, or a program.
fn own(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let kind = text(CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let why = "a change is sent with `Content-Type: application/json`";
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_owned()));
    }
    let host = text(HOST).unwrap_or_default();
    match text(ORIGIN) {
        Some(origin) if origin != format!("http://{host}") => {
            let why = "asked by a page of another origin";
            Err((StatusCode::FORBIDDEN, why.to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn asked(lines: &[(HeaderName, &'static str)]) -> Result<(), StatusCode> {
        let lines = lines.iter().cloned();
        let headers = lines.map(|(name, value)| (name, value.parse().unwrap()));
        own(&headers.collect()).map_err(|(status, _)| status)
    }

    #[test]
    fn only_the_stands_own_page_and_programs_are_listened_to() {
        let json = (CONTENT_TYPE, "application/json; charset=utf-8");
        let host = (HOST, "127.0.0.1:7400");
        let own = (ORIGIN, "http://127.0.0.1:7400");
        assert_eq!(asked(&[json.clone(), host.clone(), own.clone()]), Ok(()));
        assert_eq!(asked(&[json.clone(), host.clone()]), Ok(()));
        for origin in [
            "http://evil.example",
            "http://127.0.0.1:8000",
            "https://127.0.0.1:7400",
            "null",
        ] {
            let foreign = (ORIGIN, origin);
            let refused = asked(&[json.clone(), host.clone(), foreign]);
            assert_eq!(refused, Err(StatusCode::FORBIDDEN), "{origin}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let refused = asked(&[(CONTENT_TYPE, kind), host.clone(), own.clone()]);
            assert_eq!(refused, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{kind}");
        }
        assert_eq!(asked(&[host]), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }

    #[test]
    fn a_change_is_one_of_two_things() {
        let fault = || "sqs:outage".to_owned();
        assert_eq!(
            read(br#"{"begin":"sqs:outage"}"#),
            Ok(Change::Begin(fault()))
        );
        assert_eq!(read(br#"{"end":"sqs:outage"}"#), Ok(Change::End(fault())));
        for body in [
            "",
            "{}",
            r#"{"stop":"x"}"#,
            r#"{"begin":1}"#,
            r#"{"begin":"a","end":"b"}"#,
        ] {
            let why = read(body.as_bytes()).unwrap_err();
            assert!(why.contains("a change is"), "{body}: {why}");
        }
    }
}
