//! What is wrong with the settings: all of it, each with its place and its remedy.

use std::fmt;

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file, on this line (from 1).
    Line(String, usize),
    /// In the file as a whole.
    File(String),
    /// In an environment variable.
    Variable(String),
    /// Nowhere.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{file}:{line}: "),
            Self::File(file) => write!(f, "{file}: "),
            Self::Variable(name) => write!(f, "{name}: "),
            Self::Nowhere => Ok(()),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, what was expected, and what to do. Never a secret's value.
    pub what: String,
}

/// Everything that is wrong; at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Err` with all of them, in the order of their places; `Ok` if there are none.
    ///
    /// # Errors
    /// When there is a problem.
    pub(crate) fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort();
        Err(Self(problems))
    }

    /// Each problem.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "1 problem with the settings:")?,
            several => write!(f, "{several} problems with the settings:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {}{}", problem.place, problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The name among `known` that was probably meant by `given`, if one is near enough.
pub(crate) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (distance(&given, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// How many letters must be put in, left out or changed to make one text the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_stranger_is_not() {
        let known = ["stream", "batch_size", "poll_interval_ms"];
        assert_eq!(nearest("strem", known), Some("stream"));
        assert_eq!(nearest("pol_intervall_ms", known), Some("poll_interval_ms"));
        assert_eq!(nearest("BATCH_SIZE", known), Some("batch_size"));
        assert_eq!(nearest("colour", known), None);
    }
}
