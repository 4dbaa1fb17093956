//! The one table of connection fields: Zeek's names and types, and how each is read from a flow.
//!
//! Signatures, records and every writer of flows use it, so a field has one name and one meaning everywhere.
//! Source: Zeek's `base/protocols/conn/main.zeek`, `policy/protocols/conn/{vlan,mac,community-id}-logging.zeek`.

use std::fmt;
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{Flow, Half};

use crate::{CommunityId, LocalNetworks};

/// Zeek's type of a column, as `#types` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Zeek's own")]
pub enum ZeekType {
    Time,
    String,
    Addr,
    Port,
    Enum,
    Interval,
    Count,
    Int,
    Bool,
    StringSet,
}

impl ZeekType {
    /// Zeek's spelling in the `#types` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::String => "string",
            Self::Addr => "addr",
            Self::Port => "port",
            Self::Enum => "enum",
            Self::Interval => "interval",
            Self::Count => "count",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::StringSet => "set[string]",
        }
    }
}

/// The value of one field of one flow, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// The field has no value: `-` in Zeek's text form, absent in its JSON.
    Unset,
    /// A moment.
    Time(Timestamp),
    /// A flow's uid; prints as Zeek's.
    Uid(Uid),
    /// A Community ID.
    CommunityId(CommunityId),
    /// A link-layer address.
    Mac([u8; 6]),
    /// A word.
    Text(&'a str),
    /// An address.
    Address(Address),
    /// A port.
    Port(u16),
    /// A length of time.
    Interval(Duration),
    /// A count.
    Count(u64),
    /// A yes or no.
    Bool(bool),
}

/// A flow's uid as Zeek prints one: `C`, then letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uid(pub u64);

impl Uid {
    /// Its twelve letters.
    #[must_use]
    pub fn text(self) -> [u8; 12] {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        // 62^11 > 2^64: eleven digits hold any value.
        let mut text = [b'C'; 12];
        let mut rest = self.0;
        for digit in text[1..].iter_mut().rev() {
            *digit = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        text
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

/// One column of a connection: name, type, meaning and how it is read.
#[derive(Debug)]
pub struct Field {
    /// Zeek's name: `id.orig_h`.
    pub name: &'static str,
    /// Zeek's type.
    pub zeek_type: ZeekType,
    /// What it says, for the reference pages.
    pub meaning: &'static str,
    /// Reads it.
    pub get: for<'a> fn(&'a Flow, &LocalNetworks) -> FieldValue<'a>,
}

/// The columns of Zeek's `conn.log` in its order, then those that its policy scripts add.
pub const CONN_FIELDS: &[Field] = &[
    field("ts", ZeekType::Time, "time of the first packet", |flow, _| FieldValue::Time(flow.start)),
    field("uid", ZeekType::String, "name of the flow", |flow, _| FieldValue::Uid(Uid(flow.uid))),
    field("id.orig_h", ZeekType::Addr, "originator's address", |flow, _| FieldValue::Address(flow.originator.address)),
    field("id.orig_p", ZeekType::Port, "originator's port; ICMP: type", |flow, _| {
        FieldValue::Port(flow.originator.port)
    }),
    field("id.resp_h", ZeekType::Addr, "responder's address", |flow, _| FieldValue::Address(flow.responder.address)),
    field("id.resp_p", ZeekType::Port, "responder's port; ICMP: counterpart or code", |flow, _| {
        FieldValue::Port(flow.responder.port)
    }),
    field("proto", ZeekType::Enum, "transport protocol", |flow, _| FieldValue::Text(transport(flow.protocol))),
    field("service", ZeekType::String, "application protocol proven by content", |_, _| FieldValue::Unset),
    field("duration", ZeekType::Interval, "from the first packet to the last", |flow, _| {
        only_with_duration(flow, FieldValue::Interval(flow.duration()))
    }),
    field("orig_bytes", ZeekType::Count, "payload bytes from the originator", |flow, _| {
        only_with_duration(flow, FieldValue::Count(flow.orig.payload_bytes))
    }),
    field("resp_bytes", ZeekType::Count, "payload bytes from the responder", |flow, _| {
        only_with_duration(flow, FieldValue::Count(flow.resp.payload_bytes))
    }),
    field("conn_state", ZeekType::String, "how the connection stands", |flow, _| FieldValue::Text(flow.state.as_str())),
    field("local_orig", ZeekType::Bool, "the originator is local", |flow, local| {
        FieldValue::Bool(local.contains(flow.originator.address))
    }),
    field("local_resp", ZeekType::Bool, "the responder is local", |flow, local| {
        FieldValue::Bool(local.contains(flow.responder.address))
    }),
    field("missed_bytes", ZeekType::Count, "bytes in gaps of the capture", |flow, _| {
        FieldValue::Count(flow.orig.missed_bytes + flow.resp.missed_bytes)
    }),
    field("history", ZeekType::String, "events in order, upper case from the originator", |flow, _| {
        match flow.history.as_str() {
            "" => FieldValue::Unset,
            history => FieldValue::Text(history),
        }
    }),
    field("orig_pkts", ZeekType::Count, "packets from the originator", |flow, _| FieldValue::Count(flow.orig.packets)),
    field("orig_ip_bytes", ZeekType::Count, "IP bytes from the originator", |flow, _| {
        FieldValue::Count(flow.orig.ip_bytes)
    }),
    field("resp_pkts", ZeekType::Count, "packets from the responder", |flow, _| FieldValue::Count(flow.resp.packets)),
    field("resp_ip_bytes", ZeekType::Count, "IP bytes from the responder", |flow, _| {
        FieldValue::Count(flow.resp.ip_bytes)
    }),
    field("tunnel_parents", ZeekType::StringSet, "uids of the tunnels around it", |_, _| FieldValue::Unset),
    field("ip_proto", ZeekType::Count, "IP protocol number", |flow, _| FieldValue::Count(u64::from(flow.protocol))),
    field("community_id", ZeekType::String, "Community ID, seed 0", |flow, _| {
        FieldValue::CommunityId(CommunityId::new(flow, 0))
    }),
    field("vlan", ZeekType::Int, "outer VLAN id", |flow, _| vlan(flow.vlan)),
    field("inner_vlan", ZeekType::Int, "inner VLAN id", |flow, _| vlan(flow.inner_vlan)),
    field("orig_l2_addr", ZeekType::String, "originator's link-layer address", |flow, _| mac(&flow.orig)),
    field("resp_l2_addr", ZeekType::String, "responder's link-layer address", |flow, _| mac(&flow.resp)),
];

/// The field of that name.
#[must_use]
pub fn conn_field(name: &str) -> Option<&'static Field> {
    CONN_FIELDS.iter().find(|field| field.name == name)
}

/// Zeek's name of an IP protocol number.
#[must_use]
pub const fn transport(protocol: u8) -> &'static str {
    match protocol {
        6 => "tcp",
        17 => "udp",
        1 | 58 => "icmp",
        _ => "unknown_transport",
    }
}

const fn field(
    name: &'static str,
    zeek_type: ZeekType,
    meaning: &'static str,
    get: for<'a> fn(&'a Flow, &LocalNetworks) -> FieldValue<'a>,
) -> Field {
    Field { name, zeek_type, meaning, get }
}

/// Zeek sets duration and payload sizes only where the connection lasted.
fn only_with_duration<'a>(flow: &Flow, value: FieldValue<'a>) -> FieldValue<'a> {
    if flow.last > flow.start { value } else { FieldValue::Unset }
}

fn vlan(id: Option<u16>) -> FieldValue<'static> {
    id.map_or(FieldValue::Unset, |id| FieldValue::Count(u64::from(id)))
}

fn mac(half: &Half) -> FieldValue<'static> {
    half.mac.map_or(FieldValue::Unset, FieldValue::Mac)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lapwing_decode::Tunnel;
    use lapwing_flow::{ConnState, Endpoint, History};

    pub(crate) fn flow() -> Flow {
        let mut history = History::default();
        "ShADadFf".bytes().for_each(|letter| history.push(letter));
        Flow {
            uid: 7,
            originator: Endpoint { address: Address::v4([192, 168, 0, 2]), port: 40000 },
            responder: Endpoint { address: Address::v4([198, 51, 100, 7]), port: 443 },
            protocol: 6,
            ipv6: false,
            one_way: false,
            tunnel: Tunnel::None,
            vlan: None,
            inner_vlan: Some(5),
            start: Timestamp::from_seconds(10),
            last: Timestamp::from_seconds(12),
            first_frame: 1,
            last_frame: 9,
            orig: Half { packets: 4, payload_bytes: 100, missed_bytes: 3, ..Half::default() },
            resp: Half { packets: 5, payload_bytes: 900, missed_bytes: 4, mac: Some([2; 6]), ..Half::default() },
            state: ConnState::Sf,
            history,
            ..Flow::default()
        }
    }

    fn value<'a>(flow: &'a Flow, name: &str) -> FieldValue<'a> {
        (conn_field(name).unwrap().get)(flow, &LocalNetworks::default())
    }

    #[test]
    fn fields_have_zeeks_names_and_values() {
        let flow = flow();
        assert_eq!(value(&flow, "conn_state"), FieldValue::Text("SF"));
        assert_eq!(value(&flow, "proto"), FieldValue::Text("tcp"));
        assert_eq!(value(&flow, "missed_bytes"), FieldValue::Count(7));
        assert_eq!(value(&flow, "local_orig"), FieldValue::Bool(true));
        assert_eq!(value(&flow, "local_resp"), FieldValue::Bool(false));
        assert_eq!(value(&flow, "duration"), FieldValue::Interval(Duration::from_secs(2)));
        assert_eq!(value(&flow, "vlan"), FieldValue::Unset);
        assert_eq!(value(&flow, "resp_l2_addr"), FieldValue::Mac([2; 6]));
    }

    #[test]
    fn a_single_packet_has_no_duration_and_no_sizes() {
        let mut flow = flow();
        flow.last = flow.start;
        assert_eq!(value(&flow, "duration"), FieldValue::Unset);
        assert_eq!(value(&flow, "orig_bytes"), FieldValue::Unset);
        assert_eq!(value(&flow, "orig_pkts"), FieldValue::Count(4));
    }

    #[test]
    fn names_are_unique_and_a_uid_reads_like_zeeks() {
        for (index, field) in CONN_FIELDS.iter().enumerate() {
            assert!(CONN_FIELDS[..index].iter().all(|earlier| earlier.name != field.name), "{}", field.name);
        }
        assert_eq!(Uid(0).to_string(), "C00000000000");
        assert_eq!(Uid(u64::MAX).to_string().len(), 12);
        assert_ne!(Uid(u64::MAX).to_string(), Uid(u64::MAX - 1).to_string());
    }
}
