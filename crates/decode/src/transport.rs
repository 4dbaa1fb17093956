//! What IP carries: TCP, UDP, SCTP, ICMP, and everything that has no ports.

use crate::checksum;
use crate::decoder::{IpHeader, Outer, Transport, Walk};
use crate::icmp;
use crate::ip::protocol;
use crate::span::Span;
use crate::udp_tunnel::{GENEVE_PORT, GTP_U_PORT, VXLAN_PORT};
use crate::{Undecoded, flag};

/// Bytes of a TCP header up to its flags: what a packet cut by the snap length must hold to be of use.
const TCP_UP_TO_FLAGS: usize = 14;

impl Walk<'_> {
    /// What follows the IP headers.
    #[inline(always)]
    pub(crate) fn transport(&mut self, ip: IpHeader, payload: Span<'_>) {
        match ip.protocol {
            protocol::TCP => self.tcp(&ip, payload),
            protocol::UDP => self.udp(&ip, payload),
            protocol::ICMP if ip.flags & flag::IPV6 == 0 => self.icmp(&ip, payload),
            protocol::ICMPV6 if ip.flags & flag::IPV6 != 0 => self.icmp(&ip, payload),
            protocol::SCTP => self.sctp(&ip, payload),
            protocol::IPV4 => self.ip_in_ip(&ip, false, payload),
            protocol::IPV6 => self.ip_in_ip(&ip, true, payload),
            protocol::GRE => self.gre(Outer::ip(&ip), payload),
            protocol::AUTHENTICATION => self.authentication(ip, payload),
            protocol::NO_NEXT_HEADER if ip.flags & flag::IPV6 != 0 => {
                self.undecoded(Undecoded::Other("no next header"));
            }
            _ => self.bare(&ip, payload),
        }
    }

    /// TCP (RFC 9293).
    #[inline(always)]
    fn tcp(&mut self, ip: &IpHeader, segment: Span<'_>) {
        let Some(header) = segment.array::<TCP_UP_TO_FLAGS>(0) else { return self.cut_transport("TCP", ip, segment) };
        let header_length = usize::from(header[12] >> 4) * 4;
        if header_length < 20 || header_length > segment.length as usize {
            self.undecoded(Undecoded::Malformed("TCP"));
            return self.without_transport(ip, segment);
        }
        let ports = [header[0], header[1], header[2], header[3]];
        let transport = Transport {
            flags: self.verify(ip, segment, true),
            tcp_flags: header[13],
            window: segment.u16(14).unwrap_or_default(),
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            ..with_ports(ports, segment.behind(header_length))
        };
        self.push(ip, &transport);
    }

    /// UDP (RFC 768).
    #[inline(always)]
    fn udp(&mut self, ip: &IpHeader, datagram: Span<'_>) {
        let Some(&[s0, s1, d0, d1, l0, l1, c0, c1]) = datagram.array(0) else {
            return self.cut_transport("UDP", ip, datagram);
        };
        let stated = u32::from(u16::from_be_bytes([l0, l1]));
        // A length that cannot be is ignored: zero is a jumbogram or segmentation offload.
        let datagram = if (8..=datagram.length).contains(&stated) { datagram.limit(stated) } else { datagram };
        let mut transport = with_ports([s0, s1, d0, d1], datagram.behind(8));
        let ports = [transport.destination_port, transport.source_port];
        // Zero says that the sender computed none (RFC 768; over IPv6 only for tunnels, RFC 6935).
        if [c0, c1] != [0, 0] || ip.flags & flag::IPV6 != 0 && !may_lack_checksum(transport.destination_port) {
            transport.flags = self.verify(ip, datagram, true);
        }
        self.push(ip, &transport);
        self.udp_tunnel(ports, Outer::udp(ip, &transport), transport.payload);
    }

    /// SCTP (RFC 9260): the common header.
    #[inline(never)]
    fn sctp(&mut self, ip: &IpHeader, rest: Span<'_>) {
        let Some(ports) = rest.array(0).filter(|_| rest.length >= 12) else {
            return self.cut_transport("SCTP", ip, rest);
        };
        self.push(ip, &with_ports(*ports, rest.behind(12)));
    }

    /// ICMP (RFC 792) and ICMPv6 (RFC 4443).
    #[inline(never)]
    fn icmp(&mut self, ip: &IpHeader, message: Span<'_>) {
        let Some(&[kind, code]) = message.array(0).filter(|_| message.length >= 8) else {
            return self.cut_transport("ICMP", ip, message);
        };
        let is_v6 = ip.flags & flag::IPV6 != 0;
        let counterpart = icmp::counterpart(kind, is_v6);
        let one_way = if counterpart.is_none() { flag::ONE_WAY } else { 0 };
        let transport = Transport {
            flags: one_way | self.verify(ip, message, is_v6),
            tcp_flags: kind,
            icmp_code: code,
            ..Transport::new(u16::from(kind), u16::from(counterpart.unwrap_or(code)), message.behind(8))
        };
        self.push(ip, &transport);
    }

    /// IP authentication header (RFC 4302): the payload behind it is in the clear.
    #[inline(never)]
    fn authentication(&mut self, mut ip: IpHeader, rest: Span<'_>) {
        let header = rest.array::<2>(0).map(|header| (header[0], usize::from(header[1]) * 4 + 8));
        match header.filter(|(_, length)| *length <= rest.bytes.len()) {
            Some((next, length)) if self.descend() => {
                ip.protocol = next;
                self.transport(ip, rest.skip(length));
            }
            _ => self.bare(&ip, rest),
        }
    }

    /// A protocol without ports, as far as is known here.
    #[inline(never)]
    pub(crate) fn bare(&mut self, ip: &IpHeader, payload: Span<'_>) {
        self.push(ip, &Transport::new(0, 0, payload));
    }

    /// A transport header of which too little is there.
    #[cold]
    fn cut_transport(&mut self, layer: &'static str, ip: &IpHeader, rest: Span<'_>) {
        self.too_short(layer, rest);
        self.without_transport(ip, rest);
    }

    /// A packet whose transport header says nothing.
    #[cold]
    pub(crate) fn without_transport(&mut self, ip: &IpHeader, rest: Span<'_>) {
        self.push(ip, &Transport { flags: flag::NO_TRANSPORT, ..Transport::new(0, 0, rest) });
    }

    /// [`flag::BAD_CHECKSUM`] if `segment` was captured whole and its checksum is wrong.
    #[inline(always)]
    fn verify(&self, ip: &IpHeader, segment: Span<'_>, pseudo_header: bool) -> u16 {
        if !self.options.checksums || segment.is_cut() {
            return 0;
        }
        let mut sum = checksum::sum(segment.bytes);
        if pseudo_header {
            sum += checksum::pseudo_header(ip.source, ip.destination, ip.protocol, segment.length);
        }
        if checksum::is_right(sum) { 0 } else { flag::BAD_CHECKSUM }
    }
}

/// Whether UDP over IPv6 to this port may go without a checksum.
fn may_lack_checksum(port: u16) -> bool {
    matches!(port, VXLAN_PORT | GENEVE_PORT | GTP_U_PORT)
}

fn with_ports([s0, s1, d0, d1]: [u8; 4], payload: Span<'_>) -> Transport<'_> {
    Transport::new(u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]), payload)
}
