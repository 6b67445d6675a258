//! What is in a file of an earlier stand: databases, tables, and the names by which their columns are
//! known. The rows and series are read where they lie.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Type;

use super::table::{Shape, Table};
use super::wire::{MagneticStoreWrites, RetentionProperties};

/// The tables that say what the other tables are.
pub(super) const TABLES: &str = "
    create table if not exists \":database\" (name text primary key, created_ns integer not null);
    create table if not exists \":table\" (
        number integer primary key, db text not null, name text not null, view text not null,
        created_ns integer not null, retention text not null, magnetic text not null);
    create table if not exists \":column\" (
        tbl integer not null, column text not null, name text not null, kind text,
        primary key (tbl, column));";

type Read<T> = rusqlite::Result<T>;

pub(super) fn databases(db: &Connection) -> Read<BTreeMap<String, i64>> {
    let mut select = db.prepare("select name, created_ns from \":database\"")?;
    let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

pub(super) fn keep_database(db: &Connection, name: &str, created_ns: i64) -> Read<()> {
    let sql = "insert into \":database\" (name, created_ns) values (?1, ?2)";
    db.execute(sql, (name, created_ns)).map(drop)
}

pub(super) fn keep_table(db: &Connection, key: &(String, String), shape: &Shape) -> Read<()> {
    db.execute(
        "insert into \":table\" (number, db, name, view, created_ns, retention, magnetic)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            shape.number,
            &key.0,
            &key.1,
            &shape.view,
            shape.created_ns,
            json(&shape.retention)?,
            json(&shape.magnetic)?,
        ),
    )
    .map(drop)
}

/// Notes what a column holds, in the same transaction that makes it.
pub(super) fn keep_column(
    db: &Connection,
    table: usize,
    column: &str,
    name: &str,
    kind: Option<&str>,
) -> Read<()> {
    let sql = "insert into \":column\" (tbl, column, name, kind) values (?1, ?2, ?3, ?4)";
    db.execute(sql, (table, column, name, kind)).map(drop)
}

/// Every table. `window` tells how far back one takes records, which is this stand's to say.
pub(super) fn tables(
    db: &Connection,
    window: impl Fn(RetentionProperties, &MagneticStoreWrites) -> super::rule::Window,
) -> Read<BTreeMap<(String, String), Table>> {
    let mut select = db.prepare(
        "select number, db, name, view, created_ns, retention, magnetic from \":table\"",
    )?;
    let rows = select.query_map((), |row| {
        let key: (String, String) = (row.get(1)?, row.get(2)?);
        let retention: RetentionProperties = parsed(5, &row.get::<_, String>(5)?)?;
        let magnetic: MagneticStoreWrites = parsed(6, &row.get::<_, String>(6)?)?;
        let shape = Shape {
            number: row.get(0)?,
            view: row.get(3)?,
            created_ns: row.get(4)?,
            window: window(retention, &magnetic),
            retention,
            magnetic,
        };
        Ok((key, shape))
    })?;
    let mut tables = BTreeMap::new();
    for row in rows {
        let (key, shape) = row?;
        tables.insert(key, Table::load(db, shape)?);
    }
    Ok(tables)
}

/// The columns of a table: what each is called inside, its name and its kind.
pub(super) fn columns(
    db: &Connection,
    table: usize,
) -> Read<Vec<(String, String, Option<String>)>> {
    let mut select = db.prepare("select column, name, kind from \":column\" where tbl = ?1")?;
    let rows = select.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

fn json<T: serde::Serialize>(value: &T) -> Read<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

fn parsed<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> Read<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}
