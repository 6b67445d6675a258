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
        ..SeatRow::default()
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

#[test]
fn a_seat_let_go_for_somebody_is_left_to_that_one_for_a_while() {
    let (me, next) = (id("me"), id("next"));
    let held = Held::by(&claim(None, Some(&me)), me, AT);
    let free = held.release(Some(next.clone())).row;
    assert_eq!((free.holder.as_ref(), free.counter), (None, 2));
    let mut watch = Watch::default();
    assert!(watch.saw(AT, Some(free.clone()), &next, 3).is_some());
    let (other, mut watch) = (id("other"), Watch::default());
    assert_eq!(watch.saw(AT, Some(free.clone()), &other, 0), None);
    let almost = AT + Duration::from_millis(2_999);
    assert_eq!(watch.saw(almost, Some(free.clone()), &other, 0), None);
    assert!(watch.saw(AT + COURTESY, Some(free), &other, 0).is_some());
}

#[test]
fn a_wish_keeps_the_state_it_was_written_beside_and_no_holder_alive() {
    let (me, mut watch) = (id("me"), Watch::default());
    let other = row(Some("other"), 4);
    assert_eq!(watch.wish(&me, 0), None, "nothing was seen");
    assert_eq!(watch.saw(AT, Some(other.clone()), &me, 0), None);
    let wish = watch.wish(&me, 0).unwrap();
    assert_eq!((wish.expect, wish.row.counter), (Some(4), 4));
    assert_eq!(wish.row.holder, other.holder);
    let soon = AT + Duration::from_secs(5);
    assert_eq!(watch.saw(soon, Some(wish.row.clone()), &me, 0), None);
    let claim = watch.saw(AT + LEASE, Some(wish.row), &me, 0).unwrap();
    assert_eq!(claim.row, row(Some("me"), 5));
}

#[test]
fn a_wish_is_for_one_who_has_two_more_and_told_from_time_to_time() {
    let (rich, poor) = (id("rich"), id("poor"));
    let mut spread = Spread::default();
    assert!(
        !spread.saw(AT, "a", Some(&rich)),
        "one is no more than a share"
    );
    assert!(!spread.saw(AT, "b", Some(&poor)));
    assert!(spread.saw(AT, "c", Some(&rich)));
    let soon = AT + Duration::from_secs(1);
    assert!(!spread.saw(soon, "a", Some(&rich)), "it was told just now");
    let later = AT + Duration::from_secs(3);
    assert!(spread.saw(later, "a", Some(&rich)));
    spread.took("a");
    let last = later + Duration::from_secs(3);
    assert!(!spread.saw(last, "c", Some(&rich)), "both have one");
    assert!(!spread.saw(last, "c", None));
}

#[test]
fn seats_are_granted_one_at_a_time_and_only_where_it_evens_them_out() {
    let wish = |held| Wish { by: id("me"), held };
    let mut spread = Spread::default();
    for queue in ["a", "b", "c", "d"] {
        spread.took(queue);
    }
    assert!(!spread.grants(AT, &wish(3)));
    assert!(spread.grants(AT, &wish(0)));
    let later = AT + Duration::from_secs(60);
    assert!(!spread.grants(later, &wish(0)), "one is under way");
    spread.lost();
    spread.let_go(later);
    assert!(
        !spread.grants(later, &wish(0)),
        "the wish may be an old one"
    );
    let last = later + LEASE;
    assert!(spread.grants(last, &wish(1)));
    spread.lost();
    spread.let_go(last);
    assert!(!spread.grants(last + LEASE, &wish(2)), "two each");
    assert_eq!(spread.held(), 2);
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    InTime,
    Lost,
    NeverWritten,
}

/// A process's next step: how long it waits before, what becomes of its call, how long that takes,
/// and whether it asks for the seat, or grants it to who asked.
type Turn = (usize, u64, Answer, u64, bool);

fn turn() -> impl Strategy<Value = Turn> {
    let answer = prop_oneof![
        8 => Just(Answer::InTime),
        1 => Just(Answer::Lost),
        1 => Just(Answer::NeverWritten),
    ];
    (0..3_usize, 0..900_u64, answer, 0..3_000_u64, any::<bool>())
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
    fn step(&mut self, (who, wait_ms, answer, takes_ms, yields): Turn) {
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
            Some(held) if held.renew_at() <= now => self.renew(who, held, answer, yields),
            Some(held) => self.processes[who].held = Some(held),
            None => self.look(who, answer, yields),
        }
        self.check();
    }

    /// Sends a read; once it is answered, what it showed then is acted upon.
    fn look(&mut self, who: usize, answer: Answer, asks: bool) {
        let (now, row) = (self.now, self.row.clone());
        let process = &mut self.processes[who];
        let Some(row) = process.reading.take() else {
            process.reading = Some(row);
            return;
        };
        let me = process.me.clone();
        let Some(claim) = process.watch.saw(now, row, &me, 0) else {
            let wish = process.watch.wish(&me, 0).filter(|_| asks);
            if let Some(wish) = wish {
                self.write(&wish);
            }
            return;
        };
        process.watch.begin_anew();
        let written = !matches!(answer, Answer::NeverWritten) && self.write(&claim);
        if written && matches!(answer, Answer::InTime) {
            self.takes += 1;
            self.processes[who].held = Some(Held::by(&claim, me, now));
        }
    }

    fn renew(&mut self, who: usize, mut held: Held, answer: Answer, grants: bool) {
        let claim = held.renewal();
        let wish = self.row.as_ref().and_then(|row| row.wish.clone());
        let written = !matches!(answer, Answer::NeverWritten) && self.write(&claim);
        match answer {
            Answer::InTime if written => {
                held.renewed(self.now);
                if let Some(wish) = wish.filter(|_| grants) {
                    self.write(&held.release(Some(wish.by)));
                    self.processes[who].watch.begin_anew();
                    return;
                }
            }
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
            world.step((n % 3, 34, Answer::InTime, 0, false));
        }
        prop_assert_eq!(world.holders(), 1);
        prop_assert!(world.now.since(healed) < Duration::from_secs(11));
        let takes = world.takes;
        for n in 0..300 {
            world.step((n % 3, 34, Answer::InTime, 0, false));
        }
        prop_assert_eq!(world.takes, takes, "it stays with whoever has it");
    }
}
