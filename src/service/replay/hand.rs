//! The dead letters in hand: taken from their queue, hidden from others, and removed or put back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::desk::Through;
use crate::door::dead_letters::{Held, LetterBox};
use crate::door::fault::CallFailed;
use crate::model::{DeadLetter, Stage, StreamName};

/// How long letters are hidden from others; what a replay that was killed had in hand is back then.
pub(super) const HOLD: Duration = Duration::from_secs(600);

/// A queue that gives nothing within this has nothing to give: a long poll asks all its servers.
const WAIT: Duration = Duration::from_secs(2);

/// A queue that fails so often in a row is given up, and everything in hand put back.
const FAILURES_MAX: u32 = 5;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Letters a request of SQS (AWS: ten entries).
pub(super) const BATCH_MAX: usize = 10;

/// Letters that stay are told one by one up to so many.
const TOLD_MAX: usize = 20;

/// Which letters are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of these stages; none: of all.
    pub stages: BTreeSet<Stage>,
    /// Those whose reason holds this.
    pub reason: Option<String>,
    /// Those of these streams: letters of others were made by other settings.
    pub streams: BTreeSet<StreamName>,
}

impl Filter {
    fn is_meant(&self, letter: &DeadLetter) -> bool {
        let stage = self.stages.is_empty() || self.stages.contains(&letter.stage);
        let reason = self.reason.as_ref();
        stage && reason.is_none_or(|reason| letter.reason.contains(reason.as_str()))
    }
}

/// What became of the letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages taken from the queue.
    pub taken: u64,
    /// Written, and removed.
    pub replayed: u64,
    /// Written, and still there, since they could not be removed: they may be replayed again.
    pub not_removed: u64,
    /// Left, because the filter does not mean them.
    pub not_meant: u64,
    /// Left, because they are of another stream.
    pub other_streams: u64,
    /// Left, because they are no letters.
    pub no_letters: u64,
    /// Left, because they failed again or have no data.
    pub stayed: u64,
    /// It was told to end before it was done.
    pub interrupted: bool,
    /// The first of those, and why.
    pub told: Vec<(DeadLetter, String)>,
}

/// A letter in hand.
#[derive(Debug)]
struct InHand {
    receipt: String,
    /// Kept to tell of it; without its data.
    letter: Option<DeadLetter>,
}

/// The letters that were taken and are not removed.
#[derive(Debug)]
pub(super) struct Hand<B> {
    letter_box: Arc<B>,
    filter: Filter,
    mine: BTreeMap<String, InHand>,
    pub(super) report: Report,
}

impl<B: LetterBox> Hand<B> {
    pub(super) fn new(letter_box: Arc<B>, filter: Filter) -> Self {
        Self {
            letter_box,
            filter,
            mine: BTreeMap::new(),
            report: Report::default(),
        }
    }

    /// Sorts messages: those that are meant, whole.
    pub(super) fn sort(&mut self, messages: Vec<Held>) -> Vec<(String, DeadLetter)> {
        let mut meant = Vec::new();
        for held in messages {
            let known = self.mine.contains_key(&held.id);
            let letter = serde_json::from_str::<DeadLetter>(&held.body).ok();
            let bare = letter.as_ref().map(|letter| DeadLetter {
                data_base64: None,
                ..letter.clone()
            });
            let in_hand = InHand {
                receipt: held.receipt,
                letter: bare,
            };
            self.mine.insert(held.id.clone(), in_hand);
            if known {
                continue;
            }
            self.report.taken += 1;
            match letter {
                None => self.report.no_letters += 1,
                Some(letter) if !self.filter.streams.contains(&letter.stream) => {
                    self.report.other_streams += 1;
                }
                Some(letter) if !self.filter.is_meant(&letter) => self.report.not_meant += 1,
                Some(letter) => meant.push((held.id, letter)),
            }
        }
        meant
    }

    pub(super) fn stays(&mut self, id: &str, why: String) {
        self.report.stayed += 1;
        let letter = self.mine.get_mut(id).and_then(|held| held.letter.take());
        if let Some(letter) = letter.filter(|_| self.report.told.len() < TOLD_MAX) {
            self.report.told.push((letter, why));
        }
    }

    /// Takes in what went through: removes what is written.
    pub(super) async fn through(&mut self, all: Vec<Through>) {
        let mut written = Vec::new();
        for one in all {
            match one.stays {
                None => written.push(one.id),
                Some(why) => self.stays(&one.id, why),
            }
        }
        self.remove(written).await;
    }

    async fn remove(&mut self, ids: Vec<String>) {
        for ids in ids.chunks(BATCH_MAX) {
            let receipts = ids.iter().filter_map(|id| self.mine.get(id));
            let receipts: Vec<String> = receipts.map(|held| held.receipt.clone()).collect();
            let mut left = receipts;
            for _ in 0..FAILURES_MAX {
                match self.letter_box.remove(&left).await {
                    Ok(failed) => left = failed,
                    Err(error) => tracing::warn!(%error, "letters could not be removed yet"),
                }
                if left.is_empty() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
            self.report.not_removed += left.len() as u64;
            self.report.replayed += (ids.len() - left.len()) as u64;
            for id in ids {
                self.mine.remove(id);
            }
        }
    }

    /// Hides what is in hand for so long from now on; zero puts it back.
    pub(super) async fn hold(&self, hold: Duration) {
        let receipts: Vec<String> = self
            .mine
            .values()
            .map(|held| held.receipt.clone())
            .collect();
        for receipts in receipts.chunks(BATCH_MAX) {
            if let Err(error) = self.letter_box.hold(receipts, hold).await {
                tracing::warn!(%error, "letters in hand: they are back in their queue after {HOLD:?} at the latest");
            }
        }
    }
}

/// Takes up to ten letters; failures that pass are repeated a few times.
pub(super) async fn take<B: LetterBox>(letter_box: Arc<B>) -> Result<Vec<Held>, CallFailed> {
    let mut failures = 0;
    loop {
        match letter_box.take(HOLD, WAIT).await {
            Ok(messages) => return Ok(messages),
            Err(error) if error.fault.is_worth_again() && failures < FAILURES_MAX => {
                failures += 1;
                tracing::warn!(%error, "letters cannot be taken yet");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Shows each letter that is meant, and puts all of them back.
///
/// # Errors
/// The queue cannot be read.
pub async fn look<B: LetterBox>(
    letter_box: Arc<B>,
    filter: Filter,
    stop: CancellationToken,
    mut show: impl FnMut(&DeadLetter),
) -> Result<Report, CallFailed> {
    let mut hand = Hand::new(Arc::clone(&letter_box), filter);
    let ended = loop {
        if stop.is_cancelled() {
            break Ok(());
        }
        match take(Arc::clone(&letter_box)).await {
            Ok(messages) if messages.is_empty() => break Ok(()),
            Ok(messages) => hand
                .sort(messages)
                .iter()
                .for_each(|(_, letter)| show(letter)),
            Err(error) => break Err(error),
        }
    };
    hand.hold(Duration::ZERO).await;
    ended.map(|()| hand.report)
}
