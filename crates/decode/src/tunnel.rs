//! Tunnels that IP carries itself. Only the inner packet comes out, as in Zeek.

use crate::decoder::{IpHeader, Walk};
use crate::span::Span;
use crate::{Tunnel, flag};

impl Walk<'_> {
    /// IP in IP (RFC 2003, RFC 2473) and 6in4 (RFC 4213).
    pub(crate) fn ip_in_ip(&mut self, ip: &IpHeader, inner_is_v6: bool, rest: Span<'_>) {
        let six_in_four = inner_is_v6 && ip.flags & flag::IPV6 == 0;
        let version = if inner_is_v6 { 6 } else { 4 };
        if rest.u8(0).map(|first| first >> 4) != Some(version) {
            self.too_short("IP in IP", rest);
            return self.bare(ip, rest);
        }
        if !self.enter(if six_in_four { Tunnel::SixInFour } else { Tunnel::IpInIp }) {
            return;
        }
        if inner_is_v6 { self.ipv6(rest) } else { self.ipv4(rest) }
    }
}
