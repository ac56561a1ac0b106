//! One LZ4 block: a small greedy compressor, and its inverse. Plain slices in, plain slices out.
//!
//! A block is a series of sequences: a token (literal length and match length, 4 bits each, 15 going
//! on in bytes of up to 255), the literals, and the match as an offset back (`u16` LE). The last
//! sequence has literals only. Decoders may rely on two rules at the end: the last 5 bytes are
//! literals, and no match starts in the last 12 bytes.

/// Longest block: offsets and positions are 16 bits wide, and Kafka's frames say 64 KiB.
pub(crate) const BLOCK_MAX: u32 = 1 << 16;

const MATCH_MIN: usize = 4;
/// Always literals, at the end.
const LAST_LITERALS: usize = 5;
/// No match starts closer to the end.
const LAST_START: usize = 12;
/// After 2^6 misses in a row the search takes longer steps: what was incompressible so far may stay so.
const PATIENCE: u32 = 6;

/// Compresses `from` into `to` and says how many bytes that took. `None` if they do not fit, or if
/// `from` is too short or too long.
///
/// `table` holds positions by the hash of the four bytes there; its length is a power of two. The
/// result depends on nothing but the bytes and that length.
pub(crate) fn compress(from: &[u8], to: &mut [u8], table: &mut [u16]) -> Option<usize> {
    let last_start = from.len().checked_sub(LAST_START).filter(|_| from.len() <= BLOCK_MAX as usize)?;
    let matchable = from.get(..from.len().checked_sub(LAST_LITERALS)?)?;
    let shift = (table.len() as u32).leading_zeros().wrapping_add(1);
    table.fill(0);
    let mut out = Out { to, len: 0 };
    let (mut literals, mut at, mut misses) = (0usize, 0usize, 0usize);
    while at <= last_start {
        let word = word_at(from, at)?;
        // A fresh table names position 0: right or not, the bytes decide.
        let mut before = usize::from(core::mem::replace(table.get_mut(hash(word, shift))?, at as u16));
        if before >= at || word_at(from, before)? != word {
            at = at.wrapping_add(1).wrapping_add(misses >> PATIENCE);
            misses = misses.wrapping_add(1);
            continue;
        }
        misses = 0;
        let mut len =
            MATCH_MIN.wrapping_add(alike(matchable, before.wrapping_add(MATCH_MIN), at.wrapping_add(MATCH_MIN)));
        while at > literals && before > 0 && from.get(at.wrapping_sub(1)) == from.get(before.wrapping_sub(1)) {
            (at, before, len) = (at.wrapping_sub(1), before.wrapping_sub(1), len.wrapping_add(1));
        }
        out.sequence(from.get(literals..at)?, at.wrapping_sub(before), len)?;
        at = at.wrapping_add(len);
        literals = at;
    }
    out.literals(from.get(literals..)?, 0)?;
    Some(out.len)
}

#[inline]
fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Knuth's multiplicative hash, its upper bits.
#[inline]
fn hash(word: u32, shift: u32) -> usize {
    word.wrapping_mul(2_654_435_761).wrapping_shr(shift) as usize
}

/// How many bytes from `a` and from the later `b` on are alike, up to the end.
#[inline]
fn alike(bytes: &[u8], a: usize, b: usize) -> usize {
    let (mut left, mut right) = (bytes.get(a..).unwrap_or(&[]), bytes.get(b..).unwrap_or(&[]));
    let mut len = 0usize;
    while let (Some((x, left_rest)), Some((y, right_rest))) =
        (left.split_first_chunk::<4>(), right.split_first_chunk::<4>())
    {
        let differ = u32::from_le_bytes(*x) ^ u32::from_le_bytes(*y);
        if differ != 0 {
            return len.wrapping_add((differ.trailing_zeros() >> 3) as usize);
        }
        (left, right, len) = (left_rest, right_rest, len.wrapping_add(4));
    }
    len.wrapping_add(left.iter().zip(right).take_while(|(x, y)| x == y).count())
}

/// What has been written, within bounds.
struct Out<'b> {
    to: &'b mut [u8],
    len: usize,
}

impl Out<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.to.get_mut(self.len..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.len = self.len.wrapping_add(bytes.len());
        Some(())
    }

    /// A length's part beyond the token's 4 bits.
    #[inline]
    fn length(&mut self, len: usize) -> Option<()> {
        let Some(mut rest) = len.checked_sub(15) else { return Some(()) };
        while rest >= 255 {
            self.put(&[255])?;
            rest = rest.wrapping_sub(255);
        }
        self.put(&[rest as u8])
    }

    /// A token and its literals; `match_len` counts from the shortest match.
    fn literals(&mut self, literals: &[u8], match_len: usize) -> Option<()> {
        self.put(&[((literals.len().min(15) << 4) | match_len.min(15)) as u8])?;
        self.length(literals.len())?;
        self.put(literals)
    }

    #[inline]
    fn sequence(&mut self, literals: &[u8], offset: usize, len: usize) -> Option<()> {
        let match_len = len.wrapping_sub(MATCH_MIN);
        self.literals(literals, match_len)?;
        self.put(&(offset as u16).to_le_bytes())?;
        self.length(match_len)
    }
}

/// Decompresses `from` into the beginning of `to` and says how many bytes that gave. `None` if `from`
/// is no LZ4 block or holds more than `to` does.
pub(crate) fn decompress(from: &[u8], to: &mut [u8]) -> Option<usize> {
    let (mut rest, mut len) = (from, 0usize);
    loop {
        let (&token, after) = rest.split_first()?;
        rest = after;
        let count = read_length(&mut rest, token >> 4)?;
        let (literals, after) = rest.split_at_checked(count)?;
        to.get_mut(len..)?.get_mut(..count)?.copy_from_slice(literals);
        len = len.wrapping_add(count);
        let Some((offset, after)) = after.split_first_chunk::<2>() else {
            return after.is_empty().then_some(len);
        };
        rest = after;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let mut before = len.checked_sub(offset).filter(|_| offset > 0)?;
        let end = len.checked_add(MATCH_MIN)?.checked_add(read_length(&mut rest, token & 15)?)?;
        if end > to.len() {
            return None;
        }
        // Byte by byte: a match may overlap itself.
        while len < end {
            let byte = *to.get(before)?;
            *to.get_mut(len)? = byte;
            (before, len) = (before.wrapping_add(1), len.wrapping_add(1));
        }
    }
}

fn read_length(rest: &mut &[u8], nibble: u8) -> Option<usize> {
    let mut len = usize::from(nibble);
    if nibble == 15 {
        loop {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            len = len.checked_add(byte.into())?;
            if byte != 255 {
                break;
            }
        }
    }
    Some(len)
}
