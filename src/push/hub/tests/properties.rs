//! Whatever happens in whatever order.

use proptest::prelude::*;

use super::*;
use crate::push::breaker::GONE_MIN;
use crate::push::index::{Index, Sight};

const MEASURES: [&str; 3] = ["heat", "wind", "rain"];

#[derive(Clone, Debug)]
enum Event {
    /// Device, second, sequence number, measures as bits.
    Reading(usize, i64, u64, usize),
    /// Viewer, wanted devices as bits (all bits: everything), whether it is a new connection.
    Row(usize, usize, bool),
    Leave(usize),
    /// Which of the calls under way, and how it ends.
    End(usize, usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..4_usize, 0..5_i64, 0..40_u64, 1..8_usize)
            .prop_map(|(d, t, s, m)| Event::Reading(d, t, s, m)),
        2 => (0..3_usize, 0..16_usize, any::<bool>()).prop_map(|(v, w, n)| Event::Row(v, w, n)),
        1 => (0..3_usize).prop_map(Event::Leave),
        5 => (0..8_usize, 0..6_usize).prop_map(|(w, o)| Event::End(w, o)),
        3 => (0..700_u64).prop_map(Event::Wait),
    ]
}

/// Event time and sequence number: what is newer.
type Key = (i64, u64);

/// What a page shows that puts every value over the one before.
type Page = BTreeMap<(String, String), Key>;

struct World {
    stand: Stand,
    rows: BTreeMap<String, Connection>,
    pages: BTreeMap<(String, String), Page>,
    newest: Page,
    connections: i64,
}

impl World {
    fn new(options: Options) -> Self {
        Self {
            stand: Stand::new(options),
            rows: BTreeMap::new(),
            pages: BTreeMap::new(),
            newest: Page::new(),
            connections: 0,
        }
    }

    fn list(&mut self) {
        let rows: Vec<_> = self.rows.values().cloned().collect();
        self.stand.rows(&rows);
    }

    fn apply(&mut self, event: &Event) {
        match *event {
            Event::Reading(device, at, seq, bits) => {
                let names: Vec<&str> = (0..3)
                    .filter(|n| bits >> n & 1 == 1)
                    .map(|n| MEASURES[n])
                    .collect();
                let device = format!("d{device}");
                for name in &names {
                    let known = self.newest.entry((device.clone(), (*name).to_owned()));
                    let known = known.or_insert((at * 1_000_000_000, seq));
                    *known = (*known).max((at * 1_000_000_000, seq));
                }
                self.stand.readings(&[measured(&device, at, seq, &names)]);
            }
            Event::Row(viewer, bits, new) => {
                let id = format!("v{viewer}");
                let wanted = if bits == 15 {
                    Wanted::All
                } else {
                    Wanted::Devices(
                        (0..4)
                            .filter(|n| bits >> n & 1 == 1)
                            .map(|n| format!("d{n}"))
                            .collect(),
                    )
                };
                self.connections += 1;
                let fresh = row(&id, self.connections, wanted.clone());
                let row = self.rows.entry(id).or_insert_with(|| fresh.clone());
                if new {
                    *row = fresh;
                }
                row.wanted = wanted;
                self.list();
            }
            Event::Leave(viewer) => {
                self.rows.remove(&format!("v{viewer}"));
                self.list();
            }
            Event::End(which, how) => self.end(which, how),
            Event::Wait(ms) => self.stand.wait(Duration::from_millis(ms)),
        }
    }

    fn end(&mut self, which: usize, how: usize) {
        let Some(id) = self.stand.posts.keys().nth(which).cloned() else {
            return;
        };
        let incarnation = self.stand.core.calls[&id].incarnation;
        let frame = self.stand.posts[&id].clone();
        assert!(frame.len() <= self.stand.core.options.frame_bytes_max);
        let outcome = match how {
            0 => Outcome::Answered(Posted::Slow),
            1 => Outcome::Failed,
            2 => Outcome::Answered(Posted::Forbidden(String::new())),
            _ => Outcome::Answered(Posted::Accepted),
        };
        if outcome == Outcome::Answered(Posted::Accepted) {
            let page = self.pages.entry((id.to_string(), incarnation.to_string()));
            show(page.or_default(), &frame);
        }
        self.stand.end(id.as_str(), outcome);
    }

    /// All ends well: every call is accepted until nothing is owed any more.
    fn settle(&mut self) {
        for _ in 0..200 {
            while !self.stand.posts.is_empty() {
                self.end(0, 5);
            }
            self.stand.wait(Duration::from_secs(1));
        }
        assert!(self.stand.posts.is_empty(), "it never comes to rest");
    }
}

fn show(page: &mut Page, frame: &str) {
    let frame: Json = serde_json::from_str(frame).unwrap();
    for reading in frame["readings"].as_array().unwrap() {
        let text = |name: &str| reading[name].as_str().unwrap();
        let key = (
            text("time_ns").parse().unwrap(),
            text("seq").parse().unwrap(),
        );
        for name in reading["measures"].as_object().unwrap().keys() {
            let cell = page.entry((text("device_id").to_owned(), name.clone()));
            let shown = cell.or_insert(key);
            assert!(*shown <= key, "{name} went back from {shown:?} to {key:?}");
            *shown = key;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn screens_never_go_back_and_end_with_the_newest(
        events in prop::collection::vec(event(), 1..120),
        frame_bytes_max in prop_oneof![Just(400_usize), Just(32_000)],
    ) {
        let mut world = World::new(Options { frame_bytes_max, ..Options::default() });
        for event in &events {
            world.apply(event);
        }
        world.settle();
        for (id, row) in &world.rows {
            let viewer = &world.stand.core.viewers[&ConnectionId::from(id.as_str())];
            let page = world.pages.get(&(id.clone(), viewer.incarnation.to_string()));
            let page = page.cloned().unwrap_or_default();
            let sight = Sight::of(row);
            for ((device, measure), newest) in &world.newest {
                if sight.sees(device) {
                    let shown = page.get(&(device.clone(), measure.clone()));
                    prop_assert_eq!(shown, Some(newest), "{} {} {}", id, device, measure);
                }
            }
        }
    }

    #[test]
    fn without_an_accepted_post_no_more_than_nineteen_rows_are_deleted(
        viewers in 1..60_usize,
        answers in prop::collection::vec((0..10_usize, 0..3_000_u64), 1..300),
    ) {
        let mut stand = Stand::new(Options { posts_max: 10, ..Options::default() });
        let rows: Vec<_> = (0..viewers).map(|n| row(&format!("v{n}"), 600_000, Wanted::All)).collect();
        stand.rows(&rows);
        for (n, (how, wait)) in answers.iter().enumerate() {
            stand.readings(&[reading("a", i64::try_from(n).unwrap(), n as u64)]);
            let under_way: Vec<_> = stand.posts.keys().cloned().collect();
            for id in under_way {
                let outcome = match how {
                    0 => Outcome::Failed,
                    1 => Outcome::Answered(Posted::Slow),
                    2 => Outcome::Answered(Posted::Forbidden(String::new())),
                    _ => Outcome::Answered(Posted::Gone),
                };
                stand.end(id.as_str(), outcome);
            }
            stand.wait(Duration::from_millis(*wait));
        }
        prop_assert!(stand.forgotten.len() < GONE_MIN as usize);
    }

    #[test]
    fn the_index_finds_whom_looking_at_everybody_would_find(
        sights in prop::collection::vec((
            prop::option::of(prop::collection::btree_set("[ab]{0,3}|[ab]{1,2}\\*", 0..4)),
            prop::option::of(prop::collection::vec("[ab]{0,2}\\*?", 0..3)),
        ), 0..12),
        device in "[ab]{1,3}",
    ) {
        let mut index = Index::default();
        let rows: Vec<Connection> = sights.into_iter().enumerate().map(|(n, (wanted, allowed))| Connection {
            wanted: wanted.map_or(Wanted::All, Wanted::Devices),
            allowed,
            ..row(&format!("v{n}"), 0, Wanted::All)
        }).collect();
        for row in &rows {
            prop_assert!(index.insert(&row.id, &Sight::of(row), 1_000).is_ok());
        }
        for (n, row) in rows.iter().enumerate().filter(|(n, _)| n % 3 == 2) {
            index.remove(&row.id, &Sight::of(&rows[n]));
        }
        let device = device.as_str().into();
        let found: BTreeSet<_> = index.of(&device).chain(index.everything()).cloned().collect();
        let naive: BTreeSet<_> = rows.iter().enumerate()
            .filter(|(n, row)| n % 3 != 2 && Sight::of(row).sees(device.as_str()))
            .map(|(_, row)| row.id.clone())
            .collect();
        prop_assert_eq!(found, naive);
        for row in &rows {
            index.remove(&row.id, &Sight::of(row));
        }
        prop_assert_eq!(index.subscriptions(), 0);
    }

    #[test]
    fn a_reading_of_any_size_reaches_the_screen_in_frames_within_the_bound(
        sizes in prop::collection::vec(0..900_usize, 1..12),
        frame_bytes_max in 400..2_000_usize,
    ) {
        let mut stand = Stand::new(Options { frame_bytes_max, ..Options::default() });
        stand.rows(&[row("v", 600_000, Wanted::All)]);
        let mut large = reading("a", 1, 1);
        large.measures = sizes.iter().enumerate()
            .map(|(n, size)| (format!("m{n:02}").into(), Value::Text("x".repeat(*size).into())))
            .collect();
        stand.readings(&[large, reading("b", 1, 2)]);
        let mut seen = BTreeSet::new();
        while stand.is_posting_to("v") {
            let frame = stand.accept("v");
            prop_assert!(frame.len() <= frame_bytes_max);
            let frame: Json = serde_json::from_str(&frame).unwrap();
            for reading in frame["readings"].as_array().unwrap() {
                seen.extend(reading["measures"].as_object().unwrap().keys().cloned());
            }
            stand.wait(Duration::from_millis(100));
        }
        let dropped = usize::try_from(stand.core.counts().dropped_failed).unwrap();
        prop_assert_eq!(seen.len() + dropped, sizes.len() + 1);
        let envelope = 64 + 1 + 250;
        let too_large = sizes.iter().filter(|size| **size + envelope > frame_bytes_max).count();
        prop_assert!(dropped <= too_large, "{} of {}", dropped, too_large);
    }
}
