//! SQS: our own small server of standard and FIFO queues, in memory or kept in a file, speaking the AWS-JSON 1.0 protocol of
//! the Rust SDK, boto3 and the AWS CLI, with SQS's limits.
//!
//! `GET /_local/peek?queue=NAME&limit=N` shows messages without receiving them.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::front::{self, Calls, Front, Service, json_error};
use super::meter::Meter;
use super::quota::Quotas;
use kept::Kept;
use queue::{Message, Queue, Receipt};
use refusal::Refusal;
use settings::Settings;

mod batch;
mod fifo;
mod kept;
mod messages;
mod peek;
mod queue;
mod queues;
mod receive;
mod refusal;
mod settings;

/// A batch holds 1 MiB of text, which JSON may write up to six times as long, and its frame.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// The account in queue URLs and ARNs.
const ACCOUNT: &str = "000000000000";

/// An embedded SQS; clones share everything.
#[derive(Clone)]
pub struct Sqs {
    front: Front,
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    started: Instant,
    /// `http://127.0.0.1:PORT`, known once the server listens.
    base_url: OnceLock<String>,
    state: Mutex<All>,
}

#[derive(Default)]
struct All {
    queues: BTreeMap<String, Entry>,
    last_number: u64,
    /// The file in which all of it is kept, if it is.
    kept: Option<Kept>,
}

/// All queues, held. What happened to them is kept before anybody else sees it, and before the
/// answer leaves.
struct Locked<'a>(MutexGuard<'a, All>);

impl Deref for Locked<'_> {
    type Target = All;

    fn deref(&self) -> &All {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut All {
        &mut self.0
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.keep();
    }
}

struct Entry {
    queue: Queue,
    created_wall_ms: u64,
    modified_wall_ms: u64,
    /// Wakes the long polls of this queue.
    changed: Arc<Notify>,
}

impl std::fmt::Debug for Sqs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqs")
            .field("region", &self.shared.region)
            .finish_non_exhaustive()
    }
}

impl Sqs {
    /// A server without queues, whose ARNs name `region`.
    #[must_use]
    pub fn new(region: &str) -> Self {
        Self::of(region, All::default())
    }

    /// A server with the queues in this file.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn kept(region: &str, file: &Path) -> io::Result<Self> {
        let kept = Kept::open(file)?;
        let found = kept.found().map_err(io::Error::other)?;
        let mut all = All {
            kept: Some(kept),
            ..All::default()
        };
        for queue in found {
            let newest = queue.messages.last().map_or(0, |message| message.number);
            all.last_number = all.last_number.max(newest);
            let entry = Entry {
                queue: all.queue(queue.settings, queue.messages),
                created_wall_ms: queue.created_wall_ms,
                modified_wall_ms: queue.created_wall_ms,
                changed: Arc::default(),
            };
            all.queues.insert(queue.name, entry);
        }
        Ok(Self::of(region, all))
    }

    fn of(region: &str, all: All) -> Self {
        let shared = Shared {
            region: region.to_owned(),
            started: Instant::now(),
            base_url: OnceLock::new(),
            state: Mutex::new(all),
        };
        Self {
            front: Front::new(Service::Sqs),
            shared: Arc::new(shared),
        }
    }

    /// The server's switches.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.front.faults()
    }

    /// The rates of an account, which hold once somebody says so.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        self.front.quotas()
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        self.front.calls()
    }

    /// What AWS would bill for what was served.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.front.meter()
    }

    /// Serves until `shutdown`, then cuts long polls and returns within about a second.
    ///
    /// # Errors
    /// What accepting connections answers.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let address = listener.local_addr()?;
        self.shared
            .base_url
            .get_or_init(|| format!("http://{address}"));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.shared));
        let peek = get(peek::peek).with_state(Arc::clone(&self.shared));
        let router = self.front.wrap(router).route("/_local/peek", peek);
        front::serve(router, listener, shutdown).await
    }
}

type Answered = Result<Vec<u8>, Refusal>;

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let operation = front::operation(request.headers())
        .unwrap_or_default()
        .to_owned();
    let Ok(body) = to_bytes(request.into_body(), BODY_MAX).await else {
        let why = "the body could not be read or is larger than 8 MiB";
        return json_error(StatusCode::PAYLOAD_TOO_LARGE, "SerializationException", why);
    };
    let answered = match operation.as_str() {
        "ReceiveMessage" => shared.receive(&body).await,
        operation => shared.dispatch(operation, &body),
    };
    match answered {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/x-amz-json-1.0");
            ([(header::CONTENT_TYPE, kind)], Body::from(body)).into_response()
        }
        Err(refusal) => refusal.answer(),
    }
}

impl Shared {
    fn dispatch(&self, operation: &str, body: &[u8]) -> Answered {
        match operation {
            "ChangeMessageVisibility" => self.change_visibility(body),
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(body),
            "CreateQueue" => self.create_queue(body),
            "DeleteMessage" => self.delete_message(body),
            "DeleteMessageBatch" => self.delete_message_batch(body),
            "DeleteQueue" => self.delete_queue(body),
            "GetQueueAttributes" => self.get_queue_attributes(body),
            "GetQueueUrl" => self.get_queue_url(body),
            "ListQueues" => self.list_queues(body),
            "PurgeQueue" => self.purge_queue(body),
            "SendMessage" => self.send_message(body),
            "SendMessageBatch" => self.send_message_batch(body),
            "SetQueueAttributes" => self.set_queue_attributes(body),
            _ => {
                let message = format!("This local server has no operation {operation:?}.");
                Err(Refusal::new("UnsupportedOperation", message))
            }
        }
    }

    /// Milliseconds since the server was made, on the clock that tests can pause.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// All queues, brought up to `now_ms`.
    fn at(&self, now_ms: u64) -> Locked<'_> {
        let mut all = Locked(self.state.lock().unwrap_or_else(PoisonError::into_inner));
        all.advance(now_ms);
        all
    }

    fn url(&self, name: &str) -> String {
        let base = self
            .base_url
            .get()
            .map_or("http://127.0.0.1", String::as_str);
        format!("{base}/{ACCOUNT}/{name}")
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT}:{name}", self.region)
    }
}

impl All {
    /// A queue with these messages, which are kept if any are.
    fn queue(&self, settings: Settings, messages: Vec<Message>) -> Queue {
        let queue = Queue::new(settings);
        match self.kept {
            Some(_) => queue.kept(messages),
            None => queue,
        }
    }

    /// Writes down what happened.
    fn keep(&mut self) {
        let Some(kept) = &self.kept else {
            return;
        };
        for (name, entry) in &mut self.queues {
            let changes = entry.queue.changes();
            if !changes.is_empty() {
                kept.changes(name, changes);
            }
        }
    }

    /// Lets time pass in every queue and moves the dead letters it makes.
    fn advance(&mut self, now_ms: u64) {
        let mut moves = Vec::new();
        for (name, entry) in &mut self.queues {
            let before = entry.queue.counts();
            let dead = entry.queue.advance(now_ms);
            if entry.queue.counts() != before {
                entry.changed.notify_waiters();
            }
            let target = entry
                .queue
                .settings
                .redrive()
                .map(|redrive| redrive.target.clone());
            moves.extend(
                dead.into_iter()
                    .map(|message| (name.clone(), target.clone(), message)),
            );
        }
        for (source, target, mut message) in moves {
            let target = target.filter(|target| self.queues.contains_key(target));
            // A target deleted since: the message stays where it was, as if nothing forbade it.
            let place = target.as_ref().unwrap_or(&source);
            if let Some(entry) = self.queues.get_mut(place) {
                if target.is_some() {
                    message.source = Some(source);
                    message.received = 0;
                }
                entry.queue.send(message, 0, now_ms);
                entry.changed.notify_waiters();
            }
        }
    }

    /// The queue that a URL names by its last part.
    fn named(&mut self, url: Option<&str>) -> Result<&mut Entry, Refusal> {
        let url = url.ok_or_else(|| Refusal::missing("QueueUrl"))?;
        self.queues
            .get_mut(name_of(url))
            .ok_or_else(Refusal::no_queue)
    }
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::parameter(format!(
            "the request is not as the protocol has it: {error}"
        ))
    })
}

fn written<T: Serialize>(answer: &T) -> Answered {
    serde_json::to_vec(answer).map_err(|error| Refusal::new("InternalFailure", error.to_string()))
}

/// What callers get to see of a receipt.
fn handle_of(message: &Message) -> String {
    format!("{:x}-{:x}", message.number, message.received)
}

fn receipt_of(handle: &str) -> Result<Receipt, Refusal> {
    let parts = handle.split_once('-').and_then(|(number, received)| {
        let number = u64::from_str_radix(number, 16).ok()?;
        Some(Receipt {
            number,
            received: u32::from_str_radix(received, 16).ok()?,
        })
    });
    parts.ok_or_else(Refusal::receipt)
}

/// A message's id: of a UUID's shape, and the same for as long as the message lives.
fn id_of(number: u64) -> String {
    let low = number & 0xffff_ffff_ffff;
    format!("{:08x}-0000-4000-8000-{low:012x}", number >> 48)
}

/// The MD5 of a text in hex, as SDKs check it.
fn md5(text: &str) -> String {
    format!(
        "{:032x}",
        ferrokinesis::sequence::partition_key_to_hash_key(text)
    )
}

#[cfg(test)]
mod tests;
