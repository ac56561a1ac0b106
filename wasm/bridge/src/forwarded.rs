//! Who the client is when proxies stand before the bridge.

use std::net::{IpAddr, SocketAddr};

use crate::http::Head;
use crate::network::Network;

/// The client's address: the peer's own, unless that is a trusted proxy. Then the last address in `X-Forwarded-For` that is not a
/// trusted proxy itself: each proxy adds its peer at the end, and what stands before that anyone can have written.
pub(crate) fn client(peer: IpAddr, head: &Head, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let hops: Vec<&str> = head.list("x-forwarded-for").collect();
    for hop in hops.into_iter().rev() {
        if !is_trusted(client) {
            break;
        }
        // Some proxies add the port. What cannot be read is where knowledge ends.
        let plain = hop.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let Some(address) = plain.or_else(|| hop.parse::<SocketAddr>().ok().map(|with_port| with_port.ip())) else {
            break;
        };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_trusted_proxies_wrote_is_believed() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "127.0.0.1"].map(|text| text.parse().unwrap()).into();
        for (peer, header, expected) in [
            ("1.2.3.4", "9.9.9.9", "1.2.3.4"),
            ("10.0.0.1", "9.9.9.9", "9.9.9.9"),
            ("::ffff:10.0.0.1", "6.6.6.6, 9.9.9.9", "9.9.9.9"),
            ("10.0.0.1", "6.6.6.6, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
            ("10.0.0.1", "9.9.9.9:1234", "9.9.9.9"),
            ("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1"),
            ("10.0.0.1", "garbage", "10.0.0.1"),
            ("10.0.0.1", "9.9.9.9, garbage", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ] {
            let bytes = format!("GET / HTTP/1.1\r\nX-Forwarded-For: {header}\r\n\r\n").into_bytes();
            let head = Head::read(&mut bytes.as_slice()).await.unwrap();
            assert_eq!(client(peer.parse().unwrap(), &head, &trusted).to_string(), expected, "{peer} {header}");
        }
    }
}
