//! One Timestream table as three SQLite tables: the rows, their series, and the measure names.
//!
//! A row holds the numbers of its series and of its measure name, its time, its version and one
//! column for each measure; the series holds the dimensions. Columns come as names appear. Inside,
//! tables and columns are numbered (`:t1`, `m4`), so no name sent by a caller ever becomes SQL; a
//! view made for the queries carries the names (see `query.rs`).

use std::collections::BTreeMap;

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::kept;
use super::record::{Content, Record, Value};
use super::rule::{self, Settled, Window};
use super::wire::{Kind, MagneticStoreWrites, RetentionProperties};

mod load;

/// Distinct measure names of a table (`ts-limits`).
const MEASURE_NAMES_MAX: usize = 8192;
/// Distinct measures in the MULTI records of a table (`ts-limits`).
const MEASURES_MAX: usize = 1024;
/// Distinct dimensions of a table (`ts-limits`).
const DIMENSIONS_MAX: usize = 128;

/// The columns for the values of scalar records, which every table has.
const SCALARS: [(Kind, &str); 4] = [
    (Kind::Double, "v_double"),
    (Kind::Bigint, "v_bigint"),
    (Kind::Varchar, "v_varchar"),
    (Kind::Boolean, "v_boolean"),
];

#[derive(Debug)]
struct Measure {
    number: usize,
    kind: Kind,
}

/// What a table is, whatever is in it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) number: usize,
    /// What queries call the table.
    pub(super) view: String,
    pub(super) created_ns: i64,
    pub(super) retention: RetentionProperties,
    pub(super) magnetic: MagneticStoreWrites,
    pub(super) window: Window,
}

/// A table's names and what they are called inside.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) shape: Shape,
    number: usize,
    dimensions: BTreeMap<String, usize>,
    measures: BTreeMap<String, Measure>,
    measure_names: BTreeMap<String, Measure>,
    series: BTreeMap<Vec<(String, String)>, i64>,
    /// Rows stored.
    pub(super) rows: u64,
    /// Names came since the view was made.
    pub(super) view_is_stale: bool,
}

impl Table {
    fn empty(shape: Shape) -> Self {
        Self {
            number: shape.number,
            shape,
            dimensions: BTreeMap::new(),
            measures: BTreeMap::new(),
            measure_names: BTreeMap::new(),
            series: BTreeMap::new(),
            rows: 0,
            view_is_stale: true,
        }
    }

    /// Makes the three tables.
    pub(super) fn create(db: &Connection, shape: Shape) -> rusqlite::Result<Self> {
        let number = shape.number;
        db.execute_batch(&format!(
            "create table \":t{number}\" (series integer not null, time integer not null,
                 name integer not null, version integer not null,
                 v_double real, v_bigint integer, v_varchar text, v_boolean integer,
                 primary key (series, time, name)) without rowid;
             create table \":s{number}\" (id integer primary key);
             create table \":n{number}\" (id integer primary key, name text not null,
                 kind text not null);"
        ))?;
        Ok(Self::empty(shape))
    }

    /// The columns for people to see: what each is inside, and the name it should carry.
    pub(super) fn columns(&self) -> Vec<(String, &str)> {
        let mut columns: Vec<(String, &str)> = vec![
            ("t.time".to_owned(), "time"),
            ("t.time / 1000000".to_owned(), "time_ms"),
            ("n.name".to_owned(), "measure_name"),
        ];
        columns.extend(
            self.dimensions
                .iter()
                .map(|(name, n)| (format!("s.d{n}"), name.as_str())),
        );
        columns.extend(
            self.measures
                .iter()
                .map(|(name, m)| (format!("t.m{}", m.number), name.as_str())),
        );
        for (kind, column) in SCALARS {
            if self.measure_names.values().any(|name| name.kind == kind) {
                columns.push((format!("t.{column}"), scalar_name(kind)));
            }
        }
        columns
    }

    /// Stores a record, or says why not. Nothing of a refused record remains.
    pub(super) fn put(&mut self, db: &Connection, record: &Record) -> rusqlite::Result<Settled> {
        if let Err(reason) = self.admit(record) {
            return Ok(Settled::Refuse {
                reason,
                existing_version: None,
            });
        }
        let name = self.measure_name(db, record)?;
        let series = self.series(db, &record.dimensions)?;
        let cells = self.cells(db, &record.content)?;
        if self.insert(
            db,
            "insert or ignore",
            (series, record.time_ns, name),
            record.version,
            &cells,
        )? {
            self.rows += 1;
            return Ok(Settled::Accept(record.version));
        }
        let key = (series, record.time_ns, name);
        let (existing_version, existing) = self.existing(db, key)?;
        let settled = rule::settle(existing_version, existing == cells, record.version);
        match settled {
            Settled::Replace => {
                self.insert(db, "insert or replace", key, record.version, &cells)?;
            }
            Settled::Accept(version) if version != existing_version => {
                let sql = format!(
                    "update \":t{}\" set version = ?4 where series = ?1 and time = ?2 and name = ?3",
                    self.number
                );
                db.prepare_cached(&sql)?
                    .execute((key.0, key.1, key.2, version))?;
            }
            Settled::Accept(_) | Settled::Refuse { .. } => {}
        }
        Ok(settled)
    }

    /// Types and limits, before anything is changed.
    fn admit(&self, record: &Record) -> Result<(), String> {
        let (kind, measures) = match &record.content {
            Content::Scalar(value) => (value.kind(), [].as_slice()),
            Content::Multi(measures) => (Kind::Multi, measures.as_slice()),
        };
        match self.measure_names.get(&record.measure_name) {
            Some(known) => same_type(&record.measure_name, known.kind, kind)?,
            None if self.measure_names.len() >= MEASURE_NAMES_MAX => {
                return Err(over("measure names", MEASURE_NAMES_MAX));
            }
            None => {}
        }
        let mut fresh = 0;
        for (name, value) in measures {
            match self.measures.get(name) {
                Some(known) => same_type(name, known.kind, value.kind())?,
                None if self.dimensions.contains_key(name) => {
                    return Err(format!("The measure {name} is a dimension of the table."));
                }
                None => fresh += 1,
            }
        }
        if self.measures.len() + fresh > MEASURES_MAX {
            return Err(over("measures", MEASURES_MAX));
        }
        let mut fresh = 0;
        for (name, _) in &record.dimensions {
            if self.measures.contains_key(name) {
                return Err(format!("The dimension {name} is a measure of the table."));
            }
            fresh += usize::from(!self.dimensions.contains_key(name));
        }
        if self.dimensions.len() + fresh > DIMENSIONS_MAX {
            return Err(over("dimensions", DIMENSIONS_MAX));
        }
        Ok(())
    }

    fn measure_name(&mut self, db: &Connection, record: &Record) -> rusqlite::Result<usize> {
        if let Some(known) = self.measure_names.get(&record.measure_name) {
            return Ok(known.number);
        }
        let number = self.measure_names.len() + 1;
        let kind = match &record.content {
            Content::Scalar(value) => value.kind(),
            Content::Multi(_) => Kind::Multi,
        };
        let sql = format!(
            "insert into \":n{}\" (id, name, kind) values (?1, ?2, ?3)",
            self.number
        );
        db.execute(&sql, (number, &record.measure_name, kind.name()))?;
        self.measure_names
            .insert(record.measure_name.clone(), Measure { number, kind });
        self.view_is_stale |= kind != Kind::Multi;
        Ok(number)
    }

    fn series(
        &mut self,
        db: &Connection,
        dimensions: &[(String, String)],
    ) -> rusqlite::Result<i64> {
        if let Some(known) = self.series.get(dimensions) {
            return Ok(*known);
        }
        let series = i64::try_from(self.series.len()).unwrap_or(i64::MAX) + 1;
        let mut columns = String::from("id");
        let mut cells = vec![Cell::Integer(series)];
        for (name, value) in dimensions {
            let number = match self.dimensions.get(name) {
                Some(known) => *known,
                None => {
                    let number = self.dimensions.len() + 1;
                    let sql = format!(
                        "alter table \":s{}\" add column d{number} text",
                        self.number
                    );
                    db.execute_batch(&sql)?;
                    kept::keep_column(db, self.number, &format!("d{number}"), name, None)?;
                    self.dimensions.insert(name.clone(), number);
                    self.view_is_stale = true;
                    number
                }
            };
            columns.push_str(&format!(", d{number}"));
            cells.push(Cell::Text(value.clone()));
        }
        let sql = format!(
            "insert into \":s{}\" ({columns}) values ({})",
            self.number,
            marks(cells.len())
        );
        db.prepare_cached(&sql)?.execute(params_from_iter(cells))?;
        self.series.insert(dimensions.to_vec(), series);
        Ok(series)
    }

    /// The values by column; columns are made for measures that are new.
    fn cells(
        &mut self,
        db: &Connection,
        content: &Content,
    ) -> rusqlite::Result<BTreeMap<String, Cell>> {
        let measures = match content {
            Content::Scalar(value) => {
                let column = SCALARS.iter().find(|(kind, _)| *kind == value.kind());
                let column = column.map_or("v_bigint", |(_, column)| column);
                return Ok(BTreeMap::from([(column.to_owned(), cell(value))]));
            }
            Content::Multi(measures) => measures,
        };
        let mut cells = BTreeMap::new();
        for (name, value) in measures {
            let number = match self.measures.get(name) {
                Some(known) => known.number,
                None => {
                    let (number, kind) = (self.measures.len() + 1, value.kind());
                    let affinity = match kind {
                        Kind::Double => "real",
                        Kind::Varchar => "text",
                        Kind::Bigint | Kind::Boolean | Kind::Timestamp | Kind::Multi => "integer",
                    };
                    db.execute_batch(&format!(
                        "alter table \":t{}\" add column m{number} {affinity}",
                        self.number
                    ))?;
                    let column = format!("m{number}");
                    kept::keep_column(db, self.number, &column, name, Some(kind.name()))?;
                    self.measures.insert(name.clone(), Measure { number, kind });
                    self.view_is_stale = true;
                    number
                }
            };
            cells.insert(format!("m{number}"), cell(value));
        }
        Ok(cells)
    }

    fn insert(
        &self,
        db: &Connection,
        verb: &str,
        key: (i64, i64, usize),
        version: i64,
        cells: &BTreeMap<String, Cell>,
    ) -> rusqlite::Result<bool> {
        let mut sql = format!(
            "{verb} into \":t{}\" (series, time, name, version",
            self.number
        );
        for column in cells.keys() {
            sql.push_str(", ");
            sql.push_str(column);
        }
        sql.push_str(&format!(") values ({})", marks(cells.len() + 4)));
        let name = i64::try_from(key.2).unwrap_or(i64::MAX);
        let head = [key.0, key.1, name, version].map(Cell::Integer);
        let all = head.iter().chain(cells.values());
        Ok(db.prepare_cached(&sql)?.execute(params_from_iter(all))? > 0)
    }

    /// The version and the values under a taken key.
    fn existing(
        &self,
        db: &Connection,
        key: (i64, i64, usize),
    ) -> rusqlite::Result<(i64, BTreeMap<String, Cell>)> {
        let scalars = SCALARS.iter().map(|(_, column)| (*column).to_owned());
        let columns: Vec<String> = scalars
            .chain((1..=self.measures.len()).map(|n| format!("m{n}")))
            .collect();
        let sql = format!(
            "select version, {} from \":t{}\" where series = ?1 and time = ?2 and name = ?3",
            columns.join(", "),
            self.number
        );
        let found = db
            .prepare_cached(&sql)?
            .query_row(key, |row| {
                let mut cells = BTreeMap::new();
                for (at, column) in columns.iter().enumerate() {
                    let cell: Cell = row.get(at + 1)?;
                    if cell != Cell::Null {
                        cells.insert(column.clone(), cell);
                    }
                }
                Ok((row.get(0)?, cells))
            })
            .optional()?;
        found.ok_or(rusqlite::Error::QueryReturnedNoRows)
    }
}

fn same_type(name: &str, known: Kind, sent: Kind) -> Result<(), String> {
    if known == sent {
        return Ok(());
    }
    Err(format!(
        "The measure {name} is of the data type {} in the table, not {}.",
        known.name(),
        sent.name()
    ))
}

fn over(what: &str, max: usize) -> String {
    format!("The table's limit of {max} distinct {what} is exceeded.")
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Double(number) => Cell::Real(*number),
        Value::Bigint(number) | Value::Timestamp(number) => Cell::Integer(*number),
        Value::Varchar(text) => Cell::Text(text.clone()),
        Value::Boolean(truth) => Cell::Integer(i64::from(*truth)),
    }
}

/// The column in which Timestream shows scalar records of a type.
fn scalar_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Double => "measure_value::double",
        Kind::Bigint => "measure_value::bigint",
        Kind::Varchar => "measure_value::varchar",
        Kind::Boolean => "measure_value::boolean",
        Kind::Timestamp | Kind::Multi => "measure_value",
    }
}
