//! A name server's answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a name server knows.
#[derive(Debug, Default)]
pub struct Names {
    /// Names and their addresses; any other name does not exist.
    pub known: BTreeMap<String, Vec<IpAddr>>,
    /// It answers nobody.
    pub silent: bool,
    /// Questions that reached it.
    pub asked: u32,
}

/// Questions for IPv6 addresses; all others count as questions for IPv4's.
const AAAA: u8 = 28;

impl Names {
    /// The answer to a question for addresses of one family, as RFC 1035 and 3596 have it. None if it is silent, or that was no
    /// question.
    #[must_use]
    pub fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        if self.silent || question.len() < 12 {
            return None;
        }
        let mut name = String::new();
        let mut at = 12;
        while let Some(&length) = question.get(at).filter(|length| **length > 0) {
            let label = question.get(at + 1..at + 1 + usize::from(length))?;
            name += if name.is_empty() { "" } else { "." };
            name += std::str::from_utf8(label).ok()?;
            at += 1 + usize::from(length);
        }
        let kind = *question.get(at + 2)?;
        let mut answer = question.get(..at + 5)?.to_vec();
        let known = self.known.get(&name);
        let fits = |address: &&IpAddr| address.is_ipv6() == (kind == AAAA);
        let addresses: Vec<&IpAddr> = known.into_iter().flatten().filter(fits).collect();
        // A response, recursion available; NXDOMAIN if nobody has that name.
        answer[2..4].copy_from_slice(&[0x81, if known.is_some() { 0x80 } else { 0x83 }]);
        answer[6..8].copy_from_slice(&[0, addresses.len() as u8]);
        for address in addresses {
            let octets = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            // The question's name and type, class IN, a minute, the address.
            answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, octets.len() as u8]);
            answer.extend(octets);
        }
        Some(answer)
    }
}
