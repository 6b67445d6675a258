//! Every reading in the order of arrival, shared by all viewers, within a bound of bytes.

use std::collections::VecDeque;

use super::part::Part;

/// The last readings, numbered from 1.
#[derive(Debug)]
pub struct Recent {
    parts: VecDeque<Part>,
    /// The number of the front one.
    first: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    /// None yet, within this bound.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            parts: VecDeque::new(),
            first: 1,
            bytes: 0,
            bytes_max,
        }
    }

    /// Takes one reading in and answers its number.
    pub fn push(&mut self, part: Part) -> u64 {
        self.bytes += part.weight();
        self.parts.push_back(part);
        while self.bytes > self.bytes_max && self.parts.len() > 1 {
            if let Some(oldest) = self.parts.pop_front() {
                self.bytes -= oldest.weight();
                self.first += 1;
            }
        }
        self.head()
    }

    /// The number of the last one; 0 before the first.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.first + self.parts.len() as u64 - 1
    }

    /// The number of the oldest one kept.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// One reading by number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Part> {
        let at = number.checked_sub(self.first)?;
        self.parts.get(usize::try_from(at).ok()?)
    }

    /// Readings after `after`, in order.
    pub fn after(&self, after: u64) -> impl Iterator<Item = (u64, &Part)> {
        let start = after.max(self.first - 1) + 1;
        let skip = usize::try_from(start - self.first).unwrap_or(usize::MAX);
        (start..).zip(self.parts.iter().skip(skip))
    }

    /// Bytes kept, as estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
