//! Link layers: Ethernet, Linux cooked capture, loopback, raw IP.

use lapwing_capture::LinkType;

use crate::decoder::Walk;
use crate::network::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6};
use crate::span::Span;
use crate::{Undecoded, flag};

/// Below this an Ethernet frame's type field is the length of an LLC frame (IEEE 802.3 section 3.2.6).
const MIN_ETHER_TYPE: u16 = 0x0600;

impl Walk<'_> {
    /// Ethernet II, or IEEE 802.3 with LLC.
    #[inline]
    pub(crate) fn ethernet(&mut self, frame: Span<'_>) {
        let Some(header) = frame.array::<14>(0) else { return self.too_short("Ethernet", frame) };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        self.around.destination_mac = [d0, d1, d2, d3, d4, d5];
        self.around.source_mac = [s0, s1, s2, s3, s4, s5];
        self.around.flags |= flag::MAC;
        match u16::from_be_bytes([t0, t1]) {
            ETHER_TYPE_IPV4 => self.ipv4(frame.skip(14)),
            field => self.ether_type_or_length(field, frame.skip(14)),
        }
    }

    /// FDDI: frame control, addresses, LLC (RFC 1188).
    pub(crate) fn fddi(&mut self, frame: Span<'_>) {
        let (Some(destination), Some(source)) = (frame.array(1), frame.array(7)) else {
            return self.too_short("FDDI", frame);
        };
        self.around.destination_mac = *destination;
        self.around.source_mac = *source;
        self.around.flags |= flag::MAC;
        self.llc(frame.skip(13));
    }

    /// What follows an Ethernet type field: a protocol, or an LLC frame of that length.
    pub(crate) fn ether_type_or_length(&mut self, field: u16, rest: Span<'_>) {
        match rest.bytes {
            _ if field >= MIN_ETHER_TYPE => self.network(field, rest),
            [0xaa, 0xaa, 0x03, ..] if is_isl(&self.around.destination_mac) => self.isl(rest),
            [0xff, 0xff, ..] => self.undecoded(Undecoded::Other("IPX without LLC")),
            _ => self.llc(rest.limit(u32::from(field))),
        }
    }

    /// Cisco ISL, which looks like SNAP up to here: three bytes of the source's maker, VLAN, index, reserved; then the frame.
    fn isl(&mut self, rest: Span<'_>) {
        if !self.descend() {
            return;
        }
        if let Some(vlan) = rest.u16(6) {
            self.around.vlan = vlan >> 1 & 0x0fff;
            self.around.flags |= flag::VLAN;
        }
        self.ethernet(rest.skip(12));
    }

    /// IEEE 802.2 LLC; SNAP carries an EtherType (RFC 1042, IEEE 802.1H), or a number of the organization named in it.
    pub(crate) fn llc(&mut self, frame: Span<'_>) {
        let Some(header) = frame.array::<3>(0) else { return self.too_short("LLC", frame) };
        match *header {
            [0xaa, 0xaa, 0x03] => {
                let Some(&[o0, o1, o2, p0, p1]) = frame.array(3) else { return self.too_short("SNAP", frame) };
                let protocol = u16::from_be_bytes([p0, p1]);
                match u32::from_be_bytes([0, o0, o1, o2]) {
                    0 | 0x00_00f8 => self.network(protocol, frame.skip(8)),
                    organization => self.undecoded(Undecoded::Snap(organization, protocol)),
                }
            }
            [0x06, 0x06, 0x03] => self.raw_ip(frame.skip(3)),
            [point, ..] => self.undecoded(Undecoded::Llc(point)),
        }
    }

    /// Linux cooked capture v1: packet type, ARPHRD type, address length, address, protocol.
    pub(crate) fn cooked_v1(&mut self, frame: Span<'_>) {
        let Some(header) = frame.array::<16>(0) else { return self.too_short("Linux cooked v1", frame) };
        let kind = u16::from_be_bytes([header[2], header[3]]);
        let protocol = u16::from_be_bytes([header[14], header[15]]);
        self.cooked(kind, u16::from_be_bytes([header[4], header[5]]), frame.array(6), protocol, frame.skip(16));
    }

    /// Linux cooked capture v2: protocol, interface, ARPHRD type, packet type, address length, address.
    pub(crate) fn cooked_v2(&mut self, frame: Span<'_>) {
        let Some(header) = frame.array::<20>(0) else { return self.too_short("Linux cooked v2", frame) };
        let protocol = u16::from_be_bytes([header[0], header[1]]);
        let kind = u16::from_be_bytes([header[8], header[9]]);
        self.cooked(kind, u16::from(header[11]), frame.array(12), protocol, frame.skip(20));
    }

    fn cooked(&mut self, kind: u16, address_length: u16, address: Option<&[u8; 6]>, protocol: u16, rest: Span<'_>) {
        /// `ARPHRD_NETLINK`: the protocol field is a Netlink family.
        const NETLINK: u16 = 824;
        if let (6, Some(address)) = (address_length, address) {
            self.around.source_mac = *address;
            self.around.flags |= flag::MAC;
        }
        match protocol {
            _ if kind == NETLINK => self.undecoded(Undecoded::Other("Netlink")),
            0x0001 => self.undecoded(Undecoded::Other("IPX without LLC")),
            0x0004 => self.llc(rest),
            0x000c => self.undecoded(Undecoded::Other("CAN")),
            _ => self.network(protocol, rest),
        }
    }

    /// BSD loopback: the address family, in either byte order, as the capturing system numbers it.
    pub(crate) fn loopback(&mut self, frame: Span<'_>) {
        let Some(header) = frame.array::<4>(0) else { return self.too_short("loopback", frame) };
        let little = u32::from_le_bytes(*header);
        let family = if little > 0xffff { little.swap_bytes() } else { little };
        match family {
            2 => self.network(ETHER_TYPE_IPV4, frame.skip(4)),
            // Linux 10, NetBSD and OpenBSD 24, FreeBSD 28, macOS 30.
            10 | 24 | 28 | 30 => self.network(ETHER_TYPE_IPV6, frame.skip(4)),
            _ => self.undecoded(Undecoded::Family(family)),
        }
    }

    /// Linux netfilter log: family, version, group, then attributes of which one is the packet
    /// (<https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>). Their lengths are in the byte order of the capturing machine.
    pub(crate) fn nflog(&mut self, frame: Span<'_>) {
        const PAYLOAD: u16 = 9;
        let mut rest = frame.skip(4);
        while let Some(&[l0, l1, t0, t1]) = rest.array(0) {
            let little = u16::from_le_bytes([l0, l1]);
            let is_little = (4..=rest.bytes.len()).contains(&usize::from(little));
            let (length, kind) = if is_little {
                (little, u16::from_le_bytes([t0, t1]))
            } else {
                (u16::from_be_bytes([l0, l1]), u16::from_be_bytes([t0, t1]))
            };
            match (length, kind & 0x7fff) {
                (0..4, _) => break,
                (_, PAYLOAD) => return self.raw_ip(rest.limit(u32::from(length)).skip(4)),
                _ => rest = rest.skip(usize::from(length).next_multiple_of(4)),
            }
        }
        self.too_short("NFLOG", frame);
    }

    /// Per-packet information (<https://www.tcpdump.org/linktypes/LINKTYPE_PPI.html>): version, flags, length, and the link
    /// type of what follows, all little-endian.
    pub(crate) fn per_packet_information(&mut self, frame: Span<'_>) {
        let Some(&[0, _, n0, n1, t0, t1, 0, 0]) = frame.array(0) else { return self.too_short("PPI", frame) };
        let length = usize::from(u16::from_le_bytes([n0, n1]));
        if length < 8 || length > frame.bytes.len() {
            self.too_short("PPI", frame);
        } else if self.descend() {
            self.link(LinkType(u16::from_le_bytes([t0, t1])), frame.skip(length));
        }
    }

    /// IP without anything before it: the version field tells which.
    pub(crate) fn raw_ip(&mut self, packet: Span<'_>) {
        match packet.u8(0).map(|first| first >> 4) {
            Some(4) => self.ipv4(packet),
            Some(6) => self.ipv6(packet),
            Some(_) => self.undecoded(Undecoded::Malformed("IP version")),
            None => self.too_short("IP", packet),
        }
    }
}

/// Whether a frame's destination is one of the two addresses that ISL uses, of 40 bits each.
fn is_isl(destination: &[u8; 6]) -> bool {
    matches!(destination, [0x01 | 0x03, 0x00, 0x0c, 0x00, 0x00, _])
}
