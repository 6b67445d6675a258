//! How a fault is written, and when which is due. Pure: the time since the stand's start is an
//! argument.

use std::fmt;
use std::time::Duration;

use crate::local::fault::Effect;

/// Faults that may be planned at a time; a plan that is longer is a slip of the pen.
const FAULTS_MAX: usize = 64;
/// How late a slow service answers where nobody says.
const SLOW_MS: u64 = 500;
/// The latest that a fault may begin or end: a day, longer than anybody looks at a stand.
const LATEST: Duration = Duration::from_secs(24 * 3600);

/// The ways in which a service misbehaves, as people write them.
pub const KINDS: [(&str, Effect); 4] = [
    ("throttle", Effect::Throttled),
    ("outage", Effect::Down),
    ("slow", Effect::Slow { ms: SLOW_MS }),
    ("lost-answer", Effect::LostAnswer),
];

/// What is said to whoever wrote a fault wrong.
const REMEDY: &str = "write WHAT:KIND[@AFTER][+FOR], as in timestream:outage@10s+20s, \
    kinesis:throttle, sqs:slow=2s, worker:kill@30s, worker:start, shard:split@15s or shard:merge";

/// The services that can misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Kinesis.
    Kinesis,
    /// DynamoDB.
    DynamoDb,
    /// SQS.
    Sqs,
    /// Timestream Write.
    Timestream,
    /// The WebSocket API and its `@connections`.
    ApiGateway,
}

const PARTS: [(&str, Part); 5] = [
    ("kinesis", Part::Kinesis),
    ("dynamodb", Part::DynamoDb),
    ("sqs", Part::Sqs),
    ("timestream", Part::Timestream),
    ("apigateway", Part::ApiGateway),
];

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = PARTS.iter().find(|(_, part)| part == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

/// The word for an effect.
#[must_use]
pub fn name(effect: Effect) -> &'static str {
    let named = KINDS.iter().find(|(_, kind)| kind.is_as(effect));
    named.map_or("", |(name, _)| name)
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
enum What {
    Ill(Part, Effect),
    KillWorker(Option<String>),
    StartWorker,
    SplitShard(Option<String>),
    MergeShards,
}

/// One fault: what, how long after it was asked for, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    what: What,
    after: Duration,
    lasts: Option<Duration>,
}

/// What has to be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A service misbehaves from now on.
    Begin(Part, Effect),
    /// It is well again.
    End(Part, Effect),
    /// A worker ends as by `kill -9`: this one, or the one that holds the most shards.
    KillWorker(Option<String>),
    /// A further worker starts.
    StartWorker,
    /// A shard is split: this one, or the one that is written to most.
    SplitShard(Option<String>),
    /// The two neighbours that are written to least become one.
    MergeShards,
}

impl Fault {
    /// Reads `WHAT:KIND[=WHICH][@AFTER][+FOR]`.
    ///
    /// # Errors
    /// One sentence: what is wrong, and how it is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        read(text).map_err(|why| format!("{why}: {REMEDY}"))
    }

    /// The service and what ails it, of a fault that lasts.
    #[must_use]
    pub fn ill(&self) -> Option<(Part, Effect)> {
        match self.what {
            What::Ill(part, effect) => Some((part, effect)),
            _ => None,
        }
    }
}

fn read(text: &str) -> Result<Fault, String> {
    let (rest, lasts) = cut(text, '+')?;
    let (rest, after) = cut(rest, '@')?;
    let (rest, which) = match rest.split_once('=') {
        Some((rest, which)) if !which.is_empty() => (rest, Some(which)),
        Some(_) => return Err(format!("nothing follows the = of {text:?}")),
        None => (rest, None),
    };
    let (what, kind) = rest.split_once(':').unwrap_or((rest, ""));
    let what = match what {
        "worker" => match kind {
            "kill" => What::KillWorker(which.map(str::to_owned)),
            "start" if which.is_none() => What::StartWorker,
            _ => return Err(format!("a worker knows kill and start, not {kind:?}")),
        },
        "shard" => match kind {
            "split" => What::SplitShard(which.map(str::to_owned)),
            "merge" if which.is_none() => What::MergeShards,
            _ => return Err(format!("a shard knows split and merge, not {kind:?}")),
        },
        service => What::Ill(part(service)?, effect(kind, which)?),
    };
    if lasts.is_some() && !matches!(what, What::Ill(..)) {
        return Err(format!("{rest} is done once, and has no +FOR"));
    }
    Ok(Fault {
        what,
        after: after.unwrap_or_default(),
        lasts,
    })
}

/// What stands before a sign, and the time behind it.
fn cut(text: &str, sign: char) -> Result<(&str, Option<Duration>), String> {
    match text.rsplit_once(sign) {
        Some((rest, time)) => Ok((rest, Some(duration(time)?))),
        None => Ok((text, None)),
    }
}

fn part(name: &str) -> Result<Part, String> {
    let found = PARTS.iter().find(|(part, _)| *part == name);
    found.map(|(_, part)| *part).ok_or_else(|| {
        let names = PARTS.map(|(name, _)| name).join(", ");
        format!("{name:?} is none of {names}, worker and shard")
    })
}

fn effect(kind: &str, which: Option<&str>) -> Result<Effect, String> {
    let found = KINDS.iter().find(|(name, _)| *name == kind);
    match (found, which) {
        (Some((_, Effect::Slow { .. })), Some(late)) => Ok(Effect::Slow {
            ms: u64::try_from(duration(late)?.as_millis()).unwrap_or(u64::MAX),
        }),
        (Some((_, effect)), None) => Ok(*effect),
        (Some(_), Some(_)) => Err(format!("{kind} takes no =")),
        (None, _) => {
            let names = KINDS.map(|(name, _)| name).join(", ");
            Err(format!("a service knows {names}, not {kind:?}"))
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    let time = digits.parse::<u64>().ok().zip(unit_ms);
    let time = time.and_then(|(number, unit_ms)| number.checked_mul(unit_ms));
    let time = time.map(Duration::from_millis);
    time.filter(|time| *time <= LATEST)
        .ok_or_else(|| format!("{text:?} is no time of at most a day, as 500ms, 10s or 2m"))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Ill(part, Effect::Slow { ms }) => write!(f, "{part}:slow={}", Time::of_ms(*ms))?,
            What::Ill(part, effect) => write!(f, "{part}:{}", name(*effect))?,
            What::KillWorker(None) => f.write_str("worker:kill")?,
            What::KillWorker(Some(id)) => write!(f, "worker:kill={id}")?,
            What::StartWorker => f.write_str("worker:start")?,
            What::SplitShard(None) => f.write_str("shard:split")?,
            What::SplitShard(Some(id)) => write!(f, "shard:split={id}")?,
            What::MergeShards => f.write_str("shard:merge")?,
        }
        if !self.after.is_zero() {
            write!(f, "@{}", Time(self.after))?;
        }
        match self.lasts {
            Some(lasts) => write!(f, "+{}", Time(lasts)),
            None => Ok(()),
        }
    }
}

/// A time as it is written in a fault.
struct Time(Duration);

impl Time {
    fn of_ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// A fault that is to begin, or one that has begun and is to end.
#[derive(Clone, Debug)]
struct Entry {
    /// `None`: it has begun.
    begins: Option<Duration>,
    /// `None`: it lasts until somebody ends it.
    ends: Option<Duration>,
    fault: Fault,
}

impl Entry {
    fn next(&self) -> Option<Duration> {
        self.begins.or(self.ends)
    }

    fn begun(&self, part: Part, effect: Effect) -> bool {
        let same = |(other, kind): (Part, Effect)| other == part && kind.is_as(effect);
        self.begins.is_none() && self.fault.ill().is_some_and(same)
    }
}

/// What is planned, and what is on and for how long.
#[derive(Debug, Default)]
pub struct Schedule {
    entries: Vec<Entry>,
}

impl Schedule {
    /// Plans a fault that is asked for at `now`.
    ///
    /// # Errors
    /// Too many are planned already.
    pub fn add(&mut self, now: Duration, fault: Fault) -> Result<(), String> {
        if self.entries.len() >= FAULTS_MAX {
            return Err(format!(
                "{FAULTS_MAX} faults are planned already: end some of them first"
            ));
        }
        let begins = now + fault.after;
        self.entries.push(Entry {
            begins: Some(begins),
            ends: fault.lasts.map(|lasts| begins + lasts),
            fault,
        });
        Ok(())
    }

    /// What is due by `now`, in the order in which it was due. A service that two faults make ill in
    /// the same way is well again when the later of them ends.
    pub fn step(&mut self, now: Duration) -> Vec<Deed> {
        let mut deeds = Vec::new();
        loop {
            let due = self.entries.iter().enumerate();
            let due = due.filter_map(|(index, entry)| Some((entry.next()?, index)));
            let Some((_, index)) = due.min().filter(|(at, _)| *at <= now) else {
                return deeds;
            };
            let entry = &mut self.entries[index];
            let what = entry.fault.what.clone();
            let begins = entry.begins.take().is_some();
            if let (true, What::Ill(part, effect)) = (begins, &what) {
                deeds.push(Deed::Begin(*part, *effect));
                continue;
            }
            self.entries.remove(index);
            match what {
                What::Ill(part, effect) => {
                    let still = self.entries.iter().any(|entry| entry.begun(part, effect));
                    if !still {
                        deeds.push(Deed::End(part, effect));
                    }
                }
                What::KillWorker(id) => deeds.push(Deed::KillWorker(id)),
                What::StartWorker => deeds.push(Deed::StartWorker),
                What::SplitShard(id) => deeds.push(Deed::SplitShard(id)),
                What::MergeShards => deeds.push(Deed::MergeShards),
            }
        }
    }

    /// When something is due next.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.entries.iter().filter_map(Entry::next).min()
    }

    /// What is yet to begin, and when.
    #[must_use]
    pub fn coming(&self) -> Vec<(Duration, &Fault)> {
        let coming = self.entries.iter();
        let mut coming: Vec<_> = coming
            .filter_map(|entry| Some((entry.begins?, &entry.fault)))
            .collect();
        coming.sort_by_key(|(at, _)| *at);
        coming
    }

    /// Forgets what has begun of this kind: somebody ended it.
    pub fn end(&mut self, part: Part, effect: Effect) {
        self.entries.retain(|entry| !entry.begun(part, effect));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests;
