//! Records of every shape, drawn from a fuzzer's bytes.

use klamm_core::{Header, Record};

use crate::input::Input;

/// What long keys and values are made of, so that they cost an input two bytes: half of it compresses.
static FILL: [u8; 8192] = fill();

const fn fill() -> [u8; 8192] {
    let mut bytes = [b'x'; 8192];
    let (mut at, mut state) = (4096, 1u32);
    while at < bytes.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[at] = (state >> 24) as u8;
        at += 1;
    }
    bytes
}

/// Calls `with` with the record that the input describes.
pub(crate) fn record<'i, R>(input: &mut Input<'i>, with: impl FnOnce(&Record<'_>) -> R) -> R {
    let shape = input.u8();
    let mut headers = [Header { key: "", value: None }; 7];
    let key = field(input, shape & 3);
    let value = field(input, shape >> 2 & 3);
    let count = if shape & 16 == 0 { 0 } else { input.below(headers.len() + 1) };
    for header in &mut headers[..count] {
        let kinds = input.u8();
        let name = field(input, 1 + (kinds & 1)).unwrap_or_default();
        // The valid front of it: header names are text.
        let name = str::from_utf8(name).or_else(|error| str::from_utf8(&name[..error.valid_up_to()]));
        *header = Header { key: name.unwrap_or_default(), value: field(input, kinds >> 1 & 3) };
    }
    let timestamp = match (shape & 32 != 0).then(|| input.u8()) {
        None => None,
        Some(255) => Some(input.u64() as i64),
        Some(254) => Some(i64::MAX),
        Some(253) => Some(-1),
        Some(n) => Some(1_700_000_000_000 + (i64::from(n) << (n % 40))),
    };
    let partition = (shape & 64 != 0).then(|| i32::from(input.u8() as i8));
    with(&Record { key, value, headers: &headers[..count], timestamp, partition })
}

fn field<'i>(input: &mut Input<'i>, kind: u8) -> Option<&'i [u8]> {
    match kind {
        0 => None,
        1 => Some(input.bytes()),
        2 => {
            let start = usize::from(input.u8()) * 16;
            FILL.get(start..start + usize::from(input.u8()))
        }
        _ => FILL.get(usize::from(input.u16()) % FILL.len()..),
    }
}
