//! Sizes and durations as people write them: `64KiB`, `1MiB`, `500ms`, `10m`.

use std::time::Duration;

/// Bytes: a number, or a number with `K`, `KiB`, `M`, `MiB`, `G` or `GiB` (all powers of 1024).
///
/// # Errors
///
/// What is wrong with `text`: no number, an unknown unit, or more than `u64` holds.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return Err(format!("unknown unit {unit:?}: B, KiB, MiB or GiB")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

/// A duration: a number with `ms`, `s`, `m` or `h`; a number alone is seconds.
///
/// # Errors
///
/// What is wrong with `text`: no number, an unknown unit, or more than a year.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const YEAR_MS: u64 = 365 * 24 * 3_600_000;
    let (number, unit) = split(text)?;
    let factor: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("unknown unit {unit:?}: ms, s, m or h")),
    };
    match number.checked_mul(factor) {
        Some(ms) if ms <= YEAR_MS => Ok(Duration::from_millis(ms)),
        _ => Err("more than a year".to_owned()),
    }
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number = number.parse().map_err(|_| "a number comes first, such as 64KiB or 10s".to_owned())?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1 MiB"), Ok(1 << 20));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        for wrong in ["", "KiB", "1kb", "-1", "99999999999G", "1.5M"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["", "s", "1d", "99999h", "18446744073709551615h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
