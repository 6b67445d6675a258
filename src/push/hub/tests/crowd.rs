//! Hostile viewers among peaceful ones, in simulated time: what the peaceful wait does not move.

use super::*;

/// Viewers of each kind.
const EACH: usize = 50;
const PEACEFUL: usize = 150;
const DEVICES: usize = 1_000;
/// Each peaceful viewer's.
const WANTED: usize = 5;
const RUN: Duration = Duration::from_secs(14);
/// By then it has shown whose posts hang; before, a post may wait for another's end.
const SETTLED: Duration = Duration::from_secs(6);
const READING_EVERY: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Peaceful,
    /// Went without a close: 410.
    Vanished,
    /// Does not read: 429.
    Deaf,
    /// Its posts hang until they are given up.
    Hanging,
    /// Wants everything.
    Greedy,
    /// Changes its subscription ten times a second.
    Restless,
    /// Its row is of an endpoint that forbids us.
    Strange,
}

const HOSTILE: [Kind; 6] = [
    Kind::Vanished,
    Kind::Deaf,
    Kind::Hanging,
    Kind::Greedy,
    Kind::Restless,
    Kind::Strange,
];

impl Kind {
    /// How long its posts take, and how they end.
    fn answer(self, number: usize) -> (Duration, Outcome) {
        let ms = Duration::from_millis;
        match self {
            Self::Peaceful | Self::Restless => {
                let spread = u64::try_from(number % 20).unwrap();
                (ms(5 + spread), Outcome::Answered(Posted::Accepted))
            }
            Self::Vanished => (ms(20), Outcome::Answered(Posted::Gone)),
            Self::Deaf => (ms(30), Outcome::Answered(Posted::Slow)),
            Self::Hanging => (ms(5_000), Outcome::Failed),
            Self::Greedy => (ms(60), Outcome::Answered(Posted::Accepted)),
            Self::Strange => {
                let no = Posted::Forbidden("no".to_owned());
                (ms(20), Outcome::Answered(no))
            }
        }
    }
}

fn device(number: usize) -> String {
    format!("device-{:04}", number % DEVICES)
}

struct Crowd {
    stand: Stand,
    kinds: BTreeMap<ConnectionId, (Kind, usize)>,
    /// When each call under way ends.
    ends: BTreeMap<ConnectionId, Millis>,
    /// What a peaceful viewer has not been shown, and since when.
    owed: BTreeMap<(ConnectionId, String), Millis>,
    waits: Vec<Duration>,
    began: Millis,
    said: u64,
}

impl Crowd {
    fn new(hostile: &[Kind]) -> Self {
        let mut stand = Stand::new(Options::default());
        let mut kinds = BTreeMap::new();
        let mut rows = Vec::new();
        let mut enter = |kind: Kind, number: usize| {
            let id = format!("{kind:?}-{number:03}");
            let first = number * WANTED;
            let wanted = match kind {
                Kind::Greedy => Wanted::All,
                _ => Wanted::Devices((first..first + WANTED).map(device).collect()),
            };
            rows.push(row(&id, 600_000, wanted));
            kinds.insert(ConnectionId::from(id), (kind, number));
        };
        (0..PEACEFUL).for_each(|number| enter(Kind::Peaceful, number));
        for kind in hostile {
            (0..EACH).for_each(|number| enter(*kind, number));
        }
        stand.rows(&rows);
        let began = stand.now.mono;
        Self {
            stand,
            kinds,
            ends: BTreeMap::new(),
            owed: BTreeMap::new(),
            waits: Vec::new(),
            began,
            said: 0,
        }
    }

    fn run(&mut self) {
        let until = self.stand.now.mono + RUN;
        let mut say_at = self.stand.now.mono;
        while self.stand.now.mono < until {
            if say_at <= self.stand.now.mono {
                say_at = say_at + READING_EVERY;
                self.say();
            }
            self.end_calls();
            self.change_minds();
            if self.stand.core.next_wake() <= self.stand.now.mono {
                self.stand.step(Input::Tick);
            }
            self.begin_calls();
            self.stand
                .set(self.stand.now.mono + Duration::from_millis(1));
        }
    }

    fn say(&mut self) {
        self.said += 1;
        // A prime step goes round all devices without favour.
        let number = usize::try_from(self.said).unwrap() * 7;
        let name = device(number);
        let at = i64::try_from(self.said).unwrap();
        let now = self.stand.now.mono;
        for (id, (kind, viewer)) in &self.kinds {
            let wants = (0..WANTED).any(|n| device(viewer * WANTED + n) == name);
            if *kind == Kind::Peaceful && wants {
                self.owed.entry((id.clone(), name.clone())).or_insert(now);
            }
        }
        self.stand.readings(&[reading(&name, at, self.said)]);
    }

    fn begin_calls(&mut self) {
        for id in self.stand.posts.keys() {
            if !self.ends.contains_key(id) {
                let (kind, number) = self.kinds[id];
                let end = self.stand.now.mono + kind.answer(number).0;
                self.ends.insert(id.clone(), end);
            }
        }
    }

    fn end_calls(&mut self) {
        let now = self.stand.now.mono;
        let due: Vec<ConnectionId> = self
            .ends
            .iter()
            .filter(|(_, end)| **end <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.ends.remove(&id);
            let (kind, number) = self.kinds[&id];
            let frame = self.stand.end(id.as_str(), kind.answer(number).1);
            if kind == Kind::Peaceful {
                for (device, _) in told(&frame) {
                    let since = self.owed.remove(&(id.clone(), device));
                    let since = since.expect("nothing twice");
                    if since >= self.began + SETTLED {
                        self.waits.push(now.since(since));
                    }
                }
            }
        }
    }

    fn change_minds(&mut self) {
        let ms = self.stand.now.mono.0 % 100;
        let restless: Vec<ConnectionId> = self
            .kinds
            .iter()
            .filter(|(_, (kind, number))| {
                *kind == Kind::Restless && u64::try_from(number % 100).unwrap() == ms
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in restless {
            self.stand.step(Input::Changed(id));
        }
        for id in std::mem::take(&mut self.stand.read) {
            let first = usize::try_from(self.stand.now.mono.0 % 997).unwrap();
            let wanted = Wanted::Devices((first..first + WANTED).map(device).collect());
            let changed = row(id.as_str(), 600_000, wanted);
            self.stand.step(Input::Row {
                id,
                row: Some(changed),
            });
        }
    }

    /// The wait that one in a hundred exceeds, and the longest.
    fn p99_and_longest(&mut self) -> (Duration, Duration) {
        self.waits.sort_unstable();
        let p99 = self.waits[self.waits.len() * 99 / 100];
        (p99, *self.waits.last().unwrap())
    }
}

#[test]
fn the_wait_of_peaceful_viewers_does_not_move_for_hundreds_of_hostile_ones() {
    let mut alone = Crowd::new(&[]);
    alone.run();
    let (calm_p99, calm_longest) = alone.p99_and_longest();
    let mut beset = Crowd::new(&HOSTILE);
    beset.run();
    let (p99, longest) = beset.p99_and_longest();
    println!(
        "peaceful viewers, reading to accepted post: p99 {calm_p99:?}, longest {calm_longest:?} alone; \
         p99 {p99:?}, longest {longest:?} beside {} hostile ones",
        EACH * HOSTILE.len()
    );
    assert_eq!(
        beset.waits.len(),
        alone.waits.len(),
        "each is shown as much"
    );
    assert!(alone.waits.len() > 1_000);
    assert_eq!((p99, longest), (calm_p99, calm_longest));
    // Only those who are gone lose their rows.
    for (id, why) in &beset.stand.forgotten {
        assert_eq!((beset.kinds[id].0, *why), (Kind::Vanished, Farewell::Gone));
    }
    assert_eq!(beset.stand.forgotten.len(), EACH);
}
