//! Community ID v1: one name for a flow in every tool.
//!
//! `"1:" + base64(sha1(seed ‖ source ‖ destination ‖ protocol ‖ 0 ‖ ports))`, the smaller endpoint first; seed 0.
//! Specification and vectors: <https://github.com/corelight/community-id-spec>.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lapwing_decode::Address;
use lapwing_flow::{Endpoint, Flow};
use sha1::{Digest, Sha1};

/// A flow's Community ID; prints as `1:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommunityId([u8; 20]);

impl CommunityId {
    /// Of a flow, with a seed (0 unless a site chose its own).
    #[must_use]
    pub fn new(flow: &Flow, seed: u16) -> Self {
        Self::of(flow.protocol, flow.originator, flow.responder, flow.one_way, seed)
    }

    /// Of a five-tuple; `one_way` says that it is an ICMP message without a counterpart.
    #[must_use]
    pub fn of(protocol: u8, one: Endpoint, other: Endpoint, one_way: bool, seed: u16) -> Self {
        // A one-way ICMP message has no counterpart to meet, so its direction stays.
        let (source, destination) = if one_way || one <= other { (one, other) } else { (other, one) };
        // Gathered first: one call that hashes one block is half the time of five that fill it.
        let mut text = [0; 2 + 16 + 16 + 2 + 4];
        let mut length = 0;
        let mut append = |bytes: &[u8]| {
            text[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        append(&seed.to_be_bytes());
        append(wire(&source.address));
        append(wire(&destination.address));
        append(&[protocol, 0]);
        if has_ports(protocol) {
            append(&ports(source, destination));
        }
        Self(Sha1::digest(&text[..length]).into())
    }
}

impl CommunityId {
    /// Its thirty letters: the version, a colon, and 20 bytes in base64.
    #[must_use]
    pub fn text(&self) -> [u8; 30] {
        let mut text = [0; 30];
        text[..2].copy_from_slice(b"1:");
        STANDARD.encode_slice(self.0, &mut text[2..]).expect("20 bytes are 28 letters of base64");
        text
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

fn wire(address: &Address) -> &[u8] {
    if address.is_v4() { &address.0[12..] } else { &address.0 }
}

/// TCP, UDP, SCTP, ICMP and ICMPv6.
const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132 | 1 | 58)
}

fn ports(source: Endpoint, destination: Endpoint) -> [u8; 4] {
    let ([a, b], [c, d]) = (source.port.to_be_bytes(), destination.port.to_be_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::flow;

    fn id(source: (&str, u16), destination: (&str, u16), protocol: u8, one_way: bool) -> String {
        let mut flow = flow();
        let end = |(address, port): (&str, u16)| Endpoint {
            address: Address::from(address.parse::<std::net::IpAddr>().unwrap()),
            port,
        };
        (flow.originator, flow.responder) = (end(source), end(destination));
        (flow.protocol, flow.one_way) = (protocol, one_way);
        CommunityId::new(&flow, 0).to_string()
    }

    #[test]
    fn the_vectors_of_the_specification_hold() {
        let check = |source, destination, protocol, one_way, expected: &str| {
            assert_eq!(id(source, destination, protocol, one_way), expected);
            if !one_way {
                assert_eq!(id(destination, source, protocol, one_way), expected, "both directions share one id");
            }
        };
        check(("128.232.110.120", 34855), ("66.35.250.204", 80), 6, false, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        check(("192.168.1.52", 54585), ("8.8.8.8", 53), 17, false, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        check(("192.168.0.89", 8), ("192.168.0.1", 0), 1, false, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        check(("10.0.0.1", 11), ("10.0.0.2", 0), 1, true, "1:YHxtAirCG//0OzkcVAukqKQN9xM=");
        check(("192.168.170.8", 7), ("192.168.170.56", 7), 132, false, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=");
        check(
            ("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943),
            ("2607:f8b0:400c:c03::1a", 25),
            6,
            false,
            "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
        );
    }
}
