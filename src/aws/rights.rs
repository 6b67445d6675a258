//! May these credentials make the calls that a process makes? Asked by calls that change nothing.
//!
//! Each is a call that the service must turn down, or that has no effect: a write under a condition
//! that no row fulfils, a delete by a handle that nobody has, a record of a time that Timestream
//! does not take. Where AWS looks at rights before it looks at the rest, which DynamoDB and Kinesis
//! show by the rows and records they answer, the answer proves the right; where a request may be
//! turned down for its form first, it only shows that the right is not *known* to be missing.
//! Their cost: a unit or two of a table each, and a line in `CloudTrail` where that is on.

use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

use super::error::failed;
use super::explain::{code, is_denied, is_missing};
use super::kinesis::StreamRef;
use crate::door::fault::{CallFailed, Fault};
use crate::model::Posted;

mod queues;
mod streams;

pub use queues::{delete, receive, send};
pub use streams::{consumer, read, write_records};

/// No row, consumer or message is called so.
const NOBODY: &str = "tidewire-doctor-nobody";

/// Codes by which a service turns down a request only after it has looked at rights.
const AFTER_RIGHTS: &[&str] = &[
    "ConditionalCheckFailedException",
    "RejectedRecordsException",
];

/// What an answer says of a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// The call was let through.
    Held,
    /// It was turned down for its form, or by its rate: the right may be there or not.
    NotRefused,
    /// It was refused, in AWS's words.
    Refused(String),
    /// Nothing was learnt, since something else is wrong.
    Unknown(String),
}

/// One right: what IAM calls it, on what, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// IAM's action, such as `dynamodb:Scan`.
    pub action: &'static str,
    /// What it was tried on, such as `table leases`.
    pub on: String,
    /// What came of it.
    pub right: Right,
}

impl Looked {
    fn new<T>(action: &'static str, on: &str, answer: Result<T, CallFailed>) -> Self {
        Self {
            action,
            on: on.to_owned(),
            right: judge(answer.map(|_| ())),
        }
    }

    /// `@connections`: what a post or a hanging up, to somebody who is not there, was answered.
    #[must_use]
    pub fn screens(on: &str, answer: Result<Posted, CallFailed>) -> Self {
        let answer = match answer {
            Ok(Posted::Forbidden(why)) => {
                return Self {
                    action: "execute-api:ManageConnections",
                    on: on.to_owned(),
                    right: Right::Refused(why),
                };
            }
            other => other,
        };
        Self::new("execute-api:ManageConnections", on, answer)
    }
}

/// What an answer to a dry call says.
fn judge(answer: Result<(), CallFailed>) -> Right {
    let Err(failed) = answer else {
        return Right::Held;
    };
    if is_denied(&failed) {
        Right::Refused(failed.message)
    } else if code(&failed).is_some_and(|code| AFTER_RIGHTS.contains(&code)) {
        Right::Held
    } else if is_missing(&failed) || matches!(failed.fault, Fault::Rejected | Fault::Throttled) {
        Right::NotRefused
    } else {
        Right::Unknown(failed.to_string())
    }
}

/// A table and a key of it that no row has.
#[derive(Clone, Debug)]
pub struct DryTable<'a> {
    /// Its client.
    pub client: &'a aws_sdk_dynamodb::Client,
    /// Its name.
    pub table: &'a str,
    /// The names of its key's attributes, the hash key first; strings all.
    pub key: &'a [&'a str],
}

/// Fulfilled by no row, so that what depends on it is never done. `#k` is the hash key.
const NEVER: &str = "attribute_exists(#k) AND attribute_not_exists(#k)";

impl DryTable<'_> {
    fn on(&self) -> String {
        format!("table {}", self.table)
    }

    fn nobody(&self) -> HashMap<String, AttributeValue> {
        let part = |name: &&str| ((*name).to_owned(), AttributeValue::S(NOBODY.to_owned()));
        self.key.iter().map(part).collect()
    }

    fn hash_key(&self) -> &str {
        self.key.first().copied().unwrap_or_default()
    }

    /// `dynamodb:GetItem`.
    pub async fn get(&self) -> Looked {
        let client = self.client;
        let call = client.get_item().table_name(self.table);
        let answer = call.set_key(Some(self.nobody())).send().await;
        let answer = answer.map_err(|error| failed("GetItem", &error));
        Looked::new("dynamodb:GetItem", &self.on(), answer)
    }

    /// `dynamodb:Scan`, of one row.
    pub async fn scan(&self) -> Looked {
        let client = self.client;
        let call = client.scan().table_name(self.table).limit(1);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed("Scan", &error));
        Looked::new("dynamodb:Scan", &self.on(), answer)
    }

    /// `dynamodb:Query`, of a hash key that no row has.
    pub async fn query(&self) -> Looked {
        let client = self.client;
        let call = client.query().table_name(self.table).limit(1);
        let call = call.key_condition_expression("#k = :nobody");
        let call = call.expression_attribute_names("#k", self.hash_key());
        let nobody = AttributeValue::S(NOBODY.to_owned());
        let call = call.expression_attribute_values(":nobody", nobody);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed("Query", &error));
        Looked::new("dynamodb:Query", &self.on(), answer)
    }

    /// `dynamodb:PutItem`, under a condition that nothing fulfils.
    pub async fn put(&self) -> Looked {
        let client = self.client;
        let call = client.put_item().table_name(self.table);
        let call = call.set_item(Some(self.nobody()));
        let call = call.condition_expression(NEVER);
        let call = call.expression_attribute_names("#k", self.hash_key());
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed("PutItem", &error));
        Looked::new("dynamodb:PutItem", &self.on(), answer)
    }

    /// `dynamodb:UpdateItem`, likewise; of nothing.
    pub async fn update(&self) -> Looked {
        let client = self.client;
        let call = client.update_item().table_name(self.table);
        let call = call.set_key(Some(self.nobody()));
        let call = call.condition_expression(NEVER);
        let call = call.expression_attribute_names("#k", self.hash_key());
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed("UpdateItem", &error));
        Looked::new("dynamodb:UpdateItem", &self.on(), answer)
    }

    /// `dynamodb:DeleteItem`, likewise.
    pub async fn delete(&self) -> Looked {
        let client = self.client;
        let call = client.delete_item().table_name(self.table);
        let call = call.set_key(Some(self.nobody()));
        let call = call.condition_expression(NEVER);
        let call = call.expression_attribute_names("#k", self.hash_key());
        let answer = call.send().await;
        let answer = answer.map_err(|error| failed("DeleteItem", &error));
        Looked::new("dynamodb:DeleteItem", &self.on(), answer)
    }
}

fn stream_name(stream: &StreamRef) -> String {
    format!("stream {}", stream.bare_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(fault: Fault, message: &str) -> Right {
        judge(Err(CallFailed {
            operation: "UpdateItem",
            fault,
            message: message.to_owned(),
        }))
    }

    #[test]
    fn what_is_turned_down_after_rights_were_looked_at_proves_them() {
        assert_eq!(judge(Ok(())), Right::Held);
        for proof in [
            "ConditionalCheckFailedException: no",
            "RejectedRecordsException: one",
        ] {
            assert_eq!(answered(Fault::Rejected, proof), Right::Held, "{proof}");
        }
    }

    #[test]
    fn what_may_be_turned_down_before_proves_nothing() {
        for unsure in [
            (Fault::Rejected, "ValidationException: an empty list"),
            (Fault::Rejected, "EmptyBatchRequest: none"),
            (Fault::Fatal, "ResourceNotFoundException: no such consumer"),
            (
                Fault::Throttled,
                "ProvisionedThroughputExceededException: slow down",
            ),
        ] {
            assert_eq!(
                answered(unsure.0, unsure.1),
                Right::NotRefused,
                "{unsure:?}"
            );
        }
    }

    #[test]
    fn a_refusal_is_one_and_a_failure_of_something_else_is_none() {
        for refusal in [
            "AccessDeniedException: not authorized",
            "AccessDenied: no",
            "KMSAccessDeniedException: key",
        ] {
            let right = answered(Fault::Fatal, refusal);
            assert_eq!(right, Right::Refused(refusal.to_owned()));
        }
        let away = answered(Fault::Transient, "cannot be reached: refused");
        assert!(matches!(away, Right::Unknown(_)), "{away:?}");
    }
}
