//! Dead letters back through the pipeline: taken from their queue, written to the sinks of their
//! stage, removed only when those have them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::desk::Through;
use super::hand::{BATCH_MAX, Filter, HOLD, Hand, Report, take};
use crate::door::dead_letters::{Held, LetterBox};
use crate::door::fault::CallFailed;
use crate::model::{DeadLetter, Stage};

/// How often those in hand are hidden anew.
const HOLD_AGAIN_EVERY: Duration = Duration::from_secs(200);

/// Letters on their way at once: some megabytes, and enough for full requests.
const UNDER_WAY_MAX: usize = 500;

/// Letters that went through and are not removed yet: room for all that are under way, so that the
/// lines never wait for who hands them letters.
pub const THROUGH_MAX: usize = UNDER_WAY_MAX + 2 * BATCH_MAX;

/// A letter on its way to the line of its stage.
pub type Posted = (String, DeadLetter);

/// Takes letters and hands them to the lines of their stages, until there are no more or `stop`
/// fires; removes those that went through, and puts the others back.
///
/// # Errors
/// The queue cannot be read; what was in hand is put back.
pub async fn replay<B: LetterBox>(
    letter_box: Arc<B>,
    filter: Filter,
    mut lines: BTreeMap<Stage, mpsc::Sender<Posted>>,
    mut through: mpsc::Receiver<Through>,
    stop: CancellationToken,
    report: watch::Sender<Report>,
) -> Result<(), CallFailed> {
    type Taking = Pin<Box<dyn Future<Output = Result<Vec<Held>, CallFailed>> + Send>>;
    let mut hand = Hand::new(Arc::clone(&letter_box), filter);
    let mut under_way = 0_usize;
    let mut hold_again = tokio::time::interval(HOLD_AGAIN_EVERY);
    hold_again.tick().await;
    // Never dropped before it answers: what it took would be hidden, and nobody would put it back.
    let mut taking: Option<Taking> = None;
    let mut ended = Ok(());
    loop {
        report.send_replace(hand.report.clone());
        let more = !lines.is_empty() && under_way < UNDER_WAY_MAX;
        if taking.is_none() && more {
            taking = Some(Box::pin(take(Arc::clone(&letter_box))));
        }
        tokio::select! {
            biased;
            () = stop.cancelled(), if !lines.is_empty() => {
                hand.report.interrupted = true;
                lines.clear();
            }
            one = through.recv() => {
                // All lines have ended.
                let Some(one) = one else { break };
                let mut all = vec![one];
                while let Ok(one) = through.try_recv() {
                    all.push(one);
                }
                under_way = under_way.saturating_sub(all.len());
                hand.through(all).await;
            }
            _ = hold_again.tick() => hand.hold(HOLD).await,
            taken = async { taking.as_mut().expect("it is there").await }, if taking.is_some() => {
                taking = None;
                match taken {
                    Ok(messages) if messages.is_empty() => lines.clear(),
                    Ok(messages) => for (id, letter) in hand.sort(messages) {
                        match lines.get(&letter.stage) {
                            Some(line) if line.send((id.clone(), letter)).await.is_ok() => under_way += 1,
                            Some(_) => {}
                            None => hand.stays(&id, NO_SINK.to_owned()),
                        }
                    },
                    Err(error) => {
                        ended = Err(error);
                        lines.clear();
                    }
                }
            }
        }
    }
    if let Some(taking) = taking
        && let Ok(messages) = taking.await
    {
        hand.sort(messages);
    }
    hand.hold(Duration::ZERO).await;
    report.send_replace(hand.report);
    ended
}

/// Why a letter of a stage without a line stays.
const NO_SINK: &str = "no sink of its stage is chosen, or none is set";
