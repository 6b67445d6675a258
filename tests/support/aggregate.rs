//! Aggregates as the Kinesis Producer Library writes them, for tests.

use md5::{Digest as _, Md5};

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn string(field: usize, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
}

/// One aggregate of these user records: partition key, explicit hash key, payload.
pub(crate) fn aggregate(records: &[(String, Option<u128>, Vec<u8>)]) -> Vec<u8> {
    let mut message = Vec::new();
    for (key, _, _) in records {
        message.extend(string(1, key.as_bytes()));
    }
    for (_, hash_key, _) in records {
        message.extend(string(
            2,
            hash_key.unwrap_or_default().to_string().as_bytes(),
        ));
    }
    for (at, (_, hash_key, data)) in records.iter().enumerate() {
        let key = [varint(1 << 3), varint(at)].concat();
        let hash_key = match hash_key {
            Some(_) => [varint(2 << 3), varint(at)].concat(),
            None => Vec::new(),
        };
        message.extend(string(3, &[key, hash_key, string(3, data)].concat()));
    }
    let checksum = Md5::digest(&message);
    [b"\xf3\x89\x9a\xc2", &message[..], &checksum[..]].concat()
}
