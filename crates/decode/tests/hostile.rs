//! Any bytes under any link type: no panic, and what comes out stays inside the frame.

use lapwing_capture::{Frame, LinkType, Timestamp};
use lapwing_decode::{DecodeOptions, Decoder, Fragment, Packet, PacketBatch, flag};
use proptest::prelude::*;

const LINK_TYPES: [u16; 19] = [0, 1, 9, 10, 12, 14, 50, 51, 101, 104, 105, 108, 113, 127, 192, 228, 229, 239, 276];

fn decode(link: u16, data: &[u8], length: u32, offset: u32) -> PacketBatch {
    let mut out = PacketBatch::default();
    let frame = Frame { number: 1, time: Timestamp::default(), link: LinkType(link), length, offset, data };
    Decoder::new(DecodeOptions::default()).decode(frame, &mut out);
    out
}

fn check(packet: &Packet, data: &[u8], offset: u32) {
    assert!(packet.payload_offset >= offset);
    assert!((packet.payload_offset - offset + packet.payload_captured) as usize <= data.len());
    assert!(packet.payload_captured <= packet.payload_length);
    assert_eq!(packet.has(flag::TRUNCATED), packet.payload_captured < packet.payload_length);
    assert!(usize::from(packet.shard) < Packet::SHARDS);
}

/// Bytes in which the values that headers branch on are frequent, so that random frames reach deep layers.
fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            vec![0x08, 0x00],
            vec![0x86, 0xdd],
            vec![0x81, 0x00],
            vec![0x88, 0x47],
            vec![0x88, 0x64],
            vec![0x88, 0xe7],
            vec![0x65, 0x58],
            vec![0x88, 0xbe],
            vec![0x00, 0x21],
            vec![0xaa, 0xaa, 0x03, 0, 0, 0],
            vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
            vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
            vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 41, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
            vec![0x60, 0, 0, 0, 0, 0, 0, 64],
            vec![0x12, 0xb5, 0x12, 0xb5, 0, 0, 0, 0],
            vec![0x08, 0x68, 0x08, 0x68, 0, 0, 0, 0],
            vec![0x0d, 0xd8, 0x0d, 0xd8, 0, 0, 0, 0],
            vec![0x17, 0xc1, 0x17, 0xc1, 0, 0, 0, 0],
            vec![0; 12],
        ]),
    ];
    prop::collection::vec(chunk, 0..40).prop_map(|chunks| chunks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_decode_without_a_panic(
        link in prop_oneof![prop::sample::select(LINK_TYPES.to_vec()), any::<u16>()],
        data in header_bytes(),
        beyond in 0_u32..2000,
        offset in 0_u32..100_000,
    ) {
        let length = data.len() as u32 + if beyond < 1000 { 0 } else { beyond };
        let out = decode(link, &data, length, offset);
        prop_assert_eq!(out.counts.frames, 1);
        prop_assert!(out.packets.len() + out.fragments.len() + out.arps.len() <= 16);
        for packet in out.packets.iter().chain(out.fragments.iter().map(|fragment| &fragment.packet)) {
            check(packet, &data, offset);
        }
        if out.packets.is_empty() && out.fragments.is_empty() && out.arps.is_empty() {
            prop_assert!(!out.counts.undecoded.is_empty(), "what was not decoded is counted");
        }
    }

    #[test]
    fn any_datagram_decodes_without_a_panic(
        protocol: u8,
        ipv6: bool,
        headers in 0_u32..200,
        data in header_bytes(),
    ) {
        let mut bytes = [0x45_u8, 0, 0, 28, 0, 1, 0x20, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2].to_vec();
        bytes.extend([0; 8]);
        let Fragment { mut packet, .. } = decode(101, &bytes, 28, 0).fragments.remove(0);
        packet.ip_length = headers;
        packet.flags |= if ipv6 { flag::IPV6 } else { 0 };
        let mut out = PacketBatch { reassembled: [vec![1, 2, 3], data.clone()].concat(), ..PacketBatch::default() };
        Decoder::new(DecodeOptions::default()).decode_datagram(&packet, 3, &mut out);
        for packet in &out.packets {
            check(packet, &data, 3);
            prop_assert!(packet.has(flag::REASSEMBLED));
        }
    }
}
