//! The connection table behind the door [`Connections`].
//!
//! The blog's Lambdas and ours write the same table, so that reading is tolerant: lists, sets,
//! single texts and JSON in a text are all understood.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::failed;
use crate::door::connections::Connections;
use crate::door::fault::{CallFailed, Fault};
use crate::model::{Connection, ConnectionId, StoredTime, Wanted};

mod seats;
mod tickets;

pub use tickets::{SESSION_EXPIRES_AT, TICKETS};

/// Entries of `allowed` that count; the rest grants nothing. Each is asked at every post to its
/// viewer, and the others must not wait for that.
const ALLOWED_MAX: usize = 500;

type Item = HashMap<String, AttributeValue>;

/// What the table and its attributes are called; the defaults are the blog's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The table.
    pub table: String,
    /// The hash key.
    pub hash_key: String,
    /// The hash key's value under which connections stand.
    pub hash_value: String,
    /// The sort key, whose value is the connection's id.
    pub sort_key: String,
    /// When the connection was made.
    pub connected_at: String,
    /// What it wants to see.
    pub subscriber: String,
    /// What it may see.
    pub allowed: String,
    /// When its token runs out; the table's TTL attribute.
    pub expires_at: String,
    /// Who connected.
    pub principal: String,
}

impl Names {
    /// The blog's names, in this table.
    #[must_use]
    pub fn of(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            hash_key: "LookupKey".to_owned(),
            hash_value: "CONNECTION".to_owned(),
            sort_key: "SortKey".to_owned(),
            connected_at: "connected_at".to_owned(),
            subscriber: "subscriber".to_owned(),
            allowed: "allowed".to_owned(),
            expires_at: "expires_at".to_owned(),
            principal: "principal".to_owned(),
        }
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    names: Names,
}

impl Table {
    /// A table with these names; nothing is asked.
    #[must_use]
    pub fn new(client: Client, names: Names) -> Self {
        Self { client, names }
    }

    fn key(&self, id: &ConnectionId) -> Item {
        HashMap::from([
            (
                self.names.hash_key.clone(),
                AttributeValue::S(self.names.hash_value.clone()),
            ),
            (
                self.names.sort_key.clone(),
                AttributeValue::S(id.as_str().to_owned()),
            ),
        ])
    }

    fn row(&self, item: &Item) -> Option<Connection> {
        let id = text(item.get(&self.names.sort_key)?)?;
        Some(Connection {
            id: ConnectionId::from(id),
            connected_at: item.get(&self.names.connected_at).and_then(stored_time),
            wanted: wanted(item.get(&self.names.subscriber)),
            allowed: allowed(item.get(&self.names.allowed)),
            expires_at: item.get(&self.names.expires_at).and_then(epoch_seconds),
            principal: item.get(&self.names.principal).and_then(text),
        })
    }

    fn item(&self, row: &Connection) -> Item {
        let mut item = self.key(&row.id);
        if let Some(at) = &row.connected_at {
            item.insert(self.names.connected_at.clone(), stored_value(at));
        }
        item.insert(self.names.subscriber.clone(), subscriber(&row.wanted));
        if let Some(allowed) = &row.allowed {
            let list = texts(allowed.iter());
            item.insert(self.names.allowed.clone(), list);
        }
        if let Some(at) = row.expires_at {
            let number = AttributeValue::N(at.to_string());
            item.insert(self.names.expires_at.clone(), number);
        }
        if let Some(principal) = &row.principal {
            let text = AttributeValue::S(principal.clone());
            item.insert(self.names.principal.clone(), text);
        }
        item
    }
}

impl Connections for Table {
    async fn list(&self) -> Result<Vec<Connection>, CallFailed> {
        let mut rows = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.names.table)
                .key_condition_expression("#hash = :connection")
                .expression_attribute_names("#hash", &self.names.hash_key)
                .expression_attribute_values(
                    ":connection",
                    AttributeValue::S(self.names.hash_value.clone()),
                )
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| failed("Query", &error))?;
            rows.extend(page.items().iter().filter_map(|item| self.row(item)));
            // A page can be empty and still not be the last.
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(rows);
            }
        }
    }

    async fn get(&self, id: &ConnectionId) -> Result<Option<Connection>, CallFailed> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.names.table)
            .set_key(Some(self.key(id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("GetItem", &error))?;
        Ok(answer.item().and_then(|item| self.row(item)))
    }

    async fn put(&self, row: &Connection) -> Result<(), CallFailed> {
        self.client
            .put_item()
            .table_name(&self.names.table)
            .set_item(Some(self.item(row)))
            .send()
            .await
            .map_err(|error| failed("PutItem", &error))?;
        Ok(())
    }

    async fn set_wanted(&self, id: &ConnectionId, wanted: &Wanted) -> Result<bool, CallFailed> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.names.table)
            .set_key(Some(self.key(id)))
            .update_expression("SET #subscriber = :wanted")
            .condition_expression("attribute_exists(#hash)")
            .expression_attribute_names("#subscriber", &self.names.subscriber)
            .expression_attribute_names("#hash", &self.names.hash_key)
            .expression_attribute_values(":wanted", subscriber(wanted))
            .send()
            .await;
        held(answer.map_err(|error| failed("UpdateItem", &error)))
    }

    async fn forget(
        &self,
        id: &ConnectionId,
        connected_at: Option<&StoredTime>,
    ) -> Result<bool, CallFailed> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.names.table)
            .set_key(Some(self.key(id)))
            .expression_attribute_names("#at", &self.names.connected_at);
        let request = match connected_at {
            Some(at) => request
                .condition_expression("#at = :at")
                .expression_attribute_values(":at", stored_value(at)),
            // Not only where there is none: `stored_time` reads texts and numbers, and a row with
            // anything else in that place would never be deleted.
            None => request
                .condition_expression(
                    "attribute_exists(#hash) AND \
                     NOT (attribute_type(#at, :text) OR attribute_type(#at, :number))",
                )
                .expression_attribute_names("#hash", &self.names.hash_key)
                .expression_attribute_values(":text", AttributeValue::S("S".to_owned()))
                .expression_attribute_values(":number", AttributeValue::S("N".to_owned())),
        };
        let answer = request.send().await;
        held(answer.map_err(|error| failed("DeleteItem", &error)))
    }
}

/// Whether a conditional write's condition held.
fn held<T>(answer: Result<T, CallFailed>) -> Result<bool, CallFailed> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.fault == Fault::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

fn text(value: &AttributeValue) -> Option<String> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Some(text.clone()),
        _ => None,
    }
}

fn stored_time(value: &AttributeValue) -> Option<StoredTime> {
    match value {
        AttributeValue::S(text) => Some(StoredTime::Text(text.clone())),
        AttributeValue::N(number) => Some(StoredTime::Number(number.clone())),
        _ => None,
    }
}

fn stored_value(at: &StoredTime) -> AttributeValue {
    match at {
        StoredTime::Text(text) => AttributeValue::S(text.clone()),
        StoredTime::Number(number) => AttributeValue::N(number.clone()),
    }
}

/// Seconds since the epoch; numbers beyond the year 5138 are taken for milliseconds.
fn epoch_seconds(value: &AttributeValue) -> Option<i64> {
    const SECONDS_MAX: i64 = 100_000_000_000;
    let text = text(value)?;
    let whole = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    let number: i64 = whole.parse().ok()?;
    Some(if number >= SECONDS_MAX {
        number / 1000
    } else {
        number
    })
}

/// A list of texts in any of the ways in which it may be stored: nothing, a list, or unreadable.
enum Listed {
    Missing,
    Texts(Vec<String>),
    Unreadable,
}

fn listed(value: Option<&AttributeValue>) -> Listed {
    match value {
        None | Some(AttributeValue::Null(_)) => Listed::Missing,
        Some(AttributeValue::L(values)) => Listed::Texts(values.iter().filter_map(text).collect()),
        Some(AttributeValue::Ss(texts) | AttributeValue::Ns(texts)) => Listed::Texts(texts.clone()),
        Some(AttributeValue::N(number)) => Listed::Texts(vec![number.clone()]),
        Some(AttributeValue::S(text)) if text.is_empty() => Listed::Missing,
        Some(AttributeValue::S(text)) => json_list(text),
        Some(_) => Listed::Unreadable,
    }
}

/// A text that is a JSON array, `null` or string; any other text is one id.
fn json_list(text: &str) -> Listed {
    use serde_json::Value;

    match serde_json::from_str(text) {
        Ok(Value::Array(values)) => {
            let texts = values.into_iter().filter_map(|value| match value {
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            Listed::Texts(texts.collect())
        }
        Ok(Value::Null) => Listed::Missing,
        Ok(Value::String(text)) => Listed::Texts(vec![text]),
        _ => Listed::Texts(vec![text.to_owned()]),
    }
}

/// Missing or empty is everything, as in the blog; empty texts alone are nothing. What cannot be
/// read is nothing.
fn wanted(value: Option<&AttributeValue>) -> Wanted {
    match listed(value) {
        Listed::Missing => Wanted::All,
        Listed::Texts(texts) if texts.is_empty() && !hides_elements(value) => Wanted::All,
        Listed::Texts(texts) => {
            Wanted::Devices(texts.into_iter().filter(|text| !text.is_empty()).collect())
        }
        Listed::Unreadable => Wanted::Devices(BTreeSet::new()),
    }
}

/// Whether a list holds elements that are no texts, so that it only looks empty.
fn hides_elements(value: Option<&AttributeValue>) -> bool {
    match value {
        Some(AttributeValue::L(values)) => !values.is_empty(),
        Some(AttributeValue::S(text)) => serde_json::from_str::<Vec<serde_json::Value>>(text)
            .is_ok_and(|values| !values.is_empty()),
        _ => false,
    }
}

/// Absent is everything; what is there and names nothing, or cannot be read, is nothing, since it
/// was meant as a limit (a Lambda that writes a claim which the token lacks writes a null).
fn allowed(value: Option<&AttributeValue>) -> Option<Vec<String>> {
    let value = value?;
    match listed(Some(value)) {
        Listed::Texts(mut texts) => {
            texts.truncate(ALLOWED_MAX);
            Some(texts)
        }
        Listed::Missing | Listed::Unreadable => Some(Vec::new()),
    }
}

fn subscriber(wanted: &Wanted) -> AttributeValue {
    match wanted {
        Wanted::All => AttributeValue::L(Vec::new()),
        Wanted::Devices(ids) if ids.is_empty() => texts([&String::new()].into_iter()),
        Wanted::Devices(ids) => texts(ids.iter()),
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a String>) -> AttributeValue {
    AttributeValue::L(texts.cloned().map(AttributeValue::S).collect())
}

#[cfg(test)]
mod tests;
