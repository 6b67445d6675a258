//! Seats: one row of the connection table for each queue that a broadcaster serves.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Item, Table, failed, held, text};
use crate::door::connections::Seats;
use crate::door::fault::{CallFailed, Fault};
use crate::model::{HolderId, SeatRow};
use crate::push::seat::Claim;

/// The hash key's value in a seat's row.
const SEATS: &str = "BROADCASTER";

/// Who serves the queue; absent where it was let go.
const HOLDER: &str = "holder";

/// How many times the row was written.
const COUNTER: &str = "counter";

impl Table {
    fn seat_key(&self, queue: &str) -> Item {
        HashMap::from([
            (
                self.names.hash_key.clone(),
                AttributeValue::S(SEATS.to_owned()),
            ),
            (
                self.names.sort_key.clone(),
                AttributeValue::S(queue.to_owned()),
            ),
        ])
    }
}

/// A row without a counter cannot be held by anybody: it is refused rather than taken for free.
fn row(item: &Item) -> Result<SeatRow, CallFailed> {
    let counter = item.get(COUNTER).and_then(text);
    let counter = counter.and_then(|text| text.parse().ok());
    Ok(SeatRow {
        holder: item.get(HOLDER).and_then(text).map(HolderId),
        counter: counter.ok_or_else(|| CallFailed {
            operation: "GetItem",
            fault: Fault::Fatal,
            message: format!(
                "the row {SEATS} of the connection table has no number `{COUNTER}`: delete it"
            ),
        })?,
    })
}

impl Seats for Table {
    async fn seat(&self, queue: &str) -> Result<Option<SeatRow>, CallFailed> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.names.table)
            .set_key(Some(self.seat_key(queue)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failed("GetItem", &error))?;
        answer.item().map(row).transpose()
    }

    async fn claim(&self, queue: &str, claim: &Claim) -> Result<bool, CallFailed> {
        let mut item = self.seat_key(queue);
        let counter = AttributeValue::N(claim.row.counter.to_string());
        item.insert(COUNTER.to_owned(), counter);
        if let Some(HolderId(holder)) = &claim.row.holder {
            item.insert(HOLDER.to_owned(), AttributeValue::S(holder.clone()));
        }
        let put = self
            .client
            .put_item()
            .table_name(&self.names.table)
            .set_item(Some(item));
        let put = match claim.expect {
            None => put
                .condition_expression("attribute_not_exists(#hash)")
                .expression_attribute_names("#hash", &self.names.hash_key),
            Some(counter) => put
                .condition_expression("#counter = :counter")
                .expression_attribute_names("#counter", COUNTER)
                .expression_attribute_values(":counter", AttributeValue::N(counter.to_string())),
        };
        held(put.send().await.map_err(|error| failed("PutItem", &error)))
    }
}
