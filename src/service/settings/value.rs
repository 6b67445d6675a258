//! Values as written, and the types a setting can have.

use std::collections::BTreeMap;
use std::ops::Range;

use super::secret::Secret;
use crate::model::EpochMillis;

/// A value as it was written, before anybody asked what it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// An environment variable's text: numbers, lists and the like are read out of it.
    Variable(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer; `None` where it does not fit 64 bits.
    Integer(Option<i64>),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML date and time, as text.
    Datetime(String),
    /// A TOML array.
    List(Vec<Raw>),
    /// A TOML table.
    Table(Vec<(String, Raw)>),
    /// Anything else TOML has (a float), by the name of its kind.
    Other(&'static str),
}

impl Raw {
    /// What was written, short enough for an error message.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Variable(text) | Self::Text(text) | Self::Datetime(text) => {
                let hidden = userinfo(text).map(|place| {
                    let mut text = text.clone();
                    text.replace_range(place, "***");
                    text
                });
                let text = hidden.as_ref().unwrap_or(text);
                let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
                let more = if cut.len() < text.len() { "..." } else { "" };
                format!("`{}{more}`", cut.escape_debug())
            }
            Self::Integer(Some(number)) => format!("`{number}`"),
            Self::Integer(None) => "a number beyond 64 bits".to_owned(),
            Self::Bool(flag) => format!("`{flag}`"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Other(kind) => format!("a {kind}"),
        }
    }

    /// Text, from either source.
    pub(crate) fn text(&self) -> Result<&str, Unfit> {
        match self {
            Self::Variable(text) | Self::Text(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(Unfit::PLAIN),
        }
    }
}

/// Where a URL's user and password stand, if it has any: between `://` and the last `@` before the
/// path.
pub(crate) fn userinfo(url: &str) -> Option<Range<usize>> {
    let begin = url.find("://")? + 3;
    let host = url[begin..].split(['/', '?', '#']).next()?;
    let end = begin + host.rfind('@')?;
    Some(begin..end)
}

/// Enough of a value to recognise it by.
const SHOWN_CHARS_MAX: usize = 60;

/// A value that does not have the expected form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// What to say beside the expected form.
    pub(crate) why: Option<String>,
}

impl Unfit {
    /// The expected form says it all.
    pub(crate) const PLAIN: Self = Self { why: None };

    /// With a reason.
    pub(crate) fn because(why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
        }
    }
}

/// A type that a setting can have.
pub(crate) trait Setting: Sized {
    /// The expected form, to stand after "expected".
    const FORM: &'static str;
    /// Never shown; may also be given as a path under the key's name with `_file` appended.
    const SECRET: bool = false;

    /// Reads a value.
    fn read(raw: &Raw) -> Result<Self, Unfit>;

    /// The value of a key that is not set and has no default, for types that have one.
    fn absent() -> Option<Self> {
        None
    }

    /// The number to hold against the key's range.
    fn number(&self) -> Option<u64> {
        None
    }
}

impl Setting for String {
    const FORM: &'static str = "text that is not empty";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        raw.text().map(ToOwned::to_owned)
    }
}

impl Setting for bool {
    const FORM: &'static str = "`true` or `false`";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        match raw {
            Raw::Bool(flag) => Ok(*flag),
            Raw::Variable(text) => text.trim().parse().map_err(|_| Unfit::PLAIN),
            _ => Err(Unfit::PLAIN),
        }
    }
}

/// Reads an instant from the command line as the settings do.
///
/// # Errors
/// What an instant looks like.
pub fn instant(text: &str) -> Result<EpochMillis, &'static str> {
    EpochMillis::read(&Raw::Variable(text.to_owned())).map_err(|_| EpochMillis::FORM)
}

impl Setting for u64 {
    const FORM: &'static str = "a whole number";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        match raw {
            Raw::Integer(Some(number)) => Self::try_from(*number).map_err(|_| Unfit::PLAIN),
            Raw::Variable(text) => text.trim().parse().map_err(|_| Unfit::PLAIN),
            _ => Err(Unfit::PLAIN),
        }
    }

    fn number(&self) -> Option<u64> {
        Some(*self)
    }
}

impl Setting for usize {
    const FORM: &'static str = u64::FORM;

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        Self::try_from(u64::read(raw)?).map_err(|_| Unfit::PLAIN)
    }

    fn number(&self) -> Option<u64> {
        u64::try_from(*self).ok()
    }
}

impl Setting for Secret {
    const FORM: &'static str = "text that is not empty";
    const SECRET: bool = true;

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        raw.text().map(|text| Self::new(text.to_owned()))
    }
}

impl<T: Setting> Setting for Option<T> {
    const FORM: &'static str = T::FORM;
    const SECRET: bool = T::SECRET;

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        T::read(raw).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(T::number)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const FORM: &'static str = "a list (in a variable: separated by commas)";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        let entry = |raw: &Raw| {
            T::read(raw).map_err(|unfit| {
                let why = unfit.why.map(|why| format!(" ({why})")).unwrap_or_default();
                Unfit::because(format!("its entry {} is not {}{why}", raw.shown(), T::FORM))
            })
        };
        match raw {
            Raw::List(entries) => entries.iter().map(entry).collect(),
            Raw::Variable(text) => text
                .split(',')
                .map(|part| entry(&Raw::Variable(part.trim().to_owned())))
                .collect(),
            _ => Err(Unfit::PLAIN),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    const FORM: &'static str =
        "a table of names and what they are (in a variable: `name=what`, separated by commas)";

    fn read(raw: &Raw) -> Result<Self, Unfit> {
        let entry = |name: &str, raw: &Raw| {
            let value = T::read(raw).map_err(|_| {
                Unfit::because(format!("`{name}` is {}, expected {}", raw.shown(), T::FORM))
            })?;
            Ok((name.to_owned(), value))
        };
        match raw {
            Raw::Table(entries) => entries.iter().map(|(name, raw)| entry(name, raw)).collect(),
            Raw::Variable(text) => text
                .split(',')
                .map(|part| {
                    let (name, kind) = part.split_once('=').ok_or(Unfit::PLAIN)?;
                    entry(name.trim(), &Raw::Variable(kind.trim().to_owned()))
                })
                .collect(),
            _ => Err(Unfit::PLAIN),
        }
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}
