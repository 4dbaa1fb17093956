//! The packet record.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lapwing_capture::Timestamp;

use crate::Buffers;

/// An IP address in 16 bytes: IPv6 as it is, IPv4 as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), so that keys of both
/// families compare and hash the same way. Whether a packet *is* IPv6 is said by [`flag::IPV6`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// From the four bytes of an IPv4 address.
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self((0xffff_0000_0000 | u32::from_be_bytes(octets) as u128).to_be_bytes())
    }

    /// The address in the standard library's form; an IPv4-mapped one as IPv4.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15]))
        } else {
            IpAddr::V6(Ipv6Addr::from(self.0))
        }
    }

    /// Whether it holds an IPv4 address.
    #[must_use]
    pub fn is_v4(self) -> bool {
        self.0[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

/// Bits of [`Packet::flags`].
pub mod flag {
    /// The packet is IPv6.
    pub const IPV6: u16 = 1;
    /// The source is the higher endpoint of (address, port): the same flow's two directions differ in this bit.
    pub const FROM_HIGHER: u16 = 1 << 1;
    /// The IPv4 header checksum is wrong, of this packet or of one that it was tunnelled in.
    pub const BAD_IP_CHECKSUM: u16 = 1 << 2;
    /// The TCP, UDP or ICMP checksum is wrong, of this packet or of one that it was tunnelled in. Computed only where the
    /// whole packet was captured; SCTP's is not computed.
    pub const BAD_CHECKSUM: u16 = 1 << 3;
    /// The frame was cut by the snap length inside this packet.
    pub const TRUNCATED: u16 = 1 << 4;
    /// The payload lies in [`Buffers::reassembled`](crate::Buffers), not in the frame buffer.
    pub const REASSEMBLED: u16 = 1 << 5;
    /// An ICMP message without a counterpart: its flow has one direction only.
    pub const ONE_WAY: u16 = 1 << 6;
    /// The transport header was cut short or malformed: ports are zero, the packet counts as its IP protocol.
    pub const NO_TRANSPORT: u16 = 1 << 7;
    /// A VLAN tag was present (VLAN id 0 is a valid priority tag).
    pub const VLAN: u16 = 1 << 8;
    /// An inner (second) VLAN tag was present.
    pub const INNER_VLAN: u16 = 1 << 9;
    /// Link-layer addresses are known.
    pub const MAC: u16 = 1 << 10;
}

/// The innermost tunnel that a packet came out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the tunnels' own")]
pub enum Tunnel {
    #[default]
    None,
    IpInIp,
    SixInFour,
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    GtpU,
    Teredo,
    Ayiya,
}

/// What the headers of one IP packet said.
///
/// For ICMP the ports are Zeek's (and Community ID's): the message type, and the type of its counterpart; without a
/// counterpart the code, with [`flag::ONE_WAY`]. For any protocol without ports they are zero.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// When its frame was captured.
    pub time: Timestamp,
    /// Number of its frame, counted from 1.
    pub frame: u64,
    /// Hash of the five-tuple, the same for both directions; keyed per process, so it must never reach an output.
    pub hash: u64,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// [`flag`] bits.
    pub flags: u16,
    /// Logical shard of the flow: from a fixed hash of the five-tuple, below [`Packet::SHARDS`].
    pub shard: u8,
    /// IP protocol number (the last header's, for IPv6).
    pub protocol: u8,
    /// TCP: the flag byte (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128). ICMP: the message type.
    pub tcp_flags: u8,
    /// ICMP: the code.
    pub icmp_code: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// The innermost tunnel it came out of.
    pub tunnel: Tunnel,
    /// Stands for the flows of all tunnels around it, the same for both directions; zero outside of tunnels. Good for telling
    /// whether two packets came the same way.
    pub tunnel_path: u16,
    /// VLAN id of the outer tag (12 bits), with [`flag::VLAN`].
    pub vlan: u16,
    /// VLAN id of the inner tag, with [`flag::INNER_VLAN`].
    pub inner_vlan: u16,
    /// TCP window as sent, not scaled.
    pub window: u16,
    /// TCP sequence number.
    pub sequence: u32,
    /// TCP acknowledgment number.
    pub acknowledgment: u32,
    /// Bytes of the IP packet by its own header, header included: Zeek's `ip_bytes`.
    pub ip_length: u32,
    /// Bytes of transport payload by the headers; more than was captured where the frame was cut.
    pub payload_length: u32,
    /// First byte of the payload in its buffer.
    pub payload_offset: u32,
    /// Bytes of payload that were captured.
    pub payload_captured: u32,
    /// Link-layer source address, with [`flag::MAC`].
    pub source_mac: [u8; 6],
    /// Link-layer destination address, with [`flag::MAC`].
    pub destination_mac: [u8; 6],
}

impl Packet {
    /// Logical shards that flows are split into, whatever the number of threads.
    pub const SHARDS: usize = 64;

    /// Whether all bits of `mask` are set in [`Packet::flags`].
    #[must_use]
    pub fn has(&self, mask: u16) -> bool {
        self.flags & mask == mask
    }

    /// The payload bytes that were captured.
    #[must_use]
    pub fn payload<'a>(&self, buffers: Buffers<'a>) -> &'a [u8] {
        let from = if self.has(flag::REASSEMBLED) { buffers.reassembled } else { buffers.frames };
        let start = self.payload_offset as usize;
        from.get(start..start + self.payload_captured as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flood is millions of them a second: two cache lines at most.
    #[test]
    fn a_packet_is_small() {
        assert!(size_of::<Packet>() <= 112);
    }

    #[test]
    fn addresses_of_both_families_round_trip() {
        for text in ["192.0.2.1", "2001:db8::1", "::"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).ip(), ip);
        }
    }
}
