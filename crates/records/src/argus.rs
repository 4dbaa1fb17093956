//! Argus's flow tables, as CTU-13 publishes them: `binetflow`.
//!
//! Times have no zone and are taken for UTC. Bytes are those of whole frames, and CTU-13's first tables do not split packets by side:
//! then the split is an estimate too. Rows about ARP, LLC or Argus itself tell of no connection.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{ConnState, Endpoint};
use lapwing_protocol::{Fact, Facts};

use crate::connection::{self, Connection, ICMP, ICMP6, TCP, is_v6};
use crate::record::{LineProblem, Record, wrong};
use crate::text;
use crate::vocabulary::{Meaning, Vocabulary};

/// A column that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    StartTime,
    Duration,
    Proto,
    SourceAddress,
    SourcePort,
    Direction,
    DestinationAddress,
    DestinationPort,
    State,
    TotalPackets,
    TotalBytes,
    SourceBytes,
    SourcePackets,
    Label,
}

const COLUMNS: &[(&str, Column)] = &[
    ("StartTime", Column::StartTime),
    ("Dur", Column::Duration),
    ("Proto", Column::Proto),
    ("SrcAddr", Column::SourceAddress),
    ("Sport", Column::SourcePort),
    ("Dir", Column::Direction),
    ("DstAddr", Column::DestinationAddress),
    ("Dport", Column::DestinationPort),
    ("State", Column::State),
    ("TotPkts", Column::TotalPackets),
    ("TotBytes", Column::TotalBytes),
    ("SrcBytes", Column::SourceBytes),
    ("SrcPkts", Column::SourcePackets),
    ("Label", Column::Label),
];

/// Reads connections out of Argus's columns.
#[derive(Debug, Default)]
pub(crate) struct Argus {
    row: Row,
}

#[derive(Debug, Default)]
struct Row {
    start: Option<Timestamp>,
    duration: i64,
    /// Not set where the name is of no IP protocol.
    protocol: Option<u8>,
    has_protocol: bool,
    source: Option<Address>,
    destination: Option<Address>,
    source_port: u16,
    destination_port: u16,
    turned: bool,
    /// TCP flags of each side, where the state tells them.
    flags: Option<(u8, u8)>,
    /// A state in Zeek's words, as tools that convert Zeek's logs write it.
    state: Option<ConnState>,
    /// The state tells that nobody answered.
    one_sided: bool,
    packets: Option<u64>,
    bytes: Option<u64>,
    source_bytes: Option<u64>,
    source_packets: Option<u64>,
    label: Option<Box<str>>,
}

impl Vocabulary for Argus {
    type Column = Column;

    fn meaning(&self, name: &[u8]) -> Meaning<Column> {
        match COLUMNS.iter().find(|(known, _)| known.as_bytes() == name) {
            Some((_, column)) => Meaning::Column(*column),
            None => Meaning::Unknown,
        }
    }

    fn set(&mut self, column: Column, value: &[u8]) -> Result<(), LineProblem> {
        let row = &mut self.row;
        let count = |name| text::whole(value).ok_or_else(|| wrong(name, value, "a count"));
        match column {
            Column::StartTime => {
                row.start = Some(text::time(value).ok_or_else(|| wrong("StartTime", value, "a time"))?);
            }
            Column::Duration => {
                let nanos = text::seconds(value).filter(|nanos| *nanos >= 0);
                row.duration = nanos.ok_or_else(|| wrong("Dur", value, "a length of time"))?;
            }
            Column::Proto => (row.protocol, row.has_protocol) = (connection::protocol(value, false), true),
            // ARP and LLC rows have other addresses: whether these are needed, the protocol says.
            Column::SourceAddress => row.source = text::address(value),
            Column::DestinationAddress => row.destination = text::address(value),
            Column::SourcePort => row.source_port = port(value).ok_or_else(|| wrong("Sport", value, "a port"))?,
            Column::DestinationPort => {
                row.destination_port = port(value).ok_or_else(|| wrong("Dport", value, "a port"))?;
            }
            Column::Direction => row.turned = value.contains(&b'<') && !value.contains(&b'>'),
            Column::State => {
                row.flags = flags(value);
                row.state = connection::state(value);
                row.one_sided =
                    matches!(value, b"INT" | b"REQ" | b"ECO" | b"NNS" | b"NRS" | b"MHR") || value.ends_with(b"_");
            }
            Column::TotalPackets => row.packets = Some(count("TotPkts")?),
            Column::TotalBytes => row.bytes = Some(count("TotBytes")?),
            Column::SourceBytes => row.source_bytes = Some(count("SrcBytes")?),
            Column::SourcePackets => row.source_packets = Some(count("SrcPkts")?),
            Column::Label => row.label = Some(String::from_utf8_lossy(&value[..value.len().min(128)]).into()),
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.row = Row::default();
    }

    fn finish(&mut self, out: &mut Vec<Record>) -> Result<bool, LineProblem> {
        let row = std::mem::take(&mut self.row);
        if row.has_protocol && row.protocol.is_none() {
            return Ok(false);
        }
        out.push(row.connection()?.record());
        Ok(true)
    }
}

/// A port, or an identifier of ICMP in more bits, of which the lower are taken.
fn port(value: &[u8]) -> Option<u16> {
    text::port(value).or_else(|| Some(text::count(value)? as u16))
}

/// The flags of `SPA_SRPA`: the source's, an underscore, the destination's. Other states (`CON`, `INT`) tell none.
fn flags(state: &[u8]) -> Option<(u8, u8)> {
    let middle = memchr::memchr(b'_', state)?;
    let union = |letters: &[u8]| {
        letters.iter().try_fold(0_u8, |union, letter| {
            let place = b"FSRPAUEC".iter().position(|known| known == letter)?;
            Some(union | 1 << place)
        })
    };
    Some((union(&state[..middle])?, union(&state[middle + 1..])?))
}

impl Row {
    fn connection(self) -> Result<Connection, LineProblem> {
        let missing = |column| LineProblem::Missing { column };
        let start = self.start.ok_or(missing("StartTime"))?;
        let protocol = self.protocol.ok_or(missing("Proto"))?;
        let (source, destination) =
            (self.source.ok_or(missing("SrcAddr"))?, self.destination.ok_or(missing("DstAddr"))?);
        let protocol = if protocol == ICMP && is_v6(Some(source)) { ICMP6 } else { protocol };
        let packets = self.packets.ok_or(missing("TotPkts"))?;
        let bytes = self.bytes.ok_or(missing("TotBytes"))?;
        let source_bytes = self.source_bytes.unwrap_or(if self.one_sided { bytes } else { bytes / 2 }).min(bytes);
        let mut facts = Facts::NONE;
        let source_packets = match self.source_packets {
            Some(count) => {
                facts = facts.with(Fact::Packets);
                count.min(packets)
            }
            None => {
                facts = facts.with_estimated(Fact::Packets);
                share(packets, source_bytes, bytes)
            }
        };
        let mut connection = Connection {
            start,
            end: Timestamp::from_nanos(start.nanos().saturating_add(self.duration)),
            originator: Endpoint { address: source, port: self.source_port },
            responder: Endpoint { address: destination, port: self.destination_port },
            protocol,
            state: self.state,
            facts,
            label: self.label,
            ..Connection::default()
        };
        (connection.orig.packets, connection.resp.packets) = (source_packets, packets - source_packets);
        if protocol == TCP
            && let Some((from, to)) = self.flags
        {
            Connection::set_flags(&mut connection.orig, from);
            Connection::set_flags(&mut connection.resp, to);
            connection.facts = connection.facts.with(Fact::Flags).with(Fact::EveryFlag);
        } else if let Some(state) = self.state {
            connection.read_state(state);
        }
        connection.estimate_sizes(source_bytes, bytes - source_bytes);
        if self.turned {
            std::mem::swap(&mut connection.originator, &mut connection.responder);
            std::mem::swap(&mut connection.orig, &mut connection.resp);
        }
        Ok(connection)
    }
}

/// The part of `packets` that `part` of `bytes` suggests, at least one for whoever sent bytes.
fn share(packets: u64, part: u64, bytes: u64) -> u64 {
    if part == 0 || bytes == 0 || packets == 0 {
        return 0;
    }
    if part >= bytes {
        return packets;
    }
    let share = (u128::from(packets) * u128::from(part) / u128::from(bytes)) as u64;
    share.clamp(1, (packets - 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::separated::Separated;
    use crate::syntax::{Syntax, Taken};
    use lapwing_flow::ConnState;

    const HEADER: &str =
        "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label";

    fn read(rows: &[&str]) -> (Vec<Record>, Vec<Result<Taken, LineProblem>>) {
        let (mut log, mut out) = (Separated::new(Argus::default(), b','), Vec::new());
        log.line(HEADER.as_bytes(), &mut out).unwrap();
        let taken = rows.iter().map(|row| log.line(row.as_bytes(), &mut out)).collect();
        (out, taken)
    }

    #[test]
    fn flags_and_states_come_from_arguss_letters() {
        let (records, _) = read(&[
            "2019/04/04 16:23:00.355768,129.927856,tcp,10.8.0.69,48009,   ->,31.13.83.2,443,SPA_SRPA,0,164,26,5723,1621,13,flow=Malware",
            "2019/04/04 16:23:00.325010,0.027947,udp,10.8.0.69,48427,  <->,8.8.8.8,53,CON,0,0,2,142,63,1,",
            "2019/04/04 16:23:00.325010,0,tcp,10.8.0.69,80,  <-,8.8.8.8,5300,SA_S,0,0,2,120,60,1,",
        ]);
        let states: Vec<_> = records.iter().map(|record| record.flow.state).collect();
        assert_eq!(states, [ConnState::Rstr, ConnState::Sf, ConnState::S1]);
        assert_eq!((records[0].flow.orig.packets, records[0].flow.resp.packets), (13, 13));
        assert_eq!(records[0].label.as_deref(), Some("flow=Malware"));
        assert_eq!(records[1].flow.start.micros(), 1_554_394_980_325_010);
        assert_eq!(records[2].flow.originator.port, 5300);
    }

    #[test]
    fn rows_of_no_connection_are_passed_over_and_wrong_ones_told() {
        let (records, taken) = read(&[
            "1970/01/01 01:00:08.156845,3554.2,arp,10.0.2.15,,  who,10.0.2.2,,CON,,,22,924,462,11,x",
            "1970/01/01 01:00:00.000000,0.000000,llc,00:00:00:00:00:00,0,   ->,00:00:00:00:00:00,0,INT,,,1,60,60,1,x",
            "1970/01/01 01:00:00.000000,0.000000,tcp,00:00:00:00:00:00,0,   ->,10.0.0.1,0,INT,,,1,60,60,1,x",
            "2019/04/04 16:30:29.234728,1.262451,icmp,10.8.0.69,0x0008,   ->,110.128.128.147,0x7208,ECO,0,,2,144,144,2,",
        ]);
        assert_eq!(taken[..2], [Ok(Taken::Other), Ok(Taken::Other)]);
        assert_eq!(taken[2], Err(LineProblem::Missing { column: "SrcAddr" }));
        assert_eq!((records[0].flow.originator.port, records[0].flow.resp.packets), (8, 0));
    }

    #[test]
    fn packets_are_split_by_bytes_where_only_their_sum_is_told() {
        assert_eq!(
            (share(10, 500, 1_000), share(2, 1, 1_000), share(7, 0, 9), share(7, 9, 9), share(1, 5, 9)),
            (5, 1, 0, 7, 1)
        );
    }
}
