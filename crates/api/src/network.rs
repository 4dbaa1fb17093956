//! Whom an address belongs to, where clients are counted.

use std::net::{IpAddr, Ipv6Addr};

/// The network of one subscriber: an IPv4 address, or of IPv6 the /64 that a subscriber has at least (RFC 6177).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}
