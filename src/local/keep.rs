//! The directory in which a stand keeps what can outlive it (`--data-dir`).

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

/// The file that says what the directory is, and in which form.
const FORMAT_FILE: &str = "tidewire-local";
/// This version's form. Another one's is not guessed at.
const FORMAT: &str = "tidewire local, form 1\n";

/// A directory that this stand alone uses.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked for as long as it is open; the system lets go of it however the process ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// It is another stand's, another version's, something else's, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let cannot = |error: io::Error| {
            Failure::settings(format!(
                "--data-dir {shown} cannot be used ({error}): name a directory that can be written"
            ))
        };
        fs::create_dir_all(path).map_err(cannot)?;
        let form = path.join(FORMAT_FILE);
        let found = match fs::read_to_string(&form) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::read_dir(path).map_err(cannot)?.next().is_some() {
                    return Err(Failure::settings(format!(
                        "--data-dir {shown} holds other things: name an empty or a new directory"
                    )));
                }
                fs::write(&form, FORMAT).map_err(cannot)?;
                FORMAT.to_owned()
            }
            Err(error) => return Err(cannot(error)),
        };
        let lock = File::options().append(true).open(&form).map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::settings(format!(
                    "--data-dir {shown} is in use by another `tidewire local`: end that one, or name \
                     another directory"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        if found != FORMAT {
            return Err(Failure::settings(format!(
                "--data-dir {shown} was written by another version of tidewire ({:?}): use that one, or \
                 name another directory",
                found.trim_end()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a server keeps its things.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("tidewire-test-{}-keep-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn refusal(&self) -> String {
            DataDir::open(&self.0).unwrap_err().sentence
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _unless_it_is_gone = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_stand_at_a_time_has_the_directory() {
        let place = Scratch::new("lock");
        let first = DataDir::open(&place.0).unwrap();
        assert!(place.refusal().contains("another `tidewire local`"));
        drop(first);
        DataDir::open(&place.0).unwrap();
    }

    #[test]
    fn what_is_no_directory_of_ours_is_left_alone() {
        let place = Scratch::new("other");
        fs::create_dir_all(&place.0).unwrap();
        fs::write(place.0.join("thesis.tex"), "x").unwrap();
        assert!(place.refusal().contains("holds other things"));
        fs::remove_file(place.0.join("thesis.tex")).unwrap();
        fs::write(place.0.join(FORMAT_FILE), "tidewire local, form 9\n").unwrap();
        assert!(place.refusal().contains("form 9"));
    }
}
