//! The consumers by which streams send records, where settings want that.

use std::sync::Arc;

use super::failure::Failure;
use crate::aws::kinesis::{Kinesis, Streams, is_limit};
use crate::aws::lines::Lines;
use crate::aws::{Endpoints, Service, Target, explain};
use crate::door::fault::CallFailed;
use crate::service::settings::{ReadMode, Settings};

/// The streams with their consumers, registered and active: each has its own, of the same name.
/// A stream without one is polled.
///
/// # Errors
/// With `source.mode = "fan-out"`, why there is no consumer, and what to do.
pub(super) async fn registered(
    settings: &Settings,
    streams: Streams,
    endpoints: &Endpoints,
) -> Result<Streams, Failure> {
    if settings.source.mode == ReadMode::Polling {
        return Ok(streams);
    }
    // The connections are shared: the streams are of one region.
    let lines = Arc::new(Lines::default());
    Ok(match streams {
        Streams::One(stream) => Streams::One(one(settings, stream, &lines, endpoints).await?),
        Streams::Several(streams) => {
            let mut all = Vec::new();
            for (id, stream) in streams {
                all.push((id, one(settings, stream, &lines, endpoints).await?));
            }
            Streams::Several(all)
        }
    })
}

async fn one(
    settings: &Settings,
    stream: Kinesis,
    lines: &Arc<Lines>,
    endpoints: &Endpoints,
) -> Result<Kinesis, Failure> {
    let given = settings.source.consumer.as_deref();
    let name = given.unwrap_or(&settings.lease.table);
    let polled = stream.clone();
    let failed = match stream.with_consumer(name, Arc::clone(lines)).await {
        Ok(stream) => return Ok(stream),
        Err(failed) => failed,
    };
    let why = why(&failed, polled.name(), name, endpoints);
    if settings.source.mode == ReadMode::FanOut {
        return Err(Failure::new(why));
    }
    tracing::warn!(
        stream = polled.name(),
        consumer = name,
        error = why,
        "shards of this stream are polled"
    );
    Ok(polled)
}

fn why(failed: &CallFailed, stream: &str, consumer: &str, endpoints: &Endpoints) -> String {
    let remedy = "or set `source.mode = \"polling\"`";
    if is_limit(failed) {
        return format!(
            "stream `{stream}` has as many consumers as AWS allows, 20 (On-demand Advantage: 50), \
             and `{consumer}` is not among them: take one back that nobody uses (aws kinesis \
             list-stream-consumers, deregister-stream-consumer), {remedy} ({failed})"
        );
    }
    let environment = Service::Kinesis.endpoint_of_environment();
    let target = Target {
        service: Service::Kinesis,
        endpoint: endpoints.of(Service::Kinesis).or(environment.as_deref()),
        thing: &format!("stream `{stream}` and its consumer `{consumer}`"),
        makes_it: "aws kinesis register-stream-consumer",
    };
    let why = explain(failed, &target);
    format!(
        "{why}; enhanced fan-out takes kinesis:RegisterStreamConsumer, \
         kinesis:DescribeStreamConsumer and kinesis:SubscribeToShard: allow them, {remedy}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fault;

    fn told(message: &str) -> String {
        let failed = CallFailed {
            operation: "RegisterStreamConsumer",
            fault: Fault::Fatal,
            message: message.to_owned(),
        };
        why(&failed, "readings", "leases", &Endpoints::default())
    }

    #[test]
    fn whoever_may_not_register_hears_what_to_allow() {
        let text = told("AccessDeniedException: no");
        for words in [
            "RegisterStreamConsumer on stream `readings`",
            "kinesis:SubscribeToShard",
            "source.mode",
        ] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_stream_with_too_many_consumers_is_told_so() {
        let text = told("LimitExceededException: no more");
        assert!(text.contains("deregister-stream-consumer"), "{text}");
        assert!(!text.contains("try again"), "{text}");
    }
}
