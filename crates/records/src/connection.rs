//! A connection put together from what a log tells, whatever the log.

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, icmp_counterpart};
use lapwing_flow::{ConnState, Endpoint, Flow, Half, History};
use lapwing_protocol::{Fact, Facts};

use crate::Record;

/// Positions in [`Half::flags`].
const FIN: usize = 0;
const SYN: usize = 1;
const RST: usize = 2;
const PSH: usize = 3;
const ACK: usize = 4;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;

/// A protocol that the log does not name: 255 is reserved (IANA), so no packet carries it.
pub(crate) const UNKNOWN_PROTOCOL: u8 = 255;

/// What a log told of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The log's own name for it.
    pub(crate) uid: Option<u64>,
    pub(crate) originator: Endpoint,
    pub(crate) responder: Endpoint,
    pub(crate) protocol: u8,
    pub(crate) vlan: Option<u16>,
    pub(crate) inner_vlan: Option<u16>,
    pub(crate) orig: Half,
    pub(crate) resp: Half,
    pub(crate) state: Option<ConnState>,
    pub(crate) history: History,
    pub(crate) service: Option<Box<str>>,
    pub(crate) facts: Facts,
    pub(crate) open: bool,
    pub(crate) label: Option<Box<str>>,
}

impl Connection {
    /// The record of it.
    pub(crate) fn record(self) -> Record {
        let is_icmp = matches!(self.protocol, ICMP | ICMP6);
        let kind = u8::try_from(self.originator.port).unwrap_or(u8::MAX);
        let mut facts = self.facts;
        let state = match self.state {
            Some(state) => {
                facts = facts.with(Fact::State);
                state
            }
            None => {
                facts = facts.with_estimated(Fact::State);
                estimated_state(&self)
            }
        };
        // Other protocols have no flags that could be missing.
        if self.protocol != TCP {
            facts = facts.with(Fact::Flags).with(Fact::EveryFlag);
        }
        let uid = self.uid.unwrap_or_else(|| own_uid(&self));
        let flow = Flow {
            uid,
            originator: self.originator,
            responder: self.responder,
            protocol: self.protocol,
            ipv6: !self.originator.address.is_v4(),
            one_way: is_icmp && icmp_counterpart(kind, self.protocol == ICMP6).is_none(),
            vlan: self.vlan,
            inner_vlan: self.inner_vlan,
            start: self.start,
            last: self.end.max(self.start),
            orig: self.orig,
            resp: self.resp,
            state,
            history: self.history,
            service: self.service,
            ..Flow::default()
        };
        Record { flow, facts, open: self.open, label: self.label }
    }

    /// Sets what Zeek's history says of flags and payload: which there were, not how many.
    ///
    /// A FIN has an ACK with it unless somebody scans with it; the history does not tell, so an ACK is assumed and
    /// [`Fact::EveryFlag`] not carried.
    pub(crate) fn read_history(&mut self) {
        let letters = self.history;
        for letter in letters.as_str().bytes() {
            let half = if letter.is_ascii_uppercase() { &mut self.orig } else { &mut self.resp };
            let flags: &[usize] = match letter.to_ascii_uppercase() {
                b'S' => &[SYN],
                b'H' => &[SYN, ACK],
                b'A' => &[ACK],
                b'F' => &[FIN, ACK],
                b'R' => &[RST],
                b'I' => &[FIN, RST],
                b'Q' => &[SYN, FIN],
                b'D' => {
                    half.payload_packets = 1;
                    &[ACK]
                }
                _ => &[],
            };
            if self.protocol == TCP {
                flags.iter().for_each(|flag| half.flags[*flag] = 1);
            }
        }
        self.facts = self.facts.with(Fact::Flags);
    }

    /// The flags that a state implies, for logs without history.
    pub(crate) fn read_state(&mut self, state: ConnState) {
        const FIN: u8 = 1;
        const SYN: u8 = 2;
        const RST: u8 = 4;
        const ACK: u8 = 16;
        let (orig, resp) = match state {
            ConnState::S0 => (SYN, 0),
            ConnState::Rej => (SYN, RST | ACK),
            ConnState::S1 => (SYN | ACK, SYN | ACK),
            ConnState::Sf => (SYN | ACK | FIN, SYN | ACK | FIN),
            ConnState::S2 => (SYN | ACK | FIN, SYN | ACK),
            ConnState::S3 => (SYN | ACK, SYN | ACK | FIN),
            ConnState::Rsto => (SYN | ACK | RST, SYN | ACK),
            ConnState::Rstr => (SYN | ACK, SYN | ACK | RST),
            ConnState::Rstos0 => (SYN | RST, 0),
            ConnState::Rstrh => (0, SYN | ACK | RST),
            ConnState::Sh => (SYN | FIN, 0),
            ConnState::Shr => (0, SYN | ACK | FIN),
            ConnState::Oth => (ACK, ACK),
        };
        if self.protocol == TCP {
            Self::set_flags(&mut self.orig, orig);
            Self::set_flags(&mut self.resp, resp);
        }
        self.facts = self.facts.with_estimated(Fact::Flags);
    }

    /// Sets TCP flags as the union of a direction, in the order of the header's bits: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
    pub(crate) fn set_flags(half: &mut Half, union: u8) {
        for (bit, count) in half.flags.iter_mut().enumerate() {
            *count = u32::from(union >> bit & 1);
        }
    }

    /// Estimates payload from frame bytes, for logs that count whole frames. The headers taken off are the usual ones: Ethernet,
    /// IP without options, TCP with timestamps; a side that pushed nothing and sent frames no larger than headers
    /// can be has said nothing.
    pub(crate) fn estimate_sizes(&mut self, orig_bytes: u64, resp_bytes: u64) {
        const ETHERNET: u64 = 14;
        let ip = if self.originator.address.is_v4() { 20 } else { 40 };
        let (transport, most) = match self.protocol {
            TCP => (32, 60),
            UDP | ICMP | ICMP6 => (8, 8),
            _ => (0, 0),
        };
        for (half, bytes) in [(&mut self.orig, orig_bytes), (&mut self.resp, resp_bytes)] {
            half.ip_bytes = bytes.saturating_sub(half.packets.saturating_mul(ETHERNET));
            let payload = half.ip_bytes.saturating_sub(half.packets.saturating_mul(ip + transport));
            let says = half.flags[PSH] > 0 || half.ip_bytes > half.packets.saturating_mul(ip + most);
            let says = if self.protocol == TCP { says } else { payload > 0 };
            half.payload_packets = u32::from(says);
            half.payload_bytes = if says { payload.max(1) } else { 0 };
        }
        self.facts = self.facts.with_estimated(Fact::IpBytes).with_estimated(Fact::PayloadBytes);
    }
}

/// The state that flags and packets suggest, in Zeek's words.
fn estimated_state(connection: &Connection) -> ConnState {
    let (orig, resp) = (&connection.orig, &connection.resp);
    if connection.protocol != TCP {
        return match (orig.packets > 0, resp.packets > 0) {
            _ if !matches!(connection.protocol, UDP) => ConnState::Oth,
            (true, true) => ConnState::Sf,
            (true, false) => ConnState::S0,
            (false, true) => ConnState::Shr,
            (false, false) => ConnState::Oth,
        };
    }
    let has = |half: &Half, flag: usize| half.flags[flag] > 0;
    match (has(orig, SYN), has(resp, SYN)) {
        (true, true) => match (has(orig, RST), has(resp, RST), has(orig, FIN), has(resp, FIN)) {
            // A close that both sides agreed on is a close, whatever was sent after it.
            (_, _, true, true) => ConnState::Sf,
            (true, ..) => ConnState::Rsto,
            (_, true, ..) => ConnState::Rstr,
            (_, _, true, false) => ConnState::S2,
            (_, _, false, true) => ConnState::S3,
            _ => ConnState::S1,
        },
        (true, false) => match (has(resp, RST), has(orig, RST), has(orig, FIN)) {
            (true, ..) => ConnState::Rej,
            (_, true, _) => ConnState::Rstos0,
            (_, _, true) => ConnState::Sh,
            _ => ConnState::S0,
        },
        (false, true) if has(resp, RST) => ConnState::Rstrh,
        (false, true) if has(resp, FIN) => ConnState::Shr,
        _ => ConnState::Oth,
    }
}

/// A name for a connection whose log gives it none: a hash of five-tuple and start.
fn own_uid(connection: &Connection) -> u64 {
    let mut hash = Fnv::default();
    for end in [connection.originator, connection.responder] {
        hash.add(&end.address.0);
        hash.add(&end.port.to_be_bytes());
    }
    hash.add(&[connection.protocol]);
    hash.add(&connection.start.nanos().to_be_bytes());
    hash.0
}

/// The name of a flow out of its text: `lapwing flows` writes 64 bits as `C` and eleven digits, which come back; any other text
/// (Zeek's own uids are longer) becomes its hash, the same in every run.
pub(crate) fn uid(text: &[u8]) -> u64 {
    if let [b'C', digits @ ..] = text
        && digits.len() == 11
        && let Some(value) = digits.iter().try_fold(0_u64, |value, digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'Z' => digit - b'A' + 10,
                b'a'..=b'z' => digit - b'a' + 36,
                _ => return None,
            };
            value.checked_mul(62)?.checked_add(u64::from(digit))
        })
    {
        return value;
    }
    let mut hash = Fnv::default();
    hash.add(text);
    hash.0
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo).
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The IP protocol of a name, as Zeek, Suricata and Argus write it; `is_v6` tells ICMP from ICMPv6. Numbers are themselves.
pub(crate) fn protocol(name: &[u8], is_v6: bool) -> Option<u8> {
    let icmp = if is_v6 { ICMP6 } else { ICMP };
    if name.first().is_some_and(u8::is_ascii_digit) {
        return u8::try_from(crate::text::count(name)?).ok();
    }
    const NAMES: &[(&str, u8)] = &[
        ("tcp", TCP),
        ("udp", UDP),
        ("ipv6-icmp", ICMP6),
        ("icmp6", ICMP6),
        ("igmp", 2),
        ("ipip", 4),
        ("ip-encap", 4),
        ("ipv6", 41),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("eigrp", 88),
        ("ospf", 89),
        ("ospfigp", 89),
        ("pim", 103),
        ("vrrp", 112),
        ("l2tp", 115),
        ("sctp", 132),
        ("udplite", 136),
        ("unknown_transport", UNKNOWN_PROTOCOL),
    ];
    if name.eq_ignore_ascii_case(b"icmp") {
        return Some(icmp);
    }
    NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, number)| *number)
}

/// The state of that name.
pub(crate) fn state(name: &[u8]) -> Option<ConnState> {
    Some(match name {
        b"S0" => ConnState::S0,
        b"S1" => ConnState::S1,
        b"SF" => ConnState::Sf,
        b"REJ" => ConnState::Rej,
        b"S2" => ConnState::S2,
        b"S3" => ConnState::S3,
        b"RSTO" => ConnState::Rsto,
        b"RSTR" => ConnState::Rstr,
        b"RSTOS0" => ConnState::Rstos0,
        b"RSTRH" => ConnState::Rstrh,
        b"SH" => ConnState::Sh,
        b"SHR" => ConnState::Shr,
        b"OTH" => ConnState::Oth,
        _ => return None,
    })
}

/// Whether an address is one of IPv6 and no mapped IPv4.
pub(crate) fn is_v6(address: Option<Address>) -> bool {
    address.is_some_and(|address| !address.is_v4())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapwing_protocol::Uid;

    #[test]
    fn our_own_uids_come_back_and_others_are_hashed() {
        for value in [0, 7, 0x6c61_7077_696e_6731, u64::MAX] {
            assert_eq!(uid(&Uid(value).text()), value);
        }
        assert_eq!(uid(b"CHLXQF2OBY4onAR0Ug"), uid(b"CHLXQF2OBY4onAR0Ug"));
        assert_ne!(uid(b"CHLXQF2OBY4onAR0Ug"), uid(b"CHLXQF2OBY4onAR0Uh"));
        // More than 64 bits hold.
        assert_ne!(uid(b"Czzzzzzzzzzz"), uid(b"Czzzzzzzzzzy"));
    }

    #[test]
    fn states_follow_from_the_flags_of_both_sides() {
        let state = |orig, resp| {
            let mut connection = Connection { protocol: TCP, ..Connection::default() };
            Connection::set_flags(&mut connection.orig, orig);
            Connection::set_flags(&mut connection.resp, resp);
            estimated_state(&connection)
        };
        assert_eq!(state(0x02, 0x00), ConnState::S0);
        assert_eq!(state(0x02, 0x14), ConnState::Rej);
        assert_eq!(state(0x1b, 0x1b), ConnState::Sf);
        assert_eq!(state(0x1e, 0x1a), ConnState::Rsto);
        assert_eq!(state(0x1a, 0x1e), ConnState::Rstr);
        assert_eq!(state(0x1a, 0x1a), ConnState::S1);
        assert_eq!(state(0x18, 0x18), ConnState::Oth);
    }

    #[test]
    fn every_state_is_found_by_its_name() {
        for known in [ConnState::S0, ConnState::Rstos0, ConnState::Shr, ConnState::Oth, ConnState::Sf] {
            assert_eq!(state(known.as_str().as_bytes()), Some(known));
        }
        assert_eq!(state(b"S9"), None);
    }
}
