use proptest::prelude::*;

use super::*;
use crate::Settled;
use crate::testing::{packet, traffic};

/// Bytes that a live flow may take in the table.
const LARGEST_ENTRY: usize = 512;

#[test]
fn a_live_flow_is_small() {
    assert!(size_of::<Entry>() <= LARGEST_ENTRY, "{}", size_of::<Entry>());
}

fn config(capacity: usize, checksums: Checksums) -> FlowConfig {
    // A table holds a shard's share.
    FlowConfig { capacity: capacity * Packet::SHARDS, checksums, packet_series: true, ..FlowConfig::default() }
}

/// Feeds packets, then ends the input.
fn run(table: &mut FlowTable, packets: &[Packet]) -> Vec<FlowEvent> {
    let mut events = Vec::new();
    packets.iter().for_each(|packet| table.take(packet, Buffers::default(), &mut events));
    let last = packets.iter().map(|packet| packet.time).max().unwrap_or_default();
    while table.finish(last, packets.len() as u64, &mut events) {}
    events
}

fn at(mut packet: Packet, millis: i64) -> Packet {
    packet.time = Timestamp::from_micros(millis * 1000);
    packet
}

fn datagram(source: (u8, u16), destination: (u8, u16), millis: i64) -> Packet {
    at(packet(UDP, source, destination), millis)
}

fn ends(events: &[FlowEvent]) -> Vec<(EndReason, u16)> {
    let end = |event: &FlowEvent| match event.kind {
        FlowEventKind::Ended(reason) => Some((reason, event.flow.originator.port)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

#[test]
fn the_latest_moment_there_is_ends_flows_once() {
    let mut table = FlowTable::new(&config(4, Checksums::Ignore));
    let late = |port| Packet { time: Timestamp::MAX, ..datagram((1, port), (2, 53), 0) };
    let events = run(&mut table, &[datagram((1, 40_000), (2, 53), 0), late(40_001), late(40_002)]);
    let expected = [(EndReason::Idle, 40_000), (EndReason::EndOfInput, 40_001), (EndReason::EndOfInput, 40_002)];
    assert_eq!(ends(&events), expected);
    assert!(!table.advance(Timestamp::MAX, 3, &mut Vec::new()));
}

proptest! {
    #[test]
    fn the_cap_holds_and_every_flow_ends_once(packets in traffic(300), capacity in 1_usize..6, verify: bool) {
        let checksums = if verify { Checksums::Verify } else { Checksums::Ignore };
        let mut table = FlowTable::new(&config(capacity, checksums));
        let events = run(&mut table, &packets);
        let started = events.iter().filter(|event| event.kind == FlowEventKind::Started).count() as u64;
        let counters = table.counters();
        prop_assert!(table.is_empty() && counters.active_peak <= capacity as u64 && table.slab.len() <= capacity);
        prop_assert_eq!(started, ends(&events).len() as u64);
        let of_state = |settled| events.iter().filter(move |event| event.flow.settled == settled);
        for settled in [Settled::Tried, Settled::Closed] {
            let told = of_state(settled).filter(|event| event.kind == FlowEventKind::Settled).count();
            prop_assert_eq!(told, ends(&of_state(settled).cloned().collect::<Vec<_>>()).len(), "told once of each that ends so");
        }
        prop_assert_eq!(started, counters.closed + counters.idle + counters.evicted + counters.end_of_input);
    }

    #[test]
    fn packets_add_up(packets in traffic(200)) {
        let packets: Vec<Packet> = packets.into_iter().filter(|packet| !packet.has(flag::NO_TRANSPORT)).collect();
        let events = run(&mut FlowTable::new(&config(100, Checksums::Ignore)), &packets);
        let ended = events.iter().filter(|event| matches!(event.kind, FlowEventKind::Ended(_)));
        let counted: u64 = ended.map(|event| event.flow.orig.packets + event.flow.resp.packets).sum();
        prop_assert_eq!(counted, packets.len() as u64);
    }
}

#[test]
fn a_full_table_ends_the_flow_idle_longest() {
    let mut table = FlowTable::new(&config(2, Checksums::Ignore));
    let packets = [
        datagram((1, 1000), (2, 7), 0),
        datagram((1, 1001), (2, 7), 1_000),
        datagram((1, 1000), (2, 7), 5_000),
        datagram((1, 1002), (2, 7), 6_000),
    ];
    let events = run(&mut table, &packets);
    assert_eq!(ends(&events)[0], (EndReason::Evicted, 1001));
    assert_eq!(table.counters().evicted, 1);
}

#[test]
fn a_packet_after_the_idle_timeout_begins_a_new_flow() {
    let packets = [0, 59_999, 119_998, 179_998].map(|millis| datagram((1, 1000), (2, 7), millis));
    let events = run(&mut FlowTable::new(&config(9, Checksums::Ignore)), &packets);
    assert_eq!(ends(&events), [(EndReason::Idle, 1000), (EndReason::EndOfInput, 1000)]);
    let idle = events.iter().find(|event| event.kind == FlowEventKind::Ended(EndReason::Idle)).unwrap();
    assert_eq!(idle.time, Timestamp::from_micros(179_998_000), "the moment the timer ran out");
    assert_eq!(idle.flow.orig.packets, 3);
}

#[test]
fn one_call_reports_a_bounded_number_of_flows() {
    let mut table = FlowTable::new(&config(5_000, Checksums::Ignore));
    let packets: Vec<Packet> = (0..1_000).map(|port| datagram((1, port), (2, 7), 0)).collect();
    let mut events = Vec::new();
    packets.iter().for_each(|packet| table.take(packet, Buffers::default(), &mut events));
    events.clear();
    assert!(table.advance(Timestamp::from_seconds(61), 1_000, &mut events), "more wait");
    assert_eq!(events.len(), REPORTS_PER_CALL);
    while table.advance(Timestamp::from_seconds(61), 1_000, &mut events) {}
    assert_eq!(events.len(), 2_000, "each settles and ends");
    assert!(table.is_empty());
}

#[test]
fn flows_of_one_moment_that_push_each_other_out_are_forgotten() {
    let mut table = FlowTable::new(&config(10, Checksums::Ignore));
    let mut events = Vec::new();
    for number in 0..1_000_u16 {
        let packet = Packet { frame: u64::from(number) + 1, ..datagram((1, number), (2, 7), 0) };
        table.take(&packet, Buffers::default(), &mut events);
        assert!(table.settling.len() <= 20);
    }
}

/// What settled, and when.
fn settled(events: &[FlowEvent]) -> Vec<(Settled, i64)> {
    let settled = events.iter().filter(|event| event.kind == FlowEventKind::Settled);
    settled.map(|event| (event.flow.settled, event.time.nanos() / 1_000_000)).collect()
}

fn segment(flags: u8, from: (u8, u16), to: (u8, u16), millis: i64) -> Packet {
    Packet { tcp_flags: flags, ..at(packet(TCP, from, to), millis) }
}

#[test]
fn what_came_of_a_flow_is_told_before_its_timers_run_out() {
    let (client, server) = ((1, 40_000), (2, 80));
    let syn = segment(tcp::SYN, client, server, 0);
    let syn_ack = segment(tcp::SYN | tcp::ACK, server, client, 10);
    let later = datagram((3, 1), (4, 2), 9_000);
    let cases = [
        ("refused", vec![syn.clone(), segment(tcp::RST | tcp::ACK, server, client, 20)], vec![(Settled::Closed, 520)]),
        ("unanswered", vec![syn.clone()], vec![(Settled::Tried, 500)]),
        (
            "half open, given up",
            vec![syn.clone(), syn_ack.clone(), segment(tcp::RST, client, server, 30)],
            vec![(Settled::Closed, 530)],
        ),
        ("answered", vec![syn.clone(), syn_ack, segment(tcp::ACK, client, server, 30)], vec![]),
        ("a FIN that nobody answers", vec![segment(tcp::FIN, client, server, 0)], vec![(Settled::Tried, 500)]),
        (
            "a FIN that is refused",
            vec![segment(tcp::FIN, client, server, 0), segment(tcp::RST | tcp::ACK, server, client, 7)],
            vec![(Settled::Closed, 507)],
        ),
        ("a question", vec![datagram(client, server, 0), datagram(server, client, 900)], vec![(Settled::Tried, 500)]),
    ];
    for (name, mut packets, expected) in cases {
        packets.push(later.clone());
        let mut table = FlowTable::new(&config(9, Checksums::Ignore));
        let mut events = Vec::new();
        packets.iter().for_each(|packet| table.take(packet, Buffers::default(), &mut events));
        assert_eq!(settled(&events), expected, "{name}");
    }
}

#[test]
fn progress_comes_at_powers_of_eight_and_every_minute() {
    let mut packets: Vec<Packet> = (0..70).map(|_| datagram((1, 1000), (2, 7), 0)).collect();
    packets.extend((1..=4).map(|half_minute| datagram((1, 1000), (2, 7), half_minute * 30_000)));
    let events = run(&mut FlowTable::new(&config(9, Checksums::Ignore)), &packets);
    let progress: Vec<(u64, i64)> = events
        .iter()
        .filter(|event| event.kind == FlowEventKind::Progress)
        .map(|event| (event.flow.orig.packets, event.time.seconds()))
        .collect();
    assert_eq!(progress, [(8, 0), (64, 0), (72, 60), (74, 120)]);
}

#[test]
fn a_series_begins_with_the_fourth_packet() {
    let mut packets: Vec<Packet> = (0..40).map(|index| datagram((1, 1000), (2, 7), index * 10)).collect();
    packets[1] = datagram((2, 7), (1, 1000), 10);
    let last = |packets: &[Packet]| {
        let events = run(&mut FlowTable::new(&config(9, Checksums::Ignore)), packets);
        events.last().unwrap().flow.series.clone()
    };
    assert!(last(&packets[..3]).is_none());
    let series = last(&packets).unwrap();
    assert_eq!(series.packets().len(), 32);
    let sizes: Vec<i16> = series.packets()[..3].iter().map(|packet| packet.size).collect();
    assert_eq!(sizes, [40, -40, 40]);
    assert!((series.packets()[1].gap - 0.01).abs() < 1e-6);
}
