//! The consumer by which a stream sends its records.

use aws_sdk_kinesis::types::ConsumerStatus;

use super::{Finding, Level};
use crate::aws::error::failed;
use crate::aws::explain::is_missing;
use crate::door::fault::CallFailed;

/// Whether the consumer is registered and active. `arn` is the stream's.
///
/// # Errors
/// The call failed.
pub async fn consumer(
    client: &aws_sdk_kinesis::Client,
    arn: &str,
    name: &str,
) -> Result<Finding, CallFailed> {
    let call = client.describe_stream_consumer().stream_arn(arn);
    let answer = call.consumer_name(name).send().await;
    let answer = answer.map_err(|error| failed("DescribeStreamConsumer", &error));
    let status = match answer {
        Ok(answer) => answer
            .consumer_description
            .map(|found| found.consumer_status),
        Err(failed) if is_missing(&failed) => None,
        Err(failed) => return Err(failed),
    };
    Ok(judged(name, status.as_ref()))
}

fn judged(name: &str, status: Option<&ConsumerStatus>) -> Finding {
    let what = format!("consumer {name}");
    match status {
        Some(ConsumerStatus::Active) => {
            Finding::new(Level::Green, what, "is registered, and active")
        }
        None => {
            let says = "is not registered: the first worker does that; it is billed by shard and hour until you take it back";
            Finding::new(Level::Green, what, says)
        }
        Some(other) => {
            let says = format!(
                "is {}: a worker waits a minute for it, and with `source.mode = \"auto\"` polls then",
                other.as_str()
            );
            Finding::new(Level::Yellow, what, says)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_is_neither_there_nor_away_is_waited_for() {
        let level = |status| judged("leases", status).level;
        assert_eq!(level(Some(&ConsumerStatus::Active)), Level::Green);
        assert_eq!(level(None), Level::Green);
        assert_eq!(level(Some(&ConsumerStatus::Creating)), Level::Yellow);
        assert_eq!(level(Some(&ConsumerStatus::Deleting)), Level::Yellow);
        let gone = judged("leases", None).says;
        assert!(gone.contains("billed"), "{gone}");
    }
}
