//! Standard input as lines of bytes: no text encoding is assumed, and no line grows without bound.

use std::io::{self, Read};

use memchr::memchr;

const FIRST_CAPACITY: usize = 256 * 1024;

/// One line without its terminator (LF or CRLF).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The line's bytes.
    Bytes(&'a [u8]),
    /// A line longer than the limit; its bytes were dropped as they came. How many there were.
    TooLong(u64),
}

/// Cuts a stream into lines.
///
/// Taking a line and reading more are two calls, so that the caller knows when it is about to wait for input and can
/// first hand on what it has.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The unread part of `buffer`.
    start: usize,
    end: usize,
    /// No line feed lies in `start..scanned`.
    scanned: usize,
    limit: usize,
    /// Bytes dropped from a line that is too long and not over yet.
    dropped: u64,
    at_end: bool,
}

impl<R: Read> Lines<R> {
    /// Lines of `input` of at most `limit` bytes.
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Self { input, buffer: vec![0; FIRST_CAPACITY], start: 0, end: 0, scanned: 0, limit, dropped: 0, at_end: false }
    }

    /// The next line, if it is in memory already.
    pub(crate) fn next_buffered(&mut self) -> Option<Line<'_>> {
        let (from, line_end, next) = match memchr(b'\n', &self.buffer[self.scanned..self.end]) {
            Some(at) => {
                let line_feed = self.scanned + at;
                let carriage = line_feed > self.start && self.buffer[line_feed - 1] == b'\r';
                (self.start, line_feed - usize::from(carriage), line_feed + 1)
            }
            None if self.at_end && (self.start < self.end || self.dropped > 0) => (self.start, self.end, self.end),
            None => {
                self.scanned = self.end;
                self.drop_overlong();
                return None;
            }
        };
        self.start = next;
        self.scanned = next;
        let dropped = std::mem::take(&mut self.dropped);
        let length = line_end - from;
        if dropped > 0 || length > self.limit {
            return Some(Line::TooLong(dropped + length as u64));
        }
        Some(Line::Bytes(&self.buffer[from..line_end]))
    }

    /// Waits for more input. False at its end; `next_buffered` may then still give the last line.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let taken = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += taken;
        self.at_end = taken == 0;
        Ok(taken > 0)
    }

    /// Drops what there is of an unfinished line that is too long already: a record of that size is refused anyway.
    fn drop_overlong(&mut self) {
        // One byte more than the limit may be the carriage return of CRLF.
        if self.dropped > 0 || self.end - self.start > self.limit + 1 {
            self.dropped += (self.end - self.start) as u64;
            self.start = self.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out its bytes in pieces of one size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(out.len());
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lines(text: &[u8], piece: usize, limit: usize) -> Vec<Result<Vec<u8>, u64>> {
        let mut lines = Lines::new(Pieces(text, piece), limit);
        let mut out = Vec::new();
        loop {
            while let Some(line) = lines.next_buffered() {
                out.push(match line {
                    Line::Bytes(bytes) => Ok(bytes.to_vec()),
                    Line::TooLong(length) => Err(length),
                });
            }
            if lines.at_end {
                return out;
            }
            lines.fill().unwrap();
        }
    }

    #[test]
    fn terminators() {
        let cases: [(&[u8], &[&[u8]]); 8] = [
            (b"", &[]),
            (b"\n", &[b""]),
            (b"a", &[b"a"]),
            (b"a\n", &[b"a"]),
            (b"a\r\nb\n\nc", &[b"a", b"b", b"", b"c"]),
            (b"\r\n\r\n", &[b"", b""]),
            (b"a\rb\n", &[b"a\rb"]),
            (b"\xff\x00\n\xfe", &[b"\xff\x00", b"\xfe"]),
        ];
        for (text, expected) in cases {
            for piece in [1, 2, 100] {
                let expected: Vec<_> = expected.iter().map(|l| Ok(l.to_vec())).collect();
                assert_eq!(lines(text, piece, 100), expected, "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn too_long_lines_are_dropped_and_the_next_one_is_whole() {
        for piece in [1, 3, 100] {
            let got = lines(b"1234\r\n12345\n1\n123456789", piece, 4);
            assert_eq!(got[0], Ok(b"1234".to_vec()), "{piece}");
            assert_eq!(got[1], Err(5), "{piece}");
            assert_eq!(got[2], Ok(b"1".to_vec()), "{piece}");
            assert_eq!(got[3], Err(9), "{piece}");
            assert_eq!(got.len(), 4);
        }
    }

    #[test]
    fn a_line_longer_than_the_first_buffer() {
        let mut text = vec![b'x'; 3 * FIRST_CAPACITY];
        text.extend_from_slice(b"\ny\n");
        let got = lines(&text, 1000, usize::MAX / 2);
        assert_eq!(got[0].as_ref().map(Vec::len), Ok(3 * FIRST_CAPACITY));
        assert_eq!(got[1], Ok(b"y".to_vec()));
    }
}
