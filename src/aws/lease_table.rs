//! The lease table in DynamoDB. All meaning lies in [`crate::lease`]; here words are translated.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ReturnValue,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableStatus,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::error::{failed, unbuildable};
use crate::door::fault::{CallFailed, Fault};
use crate::door::lease_table::{Error, LeaseTable};
use crate::lease::change::{Answer, Change, Edit, Then};
use crate::lease::item::{Item, name};
use crate::model::ShardId;

mod words;

use words::{Attributes, Expression};

/// The most pages of a scan that are followed: 1 MB each, thousands of leases. A server that
/// repeats its key would otherwise hold us for good.
const PAGES_MAX: usize = 1_000;
/// How long a new table may take to become active; usually a few seconds.
const READY_MAX: Duration = Duration::from_secs(120);
/// Between two looks at a new table.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// The code by which DynamoDB says that there is no such table.
const NO_TABLE: &str = "ResourceNotFoundException";

/// A lease table in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoLeases {
    client: Client,
    table: String,
}

impl DynamoLeases {
    /// The table of that name; nothing is asked yet. The client must not retry by itself.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    fn error<E>(&self, operation: &'static str, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error
            .as_service_error()
            .and_then(|service| service.meta().code());
        if code.is_some_and(|code| super::error::bare(code) == NO_TABLE) {
            let table = self.table.clone();
            return Error::TableMissing { table };
        }
        failed(operation, error).into()
    }

    /// The row that a failed condition met. The server sends it along; where it sends none there
    /// is none, or the server cannot do this: a read tells.
    async fn refused(&self, shard: &ShardId, old: Option<Attributes>) -> Result<Answer, Error> {
        match old {
            Some(old) if !old.is_empty() => Ok(Answer::Refused(Some(words::item(old)))),
            _ => Ok(Answer::Refused(self.read(shard).await?)),
        }
    }

    async fn update(&self, change: &Change, edits: &[Edit]) -> Result<Answer, Error> {
        const OPERATION: &str = "UpdateItem";
        let mut expression = Expression::default();
        let condition = expression.condition(&change.only_if);
        let update = expression.update(edits);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(name::KEY, AttributeValue::S(change.shard.to_string()))
            .condition_expression(condition)
            .update_expression(update)
            .set_expression_attribute_names(expression.names())
            .set_expression_attribute_values(expression.values())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => match answer.attributes {
                Some(new) if !new.is_empty() => Ok(Answer::Applied(Some(words::item(new)))),
                // A server that leaves the new row out: whoever asked reads it.
                _ => Ok(Answer::Applied(self.read(&change.shard).await?)),
            },
            Err(SdkError::ServiceError(service)) if is_refusal(service.err()) => {
                let old = match service.into_err() {
                    UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                };
                self.refused(&change.shard, old).await
            }
            Err(error) => Err(self.error(OPERATION, &error)),
        }
    }

    async fn delete(&self, change: &Change) -> Result<Answer, Error> {
        const OPERATION: &str = "DeleteItem";
        let mut expression = Expression::default();
        let condition = expression.condition(&change.only_if);
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(name::KEY, AttributeValue::S(change.shard.to_string()))
            .condition_expression(condition)
            .set_expression_attribute_names(expression.names())
            .set_expression_attribute_values(expression.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Answer::Applied(None)),
            Err(SdkError::ServiceError(service))
                if service.err().is_conditional_check_failed_exception() =>
            {
                let old = match service.into_err() {
                    DeleteItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                    _ => None,
                };
                self.refused(&change.shard, old).await
            }
            Err(error) => Err(self.error(OPERATION, &error)),
        }
    }

    /// Whether the table is active; its key must be ours.
    async fn is_active(&self) -> Result<bool, Error> {
        let answer = self
            .client
            .describe_table()
            .table_name(&self.table)
            .send()
            .await
            .map_err(|error| self.error("DescribeTable", &error))?;
        let Some(table) = answer.table else {
            return Ok(false);
        };
        let key = table.key_schema.unwrap_or_default();
        let is_ours = matches!(key.as_slice(), [only] if only.attribute_name == name::KEY);
        let text = table
            .attribute_definitions
            .unwrap_or_default()
            .iter()
            .any(|attribute| {
                attribute.attribute_name == name::KEY
                    && attribute.attribute_type == ScalarAttributeType::S
            });
        if !is_ours || !text {
            return Err(Error::TableShape {
                table: self.table.clone(),
                why: format!("its key is not the string `{}` alone", name::KEY),
            });
        }
        Ok(table.table_status == Some(TableStatus::Active))
    }

    async fn create(&self) -> Result<(), Error> {
        const OPERATION: &str = "CreateTable";
        let attribute = AttributeDefinition::builder()
            .attribute_name(name::KEY)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .map_err(|error| unbuildable(OPERATION, &error))?;
        let key = KeySchemaElement::builder()
            .attribute_name(name::KEY)
            .key_type(KeyType::Hash)
            .build()
            .map_err(|error| unbuildable(OPERATION, &error))?;
        let created = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute)
            .key_schema(key)
            .send()
            .await
            .map_err(|error| failed(OPERATION, &error));
        match created {
            // Another worker was first.
            Err(error) if error.fault == Fault::Conflict => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    async fn until_active(&self) -> Result<(), Error> {
        let looking = async {
            loop {
                match self.is_active().await {
                    Ok(true) => return Ok(()),
                    // A table just made may not be found at first.
                    Ok(false) | Err(Error::TableMissing { .. }) => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        match tokio::time::timeout(READY_MAX, looking).await {
            Ok(ready) => ready,
            Err(_) => Err(Error::Call(CallFailed {
                operation: "DescribeTable",
                fault: Fault::Transient,
                message: format!("`{}` is not active after {READY_MAX:?}", self.table),
            })),
        }
    }
}

fn is_refusal(error: &UpdateItemError) -> bool {
    error.is_conditional_check_failed_exception()
}

impl LeaseTable for DynamoLeases {
    async fn scan(&self) -> Result<Vec<Item>, Error> {
        const OPERATION: &str = "Scan";
        let mut items = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .set_exclusive_start_key(next.take())
                .send()
                .await
                .map_err(|error| self.error(OPERATION, &error))?;
            items.extend(page.items.unwrap_or_default().into_iter().map(words::item));
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => next = Some(key),
                _ => return Ok(items),
            }
        }
        Err(Error::Call(CallFailed {
            operation: OPERATION,
            fault: Fault::Transient,
            message: "the scan does not end".to_owned(),
        }))
    }

    async fn read(&self, shard: &ShardId) -> Result<Option<Item>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(name::KEY, AttributeValue::S(shard.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| self.error("GetItem", &error))?;
        Ok(answer.item.map(words::item))
    }

    async fn change(&self, change: &Change) -> Result<Answer, Error> {
        match &change.then {
            Then::Update(edits) => self.update(change, edits).await,
            Then::Delete => self.delete(change).await,
        }
    }

    async fn prepare(&self, create: bool) -> Result<(), Error> {
        match self.is_active().await {
            Ok(true) => Ok(()),
            Ok(false) => self.until_active().await,
            Err(Error::TableMissing { .. }) if create => {
                self.create().await?;
                self.until_active().await
            }
            Err(error) => Err(error),
        }
    }

    async fn coordinator_row(&self, key: &str) -> Result<Option<Item>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(format!("{}-CoordinatorState", self.table))
            .key("key", AttributeValue::S(key.to_owned()))
            .send()
            .await;
        match answer.map_err(|error| self.error("GetItem", &error)) {
            Ok(answer) => Ok(answer.item.map(words::item)),
            Err(Error::Call(call)) if call.fault.is_worth_again() => Err(Error::Call(call)),
            // No such table, or no permission to look: then nobody here ever ran KCL 3.
            Err(_) => Ok(None),
        }
    }
}
