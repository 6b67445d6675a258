//! Databases and tables, and what the operations do to them. Synchronous: the server calls it on
//! a blocking thread, one caller at a time.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Options;
use super::kept;
use super::query;
use super::record::{self, Record};
use super::rule::{self, Place, Settled, Window};
use super::table::{Shape, Table};
use super::wire::{
    CreateTable, List, MagneticStoreWrites, OneTable, Refusal, RejectedRecord, RetentionProperties,
    WriteRecords,
};
use crate::local::sqlite;

/// What a table keeps in the magnetic store where its creator does not say (AWS's own default).
const MAGNETIC_DAYS: i64 = 73_000;
/// Hours in the memory store where neither table nor option say (AWS's own default).
const MEMORY_HOURS: i64 = 6;
/// Bounds of the two retentions (service model).
const MEMORY_HOURS_MAX: i64 = 8_766;
/// Compiled statements kept: one for each set of measures in use, and a few more.
const STATEMENTS_MAX: usize = 128;
/// What a listing answers at most (service model).
const LIST_MAX: usize = 20;

/// Everything that is stored.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) db: Connection,
    databases: BTreeMap<String, i64>,
    pub(super) tables: BTreeMap<(String, String), Table>,
    memory_store: Option<i64>,
    magnetic_writes: bool,
    rejections: Option<PathBuf>,
}

impl Store {
    pub(super) fn open(options: &Options) -> io::Result<Self> {
        let db = sqlite::open(options.file.as_deref())?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let mut store = Self {
            db,
            databases: BTreeMap::new(),
            tables: BTreeMap::new(),
            memory_store: options
                .memory_store
                .map(|hours| i64::try_from(hours).unwrap_or(i64::MAX)),
            magnetic_writes: options.magnetic_writes,
            rejections: options.rejections.clone(),
        };
        store.load().map_err(io::Error::other)?;
        Ok(store)
    }

    /// Finds what an earlier stand left in the file.
    fn load(&mut self) -> rusqlite::Result<()> {
        self.db.execute_batch(kept::TABLES)?;
        self.databases = kept::databases(&self.db)?;
        self.tables = kept::tables(&self.db, |retention, magnetic| {
            self.window(retention, magnetic)
        })?;
        Ok(())
    }

    /// How far back a table takes records.
    fn window(&self, retention: RetentionProperties, magnetic: &MagneticStoreWrites) -> Window {
        Window {
            memory_hours: self
                .memory_store
                .map(|_| retention.memory_store_retention_period_in_hours),
            magnetic_days: magnetic
                .enable_magnetic_store_writes
                .then_some(retention.magnetic_store_retention_period_in_days),
        }
    }

    pub(super) fn create_database(&mut self, name: &str, now_ns: i64) -> Result<Value, Refusal> {
        valid_name("database", name)?;
        if self.databases.contains_key(name) {
            return Err(Refusal::Conflict(format!(
                "The database {name} already exists."
            )));
        }
        kept::keep_database(&self.db, name, now_ns)?;
        self.databases.insert(name.to_owned(), now_ns);
        Ok(json!({ "Database": self.database(name, now_ns) }))
    }

    pub(super) fn describe_database(&self, name: &str) -> Result<Value, Refusal> {
        let created_ns = self.known(name)?;
        Ok(json!({ "Database": self.database(name, created_ns) }))
    }

    pub(super) fn list_databases(&self, list: &List) -> Value {
        let mut page = Page::new(list);
        for (name, created_ns) in &self.databases {
            page.offer(name, || self.database(name, *created_ns));
        }
        page.answer("Databases")
    }

    pub(super) fn create_table(
        &mut self,
        wanted: CreateTable,
        now_ns: i64,
    ) -> Result<Value, Refusal> {
        let (database, name) = (wanted.database_name, wanted.table_name);
        valid_name("table", &name)?;
        self.known(&database)?;
        let key = (database, name);
        if self.tables.contains_key(&key) {
            return Err(Refusal::Conflict(format!(
                "The table {} already exists.",
                key.1
            )));
        }
        let retention = match wanted.retention_properties {
            Some(retention) => {
                valid_retention(retention)?;
                retention
            }
            None => RetentionProperties {
                memory_store_retention_period_in_hours: self.memory_store.unwrap_or(MEMORY_HOURS),
                magnetic_store_retention_period_in_days: MAGNETIC_DAYS,
            },
        };
        let magnetic = wanted
            .magnetic_store_write_properties
            .unwrap_or(MagneticStoreWrites {
                enable_magnetic_store_writes: self.magnetic_writes,
                // What is rejected is answered at once, or goes to a file beside the config.
                magnetic_store_rejected_data_location: Some(json!({
                    "S3Configuration": { "BucketName": "local" },
                })),
            });
        let window = self.window(retention, &magnetic);
        let number = self.tables.len() + 1;
        let taken = self
            .tables
            .values()
            .map(|table| table.shape.view.to_ascii_lowercase())
            .collect();
        let view = query::view_name(&key.0, &key.1, &taken);
        let shape = Shape {
            number,
            view,
            created_ns: now_ns,
            retention,
            magnetic,
            window,
        };
        let making = self.db.unchecked_transaction()?;
        kept::keep_table(&self.db, &key, &shape)?;
        let table = Table::create(&self.db, shape)?;
        making.commit()?;
        let shown = shown(&key, &table);
        self.tables.insert(key, table);
        Ok(json!({ "Table": shown }))
    }

    pub(super) fn describe_table(&self, wanted: OneTable) -> Result<Value, Refusal> {
        self.known(&wanted.database_name)?;
        let key = (wanted.database_name, wanted.table_name);
        match self.tables.get(&key) {
            Some(table) => Ok(json!({ "Table": shown(&key, table) })),
            None => Err(no_table(&key.1)),
        }
    }

    pub(super) fn list_tables(&self, list: &List) -> Result<Value, Refusal> {
        if let Some(database) = &list.database_name {
            self.known(database)?;
        }
        let mut page = Page::new(list);
        for (key, table) in &self.tables {
            if list
                .database_name
                .as_ref()
                .is_none_or(|wanted| *wanted == key.0)
            {
                page.offer(&format!("{}/{}", key.0, key.1), || shown(key, table));
            }
        }
        Ok(page.answer("Tables"))
    }

    /// Ingests what may be ingested, in order; the rest comes back in one rejection.
    pub(super) fn write(&mut self, request: WriteRecords, now_ns: i64) -> Result<Value, Refusal> {
        self.db.execute_batch("begin")?;
        let answer = self.ingest(request, now_ns);
        // What was ingested stays, whatever became of the others: a statement that failed has taken
        // itself back.
        self.db.execute_batch("commit")?;
        answer
    }

    fn ingest(&mut self, request: WriteRecords, now_ns: i64) -> Result<Value, Refusal> {
        let key = (request.database_name, request.table_name);
        let records = record::records(&request.common_attributes, request.records)?;
        self.known(&key.0)?;
        let table = self.tables.get_mut(&key).ok_or_else(|| no_table(&key.1))?;
        let (mut memory, mut magnetic) = (0, 0);
        let mut rejected = Vec::new();
        let mut late = Vec::new();
        for (record_index, record) in records.iter().enumerate() {
            let place = rule::place(record.time_ns, now_ns, table.shape.window);
            if let Place::Outside(reason) = place {
                rejected.push(RejectedRecord {
                    record_index,
                    reason,
                    existing_version: None,
                });
                continue;
            }
            let settled = table.put(&self.db, record)?;
            match (settled, place) {
                (Settled::Refuse { reason, .. }, Place::Magnetic) => {
                    magnetic += 1;
                    late.push(late_rejection(&key, record, &reason));
                }
                (
                    Settled::Refuse {
                        reason,
                        existing_version,
                    },
                    _,
                ) => {
                    rejected.push(RejectedRecord {
                        record_index,
                        reason,
                        existing_version,
                    });
                }
                (_, Place::Magnetic) => magnetic += 1,
                (_, _) => memory += 1,
            }
        }
        self.report(&late)?;
        if !rejected.is_empty() {
            return Err(Refusal::Rejected(rejected));
        }
        Ok(json!({ "RecordsIngested": {
            "Total": memory + magnetic, "MemoryStore": memory, "MagneticStore": magnetic,
        }}))
    }

    /// What AWS writes to the table's rejection bucket, here a file of NDJSON.
    fn report(&self, late: &[Value]) -> Result<(), Refusal> {
        let (Some(path), false) = (&self.rejections, late.is_empty()) else {
            return Ok(());
        };
        let lines: String = late.iter().map(|line| format!("{line}\n")).collect();
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(|error| {
                let path = path.display();
                Refusal::Internal(format!(
                    "the rejection file {path} cannot be written: {error}"
                ))
            })
    }

    fn known(&self, database: &str) -> Result<i64, Refusal> {
        self.databases
            .get(database)
            .copied()
            .ok_or_else(|| Refusal::NotFound(format!("The database {database} does not exist.")))
    }

    fn database(&self, name: &str, created_ns: i64) -> Value {
        let tables = self
            .tables
            .keys()
            .filter(|(database, _)| database == name)
            .count();
        json!({
            "Arn": format!("arn:aws:timestream:us-east-1:000000000000:database/{name}"),
            "DatabaseName": name,
            "TableCount": tables,
            "CreationTime": seconds(created_ns),
            "LastUpdatedTime": seconds(created_ns),
        })
    }
}

/// One page of a listing, in the order of the keys; the token is the last key of the page before.
struct Page<'a> {
    after: Option<&'a str>,
    max: usize,
    items: Vec<Value>,
    last: Option<String>,
    more: bool,
}

impl<'a> Page<'a> {
    fn new(list: &'a List) -> Self {
        let max = list.max_results.unwrap_or(LIST_MAX).clamp(1, LIST_MAX);
        let after = list.next_token.as_deref();
        Self {
            after,
            max,
            items: Vec::new(),
            last: None,
            more: false,
        }
    }

    fn offer(&mut self, key: &str, item: impl FnOnce() -> Value) {
        if self.after.is_some_and(|after| key <= after) {
            return;
        }
        if self.items.len() == self.max {
            self.more = true;
            return;
        }
        self.items.push(item());
        self.last = Some(key.to_owned());
    }

    fn answer(self, field: &str) -> Value {
        let mut answer = json!({ field: self.items });
        if let (true, Some(last)) = (self.more, self.last) {
            answer["NextToken"] = Value::from(last);
        }
        answer
    }
}

fn shown(key: &(String, String), table: &Table) -> Value {
    let (database, name) = key;
    json!({
        "Arn": format!("arn:aws:timestream:us-east-1:000000000000:database/{database}/table/{name}"),
        "DatabaseName": database,
        "TableName": name,
        "TableStatus": "ACTIVE",
        "RetentionProperties": table.shape.retention,
        "MagneticStoreWriteProperties": table.shape.magnetic,
        "CreationTime": seconds(table.shape.created_ns),
        "LastUpdatedTime": seconds(table.shape.created_ns),
    })
}

fn late_rejection(key: &(String, String), record: &Record, reason: &str) -> Value {
    json!({
        "databaseName": key.0,
        "tableName": key.1,
        "dimensions": record.dimensions.iter().cloned().collect::<BTreeMap<_, _>>(),
        "measureName": record.measure_name,
        "timeNs": record.time_ns.to_string(),
        "version": record.version,
        "rejectedReason": reason,
    })
}

/// Times in AWS-JSON are seconds since the epoch, as a number.
fn seconds(ns: i64) -> f64 {
    (ns / 1_000_000) as f64 / 1000.0
}

fn no_table(name: &str) -> Refusal {
    Refusal::NotFound(format!("The table {name} does not exist."))
}

fn valid_name(what: &str, name: &str) -> Result<(), Refusal> {
    let characters = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (3..=256).contains(&name.len()) && name.chars().all(characters) {
        return Ok(());
    }
    Err(Refusal::Validation(format!(
        "a {what} name has 3 to 256 characters of a-z, A-Z, 0-9, _, . and -; {name:?} has not"
    )))
}

fn valid_retention(retention: RetentionProperties) -> Result<(), Refusal> {
    let hours = retention.memory_store_retention_period_in_hours;
    let days = retention.magnetic_store_retention_period_in_days;
    if (1..=MEMORY_HOURS_MAX).contains(&hours) && (1..=MAGNETIC_DAYS).contains(&days) {
        return Ok(());
    }
    Err(Refusal::Validation(format!(
        "the memory store keeps 1 to {MEMORY_HOURS_MAX} hours and the magnetic store 1 to \
         {MAGNETIC_DAYS} days, not {hours} and {days}"
    )))
}
