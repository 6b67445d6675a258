//! Tickets: rows of the connection table that somebody else writes, each spent once.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::{Table, allowed, epoch_seconds, failed, text};
use crate::door::connections::Tickets;
use crate::door::fault::{CallFailed, Fault};
use crate::model::{Ticket, TicketHash};

/// The hash key's value in a ticket's row.
pub const TICKETS: &str = "TICKET";

/// When the connection's right ends that a ticket is spent on: an attribute of its row.
pub const SESSION_EXPIRES_AT: &str = "session_expires_at";

impl Tickets for Table {
    async fn spend(&self, ticket: &TicketHash, now_s: i64) -> Result<Option<Ticket>, CallFailed> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.names.table)
            .key(&self.names.hash_key, AttributeValue::S(TICKETS.to_owned()))
            .key(
                &self.names.sort_key,
                AttributeValue::S(ticket.as_str().to_owned()),
            )
            .condition_expression("#expires > :now")
            .expression_attribute_names("#expires", &self.names.expires_at)
            .expression_attribute_values(":now", AttributeValue::N(now_s.to_string()))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(|error| failed("DeleteItem", &error));
        let spent = match answer {
            Err(error) if error.fault == Fault::Conflict => return Ok(None),
            spent => spent?,
        };
        Ok(spent.attributes().map(|item| Ticket {
            principal: item.get(&self.names.principal).and_then(text),
            allowed: allowed(item.get(&self.names.allowed)),
            // What is there was meant as an end: one that cannot be read has passed.
            session_expires_at: item
                .get(SESSION_EXPIRES_AT)
                .map(|value| epoch_seconds(value).unwrap_or(0)),
        }))
    }
}
