//! What a finished flow says about the one who started it: a conversation, or a knock on a door.

use crate::detector::first_packet_from_responder;
use lapwing_decode::Address;
use lapwing_flow::Flow;
use lapwing_protocol::Observation;

/// Positions in [`Half::flags`](lapwing_flow::Half).
const FIN: usize = 0;
const SYN: usize = 1;
const RST: usize = 2;
const PSH: usize = 3;
const ACK: usize = 4;
const URG: usize = 5;

/// How one knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// TCP with SYN.
    Syn,
    /// TCP with FIN alone.
    Fin,
    /// TCP without any flag.
    Null,
    /// TCP with FIN, PSH and URG.
    Xmas,
    /// TCP with ACK alone, answered by a reset.
    Ack,
    /// TCP with FIN and ACK that belong to no connection, answered by a reset.
    Maimon,
    /// A UDP datagram.
    Udp,
    /// An ICMP request that expects an answer.
    Icmp,
    /// A packet of a protocol that is neither TCP nor UDP nor ICMP.
    Protocol,
}

impl Style {
    pub(crate) const ALL: [Self; 9] =
        [Self::Syn, Self::Fin, Self::Null, Self::Xmas, Self::Ack, Self::Maimon, Self::Udp, Self::Icmp, Self::Protocol];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::Fin => "FIN",
            Self::Null => "NULL",
            Self::Xmas => "Xmas",
            Self::Ack => "ACK",
            Self::Maimon => "Maimon",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Protocol => "IP protocol",
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A reset, or for UDP and ICMP nothing else.
    Refused,
    /// Nothing.
    Unanswered,
    /// The door opened, and the one who knocked ran away: the handshake was never finished.
    HalfOpen,
    /// The door opened, and nobody said anything.
    Empty,
    /// Data went at least one way.
    Conversation,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Refused, Self::Unanswered, Self::HalfOpen, Self::Empty, Self::Conversation];

    /// Whether somebody opened.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Empty | Self::Conversation)
    }
}

/// A style and an outcome in a byte, for small memories.
pub(crate) fn pack(style: Style, outcome: Outcome) -> u8 {
    style as u8 * Outcome::ALL.len() as u8 + outcome as u8
}

/// What [`pack`] packed.
pub(crate) fn unpack(packed: u8) -> (Style, Outcome) {
    let (style, outcome) = (usize::from(packed) / Outcome::ALL.len(), usize::from(packed) % Outcome::ALL.len());
    (Style::ALL[style.min(Style::ALL.len() - 1)], Outcome::ALL[outcome])
}

/// One host's knock on another's door.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe {
    pub(crate) source: Address,
    pub(crate) target: Address,
    /// The door: the target's port, the type of an ICMP request, the number of any other protocol.
    pub(crate) port: u16,
    pub(crate) style: Style,
    pub(crate) outcome: Outcome,
}

/// The flow of this report, if it is to be read as an attempt now: when it counts, and again when more came of it than an
/// attempt.
pub(crate) fn attempt<'a>(fact: &Observation<'a>) -> Option<&'a Flow> {
    let talks = |flow: &&Flow| probe(flow).is_some_and(|probe| probe.outcome == Outcome::Conversation);
    fact.judged().or_else(|| fact.outlived().filter(talks))
}

/// Reads a flow of which it is known what came; `None` where nobody knocked: replies whose cause was not seen (backscatter, one-sided captures),
/// resets, traceroutes, and TCP connections that began before the capture. Whether the target is a group of hosts is for the
/// caller to ask, once it matters.
pub(crate) fn probe(flow: &Flow) -> Option<Probe> {
    // The victim is never accused: who only answered did not knock.
    if flow.orig.packets == 0 || first_packet_from_responder(flow) {
        return None;
    }
    let (style, outcome) = match flow.protocol {
        6 => tcp(flow)?,
        17 => udp(flow)?,
        1 | 58 => icmp(flow)?,
        _ if flow.resp.packets > 0 => (Style::Protocol, Outcome::Conversation),
        _ => (Style::Protocol, Outcome::Unanswered),
    };
    let (source, target) = (flow.originator.address, flow.responder.address);
    let port = match style {
        Style::Icmp => flow.originator.port,
        Style::Protocol => u16::from(flow.protocol),
        _ => flow.responder.port,
    };
    Some(Probe { source, target, port, style, outcome })
}

fn tcp(flow: &Flow) -> Option<(Style, Outcome)> {
    let (orig, resp) = (&flow.orig, &flow.resp);
    if orig.flags[SYN] > 0 {
        // `H`: the originator's own first packet was a SYN-ACK, a reply.
        if flow.history.first() == Some(b'H') {
            return None;
        }
        return Some((Style::Syn, syn_outcome(flow)));
    }
    if orig.packets > 3 || orig.payload_packets > 0 {
        return None;
    }
    let has = |flag: usize| orig.flags[flag] > 0;
    let style = match (has(FIN), has(RST), has(ACK)) {
        (_, true, _) => return None,
        // A server closes an old connection so, from its own port; only the reset that it drew makes it a probe.
        (true, false, true)
            if resp.flags[RST] > 0 && resp.payload_packets == 0 && flow.responder.port < flow.originator.port =>
        {
            Style::Maimon
        }
        (true, false, true) => return None,
        (true, false, false) if has(PSH) && has(URG) => Style::Xmas,
        (true, false, false) => Style::Fin,
        (false, false, false) => Style::Null,
        // A lone ACK is also a keep-alive of an old connection; only the reset it drew makes it a probe.
        (false, false, true) if resp.flags[RST] > 0 && resp.payload_packets == 0 && !has(PSH) => Style::Ack,
        (false, false, true) => return None,
    };
    let outcome = match (resp.packets, resp.flags[RST]) {
        (0, _) => Outcome::Unanswered,
        (_, 0) => Outcome::Conversation,
        _ => Outcome::Refused,
    };
    Some((style, outcome))
}

fn syn_outcome(flow: &Flow) -> Outcome {
    let (orig, resp) = (&flow.orig, &flow.resp);
    if resp.flags[SYN] == 0 {
        return match (resp.packets, resp.flags[RST]) {
            (0, _) => Outcome::Unanswered,
            (_, 0) => Outcome::Conversation,
            _ => Outcome::Refused,
        };
    }
    if orig.payload_packets > 0 || resp.payload_packets > 0 {
        return Outcome::Conversation;
    }
    // nmap -sS: SYN, SYN-ACK, then a reset or nothing, never an ACK.
    if orig.flags[ACK] == 0 { Outcome::HalfOpen } else { Outcome::Empty }
}

/// Ports that traceroute counts up from, by default (Van Jacobson's program and its descendants).
const TRACEROUTE_PORTS: std::ops::RangeInclusive<u16> = 33434..=33689;

fn udp(flow: &Flow) -> Option<(Style, Outcome)> {
    if flow.resp.packets > 0 {
        return Some((Style::Udp, Outcome::Conversation));
    }
    if TRACEROUTE_PORTS.contains(&flow.responder.port) && flow.orig.ttl.0 <= 32 {
        return None;
    }
    Some((Style::Udp, Outcome::Unanswered))
}

/// Echo, timestamp, information and address mask requests (RFC 792, 950); ICMPv6 echo (RFC 4443) and node information
/// (RFC 4620).
fn icmp(flow: &Flow) -> Option<(Style, Outcome)> {
    let asks = match flow.protocol {
        1 => matches!(flow.originator.port, 8 | 13 | 15 | 17),
        _ => matches!(flow.originator.port, 128 | 139),
    };
    let outcome = if flow.resp.packets > 0 { Outcome::Conversation } else { Outcome::Unanswered };
    asks.then_some((Style::Icmp, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, flow};

    fn read(flow: &Flow) -> Option<(Style, Outcome)> {
        probe(flow).map(|probe| (probe.style, probe.outcome))
    }

    #[test]
    fn outcomes_follow_from_flags() {
        let tcp = |shape| read(&flow("10.0.0.1:40000", "10.0.0.2:80", 6, shape));
        assert_eq!(tcp(Shape::Unanswered), Some((Style::Syn, Outcome::Unanswered)));
        assert_eq!(tcp(Shape::Refused), Some((Style::Syn, Outcome::Refused)));
        assert_eq!(tcp(Shape::HalfOpen), Some((Style::Syn, Outcome::HalfOpen)));
        assert_eq!(tcp(Shape::Conversation), Some((Style::Syn, Outcome::Conversation)));
        let udp = read(&flow("10.0.0.1:40000", "10.0.0.2:161", 17, Shape::Unanswered));
        assert_eq!(udp, Some((Style::Udp, Outcome::Unanswered)));
    }

    #[test]
    fn who_only_answers_does_not_knock() {
        assert_eq!(read(&flow("10.0.0.1:40000", "10.0.0.2:80", 6, Shape::Backscatter)), None);
    }

    #[test]
    fn a_traceroute_is_no_scan() {
        let mut traceroute = flow("10.0.0.1:40000", "198.51.100.1:33440", 17, Shape::Unanswered);
        traceroute.orig.ttl = (3, 3);
        assert_eq!(read(&traceroute), None);
        traceroute.orig.ttl = (64, 64);
        assert!(read(&traceroute).is_some());
    }

    #[test]
    fn stealth_styles_are_told_apart() {
        let style = |flags: [u32; 8]| {
            let mut flow = flow("10.0.0.1:40000", "10.0.0.2:80", 6, Shape::Unanswered);
            flow.orig.flags = flags;
            read(&flow).map(|(style, _)| style)
        };
        assert_eq!(style([1, 0, 0, 0, 0, 0, 0, 0]), Some(Style::Fin));
        assert_eq!(style([0; 8]), Some(Style::Null));
        assert_eq!(style([1, 0, 0, 1, 0, 1, 0, 0]), Some(Style::Xmas));
        assert_eq!(style([1, 0, 0, 0, 1, 0, 0, 0]), None, "FIN with ACK closes an old connection");
        let mut maimon = flow("10.0.0.1:40000", "10.0.0.2:80", 6, Shape::Refused);
        maimon.orig.flags = [1, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(read(&maimon), Some((Style::Maimon, Outcome::Refused)));
        (maimon.originator.port, maimon.responder.port) = (443, 50_000);
        assert_eq!(read(&maimon), None, "a server closes an old connection of a client that is gone");
        assert_eq!(style([0, 0, 0, 0, 1, 0, 0, 0]), None, "an unanswered ACK keeps an old connection alive");
    }

    #[test]
    fn a_packed_style_and_outcome_are_unpacked_as_they_were() {
        for style in Style::ALL {
            for outcome in Outcome::ALL {
                assert_eq!(unpack(pack(style, outcome)), (style, outcome));
            }
        }
    }

    #[test]
    fn another_protocol_is_a_door_of_its_own() {
        let gre = probe(&flow("10.0.0.1:0", "10.0.0.2:0", 47, Shape::Unanswered)).unwrap();
        assert_eq!((gre.style, gre.port), (Style::Protocol, 47));
    }
}
