//! CRC-32C (Castagnoli) in software, in three sizes.
//!
//! The core takes the function from [`Config::crc32c`](crate::Config::crc32c): servers inject the
//! CPU's own instruction, boards choose how much flash a checksum is worth. Each function continues
//! from `crc`, which is 0 at the start, so that a batch can be summed block by block.

/// The reflected Castagnoli polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const fn table<const N: usize>(bits: u32) -> [u32; N] {
    let mut table = [0; N];
    let mut index = 0;
    while index < N {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < bits {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// Sixteen tables, in fours.
const fn slices() -> [[[u32; 256]; 4]; 4] {
    let mut slices = [[[0; 256]; 4]; 4];
    slices[0][0] = table::<256>(8);
    let mut slice = 1;
    while slice < 16 {
        let mut index = 0;
        while index < 256 {
            let previous = slices[(slice - 1) / 4][(slice - 1) % 4][index];
            slices[slice / 4][slice % 4][index] = (previous >> 8) ^ slices[0][0][(previous & 0xff) as usize];
            index += 1;
        }
        slice += 1;
    }
    slices
}

static NIBBLES: [u32; 16] = table::<16>(4);
static BYTES: [u32; 256] = table::<256>(8);
static SLICES: [[[u32; 256]; 4]; 4] = slices();

/// Half a byte at a time: a 64-byte table, the smallest.
#[must_use]
pub fn nibble(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, &byte| {
        let crc = crc ^ u32::from(byte);
        let crc = (crc >> 4) ^ NIBBLES[(crc & 0xf) as usize];
        (crc >> 4) ^ NIBBLES[(crc & 0xf) as usize]
    })
}

/// A byte at a time: a 1 KiB table.
#[must_use]
pub fn bytewise(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, &byte| (crc >> 8) ^ BYTES[((crc ^ u32::from(byte)) & 0xff) as usize])
}

/// What four bytes add, each through the table of its distance to the end.
#[inline]
fn step([w, x, y, z]: &[u8; 4], [a, b, c, d]: &[[u32; 256]; 4]) -> u32 {
    d[*w as usize] ^ c[*x as usize] ^ b[*y as usize] ^ a[*z as usize]
}

/// Sixteen bytes at a time: 16 KiB of tables, for hosts without a CRC instruction (WebAssembly).
#[must_use]
pub fn slice16(crc: u32, bytes: &[u8]) -> u32 {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let mut state = !crc;
    for chunk in chunks {
        let &[a, b, c, d, rest @ ..] = chunk;
        let first = u32::from_le_bytes([a, b, c, d]) ^ state;
        state = step(&first.to_le_bytes(), &SLICES[3]);
        // The other twelve are read byte by byte: cheaper than to take words apart.
        for (bytes, tables) in rest.as_chunks::<4>().0.iter().zip(SLICES.iter().take(3).rev()) {
            state ^= step(bytes, tables);
        }
    }
    bytewise(!state, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        for crc in [nibble, bytewise, slice16] {
            assert_eq!(crc(0, b""), 0);
            assert_eq!(crc(0, b"123456789"), 0xe306_9283);
            assert_eq!(crc(0, &[0; 32]), 0x8a91_36aa);
            assert_eq!(crc(0, &[0xff; 32]), 0x62a8_ab43);
        }
    }

    #[test]
    fn a_sum_may_be_continued_anywhere() {
        let text: std::vec::Vec<u8> = (0..200u8).collect();
        for cut in 0..text.len() {
            for crc in [nibble, bytewise, slice16] {
                assert_eq!(crc(crc(0, &text[..cut]), &text[cut..]), nibble(0, &text));
            }
        }
    }
}
