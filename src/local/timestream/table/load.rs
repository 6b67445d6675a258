//! A table as an earlier stand left it in the file.

use rusqlite::Connection;

use super::{Measure, Shape, Table};
use crate::local::timestream::kept;
use crate::local::timestream::wire::Kind;

impl Table {
    /// Finds the three tables as an earlier stand left them.
    pub(in crate::local::timestream) fn load(
        db: &Connection,
        shape: Shape,
    ) -> rusqlite::Result<Self> {
        let mut table = Self::empty(shape);
        let number = table.number;
        for (column, name, kind) in kept::columns(db, number)? {
            let (sort, at) = column.split_at(1);
            let at = at.parse().unwrap_or_default();
            match (sort, kind.as_deref().and_then(Kind::of)) {
                ("m", Some(kind)) => {
                    table.measures.insert(name, Measure { number: at, kind });
                }
                _ => {
                    table.dimensions.insert(name, at);
                }
            }
        }
        let mut select = db.prepare(&format!("select id, name, kind from \":n{number}\""))?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let kind: String = row.get(2)?;
            let kind = Kind::of(&kind).unwrap_or(Kind::Multi);
            let measure = Measure {
                number: row.get(0)?,
                kind,
            };
            table.measure_names.insert(row.get(1)?, measure);
        }
        let mut select = db.prepare(&format!("select * from \":s{number}\""))?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let mut series = Vec::new();
            for (name, at) in &table.dimensions {
                if let Some(value) = row.get::<_, Option<String>>(format!("d{at}").as_str())? {
                    series.push((name.clone(), value));
                }
            }
            table.series.insert(series, row.get("id")?);
        }
        let count = format!("select count(*) from \":t{number}\"");
        let rows: i64 = db.query_row(&count, (), |row| row.get(0))?;
        table.rows = u64::try_from(rows).unwrap_or(0);
        Ok(table)
    }
}
