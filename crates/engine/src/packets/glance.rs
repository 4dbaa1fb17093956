//! The label of a frame from its first bytes, cheap enough to ask for every frame.

use lapwing_capture::LinkType;
use lapwing_decode::Address;
use lapwing_feature::PacketLabel;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;

/// VLAN tags that are looked behind.
const TAGS: usize = 2;

/// What a frame looks like: the outermost IP packet's label. Tunnels, fragments behind the first and rare link types are not
/// looked into: they count as what is seen from outside.
#[inline]
pub(super) fn glance(link: LinkType, data: &[u8]) -> PacketLabel {
    match find(link, data) {
        Inside::Ipv4(at) => ipv4(data, at),
        Inside::Ipv6(at) => ipv6(data, at),
        Inside::Arp => PacketLabel::Arp,
        Inside::Other => PacketLabel::Other,
    }
}

/// Source and destination of the outermost IP packet, also where what follows its header cannot be decoded.
pub(super) fn ends(link: LinkType, data: &[u8]) -> Option<(Address, Address)> {
    let v4 = |at: usize| Some(Address::v4(*data.get(at..)?.first_chunk()?));
    let v6 = |at: usize| Some(Address(*data.get(at..)?.first_chunk()?));
    match find(link, data) {
        Inside::Ipv4(at) => v4(at + 12).zip(v4(at + 16)),
        Inside::Ipv6(at) => v6(at + 8).zip(v6(at + 24)),
        Inside::Arp | Inside::Other => None,
    }
}

/// What a frame holds, and where that begins.
enum Inside {
    Ipv4(usize),
    Ipv6(usize),
    Arp,
    Other,
}

#[inline]
fn find(link: LinkType, data: &[u8]) -> Inside {
    match link {
        LinkType::ETHERNET => ether_type(data, 12),
        LinkType::LINUX_SLL => ether_type(data, 14),
        LinkType::LINUX_SLL2 => network(u16_at(data, 0), 20),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => ip(data, 0),
        LinkType::NULL | LinkType::LOOP => ip(data, 4),
        _ => Inside::Other,
    }
}

#[inline]
fn ether_type(data: &[u8], mut at: usize) -> Inside {
    for _ in 0..TAGS {
        match u16_at(data, at) {
            0x8100 | 0x88a8 => at += 4,
            _ => break,
        }
    }
    network(u16_at(data, at), at + 2)
}

#[inline]
fn network(ether_type: u16, at: usize) -> Inside {
    match ether_type {
        IPV4 => Inside::Ipv4(at),
        IPV6 => Inside::Ipv6(at),
        ARP => Inside::Arp,
        _ => Inside::Other,
    }
}

fn ip(data: &[u8], at: usize) -> Inside {
    match data.get(at).map(|first| first >> 4) {
        Some(4) => Inside::Ipv4(at),
        Some(6) => Inside::Ipv6(at),
        _ => Inside::Other,
    }
}

#[inline]
fn ipv4(data: &[u8], at: usize) -> PacketLabel {
    let (Some(&first), Some(&protocol)) = (data.get(at), data.get(at + 9)) else { return PacketLabel::Other };
    let is_later_fragment = u16_at(data, at + 6) & 0x1fff != 0;
    if is_later_fragment {
        PacketLabel::of(protocol, 0, 0)
    } else {
        ports(protocol, data, at + usize::from(first & 15) * 4)
    }
}

#[inline]
fn ipv6(data: &[u8], at: usize) -> PacketLabel {
    const HOP_BY_HOP: u8 = 0;
    match data.get(at + 6) {
        None => PacketLabel::Other,
        // Multicast listener reports carry a router alert.
        Some(&HOP_BY_HOP) => match data.get(at + 40..at + 42) {
            Some(&[next, length]) => ports(next, data, at + 48 + usize::from(length) * 8),
            _ => PacketLabel::Other,
        },
        Some(&protocol) => ports(protocol, data, at + 40),
    }
}

#[inline]
fn ports(protocol: u8, data: &[u8], at: usize) -> PacketLabel {
    PacketLabel::of(protocol, u16_at(data, at), u16_at(data, at + 2))
}

/// Zero where the frame ends before.
#[inline]
fn u16_at(data: &[u8], at: usize) -> u16 {
    data.get(at..at + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lapwing_capture::{FrameBatch, Inputs, Progress, Source};

    use super::*;
    use crate::packets::PacketReader;

    #[test]
    fn a_glance_says_what_decoding_says() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
        let names =
            ["first-look/suspicious.pcap", "amplification-dns/capture.pcap.zst", "arp-spoofing/capture.pcap.zst"];
        for name in names {
            let mut inputs = Inputs::open(&[corpus.join(name)]).unwrap();
            let (mut batch, mut reader, mut seen) = (FrameBatch::default(), PacketReader::default(), 0);
            while inputs.read(&mut batch).unwrap() == Progress::More || !batch.is_empty() {
                for frame in batch.iter() {
                    let (record, _) = reader.read(frame, None);
                    assert_eq!(glance(frame.link, frame.data), record.protocol, "{name}, {record:?}");
                    seen += 1;
                }
            }
            assert!(seen > 100, "{name}");
        }
    }

    #[test]
    fn frames_that_end_anywhere_are_something() {
        let mut frame = [0_u8; 80];
        for (ether_type, ip) in [([0x81, 0], 0x45_u8), ([0x08, 0], 0x4f), ([0x86, 0xdd], 0x60), ([0x08, 6], 0)] {
            frame[12..14].copy_from_slice(&ether_type);
            frame[14] = ip;
            for link in [0, 1, 12, 101, 108, 113, 127, 228, 229, 276, 999] {
                for length in 0..frame.len() {
                    glance(LinkType(link), &frame[..length]);
                }
            }
        }
    }
}
