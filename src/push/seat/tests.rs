//! Three processes, one seat, and a table that answers late, loses answers, or fails.

use proptest::prelude::*;

use super::*;

fn id(name: &str) -> HolderId {
    HolderId(name.to_owned())
}

fn row(holder: Option<&str>, counter: u64) -> SeatRow {
    SeatRow {
        holder: holder.map(id),
        counter,
    }
}

const AT: Millis = Millis(1_000_000);

#[test]
fn an_empty_or_released_seat_is_claimed_at_once_by_whoever_holds_none() {
    let me = id("me");
    let claim = Watch::default().saw(AT, None, &me, 0).unwrap();
    assert_eq!((claim.expect, claim.row), (None, row(Some("me"), 1)));
    let claim = Watch::default()
        .saw(AT, Some(row(None, 7)), &me, 0)
        .unwrap();
    assert_eq!((claim.expect, claim.row), (Some(7), row(Some("me"), 8)));
}

#[test]
fn who_holds_seats_leaves_a_free_one_to_others_for_a_while() {
    let (me, mut watch) = (id("me"), Watch::default());
    assert_eq!(watch.saw(AT, None, &me, 2), None);
    let almost = AT + Duration::from_millis(3_999);
    assert_eq!(watch.saw(almost, None, &me, 2), None);
    assert!(
        watch
            .saw(AT + Duration::from_secs(4), None, &me, 2)
            .is_some()
    );
}

#[test]
fn a_seat_is_free_once_its_row_has_stood_still_for_a_lease() {
    let (me, mut watch) = (id("me"), Watch::default());
    let other = |counter| Some(row(Some("other"), counter));
    assert_eq!(watch.saw(AT, other(3), &me, 0), None);
    assert_eq!(
        watch.saw(AT + Duration::from_secs(5), other(4), &me, 0),
        None
    );
    assert_eq!(
        watch.saw(AT + Duration::from_millis(10_999), other(4), &me, 0),
        None
    );
    let claim = watch.saw(AT + Duration::from_secs(11), other(4), &me, 0);
    assert_eq!(claim.unwrap().expect, Some(4));
}

#[test]
fn a_renewal_whose_answer_was_lost_is_recognized_and_gives_no_more_time() {
    let claim = claim(None, Some(&id("me")));
    let mut held = Held::by(&claim, id("me"), AT);
    let ends = held.ends();
    assert_eq!(held.refused(Some(&row(Some("me"), 2))), Verdict::Ours);
    assert_eq!(held.ends(), ends);
    assert_eq!(held.renewal().expect, Some(2));
    assert_eq!(held.refused(Some(&row(Some("other"), 3))), Verdict::Lost);
    assert_eq!(held.refused(Some(&row(None, 3))), Verdict::Lost);
    assert_eq!(held.refused(None), Verdict::Lost);
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    InTime,
    Lost,
    NeverWritten,
}

/// A process's next step: how long it waits before, what becomes of its call, how long that takes.
type Turn = (usize, u64, Answer, u64);

fn turn() -> impl Strategy<Value = Turn> {
    let answer = prop_oneof![
        8 => Just(Answer::InTime),
        1 => Just(Answer::Lost),
        1 => Just(Answer::NeverWritten),
    ];
    (0..3_usize, 0..900_u64, answer, 0..3_000_u64)
}

struct Process {
    me: HolderId,
    watch: Watch,
    held: Option<Held>,
    /// A read under way, and what it will show.
    reading: Option<Option<SeatRow>>,
    /// It is busy with a call until then.
    busy_until: Millis,
}

struct World {
    now: Millis,
    row: Option<SeatRow>,
    processes: Vec<Process>,
    takes: usize,
}

impl World {
    fn new() -> Self {
        let process = |n: usize| Process {
            me: id(&format!("p{n}")),
            watch: Watch::default(),
            held: None,
            reading: None,
            busy_until: AT,
        };
        Self {
            now: AT,
            row: None,
            processes: (0..3).map(process).collect(),
            takes: 0,
        }
    }

    /// Writes, if the condition holds; whether it did.
    fn write(&mut self, claim: &Claim) -> bool {
        let holds = self.row.as_ref().map(|row| row.counter) == claim.expect;
        if holds {
            self.row = Some(claim.row.clone());
        }
        holds
    }

    /// One step of a process, if it is not busy. Its call reaches the table at once and is answered
    /// after `takes_ms`: what it counts from is the sending.
    fn step(&mut self, (who, wait_ms, answer, takes_ms): Turn) {
        self.now = self.now + Duration::from_millis(wait_ms);
        let now = self.now;
        let process = &mut self.processes[who];
        if process.busy_until > now {
            return;
        }
        if process.held.as_ref().is_some_and(|held| held.ends() <= now) {
            process.held = None;
            process.watch.begin_anew();
        }
        process.busy_until = now + Duration::from_millis(takes_ms);
        match process.held.take() {
            Some(held) if held.renew_at() <= now => self.renew(who, held, answer),
            Some(held) => self.processes[who].held = Some(held),
            None => self.look(who, answer),
        }
        self.check();
    }

    /// Sends a read; once it is answered, what it showed then is acted upon.
    fn look(&mut self, who: usize, answer: Answer) {
        let (now, row) = (self.now, self.row.clone());
        let process = &mut self.processes[who];
        let Some(row) = process.reading.take() else {
            process.reading = Some(row);
            return;
        };
        let me = process.me.clone();
        let Some(claim) = process.watch.saw(now, row, &me, 0) else {
            return;
        };
        process.watch.begin_anew();
        let written = !matches!(answer, Answer::NeverWritten) && self.write(&claim);
        if written && matches!(answer, Answer::InTime) {
            self.takes += 1;
            self.processes[who].held = Some(Held::by(&claim, me, now));
        }
    }

    fn renew(&mut self, who: usize, mut held: Held, answer: Answer) {
        let claim = held.renewal();
        let written = !matches!(answer, Answer::NeverWritten) && self.write(&claim);
        match answer {
            Answer::InTime if written => held.renewed(self.now),
            Answer::InTime => {
                if held.refused(self.row.as_ref()) == Verdict::Lost {
                    self.processes[who].watch.begin_anew();
                    return;
                }
            }
            Answer::Lost | Answer::NeverWritten => {}
        }
        self.processes[who].held = Some(held);
    }

    fn holders(&self) -> usize {
        let holds = |process: &&Process| {
            let held = process.held.as_ref();
            held.is_some_and(|held| held.ends() > self.now)
        };
        self.processes.iter().filter(holds).count()
    }

    fn check(&self) {
        assert!(self.holders() <= 1, "two serve one queue at {:?}", self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_queue_never_has_two_and_has_one_again_when_all_is_well(
        turns in prop::collection::vec(turn(), 1..200),
    ) {
        let mut world = World::new();
        for turn in turns {
            world.step(turn);
        }
        // All is well: every process has a turn each 100 ms.
        let healed = world.now;
        for n in 0..300 {
            world.step((n % 3, 34, Answer::InTime, 0));
        }
        prop_assert_eq!(world.holders(), 1);
        prop_assert!(world.now.since(healed) < Duration::from_secs(11));
        let takes = world.takes;
        for n in 0..300 {
            world.step((n % 3, 34, Answer::InTime, 0));
        }
        prop_assert_eq!(world.takes, takes, "it stays with whoever has it");
    }
}
