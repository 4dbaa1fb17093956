//! Packets for tests.

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Packet, flag};
use proptest::prelude::*;

use crate::ports::{ICMP, TCP, UDP};

/// A packet between two of a few hosts, `FROM_HIGHER` and hash as the decoder sets them.
pub(crate) fn packet(protocol: u8, source: (u8, u16), destination: (u8, u16)) -> Packet {
    let from_higher = source > destination;
    let (low, high) = if from_higher { (destination, source) } else { (source, destination) };
    let hash = u64::from(low.0) << 40 | u64::from(high.0) << 32 | u64::from(low.1) << 16 | u64::from(high.1);
    Packet {
        hash: (hash ^ u64::from(protocol)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20,
        source: Address::v4([10, 0, 0, source.0]),
        destination: Address::v4([10, 0, 0, destination.0]),
        source_port: source.1,
        destination_port: destination.1,
        flags: if from_higher { flag::FROM_HIGHER } else { 0 },
        protocol,
        ttl: 64,
        window: 1000,
        ip_length: 40,
        ..Packet::default()
    }
}

/// Traffic between few hosts and ports, so that flows meet again: any flags, numbers near each other, gaps up to minutes, now
/// and then a step back in time, or anywhere.
pub(crate) fn traffic(most: usize) -> impl Strategy<Value = Vec<Packet>> {
    let ends = (
        0_u8..4,
        0_u8..4,
        prop::sample::select(vec![40_000_u16, 40_001, 80, 22, 53]),
        prop::sample::select(vec![80_u16, 53, 1]),
    );
    let step = prop_oneof![
        60 => 0_i64..50_000_000,
        20 => 0_i64..7_000_000_000,
        10 => 0_i64..400_000_000_000,
        10 => -2_000_000_000_i64..0,
        1 => any::<i64>(),
    ];
    let flags = prop_oneof![4 => Just(16_u8), 2 => Just(24_u8), 2 => Just(2_u8), 2 => Just(18_u8), 1 => Just(17_u8), 1 => Just(4_u8), 1 => any::<u8>()];
    let numbers = (0_u32..3_000, 0_u32..3_000, prop_oneof![Just(0_u32), 0_u32..1500], any::<bool>(), 0_u8..10);
    let protocol = prop::sample::select(vec![TCP, TCP, TCP, TCP, UDP, ICMP, 47]);
    let one = (protocol, ends, step, flags, numbers, any::<bool>());
    prop::collection::vec(one, 0..most).prop_map(|steps| {
        let mut time = 1_000_000_000_000_i64;
        let mut packets = Vec::new();
        for (protocol, (a, b, port, service), step, flags, numbers, turn) in steps {
            let (sequence, acknowledgment, length, cut, odd) = numbers;
            time = time.wrapping_add(step);
            let (one, other) = ((a, port), (b, service));
            let packet = if turn { packet(protocol, other, one) } else { packet(protocol, one, other) };
            let bad = if odd == 1 { flag::BAD_CHECKSUM } else { 0 };
            let headless = if odd == 2 { flag::NO_TRANSPORT } else { 0 };
            packets.push(Packet {
                time: Timestamp::from_nanos(time),
                frame: packets.len() as u64 + 1,
                tcp_flags: flags,
                sequence: sequence.wrapping_sub(100),
                acknowledgment: acknowledgment.wrapping_sub(100),
                payload_length: length,
                payload_captured: if cut { length / 2 } else { length },
                ip_length: 40 + length,
                window: if odd == 0 { 0 } else { 1000 },
                flags: packet.flags | bad | headless,
                ..packet
            });
        }
        packets
    })
}
