//! Hosts, networks, ports and protocol numbers.

use std::net::Ipv6Addr;

use super::{Lowered, Lowering};
use crate::filter::condition::{Condition, Field, Size, Test};
use crate::filter::names::{self, Protocol, Transports, ethertype};
use crate::filter::syntax::{AddressKind, Direction, Qualifiers, Value};

const TCP: u32 = 6;
const UDP: u32 = 17;
const SCTP: u32 = 132;

impl Lowering {
    pub(super) fn address(&self, qualifiers: Qualifiers, value: &Value) -> Lowered<Condition> {
        match qualifiers.kind {
            AddressKind::Host => self.host(qualifiers, value),
            AddressKind::Net => self.net(qualifiers, value),
            AddressKind::Port => {
                let (port, transports) = port(value)?;
                self.ports(qualifiers, port..=port, transports)
            }
            AddressKind::PortRange => {
                let (ports, transports) = port_range(value)?;
                self.ports(qualifiers, ports, transports)
            }
            AddressKind::Protocol => self.protocol_number(qualifiers.protocol, value),
        }
    }

    fn host(&self, qualifiers: Qualifiers, value: &Value) -> Lowered<Condition> {
        match value {
            Value::Mac(mac) if qualifiers.protocol == Some(Protocol::Link) => {
                if !self.has_macs() {
                    return Err("frames of this link type have no Ethernet addresses".to_owned());
                }
                let at = |place| self.mac(*mac, place);
                Ok(directed(qualifiers.direction, self.mac_source(&at), self.mac_destination(&at)))
            }
            Value::Mac(_) => Err("an Ethernet address: put \"ether\" before it".to_owned()),
            _ if qualifiers.protocol == Some(Protocol::Link) => {
                Err("a link-layer host is an Ethernet address, like 00:11:22:33:44:55".to_owned())
            }
            Value::Ipv4 { address, bits } => self.ip4(qualifiers, *address, mask(*bits)),
            Value::Number(number) => self.ip4(qualifiers, *number, u32::MAX),
            Value::Ipv6 { address, length: None | Some(128) } => self.ip6(qualifiers, *address, 128),
            Value::Ipv6 { .. } | Value::Ipv4Prefix { .. } | Value::Ipv4Mask { .. } => {
                Err("a prefix or mask is for networks: put \"net\" before it".to_owned())
            }
            Value::Word(name) => Err(format!("{name}: names are not looked up; give the address")),
        }
    }

    fn net(&self, qualifiers: Qualifiers, value: &Value) -> Lowered<Condition> {
        match value {
            Value::Ipv4 { address, bits } => self.ip4(qualifiers, *address, mask(*bits)),
            Value::Ipv4Prefix { length: length @ 33.., .. } => Err(format!("/{length}: an IPv4 address has 32 bits")),
            Value::Ipv4Prefix { address, length } => self.ip4(qualifiers, *address, mask(*length)),
            Value::Ipv4Mask { address, mask } => self.ip4(qualifiers, *address, *mask),
            Value::Number(number) => {
                // `net 10` is 10.0.0.0/8, `net 0xac10` is 172.16.0.0/16.
                let bits = 32 - 8 * (number.leading_zeros() / 8).min(3);
                let bits = if *number == 0 { 32 } else { bits };
                self.ip4(qualifiers, number.checked_shl(32 - bits).unwrap_or(0), mask(bits))
            }
            Value::Ipv6 { length: Some(length @ 129..), .. } => Err(format!("/{length}: an IPv6 address has 128 bits")),
            Value::Ipv6 { address, length } => self.ip6(qualifiers, *address, length.unwrap_or(128)),
            Value::Mac(_) => Err("an Ethernet address is no network".to_owned()),
            Value::Word(name) => Err(format!("{name}: names are not looked up; give the network, like 192.0.2.0/24")),
        }
    }

    /// An IPv4 address, in IP, ARP and RARP unless one of them is asked for.
    fn ip4(&self, qualifiers: Qualifiers, address: u32, mask: u32) -> Lowered<Condition> {
        if address & !mask != 0 {
            return Err("the address has bits set outside the network".to_owned());
        }
        let within = |protocol: u32, source: u32, destination: u32| {
            let at = |offset| {
                let matches = Condition::masked(self.layout.in_network(offset, Size::Word), mask, address);
                self.layout.carries(protocol).map(|carried| carried.and(matches))
            };
            Ok(directed(qualifiers.direction, at(source)?, at(destination)?))
        };
        match qualifiers.protocol {
            Some(Protocol::Ip) => within(ethertype::IP, 12, 16),
            Some(Protocol::Arp) => within(ethertype::ARP, 14, 24),
            Some(Protocol::Rarp) => within(ethertype::RARP, 14, 24),
            None if self.layout.mpls_depth > 0 => within(ethertype::IP, 12, 16),
            None => Ok(Condition::Any(vec![
                within(ethertype::IP, 12, 16)?,
                within(ethertype::ARP, 14, 24)?,
                within(ethertype::RARP, 14, 24)?,
            ])),
            Some(_) => Err("an IPv4 address belongs to ip, arp or rarp".to_owned()),
        }
    }

    fn ip6(&self, qualifiers: Qualifiers, address: Ipv6Addr, length: u32) -> Lowered<Condition> {
        if !matches!(qualifiers.protocol, None | Some(Protocol::Ip6)) {
            return Err("an IPv6 address belongs to ip6".to_owned());
        }
        let (address, mask) = (address.to_bits(), u128::MAX.checked_shl(128 - length).unwrap_or(0));
        if address & !mask != 0 {
            return Err("the address has bits set outside the network".to_owned());
        }
        let at = |offset: u32| {
            let mut parts = vec![self.layout.carries(ethertype::IP6)?];
            parts.extend((0..4).map(|word| {
                let shift = 96 - 32 * word;
                let field = self.layout.in_network(offset + 4 * word, Size::Word);
                Condition::masked(field, (mask >> shift) as u32, (address >> shift) as u32)
            }));
            Ok::<_, String>(Condition::All(parts))
        };
        Ok(directed(qualifiers.direction, at(8)?, at(24)?))
    }

    fn ports(
        &self,
        qualifiers: Qualifiers,
        ports: std::ops::RangeInclusive<u16>,
        named: Transports,
    ) -> Lowered<Condition> {
        let transports: &[u32] = match (qualifiers.protocol, named) {
            (None, Transports::All) => &[TCP, UDP, SCTP],
            (None | Some(Protocol::Tcp), Transports::Tcp) | (Some(Protocol::Tcp), Transports::All) => &[TCP],
            (None | Some(Protocol::Udp), Transports::Udp) | (Some(Protocol::Udp), Transports::All) => &[UDP],
            (Some(Protocol::Sctp), Transports::All) => &[SCTP],
            (Some(Protocol::Tcp | Protocol::Udp | Protocol::Sctp), _) => {
                return Err("that service is not registered for this transport protocol".to_owned());
            }
            (Some(_), _) => return Err("only tcp, udp and sctp have ports".to_owned()),
        };
        let either = |field: &dyn Fn(u32) -> Field| {
            let at = |offset| within(field(offset), &ports);
            directed(qualifiers.direction, at(0), at(2))
        };
        let in_ip6 = transports.iter().map(|transport| {
            Condition::equal(self.layout.in_network(6, Size::Byte), *transport)
                .and(either(&|offset| self.layout.in_ip6_payload(offset, Size::Half)))
        });
        let in_ip4 = transports.iter().map(|transport| {
            Condition::equal(self.layout.in_network(9, Size::Byte), *transport)
                .and(self.first_fragment())
                .and(either(&|offset| self.layout.in_ip4_payload(offset, Size::Half)))
        });
        let ip6 = Condition::All(vec![self.layout.carries(ethertype::IP6)?, Condition::Any(in_ip6.collect())]);
        let ip4 = Condition::All(vec![self.layout.carries(ethertype::IP)?, Condition::Any(in_ip4.collect())]);
        Ok(ip6.or(ip4))
    }

    fn protocol_number(&self, protocol: Option<Protocol>, value: &Value) -> Lowered<Condition> {
        let number = match (value, protocol) {
            (Value::Number(number), _) => *number,
            (Value::Word(name), Some(Protocol::Link)) => names::link_protocol(name)
                .ok_or_else(|| format!("{name} is no link protocol known here; give its number"))?,
            (Value::Word(name), _) => names::ip_protocol(name)
                .ok_or_else(|| format!("{name} is no IP protocol known here; give its number"))?,
            _ => return Err("a protocol is a number or a name".to_owned()),
        };
        match protocol {
            None => self.in_either_ip(number),
            Some(Protocol::Ip) => self.in_ip4(number),
            Some(Protocol::Ip6) => self.in_ip6(number),
            Some(Protocol::Link) => self.layout.carries(number),
            Some(_) => Err("\"proto\" follows ether, ip or ip6".to_owned()),
        }
    }
}

fn directed(direction: Direction, source: Condition, destination: Condition) -> Condition {
    match direction {
        Direction::Source => source,
        Direction::Destination => destination,
        // Groups of their own: what is put after them belongs to all of them.
        Direction::Both => Condition::All(vec![source, destination]),
        Direction::Either => Condition::Any(vec![source, destination]),
    }
}

fn within(field: Field, ports: &std::ops::RangeInclusive<u16>) -> Condition {
    let (first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
    if first == last {
        return Condition::equal(field, first);
    }
    Condition::compared(field, Test::GreaterOrEqual, first)
        .and(Condition::compared(field, Test::Greater, last).negated())
}

/// The network mask of that many bits.
fn mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0)
}

fn port(value: &Value) -> Lowered<(u16, Transports)> {
    match value {
        Value::Number(number) => {
            let port = u16::try_from(*number).map_err(|_| format!("port {number}: the largest there is is 65535"))?;
            Ok((port, Transports::All))
        }
        Value::Word(name) => {
            names::service(name).ok_or_else(|| format!("{name} is no service known here; give the port's number"))
        }
        _ => Err("a port is a number or the name of a service".to_owned()),
    }
}

/// `6000-6063`; a single port is a range too.
fn port_range(value: &Value) -> Lowered<(std::ops::RangeInclusive<u16>, Transports)> {
    let Value::Word(word) = value else { return port(value).map(|(port, transports)| (port..=port, transports)) };
    let Some((first, last)) = word.split_once('-') else {
        return Err(format!("{word} is no range of ports like 6000-6063"));
    };
    let end = |text: &str| match text.parse() {
        Ok(number) => port(&Value::Number(number)),
        Err(_) => port(&Value::Word(text.to_owned())),
    };
    let ((first, one), (last, other)) = (end(first)?, end(last)?);
    let transports = if one == other { one } else { Transports::All };
    Ok((first.min(last)..=first.max(last), transports))
}
