//! Queues in a file: what was sent and not yet deleted is there again after a restart, in its order.
//! What was in flight can be received at once, as often as before; delays are over.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::queue::{Change, Message};
use super::settings::Settings;
use crate::local::sqlite;

/// The file of one server.
#[derive(Debug)]
pub(super) struct Kept {
    db: Connection,
}

/// A queue as it was.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) settings: Settings,
    pub(super) created_wall_ms: u64,
    pub(super) messages: Vec<Message>,
}

/// A message as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<Value>,
    sent_wall_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

impl Kept {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let db = sqlite::open(Some(path))?;
        db.execute_batch(
            "create table if not exists queue (
                 name text primary key, settings text not null, created_ms integer not null);
             create table if not exists message (
                 number integer primary key, queue text not null, line text not null);",
        )
        .map_err(io::Error::other)?;
        Ok(Self { db })
    }

    /// What an earlier stand left.
    pub(super) fn found(&self) -> rusqlite::Result<Vec<Found>> {
        let mut queues = BTreeMap::new();
        let mut select = self
            .db
            .prepare("select name, settings, created_ms from queue")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let (name, text): (String, String) = (row.get(0)?, row.get(1)?);
            let given = serde_json::from_str(&text).unwrap_or_default();
            let mut settings = Settings::default();
            if settings.set(given).is_err() {
                tracing::warn!(
                    queue = name,
                    "its attributes could not be read: it has the defaults"
                );
            }
            let found = Found {
                name: name.clone(),
                settings,
                created_wall_ms: row.get(2)?,
                messages: Vec::new(),
            };
            queues.insert(name, found);
        }
        let mut select = self
            .db
            .prepare("select number, queue, line from message order by number")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let (queue, text): (String, String) = (row.get(1)?, row.get(2)?);
            let line = serde_json::from_str::<Line>(&text).ok();
            if let (Some(queue), Some(line)) = (queues.get_mut(&queue), line) {
                queue.messages.push(message(row.get(0)?, line));
            }
        }
        Ok(queues.into_values().collect())
    }

    /// A queue that was made or changed.
    pub(super) fn queue(&self, name: &str, settings: &Settings, created_ms: u64) {
        let text = serde_json::to_string(settings.given()).unwrap_or_default();
        let written = self.db.execute(
            "insert or replace into queue (name, settings, created_ms) values (?1, ?2, ?3)",
            params![name, text, created_ms],
        );
        told(written.map(drop));
    }

    /// A queue that was deleted, with what was in it.
    pub(super) fn forget(&self, name: &str) {
        let one = self.db.execute("delete from queue where name = ?1", [name]);
        told(one.map(drop));
        let all = self
            .db
            .execute("delete from message where queue = ?1", [name]);
        told(all.map(drop));
    }

    /// What happened to messages of a queue, in its order, all or nothing.
    pub(super) fn changes(&self, name: &str, changes: Vec<Change>) {
        told(self.write(name, changes));
    }

    fn write(&self, name: &str, changes: Vec<Change>) -> rusqlite::Result<()> {
        let writing = self.db.unchecked_transaction()?;
        for change in changes {
            match change {
                Change::Sent(message) => {
                    let number = message.number;
                    let text = serde_json::to_string(&line(message)).unwrap_or_default();
                    self.db
                        .prepare_cached(
                            "insert or replace into message (number, queue, line)
                             values (?1, ?2, ?3)",
                        )?
                        .execute(params![number, name, text])?;
                }
                // It may be in another queue by now: its dead letters'.
                Change::Gone(number) => {
                    self.db
                        .prepare_cached("delete from message where number = ?1 and queue = ?2")?
                        .execute(params![number, name])?;
                }
            }
        }
        writing.commit()
    }
}

fn told(written: rusqlite::Result<()>) {
    if let Err(error) = written {
        tracing::error!(%error, "sqs cannot keep its messages: they go with this process");
    }
}

fn line(message: Message) -> Line {
    Line {
        body: message.body,
        attributes: message.attributes,
        sent_wall_ms: message.sent_wall_ms,
        source: message.source,
        group: message.group,
    }
}

/// A message as it is after a restart: its retention counts anew.
fn message(number: u64, line: Line) -> Message {
    Message {
        number,
        body: line.body,
        attributes: line.attributes,
        sent_ms: 0,
        sent_wall_ms: line.sent_wall_ms,
        first_received_wall_ms: None,
        received: 0,
        source: line.source,
        group: line.group,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Sqs;

    struct File(std::path::PathBuf);

    impl Drop for File {
        fn drop(&mut self) {
            let _unless_it_is_gone = std::fs::remove_dir_all(&self.0);
        }
    }

    impl File {
        fn new(name: &str) -> Self {
            let name = format!("tidewire-test-{}-sqs-{name}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }

        fn server(&self) -> Sqs {
            Sqs::kept("us-east-1", &self.0.join("sqs.sqlite")).unwrap()
        }
    }

    fn ask(sqs: &Sqs, operation: &str, body: &serde_json::Value) -> serde_json::Value {
        let answer = sqs.shared.dispatch(operation, body.to_string().as_bytes());
        serde_json::from_slice(&answer.unwrap()).unwrap()
    }

    async fn receive(sqs: &Sqs, queue: &str) -> Vec<serde_json::Value> {
        let body = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 });
        let answer = sqs.shared.receive(body.to_string().as_bytes()).await;
        let answer: serde_json::Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        answer["Messages"].as_array().cloned().unwrap_or_default()
    }

    fn bodies(messages: &[serde_json::Value]) -> Vec<&str> {
        let bodies = messages.iter().map(|message| message["Body"].as_str());
        bodies.map(Option::unwrap).collect()
    }

    #[tokio::test]
    async fn what_was_not_deleted_is_there_again_in_its_order() {
        let file = File::new("order");
        let sqs = file.server();
        let attributes = json!({ "VisibilityTimeout": "77" });
        ask(
            &sqs,
            "CreateQueue",
            &json!({ "QueueName": "q", "Attributes": attributes }),
        );
        ask(&sqs, "CreateQueue", &json!({ "QueueName": "purged" }));
        ask(&sqs, "CreateQueue", &json!({ "QueueName": "deleted" }));
        for body in ["a", "b", "c", "d"] {
            ask(
                &sqs,
                "SendMessage",
                &json!({ "QueueUrl": "q", "MessageBody": body }),
            );
        }
        for queue in ["purged", "deleted"] {
            ask(
                &sqs,
                "SendMessage",
                &json!({ "QueueUrl": queue, "MessageBody": "x" }),
            );
        }
        ask(&sqs, "PurgeQueue", &json!({ "QueueUrl": "purged" }));
        ask(&sqs, "DeleteQueue", &json!({ "QueueUrl": "deleted" }));
        let got = receive(&sqs, "q").await;
        let handle = &got[1]["ReceiptHandle"];
        ask(
            &sqs,
            "DeleteMessage",
            &json!({ "QueueUrl": "q", "ReceiptHandle": handle }),
        );
        drop(sqs);

        let sqs = file.server();
        assert_eq!(bodies(&receive(&sqs, "q").await), ["a", "c", "d"]);
        assert_eq!(
            receive(&sqs, "purged").await,
            Vec::<serde_json::Value>::new()
        );
        let all = json!({ "QueueUrl": "q", "AttributeNames": ["All"] });
        let attributes = ask(&sqs, "GetQueueAttributes", &all);
        assert_eq!(attributes["Attributes"]["VisibilityTimeout"], "77");
        let listed = ask(&sqs, "ListQueues", &json!({}));
        assert_eq!(listed["QueueUrls"].as_array().unwrap().len(), 2);
        // No number is given twice.
        let sent = json!({ "QueueUrl": "q", "MessageBody": "e" });
        let id = ask(&sqs, "SendMessage", &sent)["MessageId"].clone();
        assert!(got.iter().all(|message| message["MessageId"] != id));
    }

    #[tokio::test]
    async fn a_dead_letter_that_moved_is_found_where_it_moved_to() {
        let file = File::new("moved");
        let sqs = file.server();
        ask(&sqs, "CreateQueue", &json!({ "QueueName": "dead" }));
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:0:dead","maxReceiveCount":1}"#;
        let attributes = json!({ "RedrivePolicy": policy, "VisibilityTimeout": "0" });
        ask(
            &sqs,
            "CreateQueue",
            &json!({ "QueueName": "q", "Attributes": attributes }),
        );
        ask(
            &sqs,
            "SendMessage",
            &json!({ "QueueUrl": "q", "MessageBody": "x" }),
        );
        assert_eq!(receive(&sqs, "q").await.len(), 1);
        assert_eq!(receive(&sqs, "q").await.len(), 0);
        drop(sqs);
        let sqs = file.server();
        assert_eq!(receive(&sqs, "q").await.len(), 0);
        assert_eq!(bodies(&receive(&sqs, "dead").await), ["x"]);
    }
}
