//! InfluxDB behind the door [`TimeSeries`]: one line of line protocol a reading, written by the
//! API of version 1, 2 or 3. Timestream for InfluxDB speaks the latter two.
//!
//! Writing a line twice changes nothing: a line with the series, time and fields of another takes
//! its place. So whatever is unclear is sent again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::answer::Verdict;
use self::http::Http;
pub use self::http::Unusable;
pub use self::line::Measurement;
use crate::door::fault::{CallFailed, Fault};
use crate::door::time_series::TimeSeries;
use crate::model::{Reading, Rejection, RowKey, Secret};

mod answer;
pub(crate) mod http;
mod line;

/// The tag that holds a reading's device.
pub const DEVICE_TAG: &str = "device_id";

/// How often a request goes again without the lines that its answer blames. Each time it is
/// shorter; what is still refused then is halved by the pipeline.
const ROUNDS_MAX: usize = 8;

const OPERATION: &str = "write";

/// Which write API a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/write` of `InfluxDB` 1.x and what imitates it.
    V1,
    /// `/api/v2/write` of `InfluxDB` 2.x.
    V2,
    /// `/api/v3/write_lp` of `InfluxDB` 3.
    V3,
}

/// Where lines go and what they look like.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's address, without a slash at its end.
    pub url: String,
    /// Which API it has.
    pub api: Api,
    /// The organization; version 2 only.
    pub org: Option<String>,
    /// The bucket (version 2) or database.
    pub database: String,
    /// The token; for version 1 `user:password`.
    pub token: Option<Secret>,
    /// A private authority's certificates in PEM, trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// Readings a request.
    pub batch_max: usize,
    /// What a line's measurement is.
    pub measurement: Measurement,
}

/// One bucket or database.
#[derive(Debug)]
pub struct Influx {
    http: Http,
    api: Api,
    batch_max: usize,
    measurement: Measurement,
    /// The server asked to be left alone until then.
    until: Mutex<Option<Instant>>,
}

impl Influx {
    /// A sink; nothing is asked yet.
    ///
    /// # Errors
    /// The token or the authority's certificates cannot be used.
    pub fn new(target: Target) -> Result<Self, Unusable> {
        Ok(Self {
            http: Http::new(&target)?,
            api: target.api,
            batch_max: target.batch_max,
            measurement: target.measurement,
            until: Mutex::new(None),
        })
    }

    /// Writes nothing, to learn whether the server lets us.
    ///
    /// # Errors
    /// It does not, or it cannot be reached.
    pub async fn probe(&self) -> Result<(), CallFailed> {
        let reply = self.http.post(String::new()).await?;
        match answer::judge(&reply, &[], &self.measurement, self.api) {
            Verdict::Failed(fault @ Fault::Fatal, message) if reply.status != 400 => {
                Err(failed(fault, message))
            }
            // That there is nothing to write is its only complaint.
            _ => Ok(()),
        }
    }

    fn wait(&self, pause: Option<Duration>) {
        let until = pause.map(|pause| Instant::now() + pause);
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl TimeSeries for Influx {
    fn batch_max(&self) -> usize {
        self.batch_max
    }

    fn takes(&self, _: &Reading) -> bool {
        true
    }

    /// Series and time, and the fields' names: lines with other fields of one series and time
    /// are joined by the server, whatever their order.
    fn key(&self, reading: &Reading) -> RowKey {
        let mut key = Vec::with_capacity(128);
        let mut put = |text: &str| {
            key.extend_from_slice(&(text.len() as u64).to_be_bytes());
            key.extend_from_slice(text.as_bytes());
        };
        put(self.measurement.of(reading).unwrap_or_default());
        put(reading.device.as_str());
        for (name, value) in &reading.dimensions {
            put(name);
            put(value);
        }
        put("");
        for (name, _) in &reading.measures {
            put(name);
        }
        key.extend_from_slice(&reading.time.0.to_be_bytes());
        RowKey(key)
    }

    fn check(&self, reading: &Reading) -> Result<(), String> {
        line::check(reading, &self.measurement)
    }

    fn asked_pause(&self) -> Duration {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    async fn write(&self, batch: &[Reading]) -> Result<Vec<Rejection>, CallFailed> {
        let mut left: Vec<usize> = (0..batch.len()).collect();
        let mut refused = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let sent: Vec<&Reading> = left.iter().map(|index| &batch[*index]).collect();
            let reply = self
                .http
                .post(line::lines(&sent, &self.measurement))
                .await?;
            self.wait(reply.retry_after);
            let in_batch = |rejections: Vec<Rejection>| {
                let place = |one: Rejection| Rejection {
                    index: left[one.index],
                    ..one
                };
                rejections.into_iter().map(place).collect::<Vec<_>>()
            };
            match answer::judge(&reply, &sent, &self.measurement, self.api) {
                Verdict::Stored => return Ok(refused),
                Verdict::Refused(lines) => {
                    refused.extend(in_batch(lines));
                    return Ok(refused);
                }
                Verdict::Suspected(lines) => {
                    // The others go again: if none of them is refused, those were all.
                    refused.extend(in_batch(lines));
                    left.retain(|index| refused.iter().all(|one| one.index != *index));
                    if left.is_empty() {
                        return Ok(refused);
                    }
                }
                Verdict::Failed(Fault::Rejected, message) if batch.len() == 1 => {
                    let kind = answer::kind(reply.status, &message);
                    return Ok(vec![Rejection {
                        index: 0,
                        kind,
                        reason: message,
                    }]);
                }
                Verdict::Failed(fault, message) => return Err(failed(fault, message)),
            }
        }
        let message = format!("lines were refused {ROUNDS_MAX} times");
        Err(failed(Fault::Rejected, message))
    }
}

fn failed(fault: Fault, message: String) -> CallFailed {
    CallFailed {
        operation: OPERATION,
        fault,
        message,
    }
}
