//! `POST /sql`: one read-only statement over views that are named like the Timestream tables.
//!
//! Columns of a view: `time` (nanoseconds since the epoch), `time_ms`, `measure_name`, each
//! dimension, each measure of MULTI records, and `measure_value::double` and its like for scalar
//! records; booleans are 0 and 1. Timestream tells names apart by case and SQLite does not: of two
//! such names the later one in byte order carries `~2` (`Temp` and `temp~2`), as does a name that a
//! fixed column has. A table whose name an older one has, in another database or in another case,
//! is `database.table`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;
use rusqlite::{InterruptHandle, Statement};
use serde_json::Value;

use super::store::Store;

/// The words a reading statement begins with. SQLite calls a few others read-only that are not
/// wanted here (`attach`, `begin`, `pragma`).
const READS: [&str; 4] = ["select", "with", "values", "explain"];
/// The most bytes one answer may have, so that a careless query does not fill the memory.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Runs `sql` and returns its rows as NDJSON, `rows_max` at most.
///
/// # Errors
/// One sentence for the person who wrote the statement.
pub(super) fn run(store: &mut Store, sql: &str, rows_max: usize) -> Result<String, String> {
    let first = sql
        .split(|c: char| !c.is_ascii_alphabetic())
        .find(|word| !word.is_empty());
    if !first.is_some_and(|word| READS.iter().any(|read| word.eq_ignore_ascii_case(read))) {
        return Err(format!(
            "only one statement that reads is run here: {}",
            READS.join(", ")
        ));
    }
    refresh(store).map_err(|error| error.to_string())?;
    let mut statement = store.db.prepare(sql).map_err(|error| sentence(&error))?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err("the statement would change something; only reading is allowed".to_owned());
    }
    lines(&mut statement, rows_max)
}

fn lines(statement: &mut Statement<'_>, rows_max: usize) -> Result<String, String> {
    let names: Vec<String> = statement
        .column_names()
        .iter()
        .map(|name| Value::from(*name).to_string())
        .collect();
    let mut rows = statement.query([]).map_err(|error| sentence(&error))?;
    let mut answer = String::new();
    let mut count = 0;
    while let Some(row) = rows.next().map_err(|error| sentence(&error))? {
        if count == rows_max {
            return Err(format!(
                "the answer has more than {rows_max} rows: add a limit"
            ));
        }
        count += 1;
        for (at, name) in names.iter().enumerate() {
            let cell = row.get_ref(at).map_err(|error| sentence(&error))?;
            answer.push(if at == 0 { '{' } else { ',' });
            answer.push_str(name);
            answer.push(':');
            answer.push_str(&json(cell).to_string());
        }
        answer.push_str("}\n");
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(format!(
                "the answer has more than {ANSWER_BYTES_MAX} bytes: ask for less"
            ));
        }
    }
    Ok(answer)
}

fn json(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::from(number),
        ValueRef::Real(number) => Value::from(number),
        ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Value::from(STANDARD.encode(bytes)),
    }
}

fn sentence(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::MultipleStatement => "only one statement is run at a time".to_owned(),
        rusqlite::Error::SqliteFailure(code, _)
            if code.code == rusqlite::ErrorCode::OperationInterrupted =>
        {
            "the query took too long and was stopped".to_owned()
        }
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// Makes the views anew whose tables have new names since.
fn refresh(store: &mut Store) -> rusqlite::Result<()> {
    for table in store
        .tables
        .values_mut()
        .filter(|table| table.view_is_stale)
    {
        let mut columns = Vec::new();
        let mut used = BTreeSet::new();
        for (inside, wanted) in table.columns() {
            let shown = free(wanted, &used);
            used.insert(shown.to_ascii_lowercase());
            columns.push(format!("{inside} as {}", quoted(&shown)));
        }
        let (view, number) = (quoted(&table.shape.view), table.shape.number);
        store.db.execute_batch(&format!(
            "drop view if exists {view};
             create view {view} as select {} from \":t{number}\" t
                 left join \":s{number}\" s on s.id = t.series
                 left join \":n{number}\" n on n.id = t.name;",
            columns.join(", ")
        ))?;
        table.view_is_stale = false;
    }
    Ok(())
}

/// What the view of a new table is called, beside those that are `taken` (in lower case). SQLite
/// keeps names that begin with `sqlite_` for itself: such a one gets a `_` in front.
pub(super) fn view_name(database: &str, table: &str, taken: &BTreeSet<String>) -> String {
    let safe = |name: String| match name.to_ascii_lowercase().starts_with("sqlite_") {
        true => format!("_{name}"),
        false => name,
    };
    let plain = safe(table.to_owned());
    if taken.contains(&plain.to_ascii_lowercase()) {
        return free(&safe(format!("{database}.{table}")), taken);
    }
    plain
}

/// `wanted`, or `wanted~2`, `wanted~3`: the first that is not taken in either case.
fn free(wanted: &str, taken: &BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut n = 2;
    while taken.contains(&name.to_ascii_lowercase()) {
        name = format!("{wanted}~{n}");
        n += 1;
    }
    name
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Stops the query of one request, and never a statement of anybody else.
#[derive(Clone)]
pub(super) struct Leash {
    state: Arc<Mutex<State>>,
    handle: Arc<InterruptHandle>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Over,
}

impl Leash {
    pub(super) fn new(handle: Arc<InterruptHandle>) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::Waiting)),
            handle,
        }
    }

    /// Runs `query` unless it was stopped before; `None` then.
    pub(super) fn run<T>(&self, query: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.lock();
            if *state == State::Over {
                return None;
            }
            *state = State::Running;
        }
        let answer = query();
        *self.lock() = State::Over;
        Some(answer)
    }

    /// Stops the query if it runs, or before it starts.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        if *state == State::Running {
            self.handle.interrupt();
        }
        *state = State::Over;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
