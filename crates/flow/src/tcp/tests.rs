//! Connections written down packet by packet, and what Zeek's rules make of them.

use lapwing_capture::Timestamp;
use lapwing_decode::{Buffers, Packet, flag};

use super::{ACK, FIN, RST, SYN, is_worth_a_letter};
use crate::testing::packet;
use crate::{Checksums, ConnState, EndReason, Flow, FlowConfig, FlowEventKind, FlowTable};

/// Client, server, and one packet of theirs: milliseconds, flags, sequence, acknowledgment, payload.
const CLIENT: (u8, u16) = (1, 40_000);
const SERVER: (u8, u16) = (2, 9_999);
type Step = (i64, (u8, u16), u8, u32, u32, u32);

const HANDSHAKE: [Step; 3] =
    [(0, CLIENT, SYN, 100, 0, 0), (1, SERVER, SYN | ACK, 500, 101, 0), (2, CLIENT, ACK, 101, 501, 0)];

fn segment(step: &Step, server: (u8, u16)) -> Packet {
    let (millis, source, flags, sequence, acknowledgment, length) = *step;
    let (from, to) = if source == CLIENT { (CLIENT, server) } else { (server, CLIENT) };
    let packet = packet(6, from, to);
    Packet {
        time: Timestamp::from_micros(millis * 1000),
        tcp_flags: flags,
        sequence,
        acknowledgment,
        payload_length: length,
        payload_captured: length,
        ..packet
    }
}

fn run(packets: &[Packet], checksums: Checksums) -> Vec<(Flow, EndReason)> {
    let mut table = FlowTable::new(&FlowConfig { checksums, ..FlowConfig::default() });
    let mut events = Vec::new();
    packets.iter().for_each(|packet| table.take(packet, Buffers::default(), &mut events));
    while table.finish(Timestamp::MIN, 0, &mut events) {}
    let end = |event: crate::FlowEvent| match event.kind {
        FlowEventKind::Ended(reason) => Some((event.flow, reason)),
        _ => None,
    };
    events.into_iter().filter_map(end).collect()
}

/// The flows of some steps behind a handshake.
fn after_handshake(steps: &[Step]) -> Vec<(Flow, EndReason)> {
    let all: Vec<Packet> = HANDSHAKE.iter().chain(steps).map(|step| segment(step, SERVER)).collect();
    run(&all, Checksums::Ignore)
}

fn flows(steps: &[Step]) -> Vec<Flow> {
    let packets: Vec<Packet> = steps.iter().map(|step| segment(step, SERVER)).collect();
    run(&packets, Checksums::Ignore).into_iter().map(|(flow, _)| flow).collect()
}

fn says(flow: &Flow, state: ConnState, history: &str, bytes: (u64, u64)) {
    let found = (flow.state, flow.history.as_str(), (flow.orig.payload_bytes, flow.resp.payload_bytes));
    assert_eq!(found, (state, history, bytes));
}

#[test]
fn an_orderly_connection_is_sf() {
    let ended = after_handshake(&[
        (3, CLIENT, ACK, 101, 501, 10),
        (4, SERVER, ACK, 501, 111, 2000),
        (5, CLIENT, ACK | FIN, 111, 2501, 0),
        (6, SERVER, ACK | FIN, 2501, 112, 0),
        (7, CLIENT, ACK, 112, 2502, 0),
    ]);
    says(&ended[0].0, ConnState::Sf, "ShADdFf", (10, 2000));
    assert_eq!(ended[0].0.duration().as_millis(), 6, "what comes after both closed does not count");
}

#[test]
fn a_refused_connection_is_rej() {
    let refused = flows(&[(0, CLIENT, SYN, 100, 0, 0), (1, SERVER, RST | ACK, 0, 101, 0)]);
    says(&refused[0], ConnState::Rej, "Sr", (0, 0));
}

#[test]
fn a_scanner_that_resets_the_answer_is_rsto() {
    let scan = flows(&[(0, CLIENT, SYN, 100, 0, 0), (1, SERVER, SYN | ACK, 500, 101, 0), (2, CLIENT, RST, 101, 0, 0)]);
    says(&scan[0], ConnState::Rsto, "ShR", (0, 0));
    says(&flows(&[(0, CLIENT, SYN, 100, 0, 0), (2, CLIENT, RST, 101, 0, 0)])[0], ConnState::Rstos0, "SR", (0, 0));
}

#[test]
fn an_unanswered_attempt_ends_after_five_seconds_even_with_data() {
    let half = flows(&[
        (0, CLIENT, SYN, 100, 0, 0),
        (10, CLIENT, ACK, 101, 501, 0),
        (20, CLIENT, ACK, 101, 501, 30),
        (5_000, CLIENT, ACK, 131, 501, 5),
    ]);
    says(&half[0], ConnState::S0, "SAD", (30, 0));
    says(&half[1], ConnState::Oth, "D", (5, 0));
}

#[test]
fn a_lost_segment_is_a_gap_once_acknowledged() {
    let ended = after_handshake(&[
        (3, SERVER, ACK, 501, 101, 1000),
        (4, SERVER, ACK, 2501, 101, 1000),
        (5, CLIENT, ACK, 101, 1501, 0),
        (6, CLIENT, ACK, 101, 3501, 0),
    ]);
    says(&ended[0].0, ConnState::S1, "ShAdg", (0, 3000));
    assert_eq!(ended[0].0.resp.missed_bytes, 1000);
}

#[test]
fn reordered_segments_are_a_retransmission_but_no_gap() {
    let ended = after_handshake(&[
        (3, SERVER, ACK, 1501, 101, 1000),
        (4, SERVER, ACK, 501, 101, 1000),
        (5, CLIENT, ACK, 101, 2501, 0),
    ]);
    says(&ended[0].0, ConnState::S1, "ShAdt", (0, 2000));
    assert_eq!((ended[0].0.resp.missed_bytes, ended[0].0.resp.retransmissions), (0, 1));
}

#[test]
fn a_syn_ack_first_turns_the_roles_once_data_follows() {
    let scan = [(0, SERVER, SYN | ACK, 500, 101, 0), (1, CLIENT, RST, 101, 0, 0)];
    says(&flows(&scan)[0], ConnState::Rej, "Hr", (0, 0));
    let missed_syn =
        [(0, SERVER, SYN | ACK, 500, 101, 0), (1, CLIENT, ACK, 101, 501, 0), (2, CLIENT, ACK, 101, 501, 7)];
    let flow = &flows(&missed_syn)[0];
    says(flow, ConnState::Oth, "^hAD", (7, 0));
    assert_eq!((flow.originator.port, flow.orig.packets, flow.resp.packets), (CLIENT.1, 2, 1));
}

#[test]
fn a_likely_server_is_the_responder_of_a_picked_up_connection() {
    let packet = segment(&(0, SERVER, ACK, 500, 100, 40), (2, 443));
    let flow = &run(&[packet], Checksums::Ignore)[0].0;
    says(flow, ConnState::Oth, "^d", (0, 40));
    assert_eq!(flow.responder.port, 443);
}

#[test]
fn a_new_syn_on_a_closed_connection_begins_another() {
    let ended = after_handshake(&[
        (3, CLIENT, ACK | FIN, 101, 501, 0),
        (4, SERVER, ACK | FIN, 501, 102, 0),
        (9, CLIENT, SYN, 9_000, 0, 0),
    ]);
    assert_eq!(ended.iter().map(|(flow, _)| flow.state).collect::<Vec<_>>(), [ConnState::Sf, ConnState::S0]);
    assert_eq!(ended[0].1, EndReason::Closed);
}

#[test]
fn a_half_closed_connection_lives_until_it_is_idle() {
    let ended = after_handshake(&[
        (3, CLIENT, ACK | FIN, 101, 501, 0),
        (60_000, SERVER, ACK, 501, 102, 8),
        (359_999, SERVER, ACK, 509, 102, 8),
    ]);
    assert_eq!(ended.len(), 1);
    says(&ended[0].0, ConnState::S2, "ShAFd", (0, 16));
}

#[test]
fn an_hour_of_silence_is_granted_to_interactive_services() {
    let silent = [HANDSHAKE.as_slice(), &[(3_000_000, CLIENT, ACK, 101, 501, 4)]].concat();
    let of = |server| {
        let packets: Vec<Packet> = silent.iter().map(|step| segment(step, server)).collect();
        run(&packets, Checksums::Ignore).len()
    };
    assert_eq!((of((2, 22)), of(SERVER)), (1, 2));
}

#[test]
fn repeated_letters_come_at_the_first_tenth_and_hundredth() {
    let again: Vec<Step> = (0..100).map(|index| (3 + index, SERVER, ACK, 401, 101, 100)).collect();
    let ended = after_handshake(&again);
    assert_eq!(ended[0].0.history.as_str(), "ShAdttt");
    assert_eq!(ended[0].0.resp.retransmissions, 100);
}

#[test]
fn letters_thin_out() {
    let written: Vec<u32> = (1..=1000).filter(|count| is_worth_a_letter(*count)).collect();
    assert_eq!(written, [1, 10, 100, 1000]);
    assert!(!is_worth_a_letter(u32::MAX));
}

#[test]
fn a_bad_checksum_leaves_a_letter_and_nothing_else() {
    let mut bad = segment(&(0, CLIENT, SYN, 100, 0, 0), SERVER);
    bad.flags |= flag::BAD_CHECKSUM;
    let flow = &run(&[bad.clone()], Checksums::Verify)[0].0;
    says(flow, ConnState::Oth, "C", (0, 0));
    assert_eq!(flow.orig.packets, 0);
    says(&run(&[bad], Checksums::Ignore)[0].0, ConnState::S0, "S", (0, 0));
}

#[test]
fn sequence_numbers_wrap() {
    let start = u32::MAX - 500;
    let ended = flows(&[
        (0, CLIENT, SYN, start, 0, 0),
        (1, SERVER, SYN | ACK, 500, start + 1, 0),
        (2, CLIENT, ACK, start + 1, 501, 1000),
        (3, SERVER, ACK, 501, (start + 1).wrapping_add(1000), 0),
        (4, CLIENT, ACK, (start + 1).wrapping_add(1000), 501, 1000),
        (5, SERVER, ACK, 501, (start + 1).wrapping_add(2000), 0),
    ]);
    says(&ended[0], ConnState::S1, "ShDa", (2000, 0));
    assert_eq!(ended[0].orig.missed_bytes, 0);
}
