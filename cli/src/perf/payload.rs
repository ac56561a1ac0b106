//! What is sent: random letters, pieces of a file, or numbers.

use std::fs;
use std::ops::Range;
use std::path::Path;

use memchr::memmem;

use crate::args::Perf;
use crate::config::Usage;

/// Letters are drawn once and handed out in turn: drawing them per record would cost as much as sending it. A batch
/// is smaller than this, so no compressor sees the same text twice.
const POOL: usize = 4 * 1024 * 1024;
/// Fixed: every run sends the same values.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// Makes the values, always the same ones in the same order.
pub(crate) enum Payload {
    /// Slices of a pool of letters.
    Letters { pool: Vec<u8>, size: usize, at: usize, random: Random },
    /// Random pieces of a file.
    Pieces { text: Vec<u8>, pieces: Vec<Range<usize>>, random: Random },
    /// 0, 1, 2, …
    Numbers { next: u64, digits: String },
}

impl Payload {
    /// The payload that the flags ask for.
    pub(crate) fn new(args: &Perf) -> Result<Self, Usage> {
        match (&args.payload_file, args.record_size) {
            (Some(path), _) => Self::file(path, &unescape(&args.payload_delimiter)),
            (None, Some(size)) => Ok(Self::letters(size as usize)),
            (None, None) => Ok(Self::Numbers { next: 0, digits: String::new() }),
        }
    }

    fn letters(size: usize) -> Self {
        let mut random = Random(SEED);
        let pool = (0..POOL + size).map(|_| b'A' + random.below(26) as u8).collect();
        Self::Letters { pool, size, at: 0, random }
    }

    fn file(path: &Path, delimiter: &str) -> Result<Self, Usage> {
        if delimiter.is_empty() {
            return Err("--payload-delimiter is empty: give at least one character".to_owned());
        }
        let text = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let pieces = cut(&text, delimiter.as_bytes());
        if pieces.is_empty() {
            return Err(format!("{} holds no payloads", path.display()));
        }
        Ok(Self::Pieces { text, pieces, random: Random(SEED) })
    }

    /// How many pieces a file holds; none without a file.
    pub(crate) fn pieces(&self) -> Option<usize> {
        match self {
            Self::Pieces { pieces, .. } => Some(pieces.len()),
            _ => None,
        }
    }

    /// The next value.
    #[inline]
    pub(crate) fn next(&mut self) -> &[u8] {
        match self {
            Self::Letters { pool, size, at, random } => {
                let from = *at;
                *at += *size;
                if *at > POOL {
                    // The next round cuts the pool elsewhere.
                    *at = random.below(POOL.min(*size) as u64) as usize;
                }
                &pool[from..from + *size]
            }
            Self::Pieces { text, pieces, random } => {
                let piece = pieces[random.below(pieces.len() as u64) as usize].clone();
                &text[piece]
            }
            Self::Numbers { next, digits } => {
                *digits = next.to_string();
                *next += 1;
                digits.as_bytes()
            }
        }
    }
}

/// The pieces between delimiters; one delimiter at the start or at the end of the text makes no empty piece.
fn cut(text: &[u8], delimiter: &[u8]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut from = if text.starts_with(delimiter) { delimiter.len() } else { 0 };
    for at in memmem::find_iter(&text[from..], delimiter).map(|at| at + from).collect::<Vec<_>>() {
        pieces.push(from..at);
        from = at + delimiter.len();
    }
    if from < text.len() {
        pieces.push(from..text.len());
    }
    pieces
}

/// Kafka's tool takes the delimiter as a pattern, where `\n` is a line feed; these escapes are what scripts use of it.
fn unescape(delimiter: &str) -> String {
    delimiter.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\0", "\0")
}

/// SplitMix64: small, quick, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    /// A number below `bound`; the bias is far below what letters could show.
    #[inline]
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        let mut a = Payload::letters(100);
        let mut b = Payload::letters(100);
        let first = a.next().to_vec();
        assert_eq!(first, b.next());
        assert_ne!(first, a.next());
        for _ in 0..100_000 {
            let value = a.next();
            assert_eq!(value.len(), 100);
            assert!(value.iter().all(u8::is_ascii_uppercase));
        }
        let Payload::Letters { pool, .. } = a else { unreachable!() };
        for letter in b'A'..=b'Z' {
            let share = pool.iter().filter(|&&b| b == letter).count() * 26;
            assert!(share.abs_diff(POOL) < POOL / 50, "{}", char::from(letter));
        }
    }

    #[test]
    fn letters_of_every_size() {
        for size in [1, 7, POOL - 1, POOL, POOL + 1, 3 * POOL] {
            let mut payload = Payload::letters(size);
            for _ in 0..5 {
                assert_eq!(payload.next().len(), size);
            }
        }
    }

    #[test]
    fn numbers() {
        let mut payload = Payload::Numbers { next: 9, digits: String::new() };
        assert_eq!(payload.next(), b"9");
        assert_eq!(payload.next(), b"10");
    }

    #[test]
    fn pieces() {
        let cut = |text: &str, delimiter: &str| {
            let pieces = cut(text.as_bytes(), &unescape(delimiter).into_bytes());
            pieces.into_iter().map(|p| text[p].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cut("a\nb\n", "\\n"), ["a", "b"]);
        assert_eq!(cut("\na\n\nb", "\\n"), ["a", "", "b"]);
        assert_eq!(cut("a--b", "--"), ["a", "b"]);
        assert_eq!(cut("\n", "\\n"), [""; 0]);
        assert_eq!(cut("", "\\n"), [""; 0]);
    }
}
