//! Suricata's EVE: its `flow` events, and `netflow` events, of which two make a flow.
//!
//! EVE counts whole frames and says which TCP flags a side sent at all. So IP and payload bytes are estimates here, and there is no
//! history. A sensor that writes both kinds of event says everything twice: once a log has shown a `flow` event, its
//! `netflow` events are passed over.

use std::collections::VecDeque;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::Endpoint;
use lapwing_protocol::{Fact, Facts};

use crate::connection::{self, Connection, TCP};
use crate::record::{LineProblem, Record, wrong};
use crate::service::service;
use crate::text;
use crate::vocabulary::{Meaning, Vocabulary};

/// Halves of netflow pairs that wait for the other one; Suricata writes them one right after the other.
const WAITING: usize = 64;

/// A name that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    EventType,
    FlowId,
    SourceIp,
    SourcePort,
    DestinationIp,
    DestinationPort,
    Proto,
    Service,
    IcmpType,
    IcmpCode,
    Vlan,
    PacketsToServer,
    PacketsToClient,
    BytesToServer,
    BytesToClient,
    Start,
    End,
    Packets,
    Bytes,
    LeastTtl,
    MostTtl,
    Flags,
    FlagsToServer,
    FlagsToClient,
}

const COLUMNS: &[(&str, Column)] = &[
    ("event_type", Column::EventType),
    ("flow_id", Column::FlowId),
    ("src_ip", Column::SourceIp),
    ("src_port", Column::SourcePort),
    ("dest_ip", Column::DestinationIp),
    ("dest_port", Column::DestinationPort),
    ("proto", Column::Proto),
    ("app_proto", Column::Service),
    ("icmp_type", Column::IcmpType),
    ("icmp_code", Column::IcmpCode),
    ("vlan", Column::Vlan),
    ("flow.pkts_toserver", Column::PacketsToServer),
    ("flow.pkts_toclient", Column::PacketsToClient),
    ("flow.bytes_toserver", Column::BytesToServer),
    ("flow.bytes_toclient", Column::BytesToClient),
    ("flow.start", Column::Start),
    ("flow.end", Column::End),
    ("netflow.start", Column::Start),
    ("netflow.end", Column::End),
    ("netflow.pkts", Column::Packets),
    ("netflow.bytes", Column::Bytes),
    ("netflow.min_ttl", Column::LeastTtl),
    ("netflow.max_ttl", Column::MostTtl),
    ("tcp.tcp_flags", Column::Flags),
    ("tcp.tcp_flags_ts", Column::FlagsToServer),
    ("tcp.tcp_flags_tc", Column::FlagsToClient),
];

/// Reads connections out of EVE.
#[derive(Debug, Default)]
pub(crate) struct Eve {
    event: Event,
    /// A `flow` event was seen.
    has_flows: bool,
    waiting: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    Flow,
    Netflow,
    #[default]
    Other,
}

#[derive(Clone, Debug, Default)]
struct Event {
    kind: Kind,
    id: Option<u64>,
    source: Option<Address>,
    destination: Option<Address>,
    source_port: u16,
    destination_port: u16,
    proto: Option<Proto>,
    service: Option<Box<str>>,
    icmp: Option<(u16, u16)>,
    vlan: Option<u16>,
    inner_vlan: Option<u16>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    packets: [Option<u64>; 2],
    bytes: [u64; 2],
    flags: [Option<u8>; 2],
    ttl: Option<(u8, u8)>,
}

/// A protocol's name, until the addresses tell which ICMP is meant.
#[derive(Clone, Copy, Debug)]
struct Proto(u8);

/// The side that `netflow` events write down; both directions share the event's fields until they are joined.
const TO_SERVER: usize = 0;
const TO_CLIENT: usize = 1;

impl Vocabulary for Eve {
    type Column = Column;

    fn meaning(&self, name: &[u8]) -> Meaning<Column> {
        if matches!(name, b"flow" | b"netflow" | b"tcp") {
            return Meaning::Object;
        }
        match COLUMNS.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, column)) => Meaning::Column(*column),
            None => Meaning::Unknown,
        }
    }

    fn set(&mut self, column: Column, value: &[u8]) -> Result<(), LineProblem> {
        let event = &mut self.event;
        let count = |name| text::count(value).ok_or_else(|| wrong(name, value, "a count"));
        let port = |name| text::port(value).ok_or_else(|| wrong(name, value, "a port"));
        let address = |name| text::address(value).ok_or_else(|| wrong(name, value, "an address"));
        let time = |name| text::date(value).ok_or_else(|| wrong(name, value, "a time"));
        match column {
            Column::EventType => {
                event.kind = match value {
                    b"flow" => Kind::Flow,
                    b"netflow" => Kind::Netflow,
                    _ => Kind::Other,
                }
            }
            Column::FlowId => event.id = Some(count("flow_id")?),
            Column::SourceIp => event.source = Some(address("src_ip")?),
            Column::SourcePort => event.source_port = port("src_port")?,
            Column::DestinationIp => event.destination = Some(address("dest_ip")?),
            Column::DestinationPort => event.destination_port = port("dest_port")?,
            Column::Proto => {
                let protocol = connection::protocol(value, false).unwrap_or(connection::UNKNOWN_PROTOCOL);
                event.proto = Some(Proto(protocol));
            }
            Column::Service => event.service = service(value),
            Column::IcmpType => event.icmp.get_or_insert_default().0 = port("icmp_type")?,
            Column::IcmpCode => event.icmp.get_or_insert_default().1 = port("icmp_code")?,
            Column::Vlan => {
                let mut ids = value.split(|byte| !byte.is_ascii_digit()).filter_map(text::count);
                event.vlan = ids.next().map(|id| (id & 0xfff) as u16);
                event.inner_vlan = ids.next().map(|id| (id & 0xfff) as u16);
            }
            Column::PacketsToServer | Column::Packets => event.packets[TO_SERVER] = Some(count("pkts_toserver")?),
            Column::PacketsToClient => event.packets[TO_CLIENT] = Some(count("pkts_toclient")?),
            Column::BytesToServer | Column::Bytes => event.bytes[TO_SERVER] = count("bytes_toserver")?,
            Column::BytesToClient => event.bytes[TO_CLIENT] = count("bytes_toclient")?,
            Column::Start => event.start = Some(time("start")?),
            Column::End => event.end = Some(time("end")?),
            Column::LeastTtl => event.ttl.get_or_insert_default().0 = count("min_ttl")?.min(255) as u8,
            Column::MostTtl => event.ttl.get_or_insert_default().1 = count("max_ttl")?.min(255) as u8,
            Column::Flags if event.flags[TO_SERVER].is_some() => {}
            Column::Flags | Column::FlagsToServer => event.flags[TO_SERVER] = hexadecimal(value),
            Column::FlagsToClient => event.flags[TO_CLIENT] = hexadecimal(value),
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.event = Event::default();
    }

    fn finish(&mut self, out: &mut Vec<Record>) -> Result<bool, LineProblem> {
        let event = std::mem::take(&mut self.event);
        match event.kind {
            Kind::Other => return Ok(false),
            Kind::Flow => {
                self.has_flows = true;
                out.push(event.record(None)?);
            }
            Kind::Netflow if self.has_flows => return Ok(false),
            Kind::Netflow => {
                if let Some(place) = self.waiting.iter().position(|half| half.answers(&event)) {
                    if let Some(first) = self.waiting.remove(place) {
                        out.push(first.record(Some(&event))?);
                    }
                } else {
                    // Whatever is wrong with it must be said with its own line.
                    event.record(None)?;
                    if self.waiting.len() == WAITING
                        && let Some(alone) = self.waiting.pop_front()
                    {
                        out.push(alone.record(None)?);
                    }
                    self.waiting.push_back(event);
                }
            }
        }
        Ok(true)
    }

    fn flush(&mut self, out: &mut Vec<Record>) {
        out.extend(self.waiting.drain(..).filter_map(|alone| alone.record(None).ok()));
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// A byte in hexadecimal digits.
fn hexadecimal(value: &[u8]) -> Option<u8> {
    u8::from_str_radix(str::from_utf8(value).ok()?, 16).ok()
}

impl Event {
    /// Whether the two are the halves of one flow.
    fn answers(&self, other: &Self) -> bool {
        self.id == other.id
            && (self.source, self.source_port) == (other.destination, other.destination_port)
            && (self.destination, self.destination_port) == (other.source, other.source_port)
    }

    /// The flow; `answer` is the netflow event of the other direction.
    fn record(&self, answer: Option<&Self>) -> Result<Record, LineProblem> {
        let missing = |column| LineProblem::Missing { column };
        let source = self.source.ok_or(missing("src_ip"))?;
        let destination = self.destination.ok_or(missing("dest_ip"))?;
        let Proto(protocol) = self.proto.ok_or(missing("proto"))?;
        let protocol = if protocol == connection::ICMP && !source.is_v4() { connection::ICMP6 } else { protocol };
        let start = self.start.ok_or(missing("start"))?;
        let end = self.end.unwrap_or(start);
        let (start, end) = match answer {
            Some(answer) => (start.min(answer.start.unwrap_or(start)), end.max(answer.end.unwrap_or(end))),
            None => (start, end),
        };
        let ports = self.icmp.unwrap_or((self.source_port, self.destination_port));
        let to_server = self.packets[TO_SERVER].ok_or(missing("pkts_toserver"))?;
        let back = |event: &Self| (event.packets[TO_SERVER], event.bytes[TO_SERVER], event.flags[TO_SERVER]);
        let (to_client, bytes_back, flags_back) = match (answer, self.kind) {
            (Some(answer), _) => back(answer),
            (None, Kind::Netflow) => (Some(0), 0, Some(0)),
            (None, _) => (self.packets[TO_CLIENT], self.bytes[TO_CLIENT], self.flags[TO_CLIENT]),
        };
        let mut connection = Connection {
            start,
            end,
            uid: self.id,
            originator: Endpoint { address: source, port: ports.0 },
            responder: Endpoint { address: destination, port: ports.1 },
            protocol,
            vlan: self.vlan,
            inner_vlan: self.inner_vlan,
            service: self.service.clone().or_else(|| answer.and_then(|answer| answer.service.clone())),
            facts: Facts::of(&[Fact::Packets]),
            ..Connection::default()
        };
        (connection.orig.packets, connection.resp.packets) = (to_server, to_client.ok_or(missing("pkts_toclient"))?);
        if protocol == TCP
            && let (Some(orig), Some(resp)) = (self.flags[TO_SERVER], flags_back)
        {
            Connection::set_flags(&mut connection.orig, orig);
            Connection::set_flags(&mut connection.resp, resp);
            connection.facts = connection.facts.with(Fact::Flags).with(Fact::EveryFlag);
        }
        if let Some(ttl) = self.ttl {
            connection.orig.ttl = ttl;
            connection.resp.ttl = answer.and_then(|answer| answer.ttl).unwrap_or_default();
            connection.facts = connection.facts.with(Fact::Ttl);
        }
        connection.estimate_sizes(self.bytes[TO_SERVER], bytes_back);
        Ok(connection.record())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::JsonLines;
    use crate::syntax::{Syntax, Taken};
    use lapwing_flow::ConnState;

    fn read(lines: &[&str]) -> (Vec<Record>, Vec<Result<Taken, LineProblem>>) {
        let (mut log, mut out) = (JsonLines::new(Eve::default()), Vec::new());
        let taken = lines.iter().map(|line| log.line(line.as_bytes(), &mut out)).collect();
        log.flush(&mut out);
        (out, taken)
    }

    const FLOW: &str = r#"{"timestamp":"2021-06-06T15:57:37.272281+0200","flow_id":445348883402532,"event_type":"flow","src_ip":"91.238.203.56",
        "src_port":48938,"dest_ip":"192.168.1.129","dest_port":445,"proto":"TCP","app_proto":"smb","vlan":[7,8],"flow":{"pkts_toserver":2,"pkts_toclient":2,
        "bytes_toserver":120,"bytes_toclient":120,"start":"2021-06-06T17:34:31.140759+0200","end":"2021-06-06T17:34:31.141012+0200",
        "age":0,"state":"closed","reason":"timeout"},"tcp":{"tcp_flags":"16","tcp_flags_ts":"02","tcp_flags_tc":"14","syn":true}}"#;

    #[test]
    fn a_flow_event_is_a_flow() {
        let line = FLOW.replace('\n', "");
        let (records, _) = read(&[&line, r#"{"event_type":"alert","src_ip":"10.0.0.1"}"#]);
        let (flow, facts) = (&records[0].flow, records[0].facts);
        assert_eq!((flow.orig.packets, flow.resp.packets, flow.state), (2, 2, ConnState::Rej));
        assert_eq!(flow.service.as_deref(), Some("smb"));
        assert_eq!((flow.orig.flags[1], flow.resp.flags[2], flow.orig.payload_packets), (1, 1, 0));
        assert_eq!((flow.start.micros(), flow.vlan, flow.inner_vlan), (1_622_993_671_140_759, Some(7), Some(8)));
        assert!(facts.has(Fact::Flags) && facts.has_estimate(Fact::PayloadBytes) && !facts.has(Fact::History));
    }

    fn netflow(from: &str, to: &str, packets: u64, flags: &str) -> String {
        format!(
            r#"{{"event_type":"netflow","flow_id":5,"src_ip":"{from}","src_port":1,"dest_ip":"{to}","dest_port":1,"proto":"TCP",
            "netflow":{{"pkts":{packets},"bytes":{},"start":"2021-06-06T17:34:31.140759+0200","end":"2021-06-06T17:34:32.140759+0200",
            "min_ttl":60,"max_ttl":64}},"tcp":{{"tcp_flags":"{flags}"}}}}"#,
            packets * 500
        )
        .replace('\n', "")
    }

    #[test]
    fn the_two_halves_of_a_netflow_are_joined() {
        let (there, back) = (netflow("10.0.0.1", "10.0.0.2", 10, "1b"), netflow("10.0.0.2", "10.0.0.1", 8, "1b"));
        let alone = netflow("10.0.0.3", "10.0.0.2", 1, "02");
        let (records, taken) = read(&[&there, &alone, &back]);
        assert!(taken.iter().all(|taken| *taken == Ok(Taken::Record)), "{taken:?}");
        let packets: Vec<_> =
            records.iter().map(|record| (record.flow.orig.packets, record.flow.resp.packets)).collect();
        assert_eq!(packets, [(10, 8), (1, 0)]);
        assert_eq!((records[0].flow.state, records[0].flow.orig.ttl), (ConnState::Sf, (60, 64)));
        assert!(records[0].flow.orig.payload_bytes > 4_000 && records[0].flow.orig.payload_packets > 0);
        assert_eq!(records[1].flow.state, ConnState::S0);
    }

    #[test]
    fn a_log_with_both_kinds_of_event_is_not_read_twice() {
        let (records, _) = read(&[&FLOW.replace('\n', ""), &netflow("10.0.0.1", "10.0.0.2", 10, "1b")]);
        assert_eq!(records.len(), 1);
    }

    #[test]
    fn a_flow_without_its_counts_is_told() {
        let (_, taken) =
            read(&[r#"{"event_type":"flow","src_ip":"10.0.0.1","dest_ip":"10.0.0.2","proto":"UDP","flow":7}"#]);
        assert_eq!(taken[0], Err(LineProblem::Missing { column: "start" }));
    }
}
