//! One and the same UDP packet comes out of every link layer, tag and tunnel that it is wrapped in.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use etherparse::PacketBuilder;
use lapwing_capture::{Frame, LinkType, Timestamp};
use lapwing_decode::{Address, Buffers, DecodeOptions, Decoder, Packet, PacketBatch, Tunnel, flag};

const PAYLOAD: &[u8] = b"lapwing";
const OUTER: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

/// The packet that is wrapped: 192.0.2.1:1111 to 198.51.100.2:2222.
fn ipv4() -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 64).udp(1111, 2222).write(&mut packet, PAYLOAD).unwrap();
    packet
}

/// The same in IPv6, from a Teredo address.
fn ipv6() -> Vec<u8> {
    let mut packet = Vec::new();
    let source = [0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let destination = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    PacketBuilder::ipv6(source, destination, 64).udp(1111, 2222).write(&mut packet, PAYLOAD).unwrap();
    packet
}

fn ethernet(ether_type: u16, rest: &[u8]) -> Vec<u8> {
    [&OUTER, &ether_type.to_be_bytes()[..], rest].concat()
}

/// A frame that a tunnel carries: addresses of its own.
fn inner_ethernet() -> Vec<u8> {
    [&[6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 8, 0][..], &ipv4()].concat()
}

fn in_ipv4(protocol: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).write(&mut packet, protocol.into(), rest).unwrap();
    packet
}

fn in_udp(port: u16, rest: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).udp(50_000, port).write(&mut packet, rest).unwrap();
    packet
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn decode(link: LinkType, data: &[u8]) -> PacketBatch {
    let mut out = PacketBatch::default();
    let length = data.len() as u32;
    let frame = Frame { number: 1, time: Timestamp::default(), link, length, offset: 0, data };
    Decoder::new(DecodeOptions::default()).decode(frame, &mut out);
    out
}

#[track_caller]
fn is_the_packet(packet: &Packet, data: &[u8]) {
    assert_eq!((packet.source_port, packet.destination_port), (1111, 2222));
    assert_eq!(packet.ttl, 64);
    assert_eq!(packet.payload(Buffers { frames: data, reassembled: &[] }), PAYLOAD);
    assert_eq!(packet.flags & (flag::BAD_CHECKSUM | flag::BAD_IP_CHECKSUM | flag::TRUNCATED | flag::NO_TRANSPORT), 0);
}

/// The frame holds the packet and nothing else.
#[track_caller]
fn holds(link: LinkType, data: &[u8]) -> Packet {
    let out = decode(link, data);
    assert_eq!(out.counts.undecoded, [].into());
    assert_eq!(out.packets.len(), 1);
    is_the_packet(&out.packets[0], data);
    out.packets[0].clone()
}

/// The IPv4 packet holds the packet in a tunnel, and no packet of its own.
#[track_caller]
fn tunnels(tunnel: Tunnel, packet: &[u8]) -> Packet {
    let inner = holds(LinkType::RAW, packet);
    assert_eq!(inner.tunnel, tunnel);
    inner
}

/// The IPv4 packet is UDP itself, and holds the packet in a tunnel.
#[track_caller]
fn tunnels_in_udp(tunnel: Tunnel, packet: &[u8]) -> Packet {
    let out = decode(LinkType::RAW, packet);
    assert_eq!(out.counts.undecoded, [].into());
    let [outer, inner] = out.packets.as_slice() else { panic!("{:?}", out.packets) };
    assert_eq!((outer.source_port, outer.ttl, outer.tunnel), (50_000, 9, Tunnel::None));
    is_the_packet(inner, packet);
    assert_eq!(inner.tunnel, tunnel);
    inner.clone()
}

#[test]
fn link_types_without_addresses() {
    for link in [LinkType::RAW, LinkType::RAW_BSD, LinkType::RAW_OPENBSD] {
        holds(link, &ipv4());
        holds(link, &ipv6());
    }
    holds(LinkType::IPV4, &ipv4());
    holds(LinkType::IPV6, &ipv6());
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        holds(LinkType::NULL, &join(&[&family, &ipv4()]));
    }
    for family in [10, 24, 28, 30] {
        holds(LinkType::NULL, &join(&[&[family, 0, 0, 0], &ipv6()]));
        holds(LinkType::LOOP, &join(&[&[0, 0, 0, family], &ipv6()]));
    }
}

#[test]
fn ppp_in_every_framing() {
    holds(LinkType::PPP, &join(&[&[0xff, 3, 0, 0x21], &ipv4()]));
    holds(LinkType::PPP, &join(&[&[0x21], &ipv4()]));
    holds(LinkType::PPP_HDLC, &join(&[&[0xff, 3, 0, 0x57], &ipv6()]));
    holds(LinkType::PPP_HDLC, &join(&[&[0x0f, 0, 8, 0], &ipv4()]));
    holds(LinkType(104), &join(&[&[0x8f, 0, 0x86, 0xdd], &ipv6()]));
    let session = join(&[&[0x11, 0, 0, 1, 0, ipv4().len() as u8 + 2, 0, 0x21], &ipv4(), &[0; 9]]);
    holds(LinkType::PPP_ETHERNET, &session);
    holds(LinkType::ETHERNET, &ethernet(0x8864, &session));
}

#[test]
fn cooked_captures_know_the_source() {
    let v1 = join(&[&[0, 0, 0, 1, 0, 6, 5, 5, 5, 5, 5, 5, 0, 0, 8, 0], &ipv4()]);
    assert_eq!(holds(LinkType::LINUX_SLL, &v1).source_mac, [5; 6]);
    let v2 = join(&[&[0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 5, 5, 5, 5, 5, 5, 0, 0], &ipv6()]);
    assert_eq!(holds(LinkType::LINUX_SLL2, &v2).source_mac, [5; 6]);
}

#[test]
fn netfilter_logs_in_both_byte_orders_and_ppi() {
    let length = ipv4().len() as u8 + 4;
    holds(LinkType(239), &join(&[&[2, 0, 0, 5, 5, 0, 10, 0, b'x', 0, 0, 0, length, 0, 9, 0], &ipv4(), &[0]]));
    holds(LinkType(192), &join(&[&[0, 0, 12, 0, 101, 0, 0, 0], &[0; 4], &ipv4()]));
    holds(LinkType(239), &join(&[&[2, 0, 0, 5, 0, 5, 0, 10, b'x', 0, 0, 0, 0, length, 0, 9], &ipv4(), &[0]]));
}

#[test]
fn tags_and_shims() {
    let holds = |ether_type, parts: &[&[u8]]| holds(LinkType::ETHERNET, &ethernet(ether_type, &join(parts)));
    for outer in [0x8100, 0x88a8, 0x9100] {
        let packet = holds(outer, &[&[0x20, 7, 0x81, 0, 0, 8, 8, 0], &ipv4()]);
        assert_eq!((packet.vlan, packet.inner_vlan), (7, 8));
        assert!(packet.has(flag::VLAN | flag::INNER_VLAN));
    }
    holds(0x8926, &[&[0, 0, 0, 0, 8, 0], &ipv4()]);
    holds(0x893f, &[&[0, 0, 0, 0, 0, 0, 8, 0], &ipv4()]);
    holds(0x88e5, &[&[0, 0, 0, 0, 0, 1, 8, 0], &ipv4()]);
    holds(0x88e5, &[&[0x20, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8, 0], &ipv4()]);
    holds(0x8847, &[&[0, 0, 0x10, 9, 0, 0, 0x21, 9], &ipv4()]);
    holds(0x8848, &[&[0, 0, 0x21, 9], &ipv6()]);
    holds(0x8847, &[&[0, 0, 0x21, 9], &inner_ethernet()]);
    let control_word = holds(0x8847, &[&[0, 0, 0x21, 9, 0, 0, 0, 0], &inner_ethernet()]);
    let backbone = holds(0x88e7, &[&[0, 0, 0, 1], &inner_ethernet()]);
    let fabric = holds(0x8903, &[&[0, 1], &inner_ethernet()]);
    for packet in [control_word, backbone, fabric] {
        assert_eq!((packet.source_mac, packet.destination_mac), ([7; 6], [6; 6]));
    }
}

#[test]
fn llc_snap_and_isl() {
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ipv4()]);
    holds(LinkType::ETHERNET, &ethernet(snap.len() as u16, &join(&[&snap, &[0; 5]])));
    holds(LinkType(10), &join(&[&[0x50], &OUTER, &snap]));
    let isl = join(&[
        &[1, 0, 0x0c, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 80],
        &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0, 0x14, 0, 0, 0, 0],
        &inner_ethernet(),
    ]);
    let packet = holds(LinkType::ETHERNET, &isl);
    assert_eq!((packet.vlan, packet.source_mac), (10, [7; 6]));
}

const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

/// An 802.11 data header with addresses 1, 2 and 3.
fn wifi(subtype: u8, flags: u8) -> Vec<u8> {
    join(&[&[0x08 | subtype << 4, flags, 0, 0], &[1; 6], &[2; 6], &[3; 6], &[0, 0]])
}

#[test]
fn wifi_addresses_depend_on_the_direction() {
    for (flags, source, destination) in [(0, 2, 1), (1, 2, 3), (2, 3, 1)] {
        let packet = holds(LinkType::IEEE802_11, &join(&[&wifi(0, flags), &SNAP, &ipv4()]));
        assert_eq!((packet.source_mac, packet.destination_mac), ([source; 6], [destination; 6]));
    }
    let four = join(&[&wifi(8, 3), &[4; 6], &[0, 0], &SNAP, &ipv4()]);
    assert_eq!(holds(LinkType::IEEE802_11, &four).source_mac, [4; 6]);
}

#[test]
fn radiotap_may_pad_the_header() {
    let radiotap = [0, 0, 9, 0, 2, 0, 0, 0, 0x20];
    let frame = join(&[&radiotap, &wifi(8, 1), &[0, 0], &[0, 0], &SNAP, &ipv4()]);
    holds(LinkType::IEEE802_11_RADIOTAP, &frame);
}

#[test]
fn wifi_aggregates_hold_several_packets() {
    let length = (SNAP.len() + ipv4().len()) as u8;
    let subframe = join(&[&[6; 6], &[7; 6], &[0, length], &SNAP, &ipv4()]);
    let frame = join(&[&wifi(8, 1), &[0x80, 0], &subframe, &[0; 3], &subframe]);
    assert_eq!(subframe.len() % 4, 1, "three bytes of padding");
    let out = decode(LinkType::IEEE802_11, &frame);
    assert_eq!(out.packets.len(), 2);
    for packet in &out.packets {
        is_the_packet(packet, &frame);
        assert_eq!(packet.source_mac, [7; 6]);
    }
}

#[test]
fn protected_wifi_is_counted() {
    let out = decode(LinkType::IEEE802_11, &join(&[&wifi(8, 0x41), &[0; 40]]));
    assert!(out.packets.is_empty());
    let names: Vec<String> = out.counts.undecoded.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["802.11 protected data"]);
}

#[test]
fn tunnels_over_ip() {
    tunnels(Tunnel::IpInIp, &in_ipv4(4, &ipv4()));
    tunnels(Tunnel::SixInFour, &in_ipv4(41, &ipv6()));
    tunnels(Tunnel::Gre, &in_ipv4(47, &join(&[&[0, 0, 8, 0], &ipv4()])));
    tunnels(Tunnel::Gre, &in_ipv4(47, &join(&[&[0xb0, 0, 0x86, 0xdd], &[0; 12], &ipv6()])));
    let bridged = tunnels(Tunnel::Gre, &in_ipv4(47, &join(&[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &inner_ethernet()])));
    assert_eq!(bridged.source_mac, [7; 6]);
    let pptp = [0x30, 0x81, 0x88, 0x0b, 0, 50, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 3, 0, 0x21];
    tunnels(Tunnel::Gre, &in_ipv4(47, &join(&[&pptp, &ipv4()])));
    tunnels(Tunnel::Gre, &in_ipv4(47, &join(&[&[0, 0, 0x82, 0], &wifi(0, 1), &SNAP, &ipv4()])));
}

#[test]
fn erspan_of_every_type() {
    tunnels(Tunnel::Erspan, &in_ipv4(47, &join(&[&[0, 0, 0x88, 0xbe], &inner_ethernet()])));
    let two = join(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0; 8], &inner_ethernet()]);
    tunnels(Tunnel::Erspan, &in_ipv4(47, &two));
    let three = join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &[0; 12], &inner_ethernet()]);
    tunnels(Tunnel::Erspan, &in_ipv4(47, &three));
    let with_subheader = join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &[0; 11], &[1], &[0; 8], &inner_ethernet()]);
    tunnels(Tunnel::Erspan, &in_ipv4(47, &with_subheader));
}

#[test]
fn tunnels_over_udp() {
    let vxlan = tunnels_in_udp(Tunnel::Vxlan, &in_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner_ethernet()])));
    assert_eq!(vxlan.source_mac, [7; 6]);
    let geneve = [0x41_u8 & 0x3f, 0, 0x65, 0x58, 0, 0, 1, 0, 1, 2, 3, 0];
    tunnels_in_udp(Tunnel::Geneve, &in_udp(6081, &join(&[&geneve, &inner_ethernet()])));
    tunnels_in_udp(Tunnel::Geneve, &in_udp(6081, &join(&[&[0, 0, 0x86, 0xdd, 0, 0, 1, 0], &ipv6()])));
    let length = ipv4().len() as u8;
    tunnels_in_udp(Tunnel::GtpU, &in_udp(2152, &join(&[&[0x30, 255, 0, length, 0, 0, 0, 1], &ipv4()])));
    let extended = [0x34, 255, 0, length + 8, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0];
    tunnels_in_udp(Tunnel::GtpU, &in_udp(2152, &join(&[&extended, &ipv4()])));
    let ayiya = join(&[&[0x42, 0x52, 0x11, 41, 0, 0, 0, 0], &[0; 16], &[0; 20], &ipv6()]);
    tunnels_in_udp(Tunnel::Ayiya, &in_udp(5072, &ayiya));
    tunnels_in_udp(Tunnel::Gre, &in_udp(4754, &join(&[&[0, 0, 8, 0], &ipv4()])));
}

#[test]
fn teredo_with_its_headers_and_on_any_port() {
    let authentication = join(&[&[0, 1, 2, 3], &[0; 5], &[0; 9]]);
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    tunnels_in_udp(Tunnel::Teredo, &in_udp(3544, &join(&[&authentication, &origin, &ipv6()])));
    tunnels_in_udp(Tunnel::Teredo, &in_udp(3544, &join(&[&origin, &ipv6()])));
    tunnels_in_udp(Tunnel::Teredo, &in_udp(61_000, &ipv6()));
}

#[test]
fn tunnels_nest_and_the_innermost_is_noted() {
    let vxlan = in_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner_ethernet()]));
    let out = decode(LinkType::RAW, &in_ipv4(4, &vxlan));
    let tunnels: Vec<Tunnel> = out.packets.iter().map(|packet| packet.tunnel).collect();
    assert_eq!(tunnels, [Tunnel::IpInIp, Tunnel::Vxlan]);
}

#[test]
fn tunnels_nested_without_end_are_given_up() {
    let mut packet = ipv4();
    for _ in 0..20 {
        packet = in_ipv4(4, &packet);
    }
    let out = decode(LinkType::RAW, &packet);
    assert!(out.packets.is_empty());
    let names: Vec<String> = out.counts.undecoded.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["tunnels nested too deep"]);
}

#[test]
fn a_wrong_checksum_around_a_tunnel_marks_what_is_inside() {
    let mut packet = in_ipv4(4, &ipv4());
    packet[10] ^= 1;
    let out = decode(LinkType::RAW, &packet);
    assert!(out.packets[0].has(flag::BAD_IP_CHECKSUM));
}

#[test]
fn a_reassembled_datagram_is_looked_into() {
    let mut first = in_ipv4(47, &[0; 8]);
    first[6] = 0x20;
    let fragment = decode(LinkType::RAW, &first).fragments.remove(0);
    assert_eq!((fragment.more, fragment.fragment_offset, fragment.packet.payload_length), (true, 0, 8));
    let datagram = join(&[&[0, 0, 0x65, 0x58], &inner_ethernet()]);
    let mut out = PacketBatch { reassembled: join(&[&[9; 5], &datagram]), ..PacketBatch::default() };
    Decoder::new(DecodeOptions::default()).decode_datagram(&fragment.packet, 5, &mut out);
    let packet = &out.packets[0];
    assert!(packet.has(flag::REASSEMBLED));
    assert_eq!(packet.payload(Buffers { frames: &[], reassembled: &out.reassembled }), PAYLOAD);
    assert_eq!((packet.tunnel, packet.source), (Tunnel::Gre, Address::v4([192, 0, 2, 1])));
}
