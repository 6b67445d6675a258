//! `PutRecord` and `PutRecords`.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use ferrokinesis::sequence::partition_key_to_hash_key;
use serde::{Deserialize, Serialize};

use super::log::{Fresh, incarnation};
use super::read::find;
use super::{Refusal, Shared, parsed, written};
use crate::local::front::wall_ms;

/// Records a `PutRecords` request.
const RECORDS_MAX: usize = 500;
/// Bytes of data and partition keys a `PutRecords` request: 10 MiB.
const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Characters of a partition key.
const KEY_CHARS_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
    #[serde(borrow, default)]
    explicit_hash_key: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecord<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow, flatten)]
    entry: Entry<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecords<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(borrow)]
    records: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Put {
    #[serde(rename_all = "PascalCase")]
    Stored {
        sequence_number: String,
        shard_id: String,
    },
    #[serde(rename_all = "PascalCase")]
    Refused {
        error_code: String,
        error_message: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsAnswer {
    failed_record_count: usize,
    records: Vec<Put>,
}

impl Shared {
    pub(super) async fn put_record(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: PutRecord<'_> = parsed(body)?;
        let stream = self.stream_name(
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        )?;
        let puts = self.put(&stream, &[request.entry]).await?;
        match puts.into_iter().next() {
            Some(Put::Refused {
                error_code,
                error_message,
            }) => Err(Refusal::new(&error_code, error_message)),
            put => written(&put),
        }
    }

    pub(super) async fn put_records(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let request: PutRecords<'_> = parsed(body)?;
        let stream = self.stream_name(
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        )?;
        if request.records.is_empty() || request.records.len() > RECORDS_MAX {
            let count = request.records.len();
            return Err(Refusal::validation(format!(
                "1 validation error detected: records holds {count} members, allowed are 1 to \
                 {RECORDS_MAX}"
            )));
        }
        let records = self.put(&stream, &request.records).await?;
        let failed = records
            .iter()
            .filter(|put| matches!(put, Put::Refused { .. }))
            .count();
        written(&PutRecordsAnswer {
            failed_record_count: failed,
            records,
        })
    }

    async fn put(&self, stream: &str, entries: &[Entry<'_>]) -> Result<Vec<Put>, Refusal> {
        let record_max = self.store.get_stream(stream).await?.max_record_size_kib as usize * 1024;
        let sizes = checked_sizes(entries, record_max)?;
        let hash_keys: Vec<u128> = entries.iter().map(hash_key).collect::<Result<_, _>>()?;

        // While the books are held no shard is split or merged.
        let mut books = self.books.lock().await;
        let shards = self.store.get_stream(stream).await?;
        // A stream shows its shards a moment before their sequence numbers are counted (from one);
        // uncounted, two records would get the same.
        let last = i64::try_from(shards.shards.len()).unwrap_or(i64::MAX) - 1;
        while last >= 0 && self.store.current_shard_seq(stream, last).await == 0 {
            self.store.get_stream(stream).await?;
            tokio::task::yield_now().await;
        }
        let now_ms = self.elapsed_ms();
        let arrival_ms = books.arrival(wall_ms());
        let places = self
            .store
            .allocate_sequences_batch(stream, &hash_keys)
            .await?;
        let mut puts = Vec::with_capacity(entries.len());
        let mut batch = Vec::with_capacity(entries.len());
        for ((entry, place), size) in entries.iter().zip(places).zip(&sizes) {
            let limits = books.shard(stream, &place.shard_id, now_ms);
            if self.options.limits && !limits.write(*size as u64, now_ms) {
                let Refusal { code, message, .. } = Refusal::rate(stream, &place.shard_id);
                puts.push(Put::Refused {
                    error_code: code,
                    error_message: message,
                });
                continue;
            }
            let (shard, _) = find(&shards, &place.shard_id)?;
            batch.push(Fresh {
                shard,
                sequence: place.seq_num.clone(),
                partition_key: &entry.partition_key,
                data: &entry.data,
            });
            puts.push(Put::Stored {
                sequence_number: place.seq_num,
                shard_id: place.shard_id,
            });
        }
        if batch.is_empty() {
            return Ok(puts);
        }
        let dropped = books
            .log
            .append(&incarnation(&shards), &batch, arrival_ms)?;
        self.written.notify_waiters();
        if dropped > 0 && !self.crowded.swap(true, Ordering::Relaxed) {
            let kept_bytes = self.options.retained_bytes;
            tracing::warn!(
                kept_bytes,
                "kinesis is full: its oldest records are dropped"
            );
        }
        Ok(puts)
    }
}

fn hash_key(entry: &Entry<'_>) -> Result<u128, Refusal> {
    let Some(explicit) = &entry.explicit_hash_key else {
        return Ok(partition_key_to_hash_key(&entry.partition_key));
    };
    explicit.parse().map_err(|_| {
        Refusal::argument(format!(
            "Invalid ExplicitHashKey. It must be from 0 to 2^128-1; given was {explicit}"
        ))
    })
}

/// The bytes each record counts, data and partition key; refuses what AWS refuses as a whole.
fn checked_sizes(entries: &[Entry<'_>], record_max: usize) -> Result<Vec<usize>, Refusal> {
    let mut sizes = Vec::with_capacity(entries.len());
    let mut total = 0;
    for entry in entries {
        let key_chars = entry.partition_key.chars().count();
        if key_chars == 0 || key_chars > KEY_CHARS_MAX {
            let message =
                format!("partitionKey holds {key_chars} characters, allowed are 1 to 256");
            return Err(Refusal::validation(message));
        }
        let Some(data) = decoded_len(&entry.data) else {
            return Err(Refusal::new("SerializationException", "data is not base64"));
        };
        let size = data + entry.partition_key.len();
        if data > record_max {
            return Err(Refusal::validation(format!(
                "a record's data holds {data} bytes, at most {record_max} are allowed"
            )));
        }
        total += size;
        sizes.push(size);
    }
    if total > REQUEST_BYTES_MAX {
        return Err(Refusal::argument(format!(
            "the records hold {total} bytes, at most {REQUEST_BYTES_MAX} are allowed"
        )));
    }
    Ok(sizes)
}

/// How many bytes a base64 text stands for; `None` where it is no base64.
fn decoded_len(text: &str) -> Option<usize> {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    let alphabet = bare
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    (alphabet && padding <= 2 && text.len().is_multiple_of(4)).then(|| text.len() / 4 * 3 - padding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_behind_base64_is_told_without_decoding() {
        for (text, len) in [
            ("", 0),
            ("YQ==", 1),
            ("YWI=", 2),
            ("YWJj", 3),
            ("YWJjZA==", 4),
        ] {
            assert_eq!(decoded_len(text), Some(len), "{text}");
        }
        for text in ["YQ", "YQ=", "Y===", "Y Q=", "YQ=="[..3].trim(), "Y=Q="] {
            assert_eq!(decoded_len(text), None, "{text}");
        }
    }
}
