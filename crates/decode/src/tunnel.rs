//! Tunnels that IP carries itself: IP in IP and GRE. Only what is inside comes out, as in Zeek.

use crate::decoder::{IpHeader, Outer, Walk};
use crate::network::ETHER_TYPE_IPV4;
use crate::span::Span;
use crate::{Tunnel, Undecoded, flag};

/// Ethernet in GRE (RFC 1701) and in GENEVE.
pub(crate) const ETHER_TYPE_BRIDGED: u16 = 0x6558;
/// PPTP's enhanced GRE carries PPP (RFC 2637 section 4.1).
const GRE_PPP: u16 = 0x880b;

impl Walk<'_> {
    /// IP in IP (RFC 2003, RFC 2473) and 6in4 (RFC 4213).
    pub(crate) fn ip_in_ip(&mut self, ip: &IpHeader, inner_is_v6: bool, rest: Span<'_>) {
        let version = if inner_is_v6 { 6 } else { 4 };
        if rest.u8(0).map(|first| first >> 4) != Some(version) {
            return self.too_short("IP in IP", rest);
        }
        let six_in_four = inner_is_v6 && ip.flags & flag::IPV6 == 0;
        if self.enter(if six_in_four { Tunnel::SixInFour } else { Tunnel::IpInIp }, Outer::ip(ip)) {
            self.raw_ip(rest);
        }
    }

    /// GRE: version 0 (RFC 2784, RFC 2890) and version 1 (RFC 2637).
    pub(crate) fn gre(&mut self, outer: Outer, packet: Span<'_>) {
        let Some(&[f0, f1, p0, p1]) = packet.array(0) else { return self.too_short("GRE", packet) };
        let flags = u16::from_be_bytes([f0, f1]);
        let payload_type = u16::from_be_bytes([p0, p1]);
        let word = |present: u16| if flags & present != 0 { 4 } else { 0 };
        let header = 4 + word(0x8000) + word(0x2000) + word(0x1000);
        let has_sequence = flags & 0x1000 != 0;
        match flags & 7 {
            0 if flags & 0x4000 != 0 => self.undecoded(Undecoded::Other("GRE with source route")),
            0 if self.enter(Tunnel::Gre, outer) => {
                self.gre_payload(payload_type, has_sequence, packet.skip(header));
            }
            // A packet without a sequence number only acknowledges.
            1 if !has_sequence => self.undecoded(Undecoded::Other("PPTP acknowledgment")),
            1 if payload_type == GRE_PPP && self.enter(Tunnel::Gre, outer) => {
                self.ppp(packet.skip(header + word(0x0080)));
            }
            0 => {}
            _ => self.undecoded(Undecoded::Malformed("GRE")),
        }
    }

    fn gre_payload(&mut self, payload_type: u16, has_sequence: bool, rest: Span<'_>) {
        match payload_type {
            ETHER_TYPE_BRIDGED => self.tunnelled_ethernet(rest),
            0x88be => self.erspan(rest, if has_sequence { 8 } else { 0 }),
            // Type III has 12 bytes, and 8 more where its last bit says so.
            0x22eb => self.erspan(rest, if rest.u8(11).is_some_and(|last| last & 1 == 1) { 20 } else { 12 }),
            GRE_PPP => self.ppp(rest),
            // WCCP: version 2 puts a redirect header of four bytes before the packet.
            0x883e => {
                let redirect = rest.u8(0).is_some_and(|first| first >> 4 != 4);
                self.network(ETHER_TYPE_IPV4, rest.skip(if redirect { 4 } else { 0 }));
            }
            // Aruba access points: the low byte numbers the virtual port.
            0x8200..=0x83ff if payload_type & 0x0f == 0 => self.wifi(rest, false),
            other => self.network(other, rest),
        }
    }

    /// ERSPAN (draft-foschiano-erspan): a mirrored Ethernet frame behind a header of `header` bytes, none in type I.
    fn erspan(&mut self, rest: Span<'_>, header: usize) {
        self.around.tunnel = Tunnel::Erspan;
        self.tunnelled_ethernet(rest.skip(header));
    }

    /// An Ethernet frame with addresses and tags of its own.
    pub(crate) fn tunnelled_ethernet(&mut self, frame: Span<'_>) {
        self.around.flags &= !(flag::VLAN | flag::INNER_VLAN);
        self.ethernet(frame);
    }
}
