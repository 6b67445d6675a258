//! Dry calls of Kinesis and Timestream.

use aws_sdk_kinesis::types::ShardIteratorType;
use aws_sdk_timestreamwrite::types::{Dimension, MeasureValueType, Record, TimeUnit};

use super::super::error::{failed, unbuildable};
use super::super::kinesis::StreamRef;
use super::{Looked, NOBODY, Right, stream_name};
use crate::door::fault::CallFailed;

/// A second of the year 2200: Timestream takes records of 15 minutes ahead at most (its quotas).
const TOO_LATE_S: &str = "7258118400";

/// The rights to read a stream: shards, an iterator at the end of one of them, one read there.
/// A right that is missing to the stream's own key shows in the read, if AWS tells of it there.
pub async fn read(client: &aws_sdk_kinesis::Client, stream: &StreamRef) -> Vec<Looked> {
    let on = stream_name(stream);
    let call = client.list_shards().max_results(1);
    let call = call.set_stream_name(stream.name());
    let answer = call.set_stream_arn(stream.arn()).send().await;
    let answer = answer.map_err(|error| failed("ListShards", &error));
    let shard = answer.as_ref().ok().and_then(|answer| {
        let shard = answer.shards().first()?;
        Some(shard.shard_id().to_owned())
    });
    let mut all = vec![Looked::new("kinesis:ListShards", &on, answer)];
    let Some(shard) = shard else { return all };
    let call = client.get_shard_iterator().shard_id(shard);
    let call = call.shard_iterator_type(ShardIteratorType::Latest);
    let call = call.set_stream_name(stream.name());
    let answer = call.set_stream_arn(stream.arn()).send().await;
    let answer = answer.map_err(|error| failed("GetShardIterator", &error));
    let iterator = answer
        .as_ref()
        .ok()
        .and_then(|answer| answer.shard_iterator.clone());
    all.push(Looked::new("kinesis:GetShardIterator", &on, answer));
    let Some(iterator) = iterator else { return all };
    let call = client.get_records().shard_iterator(iterator).limit(1);
    let answer = call.set_stream_arn(stream.arn()).send().await;
    let answer = answer.map_err(|error| failed("GetRecords", &error));
    let mut looked = Looked::new("kinesis:GetRecords", &on, answer);
    if matches!(&looked.right, Right::Refused(why) if why.starts_with("KMS")) {
        looked.action = "kms:Decrypt";
        looked.on = format!("the key of {on}");
    }
    all.push(looked);
    all
}

/// The rights to be sent records: a consumer's state, its registration (of a name that no consumer
/// can have), a subscription of one that is not there. `arn` is the stream's.
pub async fn consumer(client: &aws_sdk_kinesis::Client, arn: &str, name: &str) -> Vec<Looked> {
    let stream = arn.rsplit('/').next().unwrap_or(arn);
    let on = format!("stream {stream} and its consumers");
    let call = client.describe_stream_consumer().stream_arn(arn);
    let answer = call.consumer_name(name).send().await;
    let answer = answer.map_err(|error| failed("DescribeStreamConsumer", &error));
    let described = Looked::new("kinesis:DescribeStreamConsumer", &on, answer);
    let call = client.register_stream_consumer().stream_arn(arn);
    let answer = call.consumer_name("not a name").send().await;
    let answer = answer.map_err(|error| failed("RegisterStreamConsumer", &error));
    let registered = Looked::new("kinesis:RegisterStreamConsumer", &on, answer);
    let call = client.subscribe_to_shard();
    let call = call.consumer_arn(format!("{arn}/consumer/{NOBODY}:1"));
    let answer = call.shard_id("shardId-000000000000").send().await;
    let answer = answer.map_err(|error| failed("SubscribeToShard", &error));
    let subscribed = Looked::new("kinesis:SubscribeToShard", &on, answer);
    vec![described, registered, subscribed]
}

/// `timestream:WriteRecords`: a record that lies too far ahead and whose value is no number, so that
/// it is rejected whatever else Timestream makes of it.
pub async fn write_records(
    client: &aws_sdk_timestreamwrite::Client,
    database: &str,
    table: &str,
) -> Looked {
    let answer = written(client, database, table).await;
    let on = format!("table {database}.{table}");
    Looked::new("timestream:WriteRecords", &on, answer)
}

async fn written(
    client: &aws_sdk_timestreamwrite::Client,
    database: &str,
    table: &str,
) -> Result<(), CallFailed> {
    let dimension = Dimension::builder().name("device_id").value(NOBODY);
    let dimension = dimension
        .build()
        .map_err(|error| unbuildable("WriteRecords", &error))?;
    let record = Record::builder()
        .dimensions(dimension)
        .measure_name(NOBODY)
        .measure_value("none")
        .measure_value_type(MeasureValueType::Double)
        .time(TOO_LATE_S)
        .time_unit(TimeUnit::Seconds)
        .build();
    let call = client.write_records().database_name(database);
    let answer = call.table_name(table).records(record).send().await;
    answer
        .map(|_| ())
        .map_err(|error| failed("WriteRecords", &error))
}
