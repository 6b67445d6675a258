//! SQLite files of the embedded servers: gone with the process, or kept in a directory.

use std::io;
use std::path::Path;

use rusqlite::Connection;

/// Opens the file at `path`, or one of SQLite's own that is deleted when it is closed.
///
/// What is kept is written ahead (WAL) and handed to the system at each commit, so that nothing of
/// it is lost however the process ends; it is flushed to the disk from time to time, so that a power
/// cut may cost the last moments, and no more.
///
/// # Errors
/// The file cannot be opened, or is damaged.
pub fn open(path: Option<&Path>) -> io::Result<Connection> {
    let Some(path) = path else {
        return Connection::open("").map_err(io::Error::other);
    };
    sound(path).map_err(|why| {
        let path = path.display();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{path} cannot be used ({why})"),
        )
    })
}

fn sound(path: &Path) -> Result<Connection, String> {
    let db = Connection::open(path).map_err(|error| error.to_string())?;
    let prepared = db.execute_batch("pragma journal_mode = wal; pragma synchronous = normal;");
    prepared.map_err(|error| error.to_string())?;
    let check = db.query_row("pragma quick_check(1)", (), |row| row.get::<_, String>(0));
    match check {
        Ok(answer) if answer == "ok" => Ok(db),
        Ok(answer) => Err(answer),
        Err(error) => Err(error.to_string()),
    }
}
