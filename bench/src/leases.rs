//! DynamoDB, as far as one worker needs it for its leases: with nobody beside it, every condition
//! holds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

/// The lease table's name.
pub(crate) const TABLE: &str = "bench-leases";
const KEY: &str = "leaseKey";

/// The lease table.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<String, Map<String, Value>>>);

impl Leases {
    /// The answer to an operation; none where there is no such operation.
    pub(crate) fn answer(&self, operation: &str, body: &[u8]) -> Option<Vec<u8>> {
        let request: Value = serde_json::from_slice(body).ok()?;
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = request["Key"][KEY]["S"].as_str();
        let answer = match operation {
            "DescribeTable" => json!({ "Table": {
                "TableName": TABLE,
                "TableStatus": "ACTIVE",
                "KeySchema": [{ "AttributeName": KEY, "KeyType": "HASH" }],
                "AttributeDefinitions": [{ "AttributeName": KEY, "AttributeType": "S" }],
            }}),
            "Scan" => {
                let items: Vec<_> = rows.values().collect();
                json!({ "Items": items, "Count": items.len(), "ScannedCount": items.len() })
            }
            "GetItem" => match key.and_then(|key| rows.get(key)) {
                Some(row) => json!({ "Item": row }),
                None => json!({}),
            },
            "UpdateItem" => {
                let row = rows.entry(key?.to_owned()).or_default();
                row.insert(KEY.to_owned(), request["Key"][KEY].clone());
                update(row, &request)?;
                json!({ "Attributes": row })
            }
            "DeleteItem" => {
                rows.remove(key?);
                json!({})
            }
            _ => return None,
        };
        Some(answer.to_string().into_bytes())
    }
}

/// Carries out `SET a = :b, ..`, `REMOVE a, ..` and `ADD a :b, ..`.
fn update(row: &mut Map<String, Value>, request: &Value) -> Option<()> {
    let words = request["UpdateExpression"].as_str()?.replace(',', " ");
    let name = |word: &str| request["ExpressionAttributeNames"][word].as_str();
    let value = |word: &str| request["ExpressionAttributeValues"].get(word).cloned();
    let mut verb = "";
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        match (word, verb) {
            ("SET" | "REMOVE" | "ADD", _) => verb = word,
            (_, "SET") => {
                words.next().filter(|equals| *equals == "=")?;
                row.insert(name(word)?.to_owned(), value(words.next()?)?);
            }
            (_, "REMOVE") => drop(row.remove(name(word)?)),
            (_, "ADD") => {
                let number = |value: &Value| value["N"].as_str()?.parse::<i64>().ok();
                let name = name(word)?;
                let had = row.get(name).and_then(number).unwrap_or(0);
                let sum = had + number(&value(words.next()?)?)?;
                row.insert(name.to_owned(), json!({ "N": sum.to_string() }));
            }
            _ => return None,
        }
    }
    Some(())
}
