//! What an EtherType says follows: IP, ARP, tags and shims.

use crate::decoder::Walk;
use crate::span::Span;
use crate::{Arp, Undecoded, flag};

/// IPv4 (RFC 894).
pub(crate) const ETHER_TYPE_IPV4: u16 = 0x0800;
/// IPv6 (RFC 2464).
pub(crate) const ETHER_TYPE_IPV6: u16 = 0x86dd;
/// MPLS (RFC 3032).
pub(crate) const ETHER_TYPE_MPLS: u16 = 0x8847;
const ETHER_TYPE_ARP: u16 = 0x0806;

impl Walk<'_> {
    /// Whatever follows an EtherType.
    pub(crate) fn network(&mut self, ether_type: u16, rest: Span<'_>) {
        match ether_type {
            ETHER_TYPE_IPV4 => self.ipv4(rest),
            ETHER_TYPE_IPV6 => self.ipv6(rest),
            ETHER_TYPE_ARP => self.arp(rest),
            // IEEE 802.1Q, 802.1ad, and two values that QinQ equipment used before it.
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => self.vlan(rest),
            ETHER_TYPE_MPLS | 0x8848 => self.mpls(rest),
            0x8864 => self.pppoe(rest),
            // Provider backbone bridging (IEEE 802.1ah): a service tag, then the customer's frame.
            0x88e7 => self.nested_ethernet("PBB", rest, 4),
            // Cisco FabricPath: a tag, then the frame.
            0x8903 => self.nested_ethernet("FabricPath", rest, 2),
            // Tags that end in the type of what they tag: VN-Tag, E-Tag (IEEE 802.1BR), R-Tag (IEEE 802.1CB), HSR (IEC 62439-3).
            0x8926 => self.tag("VN-Tag", rest, 4),
            0x893f => self.tag("E-Tag", rest, 6),
            0xf1c1 => self.tag("R-Tag", rest, 4),
            0x892f => self.tag("HSR", rest, 4),
            0x88e5 => self.macsec(rest),
            // Cisco metadata: a security group tag.
            0x8909 => self.tag("Cisco metadata", rest, 6),
            other => self.undecoded(Undecoded::EtherType(other)),
        }
    }

    /// A VLAN tag: priority and id, then the type of what it tags.
    fn vlan(&mut self, rest: Span<'_>) {
        let Some(&[t0, t1, e0, e1]) = rest.array(0) else { return self.too_short("VLAN", rest) };
        if !self.descend() {
            return;
        }
        let id = u16::from_be_bytes([t0, t1]) & 0x0fff;
        if self.around.flags & flag::VLAN == 0 {
            self.around.vlan = id;
            self.around.flags |= flag::VLAN;
        } else {
            self.around.inner_vlan = id;
            self.around.flags |= flag::INNER_VLAN;
        }
        self.ether_type_or_length(u16::from_be_bytes([e0, e1]), rest.skip(4));
    }

    fn tag(&mut self, name: &'static str, rest: Span<'_>, type_at: usize) {
        let Some(ether_type) = rest.u16(type_at) else { return self.too_short(name, rest) };
        if self.descend() {
            self.ether_type_or_length(ether_type, rest.skip(type_at + 2));
        }
    }

    /// MACsec (IEEE 802.1AE), which may protect only the integrity of what it carries.
    fn macsec(&mut self, rest: Span<'_>) {
        const ENCRYPTED: u8 = 0x08;
        const CHANGED: u8 = 0x04;
        const EXPLICIT_CHANNEL: u8 = 0x20;
        match rest.u8(0) {
            Some(tag) if tag & (ENCRYPTED | CHANGED) != 0 => self.undecoded(Undecoded::Other("encrypted MACsec")),
            Some(tag) => self.tag("MACsec", rest, if tag & EXPLICIT_CHANNEL != 0 { 14 } else { 6 }),
            None => self.too_short("MACsec", rest),
        }
    }

    fn nested_ethernet(&mut self, name: &'static str, rest: Span<'_>, header: usize) {
        if rest.bytes.len() < header {
            self.too_short(name, rest);
        } else if self.descend() {
            self.ethernet(rest.skip(header));
        }
    }

    /// MPLS: labels of four bytes, the last one marked. What follows is not said: IP if it looks like it, else a pseudowire
    /// (RFC 4448), where a control word begins with four zero bits, but so do most vendors' addresses.
    fn mpls(&mut self, mut rest: Span<'_>) {
        loop {
            let Some(&[_, _, last, _]) = rest.array(0) else { return self.too_short("MPLS", rest) };
            rest = rest.skip(4);
            if last & 1 == 1 {
                break;
            }
        }
        if !self.descend() {
            return;
        }
        match rest.u8(0).map(|first| first >> 4) {
            Some(4) if rest.u16(2).is_some_and(|length| u32::from(length) <= rest.length) => self.ipv4(rest),
            Some(6) if rest.u16(4).is_some_and(|length| u32::from(length) + 40 <= rest.length) => self.ipv6(rest),
            Some(0) if !rest.u16(12).is_some_and(is_common) => self.ethernet(rest.skip(4)),
            Some(1) => self.undecoded(Undecoded::Other("MPLS associated channel")),
            _ => self.ethernet(rest),
        }
    }

    /// ARP (RFC 826); only IPv4 over Ethernet is kept.
    fn arp(&mut self, packet: Span<'_>) {
        let Some(kinds) = packet.array::<8>(0) else { return self.too_short("ARP", packet) };
        // Hardware is Ethernet, or IEEE 802 where LLC is used.
        let [0, 1 | 6, 8, 0, 6, 4, operation @ ..] = *kinds else {
            return self.undecoded(Undecoded::Other("ARP for other than IPv4 over Ethernet"));
        };
        let fields = (packet.array(8), packet.array(14), packet.array(18), packet.array(24));
        let (Some(sender_mac), Some(sender_address), Some(target_mac), Some(target_address)) = fields else {
            return self.too_short("ARP", packet);
        };
        self.out.arps.push(Arp {
            time: self.time,
            frame: self.frame,
            operation: u16::from_be_bytes(operation),
            vlan: self.around.vlan,
            frame_source: self.around.source_mac,
            frame_destination: self.around.destination_mac,
            sender_mac: *sender_mac,
            sender_address: *sender_address,
            target_mac: *target_mac,
            target_address: *target_address,
        });
    }
}

fn is_common(ether_type: u16) -> bool {
    matches!(ether_type, ETHER_TYPE_IPV4 | ETHER_TYPE_IPV6 | ETHER_TYPE_ARP | 0x8100 | 0x88a8)
}
