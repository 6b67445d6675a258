//! Reads each declared key from a variable, the file or its default, and remembers what is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::key::{self, Key};
use super::problem::{Place, Problem, nearest};
use super::value::{Raw, Setting, Unfit};

/// The file and the environment, with what was wrong so far.
pub(crate) struct Reader<'a> {
    file: Option<String>,
    given: BTreeMap<(String, String), (usize, Raw)>,
    env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Takes the file apart; unknown sections and keys are problems from the start.
    pub(crate) fn new(
        path: Option<&Path>,
        env: &'a dyn Fn(&str) -> Option<String>,
        known: &[&'static key::Section],
    ) -> Self {
        let mut reader = Self {
            file: path.map(|path| path.display().to_string()),
            given: BTreeMap::new(),
            env,
            problems: Vec::new(),
        };
        if let Some(path) = path {
            match std::fs::read_to_string(path) {
                Ok(text) => reader.parse(&text, known),
                Err(error) => reader.problems.push(Problem {
                    place: Place::File(path.display().to_string()),
                    what: format!("cannot be read ({error}): give the path of a readable TOML file with --config"),
                }),
            }
        }
        reader
    }

    fn parse(&mut self, text: &str, known: &[&'static key::Section]) {
        let line = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            // Not the error's own display: that shows the line, which may hold a secret.
            let what = format!("not TOML: {}; see https://toml.io", error.message());
            self.blame(line(error.span().map_or(0, |span| span.start)), what);
        }
        for (name, value) in document.get_ref() {
            let at = line(name.span().start);
            let section = known.iter().find(|section| section.name == name.get_ref());
            match (section, value.get_ref()) {
                (Some(section), DeValue::Table(table)) => {
                    for (key, value) in table {
                        let at = line(key.span().start);
                        if section.has(key.get_ref()) {
                            let place = (section.name.to_owned(), key.get_ref().to_string());
                            self.given.insert(place, (at, raw(value.get_ref())));
                        } else {
                            self.blame(at, key::unknown(section.name, key.get_ref(), known));
                        }
                    }
                }
                (Some(section), _) => self.blame(
                    at,
                    format!(
                        "`{0}` is a section: write it as `[{0}]` with its keys below",
                        section.name
                    ),
                ),
                (None, DeValue::Table(_)) => {
                    let names = known.iter().map(|section| section.name);
                    let hint = nearest(name.get_ref(), names.clone()).map_or_else(
                        || format!("the sections are {}", names.collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean `[{near}]`?"),
                    );
                    self.blame(
                        at,
                        format!("unknown section `[{}]`: {hint}", name.get_ref()),
                    );
                }
                (None, _) => self.blame(at, key::unknown("", name.get_ref(), known)),
            }
        }
    }

    fn blame(&mut self, line: usize, what: String) {
        let file = self.file.clone().unwrap_or_default();
        self.problems.push(Problem {
            place: Place::Line(file, line),
            what,
        });
    }

    /// Where this key was given.
    pub(crate) fn place(&self, section: &str, name: &str) -> Place {
        let variable = key::variable(section, name);
        if self.variable(&variable).is_some() {
            return Place::Variable(variable);
        }
        match self.given.get(&(section.to_owned(), name.to_owned())) {
            Some((line, _)) => Place::Line(self.file.clone().unwrap_or_default(), *line),
            None => Place::Nowhere,
        }
    }

    /// A variable's value; an empty one counts as not set, as AWS's own tools have it.
    fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn given(&self, section: &str, name: &str) -> Option<Raw> {
        if let Some(text) = self.variable(&key::variable(section, name)) {
            return Some(Raw::Variable(text));
        }
        let place = (section.to_owned(), name.to_owned());
        self.given.get(&place).map(|(_, raw)| raw.clone())
    }

    /// The key's value; where it is wrong, a problem is noted and the default stands in.
    pub(crate) fn read<T: Setting>(&mut self, section: &'static str, key: &'static Key) -> T {
        let mut raw = self.given(section, key.name);
        if T::SECRET {
            raw = self.secret_file(section, key, raw);
        }
        if let Some(raw) = raw {
            match T::read(&raw).and_then(|value| key.in_range(value)) {
                Ok(value) => return value,
                Err(unfit) => {
                    let what = key.wrong(section, &raw, unfit);
                    let place = self.place(section, key.name);
                    self.problems.push(Problem { place, what });
                }
            }
        }
        let default = key
            .default
            .and_then(|text| T::read(&Raw::Variable(text.to_owned())).ok());
        default
            .or_else(T::absent)
            .expect("a test reads every key's default, and every key without one is optional")
    }

    /// A secret can be named by the path of a file instead, as orchestrators mount them.
    fn secret_file(&mut self, section: &str, key: &Key, value: Option<Raw>) -> Option<Raw> {
        let name = key.file_key();
        let Some(path) = self.given(section, &name) else {
            return value;
        };
        let place = self.place(section, &name);
        let what = match (&value, &path) {
            (Some(_), _) => format!(
                "`{section}.{name}` and `{section}.{}` are both given: keep one",
                key.name
            ),
            (None, Raw::Variable(path) | Raw::Text(path)) => match std::fs::read_to_string(path) {
                Ok(text) => return Some(Raw::Text(text.trim_end_matches(['\r', '\n']).to_owned())),
                // The secret itself may stand where its file's path should.
                Err(error) => {
                    let shown = match path.starts_with(['/', '.']) {
                        true => path.as_str(),
                        false => "(not shown: it may be the secret itself)",
                    };
                    format!(
                        "`{section}.{name}` names a file that cannot be read, {shown}: {error}: expected the path of a readable file that holds the secret and nothing else"
                    )
                }
            },
            _ => format!("`{section}.{name}` is no text: expected the path of a file"),
        };
        self.problems.push(Problem { place, what });
        value
    }

    /// Notes a problem with keys that are well formed each but do not go together; the place is
    /// that of the first that was given.
    pub(crate) fn clash(&mut self, section: &str, names: &[&str], what: impl Into<String>) {
        let places = names.iter().map(|name| self.place(section, name));
        let place = places
            .into_iter()
            .find(|place| *place != Place::Nowhere)
            .unwrap_or(Place::Nowhere);
        let name = names.first().unwrap_or(&"");
        self.problems.push(Problem {
            place,
            what: format!("`{section}.{name}`: {}", what.into()),
        });
    }

    /// Variables that look like settings and are none.
    pub(crate) fn strangers(
        &mut self,
        names: impl IntoIterator<Item = String>,
        known: &[&'static key::Section],
    ) {
        for name in names {
            // Without the double underscore it is none of ours: Kubernetes sets
            // `TIDEWIRE_PORT` and others for a Service of that name.
            let Some((section, key)) = name
                .strip_prefix(key::PREFIX)
                .and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            if known
                .iter()
                .any(|known| known.name == section && known.has(&key))
            {
                continue;
            }
            let what = key::unknown(&section, &key, known);
            self.problems.push(Problem {
                place: Place::Variable(name),
                what,
            });
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            Raw::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Boolean(flag) => Raw::Bool(*flag),
        DeValue::Datetime(at) => Raw::Datetime(at.to_string()),
        DeValue::Array(entries) => {
            Raw::List(entries.iter().map(|entry| raw(entry.get_ref())).collect())
        }
        DeValue::Table(entries) => Raw::Table(
            entries
                .iter()
                .map(|(name, value)| (name.get_ref().to_string(), raw(value.get_ref())))
                .collect(),
        ),
        DeValue::Float(_) => Raw::Other("fraction"),
    }
}

impl Key {
    fn in_range<T: Setting>(&self, value: T) -> Result<T, Unfit> {
        match (self.range, value.number()) {
            (Some((least, most)), Some(number)) if !(least..=most).contains(&number) => {
                Err(Unfit::PLAIN)
            }
            _ => Ok(value),
        }
    }
}
