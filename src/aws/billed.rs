//! Counts what AWS bills for the calls of a process, as they are answered, by the rules of
//! [`crate::model::bill`].
//!
//! Counted are units that calls are made of. What is billed by time (shards, consumers, connections)
//! or is somebody else's call (a put, what a viewer says, a Lambda's run) is not a matter of our
//! calls. A call whose answer was lost is billed and not counted.

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::{delete_item, get_item, put_item, query, scan, update_item};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use aws_sdk_kinesis::config::interceptors::{
    BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, Input, Output};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use super::Service;
use crate::model::bill::{self, Unit};

mod sqs;

/// Told of units, a call's at a time. DynamoDB counts reads by halves.
#[derive(Clone)]
pub struct OnBilled(pub Arc<dyn Fn(Unit, f64) + Send + Sync>);

impl fmt::Debug for OnBilled {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("OnBilled")
    }
}

/// What is known of a call before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Of SQS: the bytes of what is sent, and whether the queue is FIFO.
    Sqs { bytes: u64, is_fifo: bool },
    /// A frame of so many bytes.
    Post { bytes: u64 },
}

impl Storable for Asked {
    type Storer = StoreReplace<Self>;
}

/// What Timestream counts of a request: its body is ours, and so is the count.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordsBytes(pub(super) u64);

impl Storable for RecordsBytes {
    type Storer = StoreReplace<Self>;
}

/// Counts the calls of one service.
#[derive(Debug)]
pub(super) struct Billed {
    service: Service,
    on_billed: OnBilled,
}

impl Billed {
    pub(super) fn new(service: Service, on_billed: OnBilled) -> Self {
        Self { service, on_billed }
    }

    fn units(&self, context: &FinalizerInterceptorContextRef<'_>, bag: &ConfigBag) -> Counted {
        let status = context.response()?.status().as_u16();
        let answer = context.output_or_error()?;
        match self.service {
            Service::Dynamodb => match answer {
                Ok(output) => consumed(output),
                Err(error) => in_the_way(error.as_operation_error()?),
            },
            Service::Sqs => {
                let asked = *bag.load::<Asked>()?;
                let Asked::Sqs { bytes, is_fifo } = asked else {
                    return None;
                };
                let bytes = bytes + sqs::received(answer.ok()?);
                Some((sqs::unit(is_fifo), whole(bill::sqs_requests(bytes))))
            }
            // 419: some records were rejected, the others written, and all were looked at.
            Service::Timestream if status == 200 || status == 419 => {
                let RecordsBytes(bytes) = *bag.load::<RecordsBytes>()?;
                let units = bill::timestream_write_units(bytes);
                Some((Unit::TimestreamWriteUnit, whole(units)))
            }
            Service::Management if status == 200 => {
                let Asked::Post { bytes } = *bag.load::<Asked>()? else {
                    return None;
                };
                let messages = bill::websocket_messages(bytes);
                Some((Unit::WebSocketMessage, whole(messages)))
            }
            Service::Kinesis | Service::Timestream | Service::Management => None,
        }
    }
}

type Counted = Option<(Unit, f64)>;

impl Intercept for Billed {
    fn name(&self) -> &'static str {
        "Billed"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let asked = match self.service {
            Service::Dynamodb => {
                ask_for_capacity(context.input_mut());
                None
            }
            Service::Sqs => Some(sqs::asked(context.input())),
            Service::Management => posted(context.input()),
            Service::Kinesis | Service::Timestream => None,
        };
        if let Some(asked) = asked {
            bag.interceptor_state().store_put(asked);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some((unit, units)) = self.units(context, bag) {
            (self.on_billed.0)(unit, units);
        }
        Ok(())
    }
}

/// DynamoDB says what a call used where it is asked to, at no cost.
fn ask_for_capacity(input: &mut Input) {
    macro_rules! ask {
        ($($input:ty),* $(,)?) => {$(
            if let Some(input) = input.downcast_mut::<$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
            }
        )*};
    }
    ask!(
        get_item::GetItemInput,
        query::QueryInput,
        scan::ScanInput,
        put_item::PutItemInput,
        update_item::UpdateItemInput,
        delete_item::DeleteItemInput,
    );
}

fn consumed(output: &Output) -> Counted {
    macro_rules! of {
        ($($output:ty => $unit:ident),* $(,)?) => {$(
            if let Some(output) = output.downcast_ref::<$output>() {
                return capacity(output.consumed_capacity(), Unit::$unit);
            }
        )*};
    }
    of!(
        get_item::GetItemOutput => DynamoDbReadUnit,
        query::QueryOutput => DynamoDbReadUnit,
        scan::ScanOutput => DynamoDbReadUnit,
        put_item::PutItemOutput => DynamoDbWriteUnit,
        update_item::UpdateItemOutput => DynamoDbWriteUnit,
        delete_item::DeleteItemOutput => DynamoDbWriteUnit,
    );
    None
}

fn capacity(consumed: Option<&ConsumedCapacity>, unit: Unit) -> Counted {
    Some((unit, consumed?.capacity_units()?))
}

/// A write whose condition failed is billed by the item that it was compared with; that is in the
/// answer where the call asked for it, and else taken for a small one.
fn in_the_way(error: &Error) -> Counted {
    macro_rules! of {
        ($($error:path => $failed:path),* $(,)?) => {$(
            if let Some($failed(failed)) = error.downcast_ref::<$error>() {
                let attributes = failed.item().into_iter().flatten();
                let bytes: usize = attributes.map(|(name, value)| name.len() + size(value)).sum();
                let units = bill::write_request_units(number(bytes));
                return Some((Unit::DynamoDbWriteUnit, whole(units)));
            }
        )*};
    }
    of!(
        put_item::PutItemError => put_item::PutItemError::ConditionalCheckFailedException,
        update_item::UpdateItemError => update_item::UpdateItemError::ConditionalCheckFailedException,
        delete_item::DeleteItemError => delete_item::DeleteItemError::ConditionalCheckFailedException,
    );
    None
}

/// Bytes of a value, near enough.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => {
            texts.iter().map(String::len).sum()
        }
        AttributeValue::L(values) => values.iter().map(|value| 1 + size(value)).sum(),
        AttributeValue::M(values) => {
            let values = values.iter();
            values
                .map(|(name, value)| 1 + name.len() + size(value))
                .sum()
        }
        _ => 1,
    }
}

fn posted(input: &Input) -> Option<Asked> {
    use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionInput;

    let post = input.downcast_ref::<PostToConnectionInput>()?;
    let bytes = post.data().map_or(0, |data| data.as_ref().len());
    Some(Asked::Post {
        bytes: number(bytes),
    })
}

fn number(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the units of one call: a few thousand at most"
)]
fn whole(units: u64) -> f64 {
    units as f64
}
