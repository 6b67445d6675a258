use std::sync::{Arc, Mutex};

use super::*;
use crate::model::{EpochMillis, Stage};

/// A queue with a limit for each message, refusing as an old SQS queue would.
#[derive(Clone, Debug, Default)]
struct Fake {
    bytes_max: usize,
    /// A request with a body that holds this is rejected as a whole.
    rejects: Option<&'static str>,
    busy: Arc<Mutex<usize>>,
    batches: Arc<Mutex<Vec<Vec<String>>>>,
}

impl QueueSender for Fake {
    async fn send(&self, bodies: &[String]) -> Result<Vec<Sent>, CallFailed> {
        assert!(bodies.len() <= 10 && bodies.iter().map(String::len).sum::<usize>() <= BYTES_MAX);
        if let Some(word) = self.rejects
            && bodies.iter().any(|body| body.contains(word))
        {
            return Err(CallFailed {
                operation: OPERATION,
                fault: Fault::Rejected,
                message: "InvalidMessageContents: a character".to_owned(),
            });
        }
        let mut busy = self.busy.lock().unwrap();
        let mut taken = Vec::new();
        let outcomes = bodies.iter().map(|body| {
            if body.len() > self.bytes_max {
                Sent::Refused("too long".to_owned())
            } else if *busy > 0 {
                *busy -= 1;
                Sent::Again("busy".to_owned())
            } else {
                taken.push(body.clone());
                Sent::Accepted
            }
        });
        let outcomes = outcomes.collect();
        self.batches.lock().unwrap().push(taken);
        Ok(outcomes)
    }
}

fn letter(payload_bytes: usize, reason: &str) -> DeadLetter {
    DeadLetter {
        v: 1,
        stage: Stage::Decode,
        reason: reason.to_owned(),
        stream: "readings".into(),
        shard: "shardId-000000000000".into(),
        seq: "7".parse().unwrap(),
        sub: 0,
        i: None,
        partition_key: Some("d".into()),
        arrival_ms: EpochMillis(1),
        data_base64: Some(base64_of(payload_bytes)),
        data_left_out_bytes: None,
    }
}

fn base64_of(bytes: usize) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(vec![b'x'; bytes])
}

fn taken(fake: &Fake) -> Vec<Vec<DeadLetter>> {
    let batches = fake.batches.lock().unwrap();
    let read = |body: &String| serde_json::from_str(body).unwrap();
    batches
        .iter()
        .map(|batch| batch.iter().map(read).collect())
        .collect()
}

fn queue(bytes_max: usize) -> Fake {
    Fake {
        bytes_max,
        ..Fake::default()
    }
}

#[tokio::test]
async fn batches_are_split_by_number_and_size() {
    let fake = queue(BYTES_MAX);
    let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
    let twelve: Vec<_> = (0..12).map(|_| letter(10, "r")).collect();
    letters.file(&twelve).await.unwrap();
    let sizes: Vec<usize> = taken(&fake).iter().map(Vec::len).collect();
    assert_eq!(sizes, [10, 2]);

    let fake = queue(BYTES_MAX);
    let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
    let large: Vec<_> = (0..3).map(|_| letter(400_000, "r")).collect();
    letters.file(&large).await.unwrap();
    assert_eq!(
        taken(&fake).iter().flatten().cloned().collect::<Vec<_>>(),
        large
    );
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_left_out_and_its_size_said() {
    for bytes in [800_000, 800_001, 800_002] {
        let fake = queue(BYTES_MAX);
        let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
        letters.file(&[letter(bytes, "r")]).await.unwrap();
        let filed = &taken(&fake)[0][0];
        assert_eq!(filed.data_base64, None);
        assert_eq!(filed.data_left_out_bytes, Some(bytes));
    }
}

#[tokio::test]
async fn an_old_queue_with_a_smaller_limit_gets_the_letter_without_its_payload() {
    let fake = queue(262_144);
    let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
    letters
        .file(&[letter(10, "a"), letter(300_000, "b")])
        .await
        .unwrap();
    let filed: Vec<_> = taken(&fake).into_iter().flatten().collect();
    assert_eq!(filed.len(), 2);
    assert_eq!(filed[1].data_left_out_bytes, Some(300_000));
}

#[tokio::test]
async fn a_request_rejected_as_a_whole_is_left_to_the_caller_and_no_payload_is_dropped() {
    let fake = Fake {
        rejects: Some("culprit"),
        ..queue(BYTES_MAX)
    };
    let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
    let batch = [letter(10, "a"), letter(10, "culprit"), letter(10, "b")];
    let failed = letters.file(&batch).await.unwrap_err();
    assert_eq!(failed.fault, Fault::Rejected);
    assert_eq!(taken(&fake).len(), 0);
}

#[tokio::test]
async fn the_call_fails_where_one_letter_is_not_filed() {
    let fake = queue(BYTES_MAX);
    *fake.busy.lock().unwrap() = 1;
    let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
    let failed = letters
        .file(&[letter(10, "a"), letter(10, "b")])
        .await
        .unwrap_err();
    assert!(failed.fault.is_worth_again());
    letters
        .file(&[letter(10, "a"), letter(10, "b")])
        .await
        .unwrap();
}

#[tokio::test]
async fn characters_that_sqs_refuses_travel_escaped() {
    let fake = queue(BYTES_MAX);
    let letters = SqsDeadLetters::new(fake.clone(), BYTES_MAX);
    letters
        .file(&[letter(1, "odd \u{ffff} \u{1} text")])
        .await
        .unwrap();
    let raw = fake.batches.lock().unwrap()[0][0].clone();
    assert!(!raw.contains(['\u{ffff}', '\u{1}']), "{raw}");
    assert_eq!(taken(&fake)[0][0].reason, "odd \u{ffff} \u{1} text");
}
