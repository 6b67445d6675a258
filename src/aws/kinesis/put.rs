//! `PutRecords`.

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;

use super::{Kinesis, unusable};
use crate::aws::error::{classify, failed};
use crate::door::fault::{CallFailed, Fault};
use crate::door::put::{Entry, Put};
use crate::model::Sent;

const OPERATION: &str = "PutRecords";

impl Put for Kinesis {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Sent>, CallFailed> {
        let records = entries
            .iter()
            .map(|entry| {
                PutRecordsRequestEntry::builder()
                    .partition_key(entry.key.as_str())
                    .data(Blob::new(&entry.data[..]))
                    .build()
                    .map_err(|_| unusable(OPERATION, "an entry without data"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .client
            .put_records()
            .set_stream_name(self.stream.name())
            .set_stream_arn(self.stream.arn())
            .set_records(Some(records))
            .send()
            .await
            .map_err(|error| failed(OPERATION, &error))?;
        if answer.records.len() != entries.len() {
            return Err(unusable(
                OPERATION,
                "the answer has another number of records",
            ));
        }
        Ok(answer
            .records
            .into_iter()
            .map(|record| outcome(record.error_code, record.error_message))
            .collect())
    }
}

fn outcome(code: Option<String>, message: Option<String>) -> Sent {
    let Some(code) = code else {
        return Sent::Accepted;
    };
    let fault = classify(Some(&code), None);
    let reason = format!("{code}: {}", message.unwrap_or_default());
    if fault == Fault::Rejected {
        Sent::Refused(reason)
    } else {
        Sent::Again(reason)
    }
}
