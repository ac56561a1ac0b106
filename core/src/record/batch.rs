//! The 61-byte header of a record batch (magic 2), and arithmetic on sequence numbers.

/// Bytes of a batch before its records.
pub(crate) const HEADER_SIZE: u32 = 61;
/// Where the CRC stands, and where the bytes it covers begin.
const CRC_AT: usize = 17;
pub(crate) const CRC_FROM: u32 = 21;

/// What the header says of a batch. Base offset, leader epoch and magic are fixed for producers.
pub(crate) struct Header {
    /// Compression codec in bits 0–2; transactional is bit 4.
    pub(crate) attributes: i16,
    pub(crate) records: u32,
    pub(crate) record_bytes: u32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

/// Copies `from` to `to[at..]` if it fits.
fn patch(to: &mut [u8], at: usize, from: &[u8]) {
    if let Some(to) = to.get_mut(at..at.saturating_add(from.len())) {
        to.copy_from_slice(from);
    }
}

impl Header {
    /// Writes everything but the CRC into the first [`HEADER_SIZE`] bytes of `to`.
    pub(crate) fn write(&self, to: &mut [u8]) {
        patch(to, 0, &[0; 8]); // base offset: the broker assigns it
        let length = HEADER_SIZE.wrapping_sub(12).saturating_add(self.record_bytes);
        patch(to, 8, &length.to_be_bytes());
        patch(to, 12, &(-1i32).to_be_bytes()); // partition leader epoch: the broker's
        patch(to, 16, &[2]); // magic
        patch(to, 21, &self.attributes.to_be_bytes());
        patch(to, 23, &self.records.wrapping_sub(1).to_be_bytes());
        patch(to, 27, &self.base_timestamp.to_be_bytes());
        patch(to, 35, &self.max_timestamp.to_be_bytes());
        patch(to, 43, &self.producer_id.to_be_bytes());
        patch(to, 51, &self.producer_epoch.to_be_bytes());
        patch(to, 53, &self.base_sequence.to_be_bytes());
        patch(to, 57, &self.records.to_be_bytes());
    }
}

/// Writes the CRC over everything from [`CRC_FROM`] on.
pub(crate) fn write_crc(to: &mut [u8], crc: u32) {
    patch(to, CRC_AT, &crc.to_be_bytes());
}

/// `sequence + count` in the sequence space 0..=2³¹−1, which wraps to 0.
pub(crate) const fn sequence_after(sequence: i32, count: u32) -> i32 {
    ((sequence as u32).wrapping_add(count) & i32::MAX as u32) as i32
}

/// How far `b` lies after `a`, in −2³⁰..2³⁰: wrap-safe, where Java compares with `<`.
pub(crate) const fn sequence_distance(a: i32, b: i32) -> i32 {
    let distance = (b as u32).wrapping_sub(a as u32) & i32::MAX as u32;
    // Sign-extend 31 bits.
    ((distance << 1) as i32) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 4), 2);
        assert_eq!(sequence_after(0, 5), 5);
        assert_eq!(sequence_distance(i32::MAX, 0), 1);
        assert_eq!(sequence_distance(0, i32::MAX), -1);
        assert_eq!(sequence_distance(7, 7), 0);
        assert_eq!(sequence_distance(10, 3), -7);
    }
}
