//! The words of Zeek's `conn.log`, in whatever syntax: its own text, JSON, or comma-separated as `lapwing flows` writes it.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{ConnState, Endpoint, Half, History};
use lapwing_protocol::{Fact, Facts};

use crate::connection::{self, Connection, ICMP, ICMP6, TCP, UDP, UNKNOWN_PROTOCOL};
use crate::record::{LineProblem, Record, wrong};
use crate::service::service;
use crate::text;
use crate::vocabulary::{Meaning, Vocabulary};

/// A column that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Ts,
    Uid,
    OrigHost,
    OrigPort,
    RespHost,
    RespPort,
    Proto,
    Service,
    Duration,
    OrigBytes,
    RespBytes,
    ConnState,
    MissedBytes,
    History,
    OrigPackets,
    OrigIpBytes,
    RespPackets,
    RespIpBytes,
    IpProto,
    Vlan,
    InnerVlan,
    OrigMac,
    RespMac,
    Label,
    DetailedLabel,
}

/// Names and columns. Labels are those of IoT-23 and of the Stratosphere tools that label Zeek logs.
const COLUMNS: &[(&str, Column)] = &[
    ("ts", Column::Ts),
    ("uid", Column::Uid),
    ("id.orig_h", Column::OrigHost),
    ("id.orig_p", Column::OrigPort),
    ("id.resp_h", Column::RespHost),
    ("id.resp_p", Column::RespPort),
    ("proto", Column::Proto),
    ("service", Column::Service),
    ("duration", Column::Duration),
    ("orig_bytes", Column::OrigBytes),
    ("resp_bytes", Column::RespBytes),
    ("conn_state", Column::ConnState),
    ("missed_bytes", Column::MissedBytes),
    ("history", Column::History),
    ("orig_pkts", Column::OrigPackets),
    ("orig_ip_bytes", Column::OrigIpBytes),
    ("resp_pkts", Column::RespPackets),
    ("resp_ip_bytes", Column::RespIpBytes),
    ("ip_proto", Column::IpProto),
    ("vlan", Column::Vlan),
    ("inner_vlan", Column::InnerVlan),
    ("orig_l2_addr", Column::OrigMac),
    ("resp_l2_addr", Column::RespMac),
    ("label", Column::Label),
    ("detailedlabel", Column::DetailedLabel),
    ("detailed-label", Column::DetailedLabel),
    ("detailed_label", Column::DetailedLabel),
];

/// Bytes of a label that are kept.
const LONGEST_LABEL: usize = 128;

/// Reads connections out of the columns of `conn.log`.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    row: Row,
    /// The rows tell of connections that go on.
    open: bool,
    /// A row had a history, so the log has them.
    has_histories: bool,
}

#[derive(Debug, Default)]
struct Row {
    ts: Option<Timestamp>,
    uid: Option<u64>,
    orig_host: Option<Address>,
    resp_host: Option<Address>,
    orig_port: u16,
    resp_port: u16,
    proto: Option<Proto>,
    ip_proto: Option<u8>,
    service: Option<Box<str>>,
    duration: Option<i64>,
    orig_bytes: Option<u64>,
    resp_bytes: Option<u64>,
    state: Option<ConnState>,
    missed: u64,
    history: History,
    has_history: bool,
    orig_packets: Option<u64>,
    resp_packets: Option<u64>,
    orig_ip_bytes: Option<u64>,
    resp_ip_bytes: Option<u64>,
    vlan: Option<u16>,
    inner_vlan: Option<u16>,
    macs: [Option<[u8; 6]>; 2],
    label: Option<Box<str>>,
    detailed: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
enum Proto {
    /// ICMP of the version that the addresses have.
    Icmp,
    Number(u8),
}

impl Conn {
    /// `open`: its rows tell of connections that go on.
    pub(crate) fn new(open: bool) -> Self {
        Self { open, ..Self::default() }
    }
}

impl Vocabulary for Conn {
    type Column = Column;

    fn meaning(&self, name: &[u8]) -> Meaning<Column> {
        // Some shippers nest the four fields of `id`.
        if name == b"id" {
            return Meaning::Object;
        }
        match COLUMNS.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, column)) => Meaning::Column(*column),
            None => Meaning::Unknown,
        }
    }

    fn set(&mut self, column: Column, value: &[u8]) -> Result<(), LineProblem> {
        let row = &mut self.row;
        let count = |name| text::whole(value).ok_or_else(|| wrong(name, value, "a count"));
        let port = |name| text::port(value).ok_or_else(|| wrong(name, value, "a port"));
        let address = |name| text::address(value).ok_or_else(|| wrong(name, value, "an address"));
        let vlan =
            |name| text::count(value).map(|id| (id & 0xfff) as u16).ok_or_else(|| wrong(name, value, "a VLAN id"));
        match column {
            Column::Ts => row.ts = Some(text::time(value).ok_or_else(|| wrong("ts", value, "a time"))?),
            Column::Uid => row.uid = Some(connection::uid(value)),
            Column::OrigHost => row.orig_host = Some(address("id.orig_h")?),
            Column::OrigPort => row.orig_port = port("id.orig_p")?,
            Column::RespHost => row.resp_host = Some(address("id.resp_h")?),
            Column::RespPort => row.resp_port = port("id.resp_p")?,
            Column::Proto => {
                row.proto = Some(proto(value).ok_or_else(|| wrong("proto", value, "a transport protocol"))?);
            }
            Column::Service => row.service = service(value),
            Column::Duration => {
                let nanos = text::seconds(value).filter(|nanos| *nanos >= 0);
                row.duration = Some(nanos.ok_or_else(|| wrong("duration", value, "a length of time"))?);
            }
            Column::OrigBytes => row.orig_bytes = Some(count("orig_bytes")?),
            Column::RespBytes => row.resp_bytes = Some(count("resp_bytes")?),
            // A state that a later Zeek invents is one that is not carried.
            Column::ConnState => row.state = connection::state(value),
            Column::MissedBytes => row.missed = count("missed_bytes")?,
            Column::History => {
                if !value.iter().all(|letter| letter.is_ascii_alphabetic() || *letter == b'^') {
                    return Err(wrong("history", value, "a history"));
                }
                (row.history, row.has_history, self.has_histories) = (History::default(), true, true);
                value.iter().for_each(|letter| row.history.push(*letter));
            }
            Column::OrigPackets => row.orig_packets = Some(count("orig_pkts")?),
            Column::RespPackets => row.resp_packets = Some(count("resp_pkts")?),
            Column::OrigIpBytes => row.orig_ip_bytes = Some(count("orig_ip_bytes")?),
            Column::RespIpBytes => row.resp_ip_bytes = Some(count("resp_ip_bytes")?),
            Column::IpProto => row.ip_proto = text::count(value).and_then(|number| u8::try_from(number).ok()),
            Column::Vlan => row.vlan = Some(vlan("vlan")?),
            Column::InnerVlan => row.inner_vlan = Some(vlan("inner_vlan")?),
            Column::OrigMac => row.macs[0] = text::mac(value),
            Column::RespMac => row.macs[1] = text::mac(value),
            Column::Label => row.label = Some(label(value)),
            Column::DetailedLabel => row.detailed = Some(label(value)),
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.row = Row::default();
    }

    fn finish(&mut self, out: &mut Vec<Record>) -> Result<bool, LineProblem> {
        let row = std::mem::take(&mut self.row);
        out.push(row.connection(self.open, self.has_histories)?.record());
        Ok(true)
    }
}

fn proto(name: &[u8]) -> Option<Proto> {
    Some(match name {
        b"tcp" => Proto::Number(TCP),
        b"udp" => Proto::Number(UDP),
        name if name.eq_ignore_ascii_case(b"icmp") => Proto::Icmp,
        name => Proto::Number(connection::protocol(name, false)?),
    })
}

fn label(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(&value[..value.len().min(LONGEST_LABEL)]).into()
}

impl Row {
    fn connection(self, open: bool, has_histories: bool) -> Result<Connection, LineProblem> {
        let missing = |column| LineProblem::Missing { column };
        let start = self.ts.ok_or(missing("ts"))?;
        let originator = self.orig_host.ok_or(missing("id.orig_h"))?;
        let responder = self.resp_host.ok_or(missing("id.resp_h"))?;
        let is_v6 = !originator.is_v4();
        let protocol = match self.proto.ok_or(missing("proto"))? {
            // Zeek's word for both; newer ones say the number too.
            Proto::Icmp => match self.ip_proto {
                Some(number @ (ICMP | ICMP6)) => number,
                _ if is_v6 => ICMP6,
                _ => ICMP,
            },
            Proto::Number(UNKNOWN_PROTOCOL) => self.ip_proto.unwrap_or(UNKNOWN_PROTOCOL),
            Proto::Number(number) => number,
        };
        let end = Timestamp::from_nanos(start.nanos().saturating_add(self.duration.unwrap_or(0)));
        let mut facts = Facts::NONE;
        if self.orig_packets.is_some() && self.resp_packets.is_some() {
            facts = facts.with(Fact::Packets);
        }
        if self.orig_ip_bytes.is_some() && self.resp_ip_bytes.is_some() {
            facts = facts.with(Fact::IpBytes);
        }
        let half = |packets: Option<u64>, ip_bytes: Option<u64>, payload: Option<u64>, mac| Half {
            packets: packets.unwrap_or(0),
            ip_bytes: ip_bytes.unwrap_or(0),
            payload_bytes: payload.unwrap_or(0),
            mac,
            ..Half::default()
        };
        let label = match (self.label, self.detailed) {
            (Some(label), Some(detailed)) => Some(format!("{label} {detailed}").into()),
            (label, detailed) => label.or(detailed),
        };
        let mut connection = Connection {
            start,
            end,
            uid: self.uid,
            originator: Endpoint { address: originator, port: self.orig_port },
            responder: Endpoint { address: responder, port: self.resp_port },
            protocol,
            vlan: self.vlan,
            inner_vlan: self.inner_vlan,
            orig: half(self.orig_packets, self.orig_ip_bytes, self.orig_bytes, self.macs[0]),
            resp: half(self.resp_packets, self.resp_ip_bytes, self.resp_bytes, self.macs[1]),
            state: self.state,
            history: self.history,
            service: self.service,
            facts,
            open,
            label,
        };
        connection.resp.missed_bytes = self.missed;
        // A TCP segment without any flag, as a scan sends one, leaves no letter.
        let is_flagless = has_histories && self.state == Some(ConnState::Oth) && self.orig_packets.is_some();
        connection.read(self.has_history || is_flagless, self.orig_bytes.is_some() && self.resp_bytes.is_some());
        Ok(connection)
    }
}

impl Connection {
    /// What follows from history and sizes, and from their absence.
    fn read(&mut self, has_history: bool, has_sizes: bool) {
        if has_history {
            self.facts = self.facts.with(Fact::History);
            self.read_history();
        } else if let Some(state) = self.state {
            self.read_state(state);
        }
        if has_sizes {
            self.facts = self.facts.with(Fact::PayloadBytes);
        } else if self.facts.has(Fact::IpBytes)
            && self.facts.has(Fact::Packets)
            && matches!(self.protocol, UDP | ICMP | ICMP6)
        {
            // Zeek leaves the sizes of a single packet unset; these headers have one length (without IP options).
            let headers = if self.originator.address.is_v4() { 28 } else { 48 };
            for half in [&mut self.orig, &mut self.resp] {
                half.payload_bytes = half.ip_bytes.saturating_sub(half.packets.saturating_mul(headers));
            }
            self.facts = self.facts.with(Fact::PayloadBytes);
        } else if self.facts.has(Fact::Flags) && self.orig.payload_packets + self.resp.payload_packets == 0 {
            // Nothing was said.
            self.facts = self.facts.with(Fact::PayloadBytes);
        }
        for half in [&mut self.orig, &mut self.resp] {
            if half.payload_bytes > 0 {
                half.payload_packets = half.payload_packets.max(1);
            }
        }
    }
}
