//! The declaration of a setting, from which reading, error messages and documentation come.

use super::problem::nearest;
use super::value::{Raw, Unfit};

/// What every setting's environment variable begins with.
pub const PREFIX: &str = "TIDEWIRE_";

/// A section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name, as in `[source]`.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// The expected form.
    pub form: &'static str,
    /// The default, as a variable would give it.
    pub default: Option<&'static str>,
    /// The least and the greatest number allowed.
    pub range: Option<(u64, u64)>,
    /// Never shown; may be given as a file.
    pub secret: bool,
    /// What it means.
    pub doc: &'static str,
}

impl Section {
    /// Whether the section has this key (or, for a secret, its `_file`).
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Names of all keys, those of secrets' files among them.
    fn names(&self) -> impl Iterator<Item = String> {
        self.keys.iter().flat_map(|key| {
            let file = key.secret.then(|| key.file_key());
            [Some(key.name.to_owned()), file].into_iter().flatten()
        })
    }
}

impl Key {
    /// The key that names a file holding this secret.
    #[must_use]
    pub fn file_key(&self) -> String {
        format!("{}_file", self.name)
    }

    /// The expected form, with the range.
    #[must_use]
    pub fn expected(&self) -> String {
        match self.range {
            Some((least, u64::MAX)) => format!("{} of at least {least}", self.form),
            Some((least, most)) => format!("{} from {least} to {most}", self.form),
            None => self.form.to_owned(),
        }
    }

    /// What is wrong with a value, what was expected, and what to do.
    pub(crate) fn wrong(&self, section: &str, raw: &Raw, unfit: Unfit) -> String {
        let remedy = match self.default {
            Some(default) => format!("; leave it out for the default, `{default}`"),
            None => String::new(),
        };
        let wrong = match (raw, unfit.why) {
            _ if self.secret => format!(
                " is not usable (not shown: it is a secret): expected {}",
                self.expected()
            ),
            (Raw::List(_) | Raw::Table(_), Some(why)) => format!(": {why}"),
            (raw, Some(why)) => {
                format!(" is {}: expected {}; {why}", raw.shown(), self.expected())
            }
            (raw, None) => format!(" is {}: expected {}", raw.shown(), self.expected()),
        };
        format!("`{section}.{}`{wrong}{remedy}", self.name)
    }
}

/// The environment variable of a setting.
#[must_use]
pub fn variable(section: &str, name: &str) -> String {
    format!("{PREFIX}{section}__{name}").to_uppercase()
}

/// What to say about a key that there is not.
pub(crate) fn unknown(section: &str, name: &str, known: &[&'static Section]) -> String {
    let full = match section {
        "" => name.to_owned(),
        section => format!("{section}.{name}"),
    };
    let here = known.iter().find(|known| known.name == section);
    let keys: Vec<String> = here.map(|here| here.names().collect()).unwrap_or_default();
    if let Some(near) = nearest(name, keys.iter().map(String::as_str)) {
        return format!("unknown key `{full}`: did you mean `{section}.{near}`?");
    }
    let section_meant = nearest(section, known.iter().map(|known| known.name));
    if let Some(meant) = known.iter().find(|known| Some(known.name) == section_meant)
        && here.is_none()
        && meant.has(name)
    {
        return format!(
            "unknown key `{full}`: did you mean `{}.{name}`?",
            meant.name
        );
    }
    // The right name in the wrong place.
    let elsewhere: Vec<String> = known
        .iter()
        .filter(|known| known.has(name))
        .map(|known| format!("`{}.{name}`", known.name))
        .collect();
    if !elsewhere.is_empty() {
        return format!(
            "unknown key `{full}`: did you mean {}?",
            elsewhere.join(" or ")
        );
    }
    match here {
        Some(_) => format!(
            "unknown key `{full}`: the keys of `[{section}]` are {}",
            keys.join(", ")
        ),
        None => format!("unknown key `{full}`: docs/configuration.md lists all keys; remove it"),
    }
}

/// Declares a section: the struct with its fields, and the table of keys that reads, explains and
/// documents them.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $Section:ident $section:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty $(= $default:literal)? $(, $least:literal ..= $most:expr)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Section {
            $(
                $(#[doc = $doc])+
                pub $field: $type,
            )+
        }

        impl $Section {
            pub(crate) const SECTION: $crate::service::settings::key::Section =
                $crate::service::settings::key::Section {
                    name: $section,
                    doc: concat!($($about),+),
                    keys: &[$(
                        $crate::service::settings::key::Key {
                            name: stringify!($field),
                            form: <$type as $crate::service::settings::value::Setting>::FORM,
                            default: [$(Some($default),)? None][0],
                            range: [$(Some(($least, $most)),)? None][0],
                            secret: <$type as $crate::service::settings::value::Setting>::SECRET,
                            doc: concat!($($doc),+),
                        }
                    ),+],
                };

            pub(crate) fn read(
                reader: &mut $crate::service::settings::reader::Reader<'_>,
            ) -> Self {
                // Fields stand in the order of the table of keys.
                let mut keys = Self::SECTION.keys.iter();
                let mut next = || keys.next().expect("one key a field");
                Self {
                    $($field: reader.read($section, next()),)+
                }
            }
        }
    };
}

pub(crate) use section;
