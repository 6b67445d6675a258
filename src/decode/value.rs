//! Values as they stand in payloads, and what becomes of them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{DeviceId, Value};

use super::{FieldType, NotFinite};

/// A field's value as it stood in the payload.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'de> {
    Bool(bool),
    /// A whole number of a format that knows only numbers.
    Whole(i128),
    /// A whole number that the format calls one, apart from those with fractions.
    Integer(i128),
    Double(f64),
    Text(Cow<'de, str>),
}

impl Scalar<'_> {
    pub(super) fn into_owned(self) -> Scalar<'static> {
        match self {
            Self::Bool(value) => Scalar::Bool(value),
            Self::Whole(value) => Scalar::Whole(value),
            Self::Integer(value) => Scalar::Integer(value),
            Self::Double(value) => Scalar::Double(value),
            Self::Text(text) => Scalar::Text(Cow::Owned(text.into_owned())),
        }
    }

    /// As text, exactly; of a double, the fewest digits that mean it.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Whole(value) | Self::Integer(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Text(text) => text.into_owned(),
        }
    }
}

/// Reasons are read by people: a field's name or value of megabytes is cut.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn device_of(name: &str, value: Scalar<'_>) -> Result<DeviceId, String> {
    match value {
        Scalar::Text(text) if text.is_empty() => {
            Err(format!("the device id field `{name}` is empty"))
        }
        Scalar::Text(text) => Ok(DeviceId::from(text.as_ref())),
        Scalar::Whole(number) | Scalar::Integer(number) => Ok(DeviceId::from(number.to_string())),
        Scalar::Bool(_) | Scalar::Double(_) => Err(format!(
            "the device id field `{name}` is neither text nor a whole number"
        )),
    }
}

/// The measure that a field makes; none where it is left out.
pub(super) fn measure(
    name: &str,
    value: Scalar<'_>,
    declared: Option<FieldType>,
    not_finite: NotFinite,
) -> Result<Option<Value>, String> {
    let number = match (declared, value) {
        (Some(FieldType::Text), value) => {
            return Ok(Some(Value::Text(Arc::from(value.into_text()))));
        }
        (Some(FieldType::Int), value) => return whole(name, &value).map(|n| Some(Value::Int(n))),
        (Some(FieldType::Bool), value) => return truth(name, &value).map(|b| Some(Value::Bool(b))),
        (Some(FieldType::Float), value) => float(name, &value)?,
        (None, Scalar::Bool(value)) => return Ok(Some(Value::Bool(value))),
        (None, Scalar::Text(text)) => return Ok(Some(Value::Text(Arc::from(text.as_ref())))),
        (None, Scalar::Integer(number)) => {
            let fits = i64::try_from(number).map_err(|_| {
                format!(
                    "the field `{}` is {number}, beyond whole numbers of 64 bits with a sign: \
                     declare it `float` or `string` in `decode.types`",
                    shorten(name)
                )
            })?;
            return Ok(Some(Value::Int(fits)));
        }
        (None, value) => float(name, &value)?,
    };
    match not_finite {
        _ if number.is_finite() => Ok(Some(Value::Double(number))),
        NotFinite::LeaveOut => Ok(None),
        NotFinite::Reject => Err(format!(
            "the field `{}` is {number}, not a finite number: no sink stores it \
             (`decode.not_finite = \"leave_out\"` leaves such fields out)",
            shorten(name)
        )),
    }
}

fn float(name: &str, value: &Scalar<'_>) -> Result<f64, String> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers are doubles unless declared otherwise, as in JavaScript"
    )]
    let number = match value {
        Scalar::Whole(number) | Scalar::Integer(number) => Some(*number as f64),
        Scalar::Double(number) => Some(*number),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Bool(_) => None,
    };
    number.ok_or_else(|| format!("the field `{}` is not a number", shorten(name)))
}

fn whole(name: &str, value: &Scalar<'_>) -> Result<i64, String> {
    /// Doubles up to here count by one.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = match value {
        Scalar::Whole(number) | Scalar::Integer(number) => i64::try_from(*number).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Scalar::Double(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
            Some(*number as i64)
        }
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Double(_) | Scalar::Bool(_) => None,
    };
    number.ok_or_else(|| {
        format!(
            "the field `{}` is not a whole number of 64 bits",
            shorten(name)
        )
    })
}

fn truth(name: &str, value: &Scalar<'_>) -> Result<bool, String> {
    let truth = match value {
        Scalar::Bool(value) => Some(*value),
        Scalar::Whole(0) | Scalar::Integer(0) => Some(false),
        Scalar::Whole(1) | Scalar::Integer(1) => Some(true),
        Scalar::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    truth.ok_or_else(|| format!("the field `{}` is neither true nor false", shorten(name)))
}
