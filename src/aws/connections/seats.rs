//! Seats: one row of the connection table for each queue that a broadcaster serves.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::{Item, Table, failed, text};
use crate::door::connections::{Claimed, Seats};
use crate::door::fault::{CallFailed, Fault};
use crate::model::{HolderId, SeatRow, Wish};
use crate::push::seat::Claim;

/// The hash key's value in a seat's row.
const SEATS: &str = "BROADCASTER";

/// Who serves the queue; absent where it was let go.
const HOLDER: &str = "holder";

/// How many times the row was written.
const COUNTER: &str = "counter";

/// Who wishes to serve it instead, and how many seats that one has.
const WISH_BY: &str = "wish_by";
const WISH_HELD: &str = "wish_held";

/// For whom it was let go.
const NEXT: &str = "next";

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
        wish: wish(item),
        next: item.get(NEXT).and_then(text).map(HolderId),
        counter: counter.ok_or_else(|| CallFailed {
            operation: "GetItem",
            fault: Fault::Fatal,
            message: format!(
                "the row {SEATS} of the connection table has no number `{COUNTER}`: delete it"
            ),
        })?,
    })
}

/// A wish that is half there or no number is none.
fn wish(item: &Item) -> Option<Wish> {
    let held = item.get(WISH_HELD).and_then(text)?.parse().ok()?;
    let by = HolderId(item.get(WISH_BY).and_then(text)?);
    Some(Wish { by, held })
}

/// The attributes of a seat's row, without its key.
fn attributes(row: &SeatRow) -> Item {
    let mut item = HashMap::from([(
        COUNTER.to_owned(),
        AttributeValue::N(row.counter.to_string()),
    )]);
    let mut name = |attribute: &str, id: &Option<HolderId>| {
        if let Some(HolderId(id)) = id {
            item.insert(attribute.to_owned(), AttributeValue::S(id.clone()));
        }
    };
    name(HOLDER, &row.holder);
    name(NEXT, &row.next);
    if let Some(wish) = &row.wish {
        name(WISH_BY, &Some(wish.by.clone()));
        let held = AttributeValue::N(wish.held.to_string());
        item.insert(WISH_HELD.to_owned(), held);
    }
    item
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

    async fn claim(&self, queue: &str, claim: &Claim) -> Result<Claimed, CallFailed> {
        let mut item = self.seat_key(queue);
        item.extend(attributes(&claim.row));
        // What was written over comes with the answer, at no cost.
        let put = self
            .client
            .put_item()
            .table_name(&self.names.table)
            .return_values(ReturnValue::AllOld)
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
        match put.send().await.map_err(|error| failed("PutItem", &error)) {
            Ok(answer) => Ok(Claimed::Written(answer.attributes().and_then(wish))),
            Err(error) if error.fault == Fault::Conflict => Ok(Claimed::Refused),
            Err(error) => Err(error),
        }
    }
}
