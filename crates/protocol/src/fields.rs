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

/// What is done with every field of a flow in turn.
pub(crate) trait EachField {
    /// Called once per column, in their order. Implementations are `#[inline(always)]`: where the kind of value is known, only
    /// what that kind needs is left of them.
    fn field(&mut self, name: &'static str, value: FieldValue<'_>);
}

/// Makes the table of columns, and the same columns as straight code for writers of whole rows: no call and no value in
/// memory per column.
macro_rules! connection_fields {
    (|$flow:ident, $local:ident| $($name:literal $zeek_type:ident $meaning:literal => $value:expr;)*) => {
        /// The columns of Zeek's `conn.log` in its order, then those that its policy scripts add.
        #[expect(unused_variables, reason = "few fields depend on what is local, some on nothing")]
        pub const CONN_FIELDS: &[Field] = &[$(Field {
            name: $name,
            zeek_type: ZeekType::$zeek_type,
            meaning: $meaning,
            get: |$flow, $local| $value,
        }),*];

        /// Shows `each` every column of a flow, in the order of [`CONN_FIELDS`].
        #[inline(always)]
        pub(crate) fn each_field($flow: &Flow, $local: &LocalNetworks, each: &mut impl EachField) {
            $(each.field($name, $value);)*
        }
    };
}

connection_fields! { |flow, local|
    "ts" Time "time of the first packet" => FieldValue::Time(flow.start);
    "uid" String "name of the flow" => FieldValue::Uid(Uid(flow.uid));
    "id.orig_h" Addr "originator's address" => FieldValue::Address(flow.originator.address);
    "id.orig_p" Port "originator's port; ICMP: type" => FieldValue::Port(flow.originator.port);
    "id.resp_h" Addr "responder's address" => FieldValue::Address(flow.responder.address);
    "id.resp_p" Port "responder's port; ICMP: counterpart or code" => FieldValue::Port(flow.responder.port);
    "proto" Enum "transport protocol" => FieldValue::Text(transport(flow.protocol));
    "service" String "application protocol proven by content" => text(flow.service.as_deref().unwrap_or_default());
    "duration" Interval "from the first packet to the last" =>
        only_with_duration(flow, FieldValue::Interval(flow.duration()));
    "orig_bytes" Count "payload bytes from the originator" =>
        only_with_duration(flow, FieldValue::Count(flow.orig.payload_bytes));
    "resp_bytes" Count "payload bytes from the responder" =>
        only_with_duration(flow, FieldValue::Count(flow.resp.payload_bytes));
    "conn_state" String "how the connection stands" => FieldValue::Text(flow.state.as_str());
    "local_orig" Bool "the originator is local" => FieldValue::Bool(local.contains(flow.originator.address));
    "local_resp" Bool "the responder is local" => FieldValue::Bool(local.contains(flow.responder.address));
    "missed_bytes" Count "bytes in gaps of the capture" =>
        FieldValue::Count(flow.orig.missed_bytes + flow.resp.missed_bytes);
    "history" String "events in order, upper case from the originator" => text(flow.history.as_str());
    "orig_pkts" Count "packets from the originator" => FieldValue::Count(flow.orig.packets);
    "orig_ip_bytes" Count "IP bytes from the originator" => FieldValue::Count(flow.orig.ip_bytes);
    "resp_pkts" Count "packets from the responder" => FieldValue::Count(flow.resp.packets);
    "resp_ip_bytes" Count "IP bytes from the responder" => FieldValue::Count(flow.resp.ip_bytes);
    "tunnel_parents" StringSet "uids of the tunnels around it" => FieldValue::Unset;
    "ip_proto" Count "IP protocol number" => FieldValue::Count(u64::from(flow.protocol));
    "community_id" String "Community ID, seed 0" => FieldValue::CommunityId(CommunityId::new(flow, 0));
    "vlan" Int "outer VLAN id" => vlan(flow.vlan);
    "inner_vlan" Int "inner VLAN id" => vlan(flow.inner_vlan);
    "orig_l2_addr" String "originator's link-layer address" => mac(&flow.orig);
    "resp_l2_addr" String "responder's link-layer address" => mac(&flow.resp);
}

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

/// Zeek sets duration and payload sizes only where the connection lasted.
fn only_with_duration<'a>(flow: &Flow, value: FieldValue<'a>) -> FieldValue<'a> {
    if flow.last > flow.start { value } else { FieldValue::Unset }
}

fn text(text: &str) -> FieldValue<'_> {
    if text.is_empty() { FieldValue::Unset } else { FieldValue::Text(text) }
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
