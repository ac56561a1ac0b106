//! Where a client wants to go, and where it may.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::network::{Network, is_public};

/// Host and port that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In lower case, without a dot at its end.
    Name(String),
    /// IPv4 addresses in their own form, never as IPv6.
    Address(IpAddr),
}

impl Target {
    /// `None` for what is neither a name nor an address with a port. Spellings of addresses that only some resolvers
    /// know (`127.1`, `0x7f000001`, `2130706433`) are none of both: the allow-list could not judge them.
    pub(crate) fn new(host: &str, port: &str) -> Option<Self> {
        let port = Some(port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        let host = Host::parse(host).filter(|_| port != 0)?;
        Some(Self { host, port })
    }
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        name(text).map(Self::Name)
    }
}

/// A host name in lower case; `None` if it is not one.
fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label_is_valid = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next()?;
    let reads_as_number =
        last.bytes().all(|b| b.is_ascii_digit()) || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    let valid = text.len() <= 253 && text.split('.').all(label_is_valid) && !reads_as_number;
    valid.then(|| text.to_ascii_lowercase())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
        }
    }
}

/// Targets that are allowed: `HOST:PORTS`.
///
/// * HOST: a name; a name whose first label is `*` (`*.example.com`: any number of labels in its place, at least one); a
///   name with a `*` within a label (`broker-*.example.com`: within that label); an address or a network
///   (`10.0.0.0/8`, `[2001:db8::]`, `[2001:db8::/32]`), which targets given as addresses are held against; or `*` alone, any name.
/// * PORTS: a port, a range (`9092-9099`), or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPattern {
    host: HostPattern,
    first_port: u16,
    last_port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    AnyName,
    /// Any number of labels, at least one, then this.
    Under(String),
    /// Label by label.
    Labels(String),
    Network(Network),
}

impl TargetPattern {
    fn allows(&self, target: &Target) -> bool {
        (self.first_port..=self.last_port).contains(&target.port) && self.host.matches(&target.host)
    }
}

impl HostPattern {
    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::AnyName, Host::Name(_)) => true,
            (Self::Under(suffix), Host::Name(name)) => {
                name.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Self::Labels(pattern), Host::Name(name)) => {
                pattern.split('.').count() == name.split('.').count()
                    && pattern.split('.').zip(name.split('.')).all(|(pattern, label)| label_matches(pattern, label))
            }
            (Self::Network(network), Host::Address(address)) => network.contains(*address),
            _ => false,
        }
    }
}

fn label_matches(pattern: &str, label: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == label,
        Some((start, end)) => {
            label.len() >= start.len() + end.len() && label.starts_with(start) && label.ends_with(end)
        }
    }
}

impl FromStr for TargetPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, ports) = text.rsplit_once(':').ok_or("HOST:PORT is needed, such as broker.example.com:9092")?;
        let (first_port, last_port) = parse_ports(ports)?;
        Ok(Self { host: parse_host_pattern(host)?, first_port, last_port })
    }
}

fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    if text == "*" {
        return Ok((1, u16::MAX));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().ok().filter(|&port| port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!("{text:?} is no port, no range such as 9092-9099, and not *")),
    }
}

fn parse_host_pattern(text: &str) -> Result<HostPattern, String> {
    if text == "*" {
        return Ok(HostPattern::AnyName);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or("] is missing")?;
        return Ok(HostPattern::Network(inner.parse()?));
    }
    if text.contains(':') {
        return Err("an IPv6 address stands in brackets: [::1]:9092".to_owned());
    }
    if text.contains('/') || text.parse::<IpAddr>().is_ok() {
        return Ok(HostPattern::Network(text.parse()?));
    }
    if let Some(suffix) = text.strip_prefix("*.") {
        let suffix = Some(suffix).filter(|suffix| !suffix.contains('*')).and_then(name);
        return suffix.map(HostPattern::Under).ok_or_else(|| format!("{text:?} is no pattern of names"));
    }
    // A star stands for letters; at most one in a label.
    let valid = name(&text.replace('*', "x")).is_some() && text.split('.').all(|label| label.matches('*').count() <= 1);
    if !valid {
        return Err(format!("{text:?} is neither a name, nor a pattern of names, nor an address"));
    }
    Ok(HostPattern::Labels(text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()))
}

/// Which targets are allowed, and which addresses their names may have.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowList {
    pub(crate) targets: Vec<TargetPattern>,
    /// Besides public ones.
    pub(crate) resolves_to: Vec<Network>,
}

impl AllowList {
    pub(crate) fn allows(&self, target: &Target) -> bool {
        self.targets.iter().any(|pattern| pattern.allows(target))
    }

    /// Whether `target`, which is on the list, may be reached at this address. A target that is an address is
    /// its own answer. A name leads to public addresses; to others only if they are listed as networks that names
    /// may resolve to, or if the client could have asked for the address itself. So whoever controls the name's DNS
    /// cannot make the bridge a way into the network that it stands in. `localhost` is loopback by definition.
    pub(crate) fn allows_address(&self, target: &Target, address: IpAddr) -> bool {
        let Host::Name(name) = &target.host else { return true };
        let local = name == "localhost" || name.ends_with(".localhost");
        let address = address.to_canonical();
        if local {
            return address.is_loopback();
        }
        is_public(address)
            || self.resolves_to.iter().any(|network| network.contains(address))
            || self.allows(&Target { host: Host::Address(address), port: target.port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        let (host, port) = text.rsplit_once(':').unwrap();
        Target::new(host, port).unwrap_or_else(|| panic!("{text}"))
    }

    fn allow(patterns: &[&str], networks: &[&str]) -> AllowList {
        AllowList {
            targets: patterns.iter().map(|text| text.parse().unwrap()).collect(),
            resolves_to: networks.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn patterns_allow_what_they_say_and_no_more() {
        for (pattern, inside, outside) in [
            ("localhost:9092", vec!["localhost:9092", "LOCALHOST.:9092"], vec!["localhost:9093", "127.0.0.1:9092"]),
            (
                "*.example.com:9092",
                vec!["b1.example.com:9092", "a.b.example.com:9092"],
                vec!["example.com:9092", "badexample.com:9092", "b1.example.com.evil.net:9092", "b1.example.com:22"],
            ),
            (
                "broker-*.example.com:9092-9094",
                vec!["broker-1.example.com:9092", "BROKER-22.example.com:9094"],
                vec!["broker-1.x.example.com:9092", "broke.example.com:9092", "broker-1.example.com:9095"],
            ),
            (
                "10.0.0.0/8:9092",
                vec!["10.1.2.3:9092", "[::ffff:10.1.2.3]:9092"],
                vec!["11.0.0.1:9092", "ten.example:9092"],
            ),
            ("[2001:db8::/32]:*", vec!["[2001:db8::1]:1"], vec!["[2001:db9::1]:1"]),
            ("[::1]:9092", vec!["[::1]:9092"], vec!["127.0.0.1:9092"]),
            ("*:9092", vec!["any.where:9092"], vec!["10.0.0.1:9092", "any.where:9093"]),
        ] {
            let list = allow(&[pattern], &[]);
            inside.iter().for_each(|text| assert!(list.allows(&target(text)), "{pattern} {text}"));
            outside.iter().for_each(|text| assert!(!list.allows(&target(text)), "{pattern} {text}"));
        }
        assert!(!allow(&[], &[]).allows(&target("localhost:9092")));
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for wrong in [
            "",
            "host",
            "host:",
            "host:0",
            "host:9-8",
            "host:70000",
            ":9092",
            "::1:9092",
            "[::1:9092",
            "a b:1",
            "*.*.x:1",
            "a.**.b:1",
            "10.0.0.0/40:1",
            "-a.b:1",
            "*.:1",
        ] {
            assert!(wrong.parse::<TargetPattern>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_plain_names_and_addresses_are_targets() {
        for (host, port) in [
            ("", "1"),
            ("a", ""),
            ("a", "0"),
            ("a", "+1"),
            ("a", "65536"),
            ("127.1", "1"),
            ("0x7f.1", "1"),
            ("0x7f000001", "1"),
            ("2130706433", "1"),
            ("0177.0.0.1", "1"),
            ("a..b", "1"),
            ("a b", "1"),
            ("a@b", "1"),
            ("a:b", "1"),
            ("[::1", "1"),
            ("ex\u{e4}mple.com", "1"),
            ("fe80::1%eth0", "1"),
        ] {
            assert_eq!(Target::new(host, port), None, "{host}:{port}");
        }
        assert_eq!(target("[::ffff:127.0.0.1]:9").to_string(), "127.0.0.1:9");
        assert_eq!(target("[::1]:9").to_string(), "[::1]:9");
        assert_eq!(target("Broker_1.Example.:9").to_string(), "broker_1.example:9");
    }

    #[test]
    fn names_cannot_be_rebound_to_the_inside() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let list = allow(&["*.example.com:9092", "localhost:9092", "10.1.0.0/16:9092"], &["192.168.5.0/24"]);
        let broker = target("b.example.com:9092");
        for fine in ["93.184.216.34", "2606:4700::1", "192.168.5.9", "10.1.2.3", "::ffff:10.1.2.3"] {
            assert!(list.allows_address(&broker, address(fine)), "{fine}");
        }
        for bad in ["127.0.0.1", "::1", "169.254.169.254", "10.2.0.1", "192.168.6.1", "::ffff:127.0.0.1", "0.0.0.0"] {
            assert!(!list.allows_address(&broker, address(bad)), "{bad}");
        }
        let local = target("localhost:9092");
        assert!(list.allows_address(&local, address("::1")));
        assert!(!list.allows_address(&local, address("93.184.216.34")));
        assert!(list.allows_address(&target("10.1.2.3:9092"), address("10.1.2.3")));
    }
}
