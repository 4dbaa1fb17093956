use proptest::prelude::*;

use super::*;

fn fragment(identification: u32, offset: u32, more: bool, length: usize, seconds: i64) -> Fragment {
    let packet = Packet {
        time: Timestamp::from_seconds(seconds),
        source: Address::v4([10, 0, 0, 1]),
        destination: Address::v4([10, 0, 0, 2]),
        protocol: 17,
        ip_length: length as u32 + 20,
        payload_length: length as u32,
        payload_captured: length as u32,
        ..Packet::default()
    };
    Fragment { packet, identification, fragment_offset: offset, more }
}

fn push(reassembler: &mut Reassembler, offset: u32, more: bool, bytes: &[u8]) -> Option<Vec<u8>> {
    reassembler.push(&fragment(7, offset, more, bytes.len(), 0), bytes).map(|datagram| datagram.payload)
}

proptest! {
    #[test]
    fn the_parts_add_up_to_the_datagram(
        payload in prop::collection::vec(any::<u8>(), 1..4_000),
        cuts in prop::collection::btree_set(1_u32..500, 0..12),
        order in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let mut edges: Vec<u32> = cuts.iter().map(|cut| cut * 8).filter(|cut| (*cut as usize) < payload.len()).collect();
        edges.insert(0, 0);
        edges.push(payload.len() as u32);
        let mut parts: Vec<(u32, u32)> = edges.windows(2).map(|edge| (edge[0], edge[1])).collect();
        // Any order: rotate, then swap by the seed's bits; one part comes twice.
        let start = order.index(parts.len());
        parts.rotate_left(start);
        for index in 1..parts.len() {
            if seed >> (index % 64) & 1 == 1 {
                parts.swap(index, index - 1);
            }
        }
        parts.insert(0, parts[parts.len() / 2]);
        let mut reassembler = Reassembler::new(ReassemblyLimits::default());
        let mut found = Vec::new();
        for (from, to) in parts {
            let more = to as usize != payload.len();
            found.extend(push(&mut reassembler, from, more, &payload[from as usize..to as usize]));
        }
        prop_assert_eq!(found.first(), Some(&payload));
        prop_assert!(reassembler.cost <= 2 * (payload.len() + PIECE_COST + DATAGRAM_COST));
    }

    #[test]
    fn no_fragment_breaks_it(parts in prop::collection::vec((0_u32..9_000, any::<bool>(), 0_usize..3_000, 0_u32..4), 0..80)) {
        let limits = ReassemblyLimits { datagrams: 3, bytes: 20_000 };
        let mut reassembler = Reassembler::new(limits);
        for (offset, more, length, identification) in parts {
            let bytes = vec![1; length];
            reassembler.push(&fragment(identification, offset * 8, more, length, 0), &bytes);
            prop_assert!(reassembler.waiting.len() <= limits.datagrams && reassembler.cost <= limits.bytes);
            let cost: usize = reassembler.waiting.values().map(|partial| partial.cost + DATAGRAM_COST).sum();
            prop_assert_eq!(cost, reassembler.cost);
        }
    }
}

#[test]
fn the_first_bytes_stay_where_fragments_overlap() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    assert_eq!(push(&mut reassembler, 8, true, &[2; 16]), None);
    assert_eq!(push(&mut reassembler, 16, false, &[3; 16]), None);
    let datagram = push(&mut reassembler, 0, true, &[1; 16]).unwrap();
    assert_eq!(datagram, [[1_u8; 8], [2; 8], [2; 8], [3; 8]].concat());
    assert_eq!(reassembler.counters().overlaps, 2);
}

#[test]
fn a_ping_of_death_is_refused() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    assert_eq!(push(&mut reassembler, 65_528, false, &[0; 100]), None);
    assert_eq!(reassembler.counters().oversized, 1);
}

#[test]
fn fragments_do_not_wait_for_ever() {
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    assert!(reassembler.push(&fragment(7, 0, true, 8, 0), &[0; 8]).is_none());
    assert!(reassembler.push(&fragment(7, 8, false, 8, 300), &[0; 8]).is_none());
    assert_eq!(reassembler.counters().timed_out, 1);
}
