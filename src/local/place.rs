//! Where a stand leaves its config file, so that `tidewire feed FILE` finds it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that names the config of the stand that was started last.
const CURRENT: &str = "local-current";

/// A port of this machine on which somebody listens answers at once.
const ANSWERS_WITHIN: Duration = Duration::from_millis(200);

/// A stand's config file on disk; [`ConfigFile::remove`] takes it away again.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    current: PathBuf,
}

/// The directory for state of this user: `$XDG_STATE_HOME`, else `~/.local/state`, else the
/// system's directory for temporary files.
#[must_use]
pub fn directory(env: impl Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name: &str| env(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("tidewire")
}

impl ConfigFile {
    /// Writes `toml` as `local-{name}.toml`, readable by this user only (it holds the secret by
    /// which the stand signs its tokens), and makes it the current one.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(directory: &Path, name: &str, toml: &str) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("local-{name}.toml"));
        private(&path, toml)?;
        // Two stands may start at once: each renames a note of its own into place.
        let current = directory.join(CURRENT);
        let note = directory.join(format!("{CURRENT}.{name}"));
        private(&note, &path.to_string_lossy())?;
        fs::rename(&note, &current)?;
        Ok(Self { path, current })
    }

    /// The config file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the file away, and the note that it is the current one if it still is; so does
    /// dropping it.
    pub fn remove(self) {
        drop(self);
    }
}

/// A stand whose end was forced leaves nothing behind either, nor one that did not start.
impl Drop for ConfigFile {
    fn drop(&mut self) {
        let directory = self.current.parent().unwrap_or(Path::new("."));
        if current(directory).as_deref() == Some(&*self.path) {
            remove_if_there(&self.current);
        }
        remove_if_there(&self.path);
    }
}

/// Takes away the config files of stands that were killed: at the port in whose name one stands
/// nobody listens any more.
pub fn sweep(directory: &Path) {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in files.map(|file| file.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        let port = name.and_then(|name| name.strip_prefix("local-")?.strip_suffix(".toml"));
        let Some(port) = port.and_then(|port| port.parse::<u16>().ok()) else {
            continue;
        };
        let page = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let asked = TcpStream::connect_timeout(&page, ANSWERS_WITHIN);
        if asked.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            remove_if_there(&path);
        }
    }
}

/// The config of the stand that was started last, if it has not been taken away.
#[must_use]
pub fn current(directory: &Path) -> Option<PathBuf> {
    let path = PathBuf::from(fs::read_to_string(directory.join(CURRENT)).ok()?);
    path.exists().then_some(path)
}

fn remove_if_there(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a file of the stand could not be removed");
    }
}

#[cfg(unix)]
fn private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    remove_if_there(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(not(unix))]
fn private(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("tidewire-test-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_last_stand_started_is_the_current_one_until_it_ends() {
        let directory = scratch("current");
        let first = ConfigFile::write(&directory, "1", "a = 1").unwrap();
        let second = ConfigFile::write(&directory, "2", "a = 2").unwrap();
        assert_eq!(current(&directory).as_deref(), Some(second.path()));
        first.remove();
        assert_eq!(current(&directory).as_deref(), Some(second.path()));
        second.remove();
        assert_eq!(current(&directory), None);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn stands_that_start_at_once_do_not_meet() {
        let directory = scratch("at-once");
        std::thread::scope(|scope| {
            for name in ["1", "2", "3", "4"] {
                let directory = &directory;
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        drop(ConfigFile::write(directory, name, "a = 1").unwrap());
                    }
                });
            }
        });
        assert_eq!(current(&directory), None);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_a_killed_stand_left_is_swept_and_what_a_living_one_has_is_not() {
        let directory = scratch("sweep");
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port();
        let name = |listener| port(listener).to_string();
        let living = ConfigFile::write(&directory, &name(&alive), "a = 1").unwrap();
        let killed = ConfigFile::write(&directory, &name(&dead), "a = 2").unwrap();
        let other = directory.join("local-notes.toml");
        fs::write(&other, "mine").unwrap();
        drop(dead);
        sweep(&directory);
        assert!(living.path().exists() && other.exists() && !killed.path().exists());
        assert_eq!(current(&directory), None);
        drop((living, killed));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn state_goes_where_the_user_keeps_state() {
        let home = directory(|name| (name == "HOME").then(|| "/h".to_owned()));
        assert_eq!(home, Path::new("/h/.local/state/tidewire"));
        let xdg = directory(|name| (name == "XDG_STATE_HOME").then(|| "/x".to_owned()));
        assert_eq!(xdg, Path::new("/x/tidewire"));
    }
}
