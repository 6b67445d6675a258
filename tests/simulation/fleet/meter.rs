//! DynamoDB's units, as its developer guide counts them ("Read/write capacity mode"), and what
//! KCL would use of them on the same rows by its own timers.

use tidewire::lease::Answer;
use tidewire::lease::item::{self, Item};

const READ_UNIT_BYTES: usize = 4_096;
const WRITE_UNIT_BYTES: usize = 1_024;

/// Units used so far. Half units are counted whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    scans: u64,
    scan_half_units: u64,
    reads: u64,
    read_units: u64,
    writes: u64,
    refused: u64,
    write_units: u64,
}

fn pages(bytes: usize, page: usize) -> u64 {
    u64::try_from(bytes.div_ceil(page)).expect("a table is small")
}

fn bytes<'a>(rows: impl Iterator<Item = &'a Item>) -> usize {
    rows.map(item::size_bytes).sum()
}

impl Meter {
    /// A scan, eventually consistent: half a unit for each 4 KiB.
    pub(crate) fn scanned<'a>(&mut self, rows: impl Iterator<Item = &'a Item>) {
        self.scans += 1;
        self.scan_half_units += pages(bytes(rows), READ_UNIT_BYTES).max(1);
    }

    /// A consistent read of a row: a unit for each 4 KiB.
    pub(crate) fn read(&mut self, row: Option<&Item>) {
        self.reads += 1;
        self.read_units += pages(bytes(row.into_iter()), READ_UNIT_BYTES).max(1);
    }

    /// A write: a unit for each KiB of the larger of before and after, refused ones too.
    pub(crate) fn wrote(&mut self, before: Option<&Item>, answer: &Answer) {
        let after = match answer {
            Answer::Applied(after) => after.as_ref(),
            Answer::Refused(_) => {
                self.refused += 1;
                None
            }
        };
        let larger = bytes(before.into_iter()).max(bytes(after.into_iter()));
        self.writes += 1;
        self.write_units += pages(larger, WRITE_UNIT_BYTES).max(1);
    }

    /// What was used since `before`, in `seconds`.
    pub(crate) fn since(&self, before: &Self, seconds: u64) -> Units {
        let per_second = |new: u64, old: u64| thousandths(new - old, seconds);
        Units {
            scan_reads: per_second(self.scan_half_units, before.scan_half_units) / 2,
            row_reads: per_second(self.read_units, before.read_units),
            writes: per_second(self.write_units, before.write_units),
        }
    }

    pub(crate) fn totals(&self) -> String {
        format!(
            "{} scans ({} read units), {} reads of rows, {} writes ({} of them refused)",
            self.scans,
            self.scan_half_units / 2,
            self.reads,
            self.writes,
            self.refused
        )
    }
}

fn thousandths(count: u64, seconds: u64) -> u64 {
    count * 1_000 / seconds
}

/// Units a second, in thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    scan_reads: u64,
    row_reads: u64,
    writes: u64,
}

impl std::fmt::Display for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown =
            |thousandths: u64| format!("{}.{}", thousandths / 1_000, thousandths % 1_000 / 100);
        write!(
            f,
            "{} read (looks at the table {}, rows {}), {} write",
            shown(self.scan_reads + self.row_reads),
            shown(self.scan_reads),
            shown(self.row_reads),
            shown(self.writes)
        )
    }
}

/// The rows as KCL would have them: without the attributes of tidewire's own.
fn bytes_of_kcl<'a>(rows: impl Iterator<Item = &'a Item>) -> usize {
    let plain = rows.map(|row| {
        let mut row = row.clone();
        row.retain(|name, _| !name.starts_with("tw_"));
        item::size_bytes(&row)
    });
    plain.sum()
}

/// KCL's timers by its defaults, `failoverTimeMillis` = 10,000 (`DynamoDBLeaseCoordinator`,
/// `CommonCalculations`): each lease is renewed every 3,308 ms; in 2.x each worker scans the table
/// every 20,050 ms. Checkpoints, which are writes of their own there, are left out: how many there are
/// the application says.
pub(crate) fn kcl_2<'a>(rows: impl Iterator<Item = &'a Item>, leases: u64, workers: u64) -> Units {
    let half_units = pages(bytes_of_kcl(rows), READ_UNIT_BYTES);
    Units {
        scan_reads: half_units * 1_000 * 1_000 / 2 / 20_050 * workers,
        row_reads: 0,
        writes: leases * 1_000 * 1_000 / 3_308,
    }
}

/// In 3.x the leader alone scans leases and workers' metrics (every 20 s), each worker asks an index
/// for its leases every 9,975 ms (at least half a unit each) and writes its metrics every 30 s, and the
/// leader's lock is renewed every 30 s. Rows of metrics are taken for 300 bytes.
pub(crate) fn kcl_3<'a>(rows: impl Iterator<Item = &'a Item>, leases: u64, workers: u64) -> Units {
    const METRICS_BYTES: usize = 300;
    let metrics = METRICS_BYTES * usize::try_from(workers).expect("few workers");
    let half_units = pages(bytes_of_kcl(rows) + metrics, READ_UNIT_BYTES);
    Units {
        scan_reads: half_units * 1_000 / 2 / 20 + workers * 1_000 * 1_000 / 2 / 9_975,
        row_reads: 0,
        writes: leases * 1_000 * 1_000 / 3_308 + (workers + 1) * 1_000 / 30,
    }
}
