//! Which addresses are devices of the watched networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lapwing_decode::Address;

/// An address prefix in the 16-byte form of [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    value: u128,
    mask: u128,
}

/// The local networks: an address inside them is a *device*, any other is outside.
#[derive(Clone, Debug)]
pub struct LocalNetworks {
    prefixes: Vec<Prefix>,
}

/// A network that was not understood.
#[derive(Debug, thiserror::Error)]
#[error("'{text}' is not a network: write an address and a prefix length, such as 192.168.0.0/16 or fd00::/8")]
pub struct NetworkError {
    text: String,
}

impl LocalNetworks {
    /// From networks in CIDR notation.
    ///
    /// # Errors
    /// [`NetworkError`] with the first text that is not a network.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NetworkError> {
        let prefixes = texts.into_iter().map(parse_prefix).collect::<Result<_, _>>()?;
        Ok(Self { prefixes })
    }

    /// Whether the address is a device of the local networks.
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        let value = u128::from_be_bytes(address.0);
        self.prefixes.iter().any(|prefix| value & prefix.mask == prefix.value)
    }
}

impl Default for LocalNetworks {
    /// RFC 1918, IPv4 link-local (RFC 3927), unique local (RFC 4193) and IPv6 link-local addresses (RFC 4291).
    fn default() -> Self {
        let v4 = |a, b, c, d, length| prefix(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length);
        let v6 = |first, length| prefix(IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), length);
        let prefixes = vec![
            v4(10, 0, 0, 0, 8),
            v4(172, 16, 0, 0, 12),
            v4(192, 168, 0, 0, 16),
            v4(169, 254, 0, 0, 16),
            v6(0xfc00, 7),
            v6(0xfe80, 10),
        ];
        Self { prefixes }
    }
}

/// Where an address lies, as far as a sensor can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A device of the local networks.
    Local,
    /// Multicast or broadcast: no single host.
    Group,
    /// Everything else.
    Outside,
}

impl LocalNetworks {
    /// Where the address lies. The last address of a /24 of the local networks counts as a broadcast address, for the
    /// prefix length in use on the wire is not known.
    #[must_use]
    pub fn scope(&self, address: Address) -> Scope {
        if is_group(address) {
            Scope::Group
        } else if self.contains(address) {
            if address.is_v4() && address.0[15] == 255 { Scope::Group } else { Scope::Local }
        } else {
            Scope::Outside
        }
    }
}

fn is_group(address: Address) -> bool {
    let bytes = address.0;
    if address.is_v4() { bytes[12] & 0xf0 == 0xe0 || bytes[12..] == [255; 4] } else { bytes[0] == 0xff }
}

fn parse_prefix(text: &str) -> Result<Prefix, NetworkError> {
    let refuse = || NetworkError { text: text.to_owned() };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| refuse())?)),
        None => (text, None),
    };
    let ip: IpAddr = address.trim().parse().map_err(|_| refuse())?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(bits);
    if length > bits {
        return Err(refuse());
    }
    Ok(prefix(ip, length))
}

fn prefix(ip: IpAddr, length: u32) -> Prefix {
    let length = if ip.is_ipv4() { length + 96 } else { length };
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
    Prefix { value: u128::from_be_bytes(Address::from(ip).0) & mask, mask }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn private_addresses_are_local_by_default() {
        let local = LocalNetworks::default();
        for inside in ["10.1.2.3", "172.31.0.1", "192.168.7.7", "fe80::1", "fd12::1"] {
            assert_eq!(local.scope(address(inside)), Scope::Local, "{inside}");
        }
        for outside in ["172.32.0.1", "8.8.8.8", "2001:db8::1"] {
            assert_eq!(local.scope(address(outside)), Scope::Outside, "{outside}");
        }
        for group in ["224.0.0.251", "255.255.255.255", "192.168.1.255", "ff02::fb"] {
            assert_eq!(local.scope(address(group)), Scope::Group, "{group}");
        }
    }

    #[test]
    fn a_prefix_without_length_is_one_address() {
        let local = LocalNetworks::parse(["203.0.113.7"]).unwrap();
        assert!(local.contains(address("203.0.113.7")));
        assert!(!local.contains(address("203.0.113.8")));
    }

    #[test]
    fn nonsense_is_refused_with_its_text() {
        for text in ["10.0.0.0/33", "ten/8", "::/129", "10.0.0.0/x"] {
            assert!(LocalNetworks::parse([text]).unwrap_err().to_string().contains(text));
        }
    }
}
