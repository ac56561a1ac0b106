//! Literal IP addresses among host names.
//!
//! The standard library's parser would link its panics into firmware.

use core::net::IpAddr;

/// The address that `host` spells out, if it is one and not a name.
pub(crate) fn parse_ip(host: &str) -> Option<IpAddr> {
    let host = host.as_bytes();
    #[cfg(feature = "ipv6")]
    if host.contains(&b':') {
        return parse_v6(host).map(|groups| IpAddr::V6(groups.into()));
    }
    parse_v4(host).map(|octets| IpAddr::V4(octets.into()))
}

/// Four decimal numbers without leading zeros, which elsewhere would mean octal.
fn parse_v4(text: &[u8]) -> Option<[u8; 4]> {
    let mut octets = [0; 4];
    let mut parts = text.split(|&byte| byte == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.len() > 1 && part.first() == Some(&b'0') {
            return None;
        }
        *octet = number(part, 10, 3)?.try_into().ok()?;
    }
    parts.next().is_none().then_some(octets)
}

/// Eight groups; one `::` stands for as many zeros as are missing, and the last two may be an IPv4 address.
#[cfg(feature = "ipv6")]
fn parse_v6(text: &[u8]) -> Option<[u16; 8]> {
    let mut all = [0; 8];
    let Some(gap) = text.windows(2).position(|pair| pair == b"::") else {
        return (groups(text, true, &mut all)? == 8).then_some(all);
    };
    let mut behind = [0; 8];
    let before = groups(text.get(..gap)?, false, &mut all)?;
    let count = groups(text.get(gap.saturating_add(2)..)?, true, &mut behind)?;
    if before.saturating_add(count) > 7 {
        return None;
    }
    let behind = behind.iter().take(count).rev();
    all.iter_mut().rev().zip(behind).for_each(|(to, from)| *to = *from);
    Some(all)
}

/// Reads groups to the end of `text` and says how many there are.
#[cfg(feature = "ipv6")]
fn groups(text: &[u8], may_end_in_v4: bool, groups: &mut [u16; 8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let mut count = 0usize;
    let mut put = |group: u16| {
        *groups.get_mut(count)? = group;
        count = count.wrapping_add(1);
        Some(count)
    };
    let mut parts = text.split(|&byte| byte == b':').peekable();
    while let Some(part) = parts.next() {
        if may_end_in_v4 && parts.peek().is_none() && part.contains(&b'.') {
            let [a, b, c, d] = parse_v4(part)?;
            put(u16::from_be_bytes([a, b]))?;
            put(u16::from_be_bytes([c, d]))?;
        } else {
            put(number(part, 16, 4)?)?;
        }
    }
    Some(count)
}

/// A number of one to `max` digits.
fn number(digits: &[u8], radix: u16, max: usize) -> Option<u16> {
    if digits.is_empty() || digits.len() > max {
        return None;
    }
    digits.iter().try_fold(0u16, |value, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit.wrapping_sub(b'0'),
            b'a'..=b'f' => digit.wrapping_sub(b'a' - 10),
            b'A'..=b'F' => digit.wrapping_sub(b'A' - 10),
            _ => return None,
        };
        let digit = u16::from(digit);
        (digit < radix).then(|| value.wrapping_mul(radix).wrapping_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standard(text: &str) -> Option<IpAddr> {
        text.parse().ok().filter(|address: &IpAddr| address.is_ipv4() || cfg!(feature = "ipv6"))
    }

    /// The standard library judges.
    #[test]
    fn addresses_are_those_of_the_standard_library() {
        let texts = [
            "1.2.3.4",
            "0.0.0.0",
            "255.255.255.255",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1..3.4",
            "+1.2.3.4",
            "a.b",
            "localhost",
            "",
            ".",
            ":",
            "::",
            ":::",
            "::1",
            "1::",
            "1:::2",
            "1::2::3",
            "fe80::1:2",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7:8::",
            "::ffff:1.2.3.4",
            "1:2:3:4:5:6:1.2.3.4",
            "1:2:3:4:5:6:7:1.2.3.4",
            "::1.2.3.4:5",
            "12345::",
            "g::",
            "+1::",
            "1:",
            ":1",
            "FE80::ABCD",
            "::1.2.3",
            "1::2:",
            "2001:db8::8a2e:370:7334",
        ];
        for text in texts {
            assert_eq!(parse_ip(text), standard(text), "{text}");
        }
    }

    /// Many short texts of the letters that matter.
    #[test]
    fn no_text_is_judged_otherwise() {
        let letters = [b':', b'.', b'0', b'1', b'f', b'2'];
        let mut random = 1u64;
        for _ in 0..200_000 {
            let mut text = std::string::String::new();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for _ in 0..(random >> 59) % 24 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push(letters[(random >> 33) as usize % letters.len()].into());
            }
            assert_eq!(parse_ip(&text), standard(&text), "{text}");
        }
    }
}
