//! Names for what was not decoded.

use std::fmt;

/// A frame or a layer that was not decoded, or not to its end; its [`Display`](fmt::Display) form is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Undecoded {
    /// A link type that is not known here.
    LinkType(u16),
    /// An EtherType that is not IP, ARP or a tag.
    EtherType(u16),
    /// An LLC destination service access point that is not SNAP or IP.
    Llc(u8),
    /// A SNAP protocol of an organization's own: its identifier, and its number for the protocol.
    Snap(u32, u16),
    /// A PPP protocol that is not IP.
    Ppp(u16),
    /// An address family of a loopback header that is not IP.
    Family(u32),
    /// The snap length cut the header of this layer.
    Cut(&'static str),
    /// The header of this layer contradicts itself or the layer around it.
    Malformed(&'static str),
    /// Well-formed, but nothing that is looked at: named as it is.
    Other(&'static str),
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LinkType(link) => write!(f, "link type {link}"),
            Self::EtherType(ether_type) => match ether_type_name(ether_type) {
                Some(name) => write!(f, "ethertype 0x{ether_type:04x} ({name})"),
                None => write!(f, "ethertype 0x{ether_type:04x}"),
            },
            Self::Llc(point) => match llc_name(point) {
                Some(name) => write!(f, "LLC 0x{point:02x} ({name})"),
                None => write!(f, "LLC 0x{point:02x}"),
            },
            Self::Snap(organization, protocol) => match snap_name(organization, protocol) {
                Some(name) => write!(f, "SNAP {organization:06x} 0x{protocol:04x} ({name})"),
                None => write!(f, "SNAP {organization:06x} 0x{protocol:04x}"),
            },
            Self::Ppp(protocol) => write!(f, "PPP protocol 0x{protocol:04x}"),
            Self::Family(family) => write!(f, "loopback address family {family}"),
            Self::Cut(layer) => write!(f, "cut {layer}"),
            Self::Malformed(layer) => write!(f, "malformed {layer}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// What people call an EtherType (IEEE registration authority, <https://standards-oui.ieee.org/ethertype/eth.txt>).
fn ether_type_name(ether_type: u16) -> Option<&'static str> {
    Some(match ether_type {
        0x0842 => "Wake-on-LAN",
        0x22f0 => "AVTP",
        0x22f3 => "TRILL",
        0x6002 => "DEC MOP",
        0x8035 => "RARP",
        0x809b => "AppleTalk",
        0x80f3 => "AppleTalk ARP",
        0x8137 => "IPX",
        0x8808 => "flow control",
        0x8809 => "slow protocols",
        0x8863 => "PPPoE discovery",
        0x887b | 0x88e1 => "HomePlug",
        0x888e => "EAPOL",
        0x8892 => "PROFINET",
        0x8899 => "Realtek",
        0x88a4 => "EtherCAT",
        0x88ab => "POWERLINK",
        0x88b8 => "GOOSE",
        0x88ba => "sampled values",
        0x88cc => "LLDP",
        0x88cd => "SERCOS III",
        0x88d9 => "LLTD",
        0x88f7 => "PTP",
        0x8902 => "CFM",
        0x8906 => "FCoE",
        0x890d => "802.11 data encapsulation",
        0x893a => "IEEE 1905.1",
        0x9000 => "loopback test",
        _ => return None,
    })
}

/// What people call a SNAP protocol of Cisco's.
fn snap_name(organization: u32, protocol: u16) -> Option<&'static str> {
    Some(match (organization, protocol) {
        (0x00_000c, 0x0104) => "PAgP",
        (0x00_000c, 0x010b) => "PVST+",
        (0x00_000c, 0x0111) => "UDLD",
        (0x00_000c, 0x2000) => "CDP",
        (0x00_000c, 0x2003) => "VTP",
        (0x00_000c, 0x2004) => "DTP",
        _ => return None,
    })
}

/// What people call an LLC service access point.
fn llc_name(point: u8) -> Option<&'static str> {
    Some(match point {
        0x42 => "spanning tree",
        0xe0 | 0xff => "IPX",
        0xf0 => "NetBIOS",
        0xfe => "OSI",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        assert_eq!(Undecoded::EtherType(0x88cc).to_string(), "ethertype 0x88cc (LLDP)");
        assert_eq!(Undecoded::EtherType(0x1234).to_string(), "ethertype 0x1234");
        assert_eq!(Undecoded::Snap(0x0c, 0x2000).to_string(), "SNAP 00000c 0x2000 (CDP)");
        assert_eq!(Undecoded::LinkType(195).to_string(), "link type 195");
        assert_eq!(Undecoded::Malformed("IPv4").to_string(), "malformed IPv4");
    }
}
