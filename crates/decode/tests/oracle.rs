//! Frames built by `etherparse` come out as they were built, and frames that were damaged come out as `etherparse` reads them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{LaxSlicedPacket, PacketBuilder, PacketBuilderStep, TransportSlice, VlanId, ip_number};
use lapwing_capture::{Frame, LinkType, Timestamp};
use lapwing_decode::{Address, Buffers, DecodeOptions, Decoder, Packet, PacketBatch, flag};
use proptest::prelude::*;

const ETHERNET_HEADER: usize = 14;

fn decode(link: LinkType, data: &[u8], length: usize) -> PacketBatch {
    let mut out = PacketBatch::default();
    let frame = Frame { number: 7, time: Timestamp::from_seconds(1), link, length: length as u32, offset: 0, data };
    Decoder::new(DecodeOptions::default()).decode(frame, &mut out);
    out
}

#[derive(Clone, Debug)]
struct Built {
    vlans: Vec<u16>,
    addresses: (IpAddr, IpAddr),
    ports: (u16, u16),
    transport: Transport,
    payload: Vec<u8>,
    padding: usize,
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp { sequence: u32, acknowledgment: u32, window: u16, syn: bool, fin: bool },
    Udp,
    Echo,
}

fn built() -> impl Strategy<Value = Built> {
    let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (Ipv4Addr::from(a).into(), Ipv4Addr::from(b).into()));
    let v6 = any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (Ipv6Addr::from(a).into(), Ipv6Addr::from(b).into()));
    let tcp = any::<(u32, u32, u16, bool, bool)>().prop_map(|(sequence, acknowledgment, window, syn, fin)| {
        Transport::Tcp { sequence, acknowledgment, window, syn, fin }
    });
    let port = prop_oneof![1_u16..1024, 20_000_u16..60_000];
    (
        prop::collection::vec(0_u16..4096, 0..=2),
        prop_oneof![v4, v6],
        (port.clone(), port),
        prop_oneof![tcp, Just(Transport::Udp), Just(Transport::Echo)],
        prop::collection::vec(any::<u8>(), 0..600),
        0_usize..20,
    )
        .prop_map(|(vlans, addresses, ports, transport, payload, padding)| Built {
            vlans,
            addresses,
            ports,
            transport,
            payload,
            padding,
        })
}

impl Built {
    fn frame(&self) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]);
        let id = |id: u16| VlanId::try_new(id).unwrap();
        let ip = match (self.vlans.as_slice(), self.addresses) {
            ([], (IpAddr::V4(from), IpAddr::V4(to))) => ethernet.ipv4(from.octets(), to.octets(), 61),
            ([], (IpAddr::V6(from), IpAddr::V6(to))) => ethernet.ipv6(from.octets(), to.octets(), 61),
            ([one], (IpAddr::V4(from), IpAddr::V4(to))) => {
                ethernet.single_vlan(id(*one)).ipv4(from.octets(), to.octets(), 61)
            }
            ([one], (IpAddr::V6(from), IpAddr::V6(to))) => {
                ethernet.single_vlan(id(*one)).ipv6(from.octets(), to.octets(), 61)
            }
            ([one, two], (IpAddr::V4(from), IpAddr::V4(to))) => {
                ethernet.double_vlan(id(*one), id(*two)).ipv4(from.octets(), to.octets(), 61)
            }
            ([one, two, ..], (IpAddr::V6(from), IpAddr::V6(to))) => {
                ethernet.double_vlan(id(*one), id(*two)).ipv6(from.octets(), to.octets(), 61)
            }
            _ => unreachable!("both addresses are of one family"),
        };
        let mut frame = self.with_transport(ip);
        frame.extend(std::iter::repeat_n(0xee, self.padding));
        frame
    }

    fn with_transport(&self, ip: PacketBuilderStep<etherparse::IpHeaders>) -> Vec<u8> {
        let mut frame = Vec::new();
        match self.transport {
            Transport::Tcp { sequence, acknowledgment, window, syn, fin } => {
                let mut tcp = ip.tcp(self.ports.0, self.ports.1, sequence, window).ack(acknowledgment);
                tcp = if syn { tcp.syn() } else { tcp };
                tcp = if fin { tcp.fin() } else { tcp };
                tcp.write(&mut frame, &self.payload).unwrap();
            }
            Transport::Udp => ip.udp(self.ports.0, self.ports.1).write(&mut frame, &self.payload).unwrap(),
            Transport::Echo if self.addresses.0.is_ipv4() => {
                ip.icmpv4_echo_request(1, 2).write(&mut frame, &self.payload).unwrap();
            }
            Transport::Echo => ip.icmpv6_echo_request(1, 2).write(&mut frame, &self.payload).unwrap(),
        }
        frame
    }

    fn transport_header(&self) -> u32 {
        if matches!(self.transport, Transport::Tcp { .. }) { 20 } else { 8 }
    }

    fn ip_length(&self) -> u32 {
        let header = if self.addresses.0.is_ipv4() { 20 } else { 40 };
        header + self.transport_header() + self.payload.len() as u32
    }
}

fn check_tcp(packet: &Packet, transport: Transport) {
    if let Transport::Tcp { sequence, acknowledgment, window, syn, fin } = transport {
        assert_eq!((packet.sequence, packet.acknowledgment), (sequence, acknowledgment));
        assert_eq!(packet.window, window);
        assert_eq!(packet.tcp_flags, 16 | u8::from(syn) << 1 | u8::from(fin));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_built_comes_out(built in built()) {
        let frame = built.frame();
        let out = decode(LinkType::ETHERNET, &frame, frame.len());
        prop_assert_eq!(out.packets.len(), 1);
        let packet = &out.packets[0];
        prop_assert_eq!(packet.source, Address::from(built.addresses.0));
        prop_assert_eq!(packet.destination, Address::from(built.addresses.1));
        prop_assert_eq!(packet.source_mac, [1, 2, 3, 4, 5, 6]);
        prop_assert_eq!(packet.destination_mac, [7, 8, 9, 10, 11, 12]);
        prop_assert_eq!((packet.frame, packet.time, packet.ttl), (7, Timestamp::from_seconds(1), 61));
        prop_assert_eq!(packet.has(flag::IPV6), built.addresses.0.is_ipv6());
        prop_assert_eq!(packet.has(flag::VLAN).then_some(packet.vlan), built.vlans.first().copied());
        prop_assert_eq!(packet.has(flag::INNER_VLAN).then_some(packet.inner_vlan), built.vlans.get(1).copied());
        if !matches!(built.transport, Transport::Echo) {
            prop_assert_eq!((packet.source_port, packet.destination_port), built.ports);
        }
        check_tcp(packet, built.transport);
        prop_assert_eq!(packet.flags & (flag::BAD_CHECKSUM | flag::BAD_IP_CHECKSUM | flag::TRUNCATED), 0);
        prop_assert_eq!(packet.payload(Buffers { frames: &frame, reassembled: &[] }), &built.payload[..]);
        prop_assert_eq!(packet.ip_length, built.ip_length());
    }

    #[test]
    fn one_wrong_bit_is_a_wrong_checksum(built in built(), at: prop::sample::Index, bit in 0_u8..8) {
        let mut frame = built.frame();
        let payload_at = frame.len() - built.padding - built.payload.len();
        prop_assume!(!built.payload.is_empty());
        frame[payload_at + at.index(built.payload.len())] ^= 1 << bit;
        let out = decode(LinkType::ETHERNET, &frame, frame.len());
        prop_assert!(out.packets[0].has(flag::BAD_CHECKSUM));
        prop_assert_eq!(out.counts.bad_checksums, 1);
    }

    #[test]
    fn a_cut_frame_gives_what_it_holds(built in built(), at: prop::sample::Index) {
        let frame = built.frame();
        let whole = decode(LinkType::ETHERNET, &frame, frame.len()).packets.remove(0);
        let kept = ETHERNET_HEADER + at.index(frame.len() - ETHERNET_HEADER);
        let out = decode(LinkType::ETHERNET, &frame[..kept], frame.len());
        prop_assert_eq!(out.counts.truncated, 1);
        let headers = whole.payload_offset as usize;
        if kept >= headers {
            let cut = &out.packets[0];
            prop_assert_eq!((cut.hash, cut.shard), (whole.hash, whole.shard));
            prop_assert_eq!((cut.payload_length, cut.ip_length), (whole.payload_length, whole.ip_length));
            prop_assert_eq!(cut.payload_captured as usize, (kept - headers).min(built.payload.len()));
            prop_assert_eq!(cut.has(flag::TRUNCATED), kept < headers + built.payload.len());
            prop_assert!(!cut.has(flag::BAD_CHECKSUM));
        } else {
            prop_assert!(!out.counts.undecoded.is_empty() || out.packets.len() == 1);
        }
    }

    #[test]
    fn the_parts_add_up_to_the_datagram(
        built in built(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut frame = built.frame();
        for (at, value) in damage {
            let at = ETHERNET_HEADER + at.index((frame.len() - ETHERNET_HEADER).min(60));
            frame[at] = value;
        }
        let out = decode(LinkType::ETHERNET, &frame, frame.len());
        for packet in &out.packets {
            prop_assert!(packet.payload_length <= packet.ip_length);
            prop_assert!(packet.ip_length as usize <= frame.len() - ETHERNET_HEADER);
        }
        agrees_with_etherparse(&frame, &out);
    }
}

/// Where both find a TCP or UDP header in an Ethernet frame's only IP packet, they find the same.
fn agrees_with_etherparse(frame: &[u8], out: &PacketBatch) {
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(frame) else { return };
    let [packet] = out.packets.as_slice() else { return };
    if packet.has(flag::NO_TRANSPORT) || packet.tunnel != lapwing_decode::Tunnel::None {
        return;
    }
    match sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(packet.protocol, ip_number::TCP.0);
            assert_eq!((packet.source_port, packet.destination_port), (tcp.source_port(), tcp.destination_port()));
            assert_eq!(packet.payload_captured as usize, tcp.payload().len());
        }
        Some(TransportSlice::Udp(udp)) => {
            assert_eq!(packet.protocol, ip_number::UDP.0);
            assert_eq!((packet.source_port, packet.destination_port), (udp.source_port(), udp.destination_port()));
        }
        _ => {}
    }
}
