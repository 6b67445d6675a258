//! What one viewer is owed and has not been shown.
//!
//! Readings are numbered; a viewer keeps the number up to which it was shown everything it wanted,
//! and what it is owed beyond. Nothing is copied per viewer: a frame is made of what the shared
//! stock holds when it leaves, so that a viewer who had to wait gets the newest.

use std::collections::{BTreeSet, VecDeque};

use super::frame::Filling;
use super::index::Sight;
use super::latest::Latest;
use super::part::Part;
use super::recent::Recent;
use super::snapshot::Snapshot;
use super::{Mode, Options};
use crate::model::DeviceId;

/// Devices owed to one viewer that are kept one by one; more, and all that is new is looked through
/// for what the viewer sees.
const OWED_DEVICES_MAX: usize = 4_096;

/// The readings that all viewers share.
#[derive(Debug)]
pub struct Stock {
    /// The newest of every measure.
    pub latest: Latest,
    /// Every reading, in [`Mode::Every`].
    pub recent: Recent,
    mode: Mode,
}

impl Stock {
    /// Empty, within the options' bounds.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            latest: Latest::new(options.cache_devices_max, options.cache_bytes_max),
            recent: Recent::new(options.every_bytes_max),
            mode: options.mode,
        }
    }

    /// The number of the last reading that viewers are to be shown.
    #[must_use]
    pub fn head(&self) -> u64 {
        match self.mode {
            Mode::Latest => self.latest.head(),
            Mode::Every => self.recent.head(),
        }
    }

    /// Takes a reading in. Its number, where viewers are to be shown it: in [`Mode::Latest`] not
    /// where all its measures are known already, as new or newer.
    pub fn apply(&mut self, part: Part) -> Option<u64> {
        match self.mode {
            Mode::Latest => self.latest.apply(part).then(|| self.latest.head()),
            Mode::Every => {
                self.latest.apply(part.clone());
                Some(self.recent.push(part))
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owed {
    /// The newest of these devices.
    Devices(BTreeSet<DeviceId>),
    /// These readings.
    Numbers(VecDeque<u64>),
    /// Whatever is seen of all that is new.
    New,
    /// The same, for now, because too many devices are owed to keep each by name.
    TooMany,
}

/// How far a frame reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The viewer will have been shown everything up to this reading once this frame, or where
    /// `after` says so the last of its round, is accepted.
    up_to: u64,
    /// The round goes on after this device's reading.
    after: Option<(DeviceId, u64)>,
    /// More is owed than the frame holds: the next need not wait for the window.
    pub more: bool,
}

/// One viewer's account.
#[derive(Clone, Debug)]
pub struct Window {
    shown: u64,
    owed: Owed,
    /// In [`Mode::Latest`], where more is owed than a frame holds: frames go through the devices in
    /// their order, so that devices which change faster than a viewer can be told get their turn.
    /// The head when the round began, and where it stands.
    round: Option<(u64, (DeviceId, u64))>,
}

impl Window {
    /// Nothing owed yet; from now on, what `sight` sees.
    #[must_use]
    pub fn new(stock: &Stock, sight: &Sight) -> Self {
        let owed = match stock.mode {
            _ if sight.is_everything() => Owed::New,
            Mode::Latest => Owed::Devices(BTreeSet::new()),
            Mode::Every => Owed::Numbers(VecDeque::new()),
        };
        Self {
            shown: stock.head(),
            owed,
            round: None,
        }
    }

    /// A reading came that this viewer sees. Not to be called for viewers of everything: they owe
    /// themselves all that is new.
    pub fn owe(&mut self, device: &DeviceId, number: u64) {
        match &mut self.owed {
            Owed::New | Owed::TooMany => {}
            Owed::Numbers(numbers) => {
                if numbers.back().is_none_or(|last| *last < number) {
                    numbers.push_back(number);
                }
            }
            Owed::Devices(devices) => {
                devices.insert(device.clone());
                if devices.len() > OWED_DEVICES_MAX {
                    self.owed = Owed::TooMany;
                }
            }
        }
    }

    /// Whether anything is owed.
    #[must_use]
    pub fn owes(&self, stock: &Stock) -> bool {
        match &self.owed {
            Owed::New | Owed::TooMany => self.shown < stock.head(),
            Owed::Numbers(numbers) => !numbers.is_empty(),
            Owed::Devices(devices) => !devices.is_empty(),
        }
    }

    /// Fills a frame with what is owed, and answers how far it reaches.
    #[must_use]
    pub fn fill<'a>(&self, stock: &'a Stock, sight: &Sight, frame: &mut Filling<'a>) -> Reach {
        let (shown, latest, head) = (self.shown, &stock.latest, stock.head());
        let everything = |up_to| Reach {
            up_to,
            after: None,
            more: up_to < head,
        };
        match (&self.owed, stock.mode) {
            (Owed::Numbers(numbers), _) => {
                let parts = numbers
                    .iter()
                    .filter_map(|number| Some((*number, stock.recent.get(*number)?)));
                everything(pour(parts, head, sight, frame))
            }
            (_, Mode::Every) => everything(pour(stock.recent.after(shown), head, sight, frame)),
            (Owed::Devices(devices), _) => {
                let parts = devices
                    .iter()
                    .flat_map(|device| latest.numbers(device))
                    .filter_map(|number| Some((*number, latest.get(*number)?)));
                self.go_round(parts, head, sight, frame)
            }
            (Owed::New | Owed::TooMany, Mode::Latest) => {
                // Usually all that is new fits, and is found without a look at what is not.
                if self.round.is_none() {
                    let up_to = pour(latest.between(shown, head), head, sight, frame);
                    if up_to == head {
                        return everything(head);
                    }
                    frame.clear();
                }
                let from = self.round.as_ref().map(|(_, (device, _))| device);
                self.go_round(latest.by_device(from), head, sight, frame)
            }
        }
    }

    /// Takes parts, which come in the order of devices and numbers, from where the round stands.
    fn go_round<'a>(
        &self,
        parts: impl Iterator<Item = (u64, &'a Part)>,
        head: u64,
        sight: &Sight,
        frame: &mut Filling<'a>,
    ) -> Reach {
        let began = self.round.as_ref().map_or(head, |(began, _)| *began);
        let mut after = self.round.as_ref().map(|(_, after)| after.clone());
        for (number, part) in parts {
            let device = part.device();
            // What the last device was changed to since the round began waits for the next one.
            let passed = after.as_ref().is_some_and(|(last, at)| {
                device < last || (device == last && (number <= *at || number > began))
            });
            if number <= self.shown || passed || !sight.sees(device.as_str()) {
                continue;
            }
            if !frame.take(part) {
                return Reach {
                    up_to: began,
                    after,
                    more: true,
                };
            }
            after = Some((device.clone(), number));
        }
        Reach {
            up_to: began,
            after: None,
            more: false,
        }
    }

    /// A frame that reaches so far was accepted, or there was nothing to show.
    pub fn shown(&mut self, reach: Reach, stock: &Stock) {
        if let Some(after) = reach.after {
            self.round = Some((reach.up_to, after));
            return;
        }
        self.round = None;
        self.shown = self.shown.max(reach.up_to);
        let shown = self.shown;
        match &mut self.owed {
            Owed::New => {}
            Owed::TooMany if shown < stock.head() => {}
            Owed::TooMany => self.owed = Owed::Devices(BTreeSet::new()),
            Owed::Devices(devices) => devices.retain(|device| {
                stock
                    .latest
                    .numbers(device)
                    .last()
                    .is_some_and(|newest| *newest > shown)
            }),
            Owed::Numbers(numbers) => {
                while numbers.front().is_some_and(|number| *number <= shown) {
                    numbers.pop_front();
                }
            }
        }
    }

    /// A snapshot has ended: what it told need not be told again, if it was about all that is owed.
    pub fn told_by(&mut self, snapshot: &Snapshot, stock: &Stock) {
        let covered = match (&snapshot.devices, &self.owed) {
            (None, _) => true,
            (Some(told), Owed::Devices(owed)) => owed.is_subset(told),
            (Some(_), _) => false,
        };
        if covered && !snapshot.capped && stock.mode == Mode::Latest {
            let reach = Reach {
                up_to: snapshot.until,
                after: None,
                more: false,
            };
            self.shown(reach, stock);
        }
    }

    /// Holds the bound of [`Mode::Every`] and answers how many readings were dropped, the oldest
    /// that are not under way. `under_way`: how many are in the post that has not ended yet.
    pub fn trim(&mut self, stock: &Stock, readings_max: usize, under_way: usize) -> u64 {
        if stock.mode == Mode::Latest {
            return 0;
        }
        let kept_from = stock.recent.first();
        match &mut self.owed {
            Owed::Devices(_) | Owed::TooMany => 0,
            Owed::New if under_way > 0 => 0,
            Owed::New => {
                let bound = stock.head().saturating_sub(readings_max as u64);
                let from = bound.max(kept_from - 1);
                let dropped = from.saturating_sub(self.shown);
                self.shown = self.shown.max(from);
                dropped
            }
            Owed::Numbers(numbers) => {
                let mut dropped = 0;
                while numbers.len() > readings_max + under_way {
                    numbers.remove(under_way);
                    dropped += 1;
                }
                while under_way == 0 && numbers.front().is_some_and(|n| *n < kept_from) {
                    numbers.pop_front();
                    dropped += 1;
                }
                dropped
            }
        }
    }

    /// Gives up all but the newest reading of [`Mode::Every`]; how many were dropped.
    pub fn skip_to_newest(&mut self, stock: &Stock) -> u64 {
        self.trim(stock, 1, 0)
    }
}

/// Takes parts in order until the frame is full. The subscription and the token's claim are checked
/// here, at every post.
pub(super) fn pour<'a>(
    parts: impl Iterator<Item = (u64, &'a Part)>,
    head: u64,
    sight: &Sight,
    frame: &mut Filling<'a>,
) -> u64 {
    let mut last = 0;
    for (number, part) in parts {
        if !sight.sees(part.device().as_str()) {
            continue;
        }
        if !frame.take(part) {
            return last;
        }
        last = number;
    }
    head
}
