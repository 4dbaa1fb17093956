//! Tunnels over UDP. The outer packet was given already, as Zeek logs both; what is no tunnel after all is just UDP.

use crate::decoder::{Outer, Walk};
use crate::ip::protocol;
use crate::span::Span;
use crate::tunnel::ETHER_TYPE_BRIDGED;
use crate::{Tunnel, Undecoded};

/// VXLAN (RFC 7348).
pub(crate) const VXLAN_PORT: u16 = 4789;
/// GENEVE (RFC 8926).
pub(crate) const GENEVE_PORT: u16 = 6081;
/// GTP-U (3GPP TS 29.281).
pub(crate) const GTP_U_PORT: u16 = 2152;
/// Teredo servers (RFC 4380); clients use any port.
const TEREDO_PORT: u16 = 3544;
/// AYIYA (draft-massar-v6ops-ayiya).
const AYIYA_PORT: u16 = 5072;
/// GRE in UDP (RFC 8086).
const GRE_PORT: u16 = 4754;

/// Bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;

impl Walk<'_> {
    /// What a UDP payload carries, if it is a tunnel. `outer` is the UDP packet.
    pub(crate) fn udp_tunnel(&mut self, ports: [u16; 2], outer: Outer, payload: Span<'_>) {
        for port in ports {
            match port {
                VXLAN_PORT => return self.vxlan(outer, payload),
                GENEVE_PORT => return self.geneve(outer, payload),
                GTP_U_PORT => return self.gtp_u(outer, payload),
                TEREDO_PORT => return self.teredo(outer, payload),
                AYIYA_PORT => return self.ayiya(outer, payload),
                GRE_PORT => return self.gre(outer, payload),
                _ => {}
            }
        }
        if is_teredo(payload) && self.enter(Tunnel::Teredo, outer) {
            self.ipv6(payload);
        }
    }

    fn vxlan(&mut self, outer: Outer, payload: Span<'_>) {
        let Some(&[flags, ..]) = payload.array::<8>(0) else { return self.too_short("VXLAN", payload) };
        if flags & 0x08 == 0 {
            return self.undecoded(Undecoded::Malformed("VXLAN"));
        }
        if self.enter(Tunnel::Vxlan, outer) {
            self.tunnelled_ethernet(payload.skip(8));
        }
    }

    fn geneve(&mut self, outer: Outer, payload: Span<'_>) {
        let Some(&[version_options, _, p0, p1, ..]) = payload.array::<8>(0) else {
            return self.too_short("GENEVE", payload);
        };
        if version_options >> 6 != 0 {
            return self.undecoded(Undecoded::Malformed("GENEVE"));
        }
        if self.enter(Tunnel::Geneve, outer) {
            let inner = payload.skip(8 + usize::from(version_options & 0x3f) * 4);
            match u16::from_be_bytes([p0, p1]) {
                ETHER_TYPE_BRIDGED => self.tunnelled_ethernet(inner),
                other => self.network(other, inner),
            }
        }
    }

    fn gtp_u(&mut self, outer: Outer, payload: Span<'_>) {
        /// A user's packet; the other types manage the tunnel.
        const G_PDU: u8 = 255;
        let Some(&[flags, message, l0, l1, ..]) = payload.array::<8>(0) else {
            return self.too_short("GTP-U", payload);
        };
        // Version 1 with the bit that tells GTP from GTP'.
        if flags & 0xf0 != 0x30 {
            return self.undecoded(Undecoded::Malformed("GTP-U"));
        }
        if message != G_PDU {
            return;
        }
        let body = payload.skip(8).limit(u32::from(u16::from_be_bytes([l0, l1])));
        let Some(inner) = gtp_extensions(flags, body) else { return self.too_short("GTP-U", payload) };
        if self.enter(Tunnel::GtpU, outer) {
            self.raw_ip(inner);
        }
    }

    /// Teredo: authentication and origin indication may come before the IPv6 packet (RFC 4380 section 5.1.1).
    fn teredo(&mut self, outer: Outer, payload: Span<'_>) {
        let mut rest = payload;
        if let Some(&[0, 1, identifier, authentication]) = rest.array(0) {
            rest = rest.skip(4 + usize::from(identifier) + usize::from(authentication) + 9);
        }
        if let Some(&[0, 0]) = rest.array(0) {
            rest = rest.skip(8);
        }
        if rest.u8(0).is_none_or(|first| first >> 4 != 6) {
            return self.too_short("Teredo", payload);
        }
        if self.enter(Tunnel::Teredo, outer) {
            self.ipv6(rest);
        }
    }

    fn ayiya(&mut self, outer: Outer, payload: Span<'_>) {
        /// The packet is to be forwarded; other operations only keep the tunnel alive.
        const FORWARD: u8 = 1;
        let Some(&[identity, signature, operation, next, ..]) = payload.array::<8>(0) else {
            return self.too_short("AYIYA", payload);
        };
        if operation & 0x0f != FORWARD || !matches!(next, protocol::IPV4 | protocol::IPV6) {
            return;
        }
        if self.enter(Tunnel::Ayiya, outer) {
            self.raw_ip(payload.skip(8 + (1 << (identity >> 4)) + usize::from(signature >> 4) * 4));
        }
    }
}

/// What follows the optional fields and extension headers of GTP-U (TS 29.281 section 5.2).
fn gtp_extensions(flags: u8, body: Span<'_>) -> Option<Span<'_>> {
    if flags & 0x07 == 0 {
        return Some(body);
    }
    let mut next = body.u8(3)?;
    let mut rest = body.skip(4);
    // The field is there but without meaning unless its flag is set.
    while flags & 0x04 != 0 && next != 0 {
        let length = usize::from(rest.u8(0).filter(|units| *units > 0)?) * 4;
        next = rest.u8(length - 1)?;
        rest = rest.skip(length);
    }
    Some(rest)
}

/// Whether a UDP payload on any port is an IPv6 packet from or to a Teredo address, 2001:0::/32 (RFC 4380 section 2.6), that
/// fills it exactly.
fn is_teredo(payload: Span<'_>) -> bool {
    const PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];
    let Some(header) = payload.array::<IPV6_HEADER>(0).filter(|header| header[0] >> 4 == 6) else { return false };
    let length = IPV6_HEADER as u32 + u32::from(u16::from_be_bytes([header[4], header[5]]));
    length == payload.length && (header[8..12] == PREFIX || header[24..28] == PREFIX)
}
