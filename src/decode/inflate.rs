//! gzip (RFC 1952) and zstd (RFC 8878) by their magic bytes, bounded against bombs.

use std::borrow::Cow;
use std::io::Read;

/// Bytes that a payload may have inflated. A record of Kinesis has 10 MiB at most, and readings
/// written as text shrink to a tenth; what one inflates to is held by one record a thread.
pub const INFLATED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many times its size a payload may have inflated. Readings written as text shrink to a tenth
/// or a thirtieth; deflate can do a thousandth, on nothing but repetition.
pub const INFLATION_MAX: usize = 256;

/// What a payload may have inflated whatever its size: a small one repeats itself more.
pub const INFLATION_FREE_BYTES: usize = 64 * 1024;

/// The largest window of zstd, as a power of two: 8 MiB, which RFC 8878 (3.1.1.1.2) recommends
/// every decoder to support and no encoder to exceed.
const WINDOW_LOG_MAX: u32 = 23;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The payload inflated where it is compressed, as it is where not.
pub(super) fn inflate(data: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let bytes_max = INFLATED_BYTES_MAX.min(INFLATION_FREE_BYTES + data.len() * INFLATION_MAX);
    let (kind, read) = if data.starts_with(&GZIP) {
        let gzip = flate2::read::MultiGzDecoder::new(data);
        ("gzip", read(gzip, bytes_max))
    } else if data.starts_with(&ZSTD) {
        let zstd = zstd::stream::read::Decoder::with_buffer(data).and_then(|mut zstd| {
            zstd.window_log_max(WINDOW_LOG_MAX)?;
            Ok(zstd)
        });
        ("zstd", zstd.and_then(|zstd| read(zstd, bytes_max)))
    } else {
        return Ok(Cow::Borrowed(data));
    };
    let inflated = read.map_err(|error| format!("the payload is broken {kind}: {error}"))?;
    if inflated.len() > bytes_max {
        return Err(format!(
            "the payload is {kind} of {} bytes that inflates to more than {bytes_max}: at most \
             {INFLATION_MAX} times its size and {INFLATED_BYTES_MAX} bytes are taken",
            data.len()
        ));
    }
    Ok(Cow::Owned(inflated))
}

/// Reads one byte more than is allowed, by which the excess shows.
fn read(from: impl Read, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut inflated = Vec::new();
    from.take(bytes_max as u64 + 1).read_to_end(&mut inflated)?;
    Ok(inflated)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        to.write_all(data).unwrap();
        to.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::encode_all(data, 3).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(data in prop::collection::vec(any::<u8>(), 0..500)) {
            for packed in [gzip(&data), zstd(&data)] {
                let inflated = inflate(&packed).unwrap();
                prop_assert_eq!(&inflated[..], &data[..]);
            }
        }

        #[test]
        fn anything_behind_the_magic_is_inflated_or_refused(data in prop::collection::vec(any::<u8>(), 0..80)) {
            for magic in [&GZIP[..], &ZSTD[..]] {
                let behind = [magic, &data].concat();
                prop_assert_eq!(inflate(&behind).is_ok(), inflate(&behind).is_ok());
            }
        }
    }

    #[test]
    fn members_one_after_the_other_are_one_payload() {
        let both = [gzip(b"one\n"), gzip(b"two")].concat();
        assert_eq!(&*inflate(&both).unwrap(), b"one\ntwo");
        let both = [zstd(b"one\n"), zstd(b"two")].concat();
        assert_eq!(&*inflate(&both).unwrap(), b"one\ntwo");
    }

    #[test]
    fn a_bomb_is_refused_before_it_takes_memory() {
        let zeros = vec![0; INFLATED_BYTES_MAX + 1];
        for bomb in [gzip(&zeros), zstd(&zeros)] {
            let error = inflate(&bomb).unwrap_err();
            assert!(error.contains("inflates to more than"), "{error}");
        }
        // Within the size, beyond the ratio.
        let error = inflate(&zstd(&zeros[..4_000_000])).unwrap_err();
        assert!(error.contains("256 times"), "{error}");
        assert!(inflate(&zstd(&zeros[..INFLATION_FREE_BYTES])).is_ok());
    }

    #[test]
    fn what_is_cut_short_is_broken() {
        for whole in [gzip(&[7; 300]), zstd(&[7; 300])] {
            let error = inflate(&whole[..whole.len() - 3]).unwrap_err();
            assert!(error.contains("is broken"), "{error}");
        }
    }

    #[test]
    fn a_window_that_would_take_much_memory_is_refused() {
        let mut to = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        to.window_log(27).unwrap();
        to.write_all(&[1; 10]).unwrap();
        let error = inflate(&to.finish().unwrap()).unwrap_err();
        assert!(error.contains("is broken zstd"), "{error}");
    }
}
