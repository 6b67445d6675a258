//! The switches over HTTP: `GET`, `PUT` and `DELETE /_local/faults`.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::Value;

use crate::local::fault::{Faults, Switch};

/// What a switch may hold; everything else is a slip of the pen and refused.
const FIELDS: [&str; 5] = ["operation", "kind", "ms", "every", "times"];

pub(super) async fn list(Extension(faults): Extension<Faults>) -> Json<Vec<Switch>> {
    Json(faults.list())
}

/// Takes one switch or a list of them in place of all that were set.
pub(super) async fn replace(Extension(faults): Extension<Faults>, body: Bytes) -> Response {
    match read(&body) {
        Ok(switches) => {
            faults.replace(switches);
            Json(faults.list()).into_response()
        }
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

pub(super) async fn clear(Extension(faults): Extension<Faults>) -> StatusCode {
    faults.clear();
    StatusCode::NO_CONTENT
}

fn read(body: &[u8]) -> Result<Vec<Switch>, String> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| format!("a switch, or a list of them, is written in JSON: {error}"))?;
    match value {
        Value::Array(switches) => switches.into_iter().map(switch).collect(),
        one => Ok(vec![switch(one)?]),
    }
}

fn switch(value: Value) -> Result<Switch, String> {
    let Some(fields) = value.as_object() else {
        return Err(format!("a switch is a JSON object, not {value}"));
    };
    if let Some(unknown) = fields
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        return Err(format!(
            "a switch has no field {unknown:?}, only {}",
            FIELDS.join(", ")
        ));
    }
    if fields.contains_key("ms") && fields.get("kind") != Some(&Value::from("slow")) {
        return Err("only a switch of kind \"slow\" has the field \"ms\"".to_owned());
    }
    for count in ["every", "times"] {
        if fields.get(count) == Some(&Value::from(0)) {
            return Err(format!("{count:?} is at least 1"));
        }
    }
    serde_json::from_value(value).map_err(|error| format!("this is no switch: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::fault::Effect;

    #[test]
    fn one_switch_or_a_list_is_read() {
        let one = read(br#"{"operation":"PutRecords","kind":"down","times":2}"#).unwrap();
        assert_eq!(one, vec![Switch::on("PutRecords", Effect::Down).times(2)]);
        let two = read(br#"[{"kind":"throttled"},{"kind":"slow","ms":5,"every":3}]"#).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(two[1].effect, Effect::Slow { ms: 5 });
    }

    #[test]
    fn bad_switches_are_refused_in_one_sentence() {
        let cases = [
            (r#"{"kind":"down","tiems":2}"#, "no field \"tiems\""),
            (r#"{"kind":"dwon"}"#, "unknown variant `dwon`"),
            (r#"{"operation":"PutRecords"}"#, "missing field `kind`"),
            (
                r#"{"kind":"down","ms":5}"#,
                "only a switch of kind \"slow\"",
            ),
            (r#"{"kind":"down","every":0}"#, "\"every\" is at least 1"),
            (r#""down""#, "is a JSON object"),
            ("kind=down", "written in JSON"),
        ];
        for (body, words) in cases {
            let why = read(body.as_bytes()).unwrap_err();
            assert!(why.contains(words), "{body}: {why}");
            assert_eq!(why.lines().count(), 1, "{why}");
        }
    }
}
