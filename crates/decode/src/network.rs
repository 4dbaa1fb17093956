//! What an EtherType says follows: IP, ARP, tags and shims.

use crate::decoder::Walk;
use crate::span::Span;
use crate::{Arp, Undecoded, flag};

/// IPv4 (RFC 894).
pub(crate) const ETHER_TYPE_IPV4: u16 = 0x0800;
/// IPv6 (RFC 2464).
pub(crate) const ETHER_TYPE_IPV6: u16 = 0x86dd;
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
        if self.flags & flag::VLAN == 0 {
            self.vlan = id;
            self.flags |= flag::VLAN;
        } else {
            self.inner_vlan = id;
            self.flags |= flag::INNER_VLAN;
        }
        self.ether_type_or_length(u16::from_be_bytes([e0, e1]), rest.skip(4));
    }

    /// ARP (RFC 826); only IPv4 over Ethernet is kept.
    fn arp(&mut self, packet: Span<'_>) {
        let Some(kinds) = packet.array::<8>(0) else { return self.too_short("ARP", packet) };
        let [0, 1, 8, 0, 6, 4, operation @ ..] = *kinds else {
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
            vlan: self.vlan,
            frame_source: self.source_mac,
            frame_destination: self.destination_mac,
            sender_mac: *sender_mac,
            sender_address: *sender_address,
            target_mac: *target_mac,
            target_address: *target_address,
        });
    }
}
