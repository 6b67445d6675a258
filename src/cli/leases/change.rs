//! The commands that change leases: each shows what it would do, asks, does it, and says what came
//! of it, lease by lease.

use std::io::{IsTerminal as _, Write as _};

use super::args::{Consent, HandOver, Position, Release, Reset};
use super::{Desk, LATEST_SLACK_MS, chosen, named, show};
use crate::cli::failure::{EXIT_SETTINGS, Failure};
use crate::door::lease_table::LeaseTable as _;
use crate::door::stream::Stream as _;
use crate::lease::change::Change;
use crate::lease::lineage::Shards;
use crate::lease::operate::{self, Plan, Target, repair};
use crate::lease::row::{self, FORBIDDING_ROWS, Row};
use crate::model::{EpochMillis, Start, WorkerId};
use crate::service::operator::{Done, Watched};
use crate::service::settings::Settings;

/// How long a hand-over may take beyond the lease duration: the owner's deadline for draining.
const DRAIN: std::time::Duration = crate::lease::options::HANDOFF_DEADLINE;

/// One thing to do.
enum Job<'a> {
    /// To a lease that workers write too: decided anew while they do.
    Lease(Row, Box<dyn Fn(&Row) -> Plan + 'a>),
    /// To a row that needs no second thought.
    Row(String, Plan),
}

impl Job<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Lease(row, _) => row.shard.as_str(),
            Self::Row(key, _) => key,
        }
    }

    fn plan(&self) -> Plan {
        match self {
            Self::Lease(row, decide) => decide(row),
            Self::Row(_, plan) => plan.clone(),
        }
    }
}

impl Desk {
    pub(super) async fn release(&self, release: &Release) -> Result<(), Failure> {
        let contents = self.look().await?;
        let rows = chosen(&contents.leases, &release.which)?;
        let author = &self.operator.author;
        let jobs = rows.into_iter().map(|row| {
            let decide = |row: &Row| operate::release(author, row);
            Job::Lease(row, Box::new(decide))
        });
        self.carry_out(release.consent, jobs.collect(), None).await
    }

    pub(super) async fn reset(&self, reset: &Reset) -> Result<(), Failure> {
        let contents = self.look().await?;
        let rows = chosen(&contents.leases, &reset.which)?;
        if matches!(reset.to, Position::After(_)) && rows.len() > 1 {
            return Err(Failure::settings(
                "a sequence number belongs to one shard: name that one alone",
            ));
        }
        let stream = self.stream().await?;
        let (listing, now) = self.listing(&stream).await?;
        self.must_belong(&stream, &contents.leases, &listing)?;
        let target = target(&reset.to, now)?;
        let author = &self.operator.author;
        let mut jobs = Vec::new();
        for row in rows {
            let shard = row.shard.clone();
            if !listing.contains_key(&shard) {
                let gone = "the stream no longer has this shard: nothing is left to read in it";
                jobs.push(Job::Row(shard.to_string(), Plan::Refused(gone.to_owned())));
                continue;
            }
            if let Target::After(seq) = &target {
                // Only Kinesis knows which numbers are a shard's own.
                let place = stream.iterator(&shard, &Start::After(seq.clone())).await;
                place.map_err(|error| {
                    Failure::new(format!(
                        "Kinesis takes no such position in {shard}: {error}"
                    ))
                })?;
            }
            let decide = |row: &Row| operate::reset(author, row, &target);
            jobs.push(Job::Lease(row, Box::new(decide)));
        }
        self.carry_out(reset.consent, jobs, None).await
    }

    pub(super) async fn hand_over(&self, hand_over: &HandOver) -> Result<(), Failure> {
        let to = WorkerId::from(hand_over.to.as_str());
        let shards = named(&self.look().await?.leases, &hand_over.shards)?;
        let seen = self
            .watch(self.lease_duration(), |seen| {
                let alive = seen.alive();
                let owners = shards.iter().filter_map(|shard| {
                    let row = seen.contents.leases.get(shard)?;
                    row.actual_owner()
                });
                alive.contains(&to) && owners.into_iter().all(|owner| alive.contains(owner))
            })
            .await?;
        let alive = seen.alive();
        let author = &self.operator.author;
        let rows = shards
            .iter()
            .filter_map(|shard| seen.contents.leases.get(shard));
        let jobs = rows.map(|row| {
            let decide = |row: &Row| operate::hand_over(author, row, &to, &alive);
            Job::Lease(row.clone(), Box::new(decide))
        });
        self.carry_out(hand_over.consent, jobs.collect(), Some(&to))
            .await
    }

    pub(super) async fn repair(&self, consent: Consent) -> Result<(), Failure> {
        let stream = self.stream().await?;
        // The leases first: a shard that splits in between is then read from its parent.
        let contents = self.look().await?;
        let (listing, now) = self.listing(&stream).await?;
        self.must_belong(&stream, &contents.leases, &listing)?;
        let (initial, latest_from) = self.initial(now);
        let flaws = repair::flaws(&listing, &contents.leases, initial, latest_from);
        for unreadable in &contents.unreadable {
            println!("{unreadable}");
        }
        say_holes(&listing, &contents.leases, &[], "");
        let author = &self.operator.author;
        let jobs = flaws.iter().map(|flaw| {
            let plan = repair::mend(author, flaw);
            Job::Row(flaw.shard().to_string(), plan)
        });
        let jobs: Vec<_> = jobs.collect();
        if jobs.is_empty() && contents.unreadable.is_empty() {
            println!("every lease is as the stream has it");
            return Ok(());
        }
        let done = self.carry_out(consent, jobs, None).await;
        say_holes(&listing, &contents.leases, &flaws, " after that");
        done
    }

    pub(super) async fn adopt(&self, consent: Consent) -> Result<(), Failure> {
        let seen = self.at_rest("Java KCL").await?;
        let author = &self.operator.author;
        let mut jobs = Vec::new();
        for other in &seen.contents.others {
            match &other.removal {
                Some(change) => jobs.push(removal(&other.key, change)),
                None => println!("row `{}`: {}", other.key, show::about(other)),
            }
        }
        jobs.extend(self.legacy_rows().await?);
        for row in seen.contents.leases.into_values() {
            let decide = |row: &Row| operate::release(author, row);
            jobs.push(Job::Lease(row, Box::new(decide)));
        }
        self.carry_out(consent, jobs, None).await
    }

    /// What a leader of KCL 3.0 to 3.4 left in its own table, which is not ours to write.
    async fn legacy_rows(&self) -> Result<Vec<Job<'static>>, Failure> {
        let mut jobs = Vec::new();
        for key in FORBIDDING_ROWS {
            let item = self.door.coordinator_row(key).await;
            let item = item.map_err(|error| Failure::new(error.to_string()))?;
            if item.is_some_and(|item| row::why_not(key, &item).is_some()) {
                let table = format!("{}-CoordinatorState", self.table);
                let why = format!(
                    "it stands in KCL's own table `{table}` and forbids tidewire to take leases; delete it \
                     with: aws dynamodb delete-item --table-name {table} --key '{{\"key\":{{\"S\":\"{key}\"}}}}'"
                );
                jobs.push(Job::Row(format!("row `{key}`"), Plan::Refused(why)));
            }
        }
        Ok(jobs)
    }

    pub(super) async fn ready_for_java(&self, consent: Consent) -> Result<(), Failure> {
        let seen = self.at_rest("tidewire").await?;
        let author = &self.operator.author;
        let leases = &seen.contents.leases;
        for (shard, why) in leases
            .iter()
            .filter_map(|(shard, row)| Some((shard, operate::lost_on_java(row)?)))
        {
            println!("{shard}: {why}");
        }
        let jobs = leases.values().map(|row| {
            let decide = |row: &Row| operate::ready_for_java(author, row);
            Job::Lease(row.clone(), Box::new(decide))
        });
        self.carry_out(consent, jobs.collect(), None).await
    }

    /// The table, after nobody renewed anything in it for a lease duration.
    async fn at_rest(&self, fleet: &str) -> Result<Watched, Failure> {
        let most = self.lease_duration();
        eprintln!(
            "watching for {} s whether anybody renews",
            most.as_secs_f64()
        );
        let seen = self.watch(most, |seen| !seen.beats.is_empty()).await?;
        let Some(key) = seen.beats.keys().next() else {
            return Ok(seen);
        };
        let row = seen.contents.leases.values();
        let row = row.into_iter().find(|row| row.shard.as_str() == key);
        let by = row.and_then(Row::actual_owner);
        let by = by.map_or(String::new(), |owner| format!(", by `{owner}`"));
        Err(Failure::new(format!(
            "`{key}` was renewed while watching{by}: stop the fleet ({fleet}) first, and begin again"
        )))
    }

    /// Shows, asks, does, and says what came of it.
    async fn carry_out(
        &self,
        consent: Consent,
        jobs: Vec<Job<'_>>,
        handed_to: Option<&WorkerId>,
    ) -> Result<(), Failure> {
        let count = |plan: fn(&Plan) -> bool| jobs.iter().filter(|job| plan(&job.plan())).count();
        let writes = count(|plan| matches!(plan, Plan::Write { .. }));
        let mut refused = count(|plan| matches!(plan, Plan::Refused(_)));
        if writes == 0 || consent.dry_run || !consent.yes {
            for job in &jobs {
                println!("{}: {}", job.key(), foretold(&job.plan()));
            }
        }
        if writes > 0 && !consent.dry_run {
            agreed(consent, writes, &self.table, &self.settings)?;
            refused = 0;
            for job in &jobs {
                let done = self.one(job, handed_to).await;
                refused += usize::from(matches!(done, Done::Not(_)));
                println!("{}: {}", job.key(), told(&done));
            }
        }
        match refused {
            0 => Ok(()),
            some => Err(Failure::new(format!(
                "{some} of {} not changed: why is said above",
                jobs.len()
            ))),
        }
    }

    async fn one(&self, job: &Job<'_>, handed_to: Option<&WorkerId>) -> Done {
        match job {
            Job::Lease(row, decide) => {
                let done = self.operator.carry_out(row, decide).await;
                match (&done, handed_to) {
                    (Done::Did(_), Some(to)) => {
                        let patience = DRAIN + self.lease_duration();
                        self.operator.handed_over(row, to, patience).await
                    }
                    _ => done,
                }
            }
            Job::Row(_, Plan::Write { change, does }) => {
                self.operator.write_once(change, does.clone()).await
            }
            Job::Row(_, Plan::Nothing(why)) => Done::Nothing(why.clone()),
            Job::Row(_, Plan::Refused(why)) => Done::Not(why.clone()),
        }
    }
}

fn removal(key: &str, change: &Change) -> Job<'static> {
    let does = "deleted: it forbade tidewire to take leases".to_owned();
    let change = change.clone();
    Job::Row(format!("row `{key}`"), Plan::Write { change, does })
}

/// A position as the row will hold it.
fn target(to: &Position, now: EpochMillis) -> Result<Target, Failure> {
    Ok(match to {
        Position::TrimHorizon => Target::TrimHorizon,
        Position::Latest => Target::Latest(EpochMillis(now.0.saturating_sub(LATEST_SLACK_MS))),
        Position::Since(at) if *at > now => {
            return Err(Failure::settings(
                "that time is still to come, by Kinesis's own clock: LATEST is what arrives from now on",
            ));
        }
        Position::Since(at) => Target::Since(*at),
        Position::After(seq) => Target::After(seq.clone()),
    })
}

fn say_holes(listing: &Shards, leases: &repair::Leases, made: &[repair::Flaw], when: &str) {
    for (stream, first, last) in repair::holes(listing, leases, made) {
        let of = stream.map_or(String::new(), |stream| format!(" of {stream}"));
        println!("hash keys {first} to {last}{of}: no lease covers them{when}");
    }
}

fn foretold(plan: &Plan) -> String {
    match plan {
        Plan::Write { does, .. } => format!("would be {does}"),
        Plan::Nothing(why) => format!("nothing to do: {why}"),
        Plan::Refused(why) => format!("not possible: {why}"),
    }
}

fn told(done: &Done) -> String {
    match done {
        Done::Did(what) => what.clone(),
        Done::Nothing(why) => format!("nothing to do: {why}"),
        Done::Not(why) => format!("not done: {why}"),
    }
}

/// Asks, on a terminal; elsewhere only `--yes` is agreement.
fn agreed(
    consent: Consent,
    writes: usize,
    table: &str,
    settings: &Settings,
) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    let refused = |why: &str| Failure {
        exit: EXIT_SETTINGS,
        sentence: format!("nothing was changed: {why}"),
    };
    if !std::io::stdin().is_terminal() {
        return Err(refused(
            "it was not agreed to; give --yes where there is no terminal to ask on",
        ));
    }
    let region = settings.aws.region.as_deref();
    let place = region.map_or(String::new(), |region| format!(" in {region}"));
    eprint!("Change {writes} of table `{table}`{place}? [y/N] ");
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| refused(&error.to_string()))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(refused("it was not agreed to")),
    }
}
