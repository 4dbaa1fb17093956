//! IPv4 and IPv6.

use crate::checksum;
use crate::decoder::{IpHeader, Transport, Walk};
use crate::span::Span;
use crate::{Address, Fragment, Packet, Undecoded, flag};

/// IP protocol and extension header numbers (IANA).
pub(crate) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const AUTHENTICATION: u8 = 51;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NO_NEXT_HEADER: u8 = 59;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
    pub(crate) const SCTP: u8 = 132;
    pub(crate) const MOBILITY: u8 = 135;
}

/// Bytes of an IPv6 fragment header (RFC 8200 section 4.5).
const FRAGMENT_HEADER: u32 = 8;

impl Walk<'_> {
    /// IPv4 (RFC 791).
    pub(crate) fn ipv4(&mut self, packet: Span<'_>) {
        let Some(header) = packet.array::<20>(0) else { return self.too_short("IPv4", packet) };
        let header_length = usize::from(header[0] & 0x0f) * 4;
        let total_length = u32::from(u16::from_be_bytes([header[2], header[3]]));
        // Segmentation offload leaves the length zero where the capture is taken: then the packet is what was captured, as
        // Zeek has it.
        let length = if total_length == 0 { packet.bytes.len() as u32 } else { total_length };
        if header[0] >> 4 != 4 || header_length < 20 || (length as usize) < header_length {
            return self.undecoded(Undecoded::Malformed("IPv4"));
        }
        if length > packet.length {
            return self.undecoded(Undecoded::Malformed("IPv4: longer than its frame"));
        }
        let packet = packet.limit(length);
        let Some(whole_header) = packet.bytes.get(..header_length) else { return self.too_short("IPv4", packet) };
        let sum = || if header_length == 20 { checksum::sum_of_header(header) } else { checksum::sum(whole_header) };
        let bad = self.options.checksums && !checksum::is_right(sum());
        let ip = IpHeader {
            source: Address::v4([header[12], header[13], header[14], header[15]]),
            destination: Address::v4([header[16], header[17], header[18], header[19]]),
            length,
            flags: if bad { flag::BAD_IP_CHECKSUM } else { 0 },
            ttl: header[8],
            protocol: header[9],
        };
        let payload = packet.skip(header_length);
        let fragment_field = u16::from_be_bytes([header[6], header[7]]);
        if fragment_field & 0x3fff != 0 {
            let identification = u32::from(u16::from_be_bytes([header[4], header[5]]));
            let more = fragment_field & 0x2000 != 0;
            return self.fragment(&ip, identification, fragment_field << 3, more, payload);
        }
        self.transport(ip, payload);
    }

    /// IPv6 (RFC 8200).
    pub(crate) fn ipv6(&mut self, packet: Span<'_>) {
        let Some(header) = packet.array::<40>(0) else { return self.too_short("IPv6", packet) };
        if header[0] >> 4 != 6 {
            return self.undecoded(Undecoded::Malformed("IPv6"));
        }
        let payload_length = u32::from(u16::from_be_bytes([header[4], header[5]]));
        // Zero is a jumbogram (RFC 2675), or segmentation offload where more follows than the field could say.
        let jumbo = payload_length == 0 && (header[6] == protocol::HOP_BY_HOP || packet.length > 40 + 0xffff);
        let length = if jumbo { packet.length } else { 40 + payload_length };
        if length > packet.length {
            return self.undecoded(Undecoded::Malformed("IPv6: longer than its frame"));
        }
        let (Some(source), Some(destination)) = (packet.array(8), packet.array(24)) else { return };
        let ip = IpHeader {
            source: Address(*source),
            destination: Address(*destination),
            length,
            flags: flag::IPV6,
            ttl: header[7],
            protocol: header[6],
        };
        self.extensions(ip, packet.limit(length).skip(40));
    }

    /// Goes over IPv6 extension headers to the transport. `ip.protocol` says what `rest` starts with.
    fn extensions(&mut self, mut ip: IpHeader, mut rest: Span<'_>) {
        loop {
            let kind = ip.protocol;
            let Some(length) = extension_length(kind, rest) else { return self.transport(ip, rest) };
            let Some(header @ &[next, ..]) = rest.bytes.get(..length) else {
                self.too_short("IPv6 extension header", rest);
                return self.without_transport(&ip, rest);
            };
            // A mobility header carries its message in itself.
            if kind == protocol::MOBILITY && next == protocol::NO_NEXT_HEADER {
                return self.bare(&ip, rest);
            }
            if !self.descend() {
                return self.without_transport(&ip, rest);
            }
            rest = rest.skip(length);
            ip.protocol = next;
            match kind {
                protocol::ROUTING => ip.destination = final_destination(header).unwrap_or(ip.destination),
                protocol::DESTINATION_OPTIONS => ip.source = home_address(header).unwrap_or(ip.source),
                protocol::FRAGMENT => {
                    let &[_, _, o0, o1, i0, i1, i2, i3] = header else { return };
                    let field = u16::from_be_bytes([o0, o1]);
                    // A fragment that is the whole datagram goes on as if it were none (RFC 6946).
                    if field & 0xfff9 != 0 {
                        let identification = u32::from_be_bytes([i0, i1, i2, i3]);
                        return self.fragment(&ip, identification, field & 0xfff8, field & 1 != 0, rest);
                    }
                }
                _ => {}
            }
        }
    }

    /// A datagram put together from fragments: what follows the headers of `fragment`.
    pub(crate) fn datagram(&mut self, fragment: &Packet, payload: Span<'_>) {
        let headers = fragment.ip_length.saturating_sub(fragment.payload_length);
        let is_v6 = fragment.has(flag::IPV6);
        let ip = IpHeader {
            source: fragment.source,
            destination: fragment.destination,
            length: payload.length + if is_v6 { headers.saturating_sub(FRAGMENT_HEADER) } else { headers },
            flags: fragment.flags & (flag::IPV6 | flag::BAD_IP_CHECKSUM),
            ttl: fragment.ttl,
            protocol: fragment.protocol,
        };
        if is_v6 { self.extensions(ip, payload) } else { self.transport(ip, payload) }
    }

    fn fragment(&mut self, ip: &IpHeader, identification: u32, offset: u16, more: bool, payload: Span<'_>) {
        // What the snap length cut cannot be put together; of the first fragment the transport header may still be there.
        if payload.is_cut() {
            self.undecoded(Undecoded::Cut("fragment"));
            if offset == 0 {
                self.first_of_cut_datagram(*ip, payload);
            }
            return;
        }
        let packet = self.packet(ip, &Transport::new(0, 0, payload));
        self.out.counts.fragments += 1;
        self.out.counts.bad_checksums += u64::from(packet.has(flag::BAD_IP_CHECKSUM));
        let fragment_offset = u32::from(offset);
        self.out.fragments.push(Fragment { packet, identification, fragment_offset, more });
    }
    fn first_of_cut_datagram(&mut self, ip: IpHeader, payload: Span<'_>) {
        if ip.flags & flag::IPV6 != 0 { self.extensions(ip, payload) } else { self.transport(ip, payload) }
    }
}

/// Length of an extension header (RFC 8200 section 4), more than there is where it was cut; none for a transport.
fn extension_length(kind: u8, rest: Span<'_>) -> Option<usize> {
    let (unit, fixed) = match kind {
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS | protocol::MOBILITY => (8, 8),
        protocol::AUTHENTICATION => (4, 8),
        protocol::FRAGMENT => (0, FRAGMENT_HEADER as usize),
        _ => return None,
    };
    Some(rest.u8(1).map_or(usize::MAX, |units| usize::from(units) * unit + fixed))
}

/// Where a packet goes in the end, if its routing header holds that: type 0 (RFC 2460), type 2 (RFC 6275) and segment
/// routing (RFC 8754), while segments are left. Transport checksums are computed over it.
fn final_destination(header: &[u8]) -> Option<Address> {
    let &[_, units, kind, segments_left, ..] = header else { return None };
    match (kind, units) {
        _ if segments_left == 0 => None,
        (0, 2..) if units % 2 == 0 => header.last_chunk().copied().map(Address),
        (2, 2) => header.last_chunk().copied().map(Address),
        (4, 2..) => header.get(8..)?.first_chunk().copied().map(Address),
        _ => None,
    }
}

/// The home address option of a mobile node (RFC 6275 section 6.3): whom the packet is from in truth.
fn home_address(header: &[u8]) -> Option<Address> {
    const PAD_1: u8 = 0;
    const HOME_ADDRESS: u8 = 201;
    let mut options = header.get(2..)?;
    loop {
        match *options {
            [PAD_1, ..] => options = &options[1..],
            [HOME_ADDRESS, 16, ref value @ ..] => return value.first_chunk().copied().map(Address),
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}
