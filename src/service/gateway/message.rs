//! What clients say, and the frames they are answered with. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Connection, Wanted};
use crate::push::permit::{ANY_SUFFIX, covers, permits_asking};

/// API Gateway takes messages of up to 128 KB from a client.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// The ids of one subscription together: half of what a DynamoDB item holds (400 KB), since names,
/// `allowed` and the rest of the row take their part.
pub const DEVICES_BYTES_MAX: usize = 200 * 1024;

/// A device id is a Timestream dimension's value, of 2 KB at most.
pub const DEVICE_BYTES_MAX: usize = 2 * 1024;

/// A frame stays under 32 KB, which API Gateway meters as one message: an answer that would be
/// larger leaves the list of ids out.
const FRAME_BYTES_MAX: usize = 32 * 1024;

/// Refused ids named in an error frame at most: enough to find the mistake by. Fewer where they
/// would not fit a frame: a control character of an id takes six bytes in JSON.
const NAMED_MAX: usize = 10;

/// Patterns of one subscription. Whether a device is wanted is found by its id at once, but by
/// patterns one after the other.
pub const PATTERNS_MAX: usize = 50;

/// Stands for all devices where it is the only id.
const ALL: &str = "*";

/// A client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// From now on these devices, instead of what was asked before.
    Subscribe(Wanted),
    /// No longer these devices; `All`: none at all any more.
    Unsubscribe(Wanted),
    /// Is somebody there?
    Ping,
}

/// Why a message is answered with an error frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Complaint {
    #[error("a message is a JSON object with an action: subscribe, unsubscribe or ping")]
    BadMessage,
    #[error("device_ids is a list of texts, each of 1 to {DEVICE_BYTES_MAX} bytes")]
    BadDeviceIds,
    #[error("the action is none of subscribe, unsubscribe and ping")]
    UnknownAction,
    #[error("{asked} device ids are too many, at most {most} can be subscribed")]
    TooMany { asked: usize, most: usize },
    #[error("{0} patterns are too many, at most {PATTERNS_MAX} can be subscribed")]
    TooManyPatterns(usize),
    #[error("the message or its device ids are too large")]
    TooLarge,
    #[error("your token does not allow these devices; nothing was changed")]
    NotAllowed(Vec<String>),
    #[error("you are subscribed to all devices: subscribe to those you want instead")]
    AllButSome,
    #[error(
        "your subscription to {0} takes these in: unsubscribe it, or subscribe to those you want"
    )]
    Covered(String),
    #[error("this connection is not known any more: connect again")]
    NotConnected,
    #[error("your token has run out: connect again with a new one")]
    Expired,
    #[error("this did not work just now: try again")]
    Unavailable,
}

impl Complaint {
    fn code(&self) -> &'static str {
        match self {
            Self::BadMessage => "bad_message",
            Self::BadDeviceIds => "bad_device_ids",
            Self::UnknownAction => "unknown_action",
            Self::TooMany { .. } | Self::TooManyPatterns(_) => "too_many",
            Self::TooLarge => "too_large",
            Self::NotAllowed(_) => "not_allowed",
            Self::AllButSome | Self::Covered(_) => "all_but_some",
            Self::NotConnected => "not_connected",
            Self::Expired => "expired",
            Self::Unavailable => "unavailable",
        }
    }

    /// `{"type":"error","code","message"}`, and `device_ids` where some were refused (the first
    /// ten of them, as far as they fit).
    pub(super) fn frame(&self) -> String {
        let mut frame = json!({
            "type": "error",
            "code": self.code(),
            "message": self.to_string(),
        });
        let Self::NotAllowed(ids) = self else {
            return frame.to_string();
        };
        let mut named = ids.len().min(NAMED_MAX);
        loop {
            frame["device_ids"] = ids.iter().take(named).cloned().collect();
            let text = frame.to_string();
            if text.len() < FRAME_BYTES_MAX || named == 0 {
                return text;
            }
            named -= 1;
        }
    }
}

#[derive(Deserialize)]
struct Said {
    action: String,
    #[serde(default)]
    device_ids: Option<Value>,
}

/// Reads a message, which may name `most` devices.
pub(super) fn read(body: &str, most: usize) -> Result<Ask, Complaint> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Complaint::TooLarge);
    }
    let said: Said = serde_json::from_str(body).map_err(|_| Complaint::BadMessage)?;
    match said.action.as_str() {
        "subscribe" => devices(said.device_ids, most).map(Ask::Subscribe),
        "unsubscribe" => devices(said.device_ids, most).map(Ask::Unsubscribe),
        "ping" => Ok(Ask::Ping),
        _ => Err(Complaint::UnknownAction),
    }
}

/// `device_ids`: absent or with a `"*"` among them, all; an empty list, none. An id that ends with
/// `*` is a pattern: every device whose id begins so.
fn devices(field: Option<Value>, most: usize) -> Result<Wanted, Complaint> {
    let Some(field) = field else {
        return Ok(Wanted::All);
    };
    let ids: Vec<String> = serde_json::from_value(field).map_err(|_| Complaint::BadDeviceIds)?;
    if ids.iter().any(|id| id == ALL) {
        return Ok(Wanted::All);
    }
    let ids: BTreeSet<String> = ids.into_iter().collect();
    let asked = ids.len();
    if asked > most {
        return Err(Complaint::TooMany { asked, most });
    }
    if ids
        .iter()
        .any(|id| id.is_empty() || id.len() > DEVICE_BYTES_MAX)
    {
        return Err(Complaint::BadDeviceIds);
    }
    let patterns = ids.iter().filter(|id| id.ends_with(ANY_SUFFIX)).count();
    if patterns > PATTERNS_MAX {
        return Err(Complaint::TooManyPatterns(patterns));
    }
    if ids.iter().map(String::len).sum::<usize>() > DEVICES_BYTES_MAX {
        return Err(Complaint::TooLarge);
    }
    Ok(Wanted::Devices(ids))
}

/// What a viewer with this row wants after saying so, if it may.
pub(super) fn wanted_after(row: &Connection, ask: Ask) -> Result<Wanted, Complaint> {
    match ask {
        Ask::Subscribe(Wanted::All) => Ok(Wanted::All),
        Ask::Subscribe(Wanted::Devices(ids)) => {
            let allowed = row.allowed.as_deref();
            let (may, may_not): (BTreeSet<String>, BTreeSet<String>) =
                ids.into_iter().partition(|id| permits_asking(allowed, id));
            if may_not.is_empty() {
                Ok(Wanted::Devices(may))
            } else {
                Err(Complaint::NotAllowed(may_not.into_iter().collect()))
            }
        }
        Ask::Unsubscribe(Wanted::All) => Ok(Wanted::Devices(BTreeSet::new())),
        Ask::Unsubscribe(Wanted::Devices(without)) => match &row.wanted {
            Wanted::All if !without.is_empty() => Err(Complaint::AllButSome),
            Wanted::All => Ok(Wanted::All),
            Wanted::Devices(ids) => {
                let rest: BTreeSet<String> = ids.difference(&without).cloned().collect();
                let of_rest = |gone: &String| rest.iter().find(|left| covers(left, gone));
                match without.iter().find_map(of_rest) {
                    Some(pattern) => Err(Complaint::Covered(pattern.clone())),
                    None => Ok(Wanted::Devices(rest)),
                }
            }
        },
        Ask::Ping => Ok(row.wanted.clone()),
    }
}

/// `{"type":"subscribed","device_ids":[..]}`: what the viewer is subscribed to from now on, `["*"]`
/// for all. A list too long for a frame is left out, its length stands in `count`.
pub(super) fn subscribed(wanted: &Wanted) -> String {
    let frame = match wanted {
        Wanted::All => json!({ "type": "subscribed", "device_ids": [ALL] }),
        Wanted::Devices(ids) => json!({ "type": "subscribed", "device_ids": ids }),
    };
    let text = frame.to_string();
    if text.len() < FRAME_BYTES_MAX {
        return text;
    }
    let count = match wanted {
        Wanted::All => 0,
        Wanted::Devices(ids) => ids.len(),
    };
    json!({ "type": "subscribed", "count": count }).to_string()
}

/// `{"type":"pong"}`.
pub(super) fn pong() -> String {
    json!({ "type": "pong" }).to_string()
}
