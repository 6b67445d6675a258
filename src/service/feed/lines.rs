//! Lines of an input, in bounded memory: one that is too long is skipped without being kept.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes asked of the input at once: a thousand lines of 250 bytes, so that full requests can be
/// made of what one read brought.
const CHUNK_BYTES: usize = 256 * 1024;

/// A line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its number, from 1, and its bytes.
    Text(u64, Bytes),
    /// Its number; longer than allowed.
    TooLarge(u64),
}

/// Reads lines. Holds one line and one chunk at most.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    /// Bytes at the head of the buffer that hold no line's end.
    scanned: usize,
    line_bytes_max: usize,
    /// Within a line that is too long: the rest of it is dropped as it comes.
    skipping: bool,
    ended: bool,
    lines: u64,
    bytes: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, line_bytes_max: usize) -> Self {
        Self {
            input,
            buffer: BytesMut::new(),
            scanned: 0,
            line_bytes_max,
            skipping: false,
            ended: false,
            lines: 0,
            bytes: 0,
        }
    }

    /// Whether the input is at its end; lines may still be in the buffer.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Lines given out.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads a chunk. May be cancelled: what was read is kept.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(CHUNK_BYTES);
        let read = self.input.read_buf(&mut self.buffer).await?;
        self.bytes += read as u64;
        self.ended = read == 0;
        Ok(())
    }

    /// The next line that is wholly in the buffer.
    pub(super) fn ready(&mut self) -> Option<Line> {
        let fresh = &self.buffer[self.scanned..];
        let Some(at) = fresh.iter().position(|byte| *byte == b'\n') else {
            self.scanned = self.buffer.len();
            if self.ended {
                return self.last();
            }
            // One byte more for a carriage return.
            if self.skipping || self.buffer.len() > self.line_bytes_max + 1 {
                self.skipping = true;
                self.buffer.clear();
                self.scanned = 0;
            }
            return None;
        };
        let end = self.scanned + at;
        let line = self.line(end);
        self.buffer.advance(end + 1);
        self.scanned = 0;
        Some(line)
    }

    /// A last line that no line's end follows.
    fn last(&mut self) -> Option<Line> {
        if self.buffer.is_empty() && !self.skipping {
            return None;
        }
        let line = self.line(self.buffer.len());
        self.buffer.clear();
        self.scanned = 0;
        Some(line)
    }

    fn line(&mut self, end: usize) -> Line {
        self.lines += 1;
        let text = &self.buffer[..end];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if std::mem::take(&mut self.skipping) || text.len() > self.line_bytes_max {
            return Line::TooLarge(self.lines);
        }
        // Copied: a slice would keep its whole chunk in memory until its record is taken.
        Line::Text(self.lines, Bytes::copy_from_slice(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8], line_bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, line_bytes_max);
        let mut all = Vec::new();
        loop {
            while let Some(line) = lines.ready() {
                all.push(line);
            }
            if lines.has_ended() {
                return all;
            }
            lines.fill().await.unwrap();
        }
    }

    fn text(number: u64, text: &'static str) -> Line {
        Line::Text(number, Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_end_as_unix_windows_or_the_input_does() {
        let all = lines(b"a\nb\r\n\nc", 10).await;
        assert_eq!(all, [text(1, "a"), text(2, "b"), text(3, ""), text(4, "c")]);
        assert_eq!(lines(b"", 10).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_named_and_not_kept() {
        let mut input = b"ok\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', 3 * CHUNK_BYTES));
        input.extend(b"\nafter\n12345678901\n1234567890\r\n");
        input.extend(std::iter::repeat_n(b'y', 2 * CHUNK_BYTES));
        let all = lines(&input, 10).await;
        let expected = [
            text(1, "ok"),
            Line::TooLarge(2),
            text(3, "after"),
            Line::TooLarge(4),
            text(5, "1234567890"),
            Line::TooLarge(6),
        ];
        assert_eq!(all, expected);
    }

    #[tokio::test]
    async fn a_long_line_does_not_grow_the_buffer() {
        let input = vec![b'x'; 20 * CHUNK_BYTES];
        let mut lines = Lines::new(&input[..], 1000);
        while !lines.has_ended() {
            lines.fill().await.unwrap();
            lines.ready();
            assert!(lines.buffer.capacity() <= 2 * CHUNK_BYTES);
        }
    }
}
