//! Varints against Java's.

use super::super::varint::{self, MAX_LEN};
use super::super::write::{Writer, write_uvarint_right_aligned};
use super::{from_hex, json};

#[test]
fn varints_and_varlongs() {
    let table = json("primitives");
    for entry in table["varint_i32"].as_array().unwrap() {
        let value = entry["value"].as_i64().unwrap() as i32;
        let bytes = from_hex(entry["hex"].as_str().unwrap());
        let mut out = [0; MAX_LEN];
        assert_eq!(varint::varint(value, &mut out), bytes.len());
        assert_eq!((&out[..bytes.len()], varint::varint_len(value)), (&bytes[..], bytes.len()));
        assert_eq!(varint::decode_varint(&bytes), Some((value, bytes.len())));
    }
    for entry in table["varlong_i64"].as_array().unwrap() {
        let value = entry["value"].as_i64().unwrap();
        let bytes = from_hex(entry["hex"].as_str().unwrap());
        let mut out = [0; MAX_LEN];
        assert_eq!(varint::varlong(value, &mut out), bytes.len());
        assert_eq!((&out[..bytes.len()], varint::varlong_len(value)), (&bytes[..], bytes.len()));
        assert_eq!(varint::decode_varlong(&bytes), Some((value, bytes.len())));
    }
}

#[test]
fn unsigned_varints() {
    for entry in json("primitives")["unsigned_varint"].as_array().unwrap() {
        let value = entry["value_u32"].as_u64().unwrap() as u32;
        let bytes = from_hex(entry["hex"].as_str().unwrap());
        let mut out = [0; MAX_LEN];
        assert_eq!(varint::uvarint32(value, &mut out), bytes.len());
        assert_eq!((&out[..bytes.len()], varint::uvarint_len(value)), (&bytes[..], bytes.len()));
        assert_eq!(varint::decode_uvarint32(&bytes), Some((value, bytes.len())));
        assert_eq!(write_uvarint_right_aligned(&mut out, 8, value), Some(8 - bytes.len()));
        assert_eq!(out[8 - bytes.len()..8], bytes);
        assert_eq!(write_uvarint_right_aligned(&mut out, bytes.len() - 1, value), None);
        assert_eq!(write_uvarint_right_aligned(&mut out, MAX_LEN + 1, value), None);
    }
}

#[test]
fn lengths_at_every_power_of_two() {
    for bit in 0..64 {
        for value in [1u64 << bit, (1 << bit) - 1] {
            let mut out = [0; MAX_LEN];
            let len = varint::uvarint64(value, &mut out);
            assert_eq!(len, varint::uvarlong_len(value));
            assert_eq!(varint::decode_uvarint64(&out), Some((value, len)));
            assert_eq!(varint::decode_uvarint64(&out[..len - 1]), None);
        }
    }
}

#[test]
fn overlong_varints_are_refused() {
    assert_eq!(varint::decode_uvarint32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), None);
    assert_eq!(varint::decode_uvarint32(&[0xff, 0xff, 0xff, 0xff, 0x10]), None);
    assert_eq!(varint::decode_uvarint32(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some((u32::MAX, 5)));
    assert_eq!(varint::decode_uvarint64(&[0xff; 11]), None);
    assert_eq!(varint::decode_uvarint64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
    assert_eq!(varint::decode_uvarint32(&[]), None);
}

#[test]
fn bytes_in_both_forms() {
    let mut buffer = [0; 32];
    let mut w = Writer::new(&mut buffer);
    for flexible in [false, true] {
        w.bytes(flexible, Some(b"ab"));
        w.bytes(flexible, None);
        w.text(flexible, Some("c"));
        w.text(flexible, None);
    }
    let len = w.position();
    assert_eq!(&buffer[..len], b"\0\0\0\x02ab\xff\xff\xff\xff\0\x01c\xff\xff\x03ab\0\x02c\0");
}
