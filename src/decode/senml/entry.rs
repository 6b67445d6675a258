//! One record of a pack as it is written, under either set of labels (RFC 8428, 4.3 and table 4).

use crate::decode::value::Scalar;

/// A number, whole as long as nothing makes a fraction of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Amount {
    Whole(i128),
    Double(f64),
}

impl Amount {
    pub(super) fn into_scalar(self) -> Scalar<'static> {
        match self {
            Self::Whole(number) => Scalar::Whole(number),
            Self::Double(number) => Scalar::Double(number),
        }
    }

    /// The sum with a base value.
    pub(super) fn plus(self, base: Option<Self>) -> Scalar<'static> {
        #[expect(clippy::cast_precision_loss, reason = "to the nearest double")]
        let double = |amount| match amount {
            Self::Whole(number) => number as f64,
            Self::Double(number) => number,
        };
        match (self, base) {
            (own, None) => own.into_scalar(),
            (Self::Whole(own), Some(Self::Whole(base))) => Scalar::Whole(own.saturating_add(base)),
            (own, Some(base)) => Scalar::Double(double(own) + double(base)),
        }
    }
}

/// A record.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) base_name: Option<String>,
    /// As it is written, so that no digit is lost.
    pub(super) base_time: Option<String>,
    pub(super) base_unit: Option<String>,
    pub(super) base_value: Option<Amount>,
    pub(super) base_sum: Option<Amount>,
    pub(super) base_version: Option<i128>,
    pub(super) name: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) value: Option<Amount>,
    /// A value that is no number.
    pub(super) other: Option<Scalar<'static>>,
    pub(super) sum: Option<Amount>,
    /// As it is written.
    pub(super) time: Option<String>,
    seen: Vec<Label>,
}

/// What a field of a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    BaseVersion,
    Name,
    Unit,
    Value,
    Text,
    Truth,
    Data,
    Sum,
    Time,
    UpdateTime,
}

/// Labels of JSON, labels of CBOR.
const LABELS: [(&str, i128, Label); 15] = [
    ("bn", -2, Label::BaseName),
    ("bt", -3, Label::BaseTime),
    ("bu", -4, Label::BaseUnit),
    ("bv", -5, Label::BaseValue),
    ("bs", -6, Label::BaseSum),
    ("bver", -1, Label::BaseVersion),
    ("n", 0, Label::Name),
    ("u", 1, Label::Unit),
    ("v", 2, Label::Value),
    ("vs", 3, Label::Text),
    ("vb", 4, Label::Truth),
    ("vd", 8, Label::Data),
    ("s", 5, Label::Sum),
    ("t", 6, Label::Time),
    ("ut", 7, Label::UpdateTime),
];

impl Label {
    /// The label by its name; none for one that may be ignored.
    pub(super) fn named(name: &str) -> Result<Option<Self>, String> {
        let known = LABELS.iter().find(|(known, _, _)| *known == name);
        match known {
            Some((_, _, label)) => Ok(Some(*label)),
            // RFC 8428, 4.4: such a field must be understood.
            None if name.ends_with('_') => Err(format!(
                "it has the field `{name}`, which must be understood and is not"
            )),
            None => Ok(None),
        }
    }

    /// The label by its number in CBOR.
    pub(super) fn numbered(number: i128) -> Option<Self> {
        let known = LABELS.iter().find(|(_, known, _)| *known == number);
        known.map(|(_, _, label)| *label)
    }

    pub(super) fn name(self) -> &'static str {
        let known = LABELS.iter().find(|(_, _, label)| *label == self);
        known.map_or("", |(name, _, _)| name)
    }

    /// Whether its value is wanted as it is written.
    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::BaseTime | Self::Time | Self::UpdateTime)
    }
}

impl Entry {
    /// Takes a field that is no time.
    pub(super) fn take(&mut self, label: Label, value: Scalar<'_>) -> Result<(), String> {
        self.see(label)?;
        match (label, value) {
            (Label::BaseName, Scalar::Text(text)) => self.base_name = Some(text.into_owned()),
            (Label::BaseUnit, Scalar::Text(text)) => self.base_unit = Some(text.into_owned()),
            (Label::Name, Scalar::Text(text)) => self.name = Some(text.into_owned()),
            (Label::Unit, Scalar::Text(text)) => self.unit = Some(text.into_owned()),
            (Label::BaseVersion, Scalar::Whole(version)) => self.base_version = Some(version),
            (label @ (Label::Text | Label::Data), text @ Scalar::Text(_)) => {
                self.set_other(label, text.into_owned())?;
            }
            (label @ Label::Truth, truth @ Scalar::Bool(_)) => {
                self.set_other(label, truth.into_owned())?;
            }
            (label, value) => {
                let amount = match value {
                    Scalar::Whole(number) => Amount::Whole(number),
                    Scalar::Double(number) => Amount::Double(number),
                    _ => return Err(wrong(label)),
                };
                match label {
                    Label::BaseValue => self.base_value = Some(amount),
                    Label::BaseSum => self.base_sum = Some(amount),
                    Label::Value => self.value = Some(amount),
                    Label::Sum => self.sum = Some(amount),
                    _ => return Err(wrong(label)),
                }
            }
        }
        Ok(())
    }

    /// Takes a time as it is written.
    pub(super) fn take_time(&mut self, label: Label, text: String) -> Result<(), String> {
        self.see(label)?;
        match label {
            Label::BaseTime => self.base_time = Some(text),
            Label::Time => self.time = Some(text),
            // When the next is due: of no meaning to what was measured.
            _ => {}
        }
        Ok(())
    }

    fn see(&mut self, label: Label) -> Result<(), String> {
        if self.seen.contains(&label) {
            return Err(format!("the field `{}` stands twice", label.name()));
        }
        self.seen.push(label);
        Ok(())
    }

    fn set_other(&mut self, label: Label, value: Scalar<'static>) -> Result<(), String> {
        match self.other.replace(value) {
            Some(_) => Err(format!("it has a value beside `{}`", label.name())),
            None => Ok(()),
        }
    }
}

fn wrong(label: Label) -> String {
    format!("the field `{}` is of a wrong type", label.name())
}
