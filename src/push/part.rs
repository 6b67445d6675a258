//! A reading as viewers are shown it: whole, or what newer readings left of it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::frame::Form;
use crate::model::message::{WireReading, flat_names};
use crate::model::{DeviceId, Value};

/// A reading's memory beside its measures, as measured once: ids, numbers, text, map nodes.
const WEIGHT_FIXED: usize = 400;

/// One measure's memory beside its name and text.
const WEIGHT_MEASURE: usize = 48;

/// A reading, or a part of one, with its text once somebody wanted it.
#[derive(Clone, Debug)]
pub struct Part {
    reading: WireReading,
    /// Which piece, from 1, of a reading too large for one frame.
    piece: Option<u32>,
    text: OnceLock<Box<str>>,
}

/// The text of a piece: a reading with its number among the pieces of one reading.
#[derive(Serialize)]
struct Numbered<'a> {
    #[serde(flatten)]
    reading: &'a WireReading,
    #[serde(skip_serializing_if = "Option::is_none")]
    piece: Option<u32>,
}

impl Part {
    /// A whole reading.
    #[must_use]
    pub fn whole(reading: WireReading) -> Self {
        Self {
            reading,
            piece: None,
            text: OnceLock::new(),
        }
    }

    /// A reading as parts whose text fits `bytes_max`, and how many measures were too large for
    /// even a part of their own and are left out.
    #[must_use]
    pub fn fitting(reading: WireReading, form: Form, bytes_max: usize) -> (Vec<Self>, usize) {
        let whole = Self::whole(reading);
        if whole.text(form).len() <= bytes_max {
            return (vec![whole], 0);
        }
        let measures: Vec<_> = whole.reading.measures.iter().collect();
        let mut pieces = Pieces {
            whole: &whole,
            form,
            bytes_max,
            parts: Vec::new(),
            left_out: 0,
        };
        pieces.cut(&measures);
        (pieces.parts, pieces.left_out)
    }

    fn empty_piece(&self, piece: u32) -> Self {
        let whole = &self.reading;
        let reading = WireReading {
            device_id: whole.device_id.clone(),
            measures: BTreeMap::new(),
            dimensions: whole.dimensions.clone(),
            shard: whole.shard.clone(),
            seq: whole.seq.clone(),
            trace: whole.trace.clone(),
            ..*whole
        };
        Self {
            reading,
            piece: Some(piece),
            text: OnceLock::new(),
        }
    }

    /// The reading, as far as it is left.
    #[must_use]
    pub fn reading(&self) -> &WireReading {
        &self.reading
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.reading.device_id
    }

    /// Newer or older: event time, then position; the shard only makes the order total. Positions
    /// of different shards compare, too: Kinesis gives a child's records higher numbers.
    #[must_use]
    pub fn age_cmp(&self, other: &Self) -> Ordering {
        self.reading
            .time_ns
            .cmp(&other.reading.time_ns)
            .then_with(|| self.place_cmp(other))
            .then_with(|| self.reading.shard.cmp(&other.reading.shard))
    }

    /// Stream order within a shard.
    #[must_use]
    pub fn place_cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.reading, &other.reading);
        a.seq.cmp(&b.seq).then((a.sub, a.i).cmp(&(b.sub, b.i)))
    }

    /// Whether both belong to one series: one device, equal dimensions.
    #[must_use]
    pub fn same_series(&self, other: &Self) -> bool {
        self.reading.device_id == other.reading.device_id
            && self.reading.dimensions == other.reading.dimensions
    }

    /// Removes from the older of the two what both measure; of equals, the one that came second
    /// (`other`) loses, so that a repeat changes nothing.
    pub fn settle_with(&mut self, other: &mut Self) {
        let other_is_newer = other.age_cmp(self) == Ordering::Greater;
        let (newer, older) = if other_is_newer {
            (other, self)
        } else {
            (self, other)
        };
        let before = older.reading.measures.len();
        older
            .reading
            .measures
            .retain(|name, _| !newer.reading.measures.contains_key(name));
        if older.reading.measures.len() != before {
            older.text = OnceLock::new();
        }
    }

    /// Whether nothing is left to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reading.measures.is_empty()
    }

    /// Roughly the memory it takes, text included.
    #[must_use]
    pub fn weight(&self) -> usize {
        let measures: usize = self
            .reading
            .measures
            .iter()
            .map(|(name, value)| WEIGHT_MEASURE + 2 * (name.len() + value.metered_bytes()))
            .sum();
        let dimensions: usize = self
            .reading
            .dimensions
            .iter()
            .map(|(name, value)| WEIGHT_MEASURE + 2 * (name.len() + value.len()))
            .sum();
        WEIGHT_FIXED + 2 * self.reading.device_id.as_str().len() + measures + dimensions
    }

    /// Its JSON in a frame of this form. A core writes one form only, so one text is kept.
    pub fn text(&self, form: Form) -> &str {
        self.text.get_or_init(|| match form {
            Form::Joined => serde_json::to_string(&Numbered {
                reading: &self.reading,
                piece: self.piece,
            })
            .expect("maps with text keys always serialize")
            .into_boxed_str(),
            Form::Single => flat(&self.reading).into_boxed_str(),
        })
    }
}

/// A reading being cut. By halves, so that each measure is written out a few times only: added one
/// by one, a reading of some thousand measures would hold up all viewers for seconds.
struct Pieces<'a> {
    whole: &'a Part,
    form: Form,
    bytes_max: usize,
    parts: Vec<Part>,
    left_out: usize,
}

impl Pieces<'_> {
    fn cut(&mut self, measures: &[(&Arc<str>, &Value)]) {
        let number = u32::try_from(self.parts.len() + 1).unwrap_or(u32::MAX);
        let mut piece = self.whole.empty_piece(number);
        let copies = measures
            .iter()
            .map(|&(name, value)| (name.clone(), value.clone()));
        piece.reading.measures = copies.collect();
        if piece.text(self.form).len() <= self.bytes_max {
            self.parts.push(piece);
        } else if measures.len() > 1 {
            let (first, second) = measures.split_at(measures.len() / 2);
            self.cut(first);
            self.cut(second);
        } else {
            self.left_out += measures.len();
        }
    }
}

/// One flat object, as the blog's page expects: `device_id`, `ts` in milliseconds, dimensions and
/// measures, named as in a `single` message of the queue.
fn flat(reading: &WireReading) -> String {
    let names = flat_names(
        reading.dimensions.keys().map(|name| &**name),
        reading.measures.keys().map(|name| &**name),
    );
    let texts = reading.dimensions.values().map(|text| Json::from(&**text));
    let measured = reading.measures.values();
    let measured =
        measured.map(|value| serde_json::to_value(value).expect("a measure always serializes"));
    let named = names.into_iter().map(Cow::into_owned);
    let mut object: Map<String, Json> = named.zip(texts.chain(measured)).collect();
    object.insert("device_id".to_owned(), reading.device_id.as_str().into());
    let millis = reading.time_ns.0.div_euclid(1_000_000);
    object.insert("ts".to_owned(), millis.into());
    Json::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_of_many_measures_is_cut_into_frames_and_loses_none() {
        let measures: Map<String, Json> = (0..20_000)
            .map(|n| (format!("measure_{n:05}_with_a_long_name"), n.into()))
            .collect();
        let reading = serde_json::json!({
            "device_id": "a", "time_ns": "5", "shard": "s", "seq": "9", "sub": 0, "i": 1,
            "arrival_ms": 7, "measures": measures,
        });
        let reading: WireReading = serde_json::from_value(reading).unwrap();
        for form in [Form::Joined, Form::Single] {
            let (parts, left_out) = Part::fitting(reading.clone(), form, 31_935);
            assert_eq!(left_out, 0);
            let texts = parts.iter().map(|part| part.text(form).len());
            assert!(texts.clone().all(|bytes| bytes <= 31_935));
            assert!((27..=64).contains(&parts.len()), "{}", parts.len());
            let mut kept = BTreeMap::new();
            for (place, part) in parts.into_iter().enumerate() {
                assert_eq!(part.piece, u32::try_from(place + 1).ok());
                kept.extend(part.reading.measures);
            }
            assert_eq!(kept, reading.measures);
        }
    }
}
