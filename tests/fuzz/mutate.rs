//! From inputs to other inputs.

use fastrand::Rng;

/// Inputs stay small: what a decoder does wrong, it does wrong with little, and many are tried.
const BYTES_MAX: usize = 4_096;

/// What formats are sensitive to.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"9007199254740993",
    b"18446744073709551616",
    b"NaN",
    b"\n",
    b"\r",
    b" ",
    b"=",
    b"i",
    b"u",
    b"#",
    b"\xf3\x89\x9a\xc2",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\xff",
    b"\x9f",
    b"\xbf",
    b"\x7f",
    b"\x5f",
    b"\xc2",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x7b\x00\x00\x00\x01",
    b"\xf9\x7e\x00",
    b"\xc1",
    b"\"bn\":",
    b"\"bt\":",
    b"\"t\":-1",
    b"device_id",
    b"\"ts\":",
    b"\x0a\x01a",
    b"\x1a\x04\x08\x00\x1a\x00",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
];

/// An input made of one or two of the pool's.
pub(crate) fn mutated(pool: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let pick = |random: &mut Rng| &pool[random.usize(..pool.len())];
    let mut input = pick(random).clone();
    for _ in 0..=random.usize(..4) {
        let at = random.usize(..=input.len());
        match random.u8(..8) {
            0 if !input.is_empty() => {
                let at = random.usize(..input.len());
                input[at] ^= 1 << random.u8(..8);
            }
            1 if !input.is_empty() => {
                let at = random.usize(..input.len());
                input[at] = random.u8(..);
            }
            2 => {
                let word = WORDS[random.usize(..WORDS.len())];
                input.splice(at..at, word.iter().copied());
            }
            3 => {
                let end = input.len().min(at + random.usize(..16));
                input.drain(at..end);
            }
            4 => {
                let end = input.len().min(at + random.usize(..64));
                let repeated = input[at..end].repeat(1 + random.usize(..8));
                input.splice(at..at, repeated);
            }
            5 => {
                let other = pick(random);
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => input.truncate(at),
            _ => input.insert(at, random.u8(..)),
        }
    }
    input.truncate(BYTES_MAX);
    input
}
