//! A frame as a line of a list.

use std::net::IpAddr;

use lapwing_alert::rfc3339;
use lapwing_capture::{Frame, LinkType, Timestamp};
use lapwing_decode::{Address, Arp, Buffers, DecodeOptions, Decoder, Packet, PacketBatch, flag};
use lapwing_detect::packets::{Judgement, Pattern};
use lapwing_feature::{PacketFacts, PacketLabel};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{glance, info, preview};

/// One frame, as a list of packets shows it; its JSON is that of the API's `Packet`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PacketRecord {
    /// Number of the frame in its source, counted from 1: what is not looked at is counted too.
    pub index: u64,
    /// When it was captured.
    #[serde(rename = "timestamp", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Bytes on the wire.
    pub length: u32,
    /// What it looks like, by protocol number and port.
    #[serde(serialize_with = "as_name")]
    #[schemars(with = "String")]
    pub protocol: PacketLabel,
    /// Who sent it: an IP address (for ARP the one it speaks for), else the hardware address where there is one.
    #[schemars(with = "Option<String>")]
    pub src: Option<Host>,
    /// To whom.
    #[schemars(with = "Option<String>")]
    pub dst: Option<Host>,
    /// Source port, where there is one.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// TCP flags.
    pub flags: Option<TcpFlags>,
    /// One line: the question of a DNS message, type and code of an ICMP message, the flags of a TCP segment.
    pub info: String,
    /// The first bytes of what it carries, where that was asked for: text, or hexadecimal digits.
    pub payload: Option<String>,
    /// Whether the detection method in use finds its sender's last packets unusual.
    pub is_anomaly: bool,
    /// How unusual they are, from 0 to 1; `null` while the method learns.
    pub score: Option<f32>,
    /// What its sender's last packets look like (`normal` included); `null` while there are fewer than ten.
    #[schemars(with = "Option<String>")]
    pub pattern: Option<Pattern>,
}

/// An end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A hardware address, of frames that are neither IP nor ARP.
    Mac([u8; 6]),
}

/// The flags of a TCP segment that people look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of RFC 9293")]
pub struct TcpFlags {
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
    pub psh: bool,
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Mac(octets) => f.write_str(&info::mac(*octets)),
        }
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

fn as_name<S: Serializer>(label: &PacketLabel, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(label.name())
}

impl PacketRecord {
    /// Puts down what is said of it.
    pub(super) fn set(&mut self, judgement: Judgement) {
        let Judgement { pattern, score, is_anomaly } = judgement;
        (self.pattern, self.score, self.is_anomaly) = (pattern, score, is_anomaly);
    }

    /// Whether it comes from `host` or goes there.
    #[must_use]
    pub fn is_of(&self, host: IpAddr) -> bool {
        [self.src, self.dst].contains(&Some(Host::Ip(host)))
    }
}

/// Turns frames into records, one by one.
pub struct PacketReader {
    decoder: Decoder,
    packets: PacketBatch,
}

impl Default for PacketReader {
    fn default() -> Self {
        Self { decoder: Decoder::new(DecodeOptions { checksums: false }), packets: PacketBatch::default() }
    }
}

impl PacketReader {
    /// The record of a frame, with at most so many bytes of what it carries, and what windows take in of it: nothing, if no host
    /// sent it. Of tunnels it is the innermost packet.
    pub fn read(&mut self, frame: Frame<'_>, payload: Option<usize>) -> (PacketRecord, Option<PacketFacts>) {
        self.packets.clear();
        // The payload lies in the frame itself.
        let frame = Frame { offset: 0, ..frame };
        self.decoder.decode(frame, &mut self.packets);
        if let Some(packet) = self.packets.packets.last() {
            return of_packet(frame, packet, payload);
        }
        if let Some(fragment) = self.packets.fragments.last() {
            let (record, facts) = of_packet(frame, &fragment.packet, payload);
            return (PacketRecord { info: info::fragment(fragment), ..record }, facts);
        }
        if let Some(arp) = self.packets.arps.last() {
            return of_arp(frame, arp);
        }
        let undecoded = self.packets.counts.undecoded.keys().next();
        let info = undecoded.map_or_else(|| "nothing in it is known".to_owned(), ToString::to_string);
        let Some((source, destination)) = glance::ends(frame.link, frame.data) else {
            let (dst, src) = macs(frame).unzip();
            return (PacketRecord { src, dst, info, ..blank(frame) }, None);
        };
        of_remains(frame, (source, destination), info)
    }
}

fn of_packet(frame: Frame<'_>, packet: &Packet, most: Option<usize>) -> (PacketRecord, Option<PacketFacts>) {
    const TCP: u8 = 6;
    const WITH_PORTS: [u8; 3] = [TCP, 17, 132];
    let is_tcp = packet.protocol == TCP && !packet.has(flag::NO_TRANSPORT);
    let ports = (WITH_PORTS.contains(&packet.protocol) && !packet.has(flag::NO_TRANSPORT))
        .then_some((packet.source_port, packet.destination_port))
        .filter(|ports| *ports != (0, 0));
    let (source_port, destination_port) = ports.unwrap_or_default();
    let protocol = PacketLabel::of(packet.protocol, source_port, destination_port);
    let payload = packet.payload(Buffers { frames: frame.data, reassembled: &[] });
    let is_set = |bit| is_tcp && packet.tcp_flags & bit != 0;
    let (syn, ack) = (is_set(2), is_set(16));
    let record = PacketRecord {
        protocol,
        src: Some(Host::Ip(packet.source.ip())),
        dst: Some(Host::Ip(packet.destination.ip())),
        src_port: ports.map(|ports| ports.0),
        dst_port: ports.map(|ports| ports.1),
        flags: is_tcp.then(|| TcpFlags { syn, ack, fin: is_set(1), rst: is_set(4), psh: is_set(8) }),
        info: info::packet(packet, protocol, payload),
        payload: most.and_then(|most| preview::preview(payload, most)),
        ..blank(frame)
    };
    let facts = PacketFacts {
        time: frame.time,
        source: packet.source,
        destination: packet.destination,
        length: record.length,
        label: protocol,
        ports,
        syn,
        ack,
    };
    (record, Some(facts))
}

/// An IP packet of which too little was captured, or that contradicts itself.
fn of_remains(
    frame: Frame<'_>,
    (source, destination): (Address, Address),
    info: String,
) -> (PacketRecord, Option<PacketFacts>) {
    let record = PacketRecord {
        protocol: glance::glance(frame.link, frame.data),
        src: Some(Host::Ip(source.ip())),
        dst: Some(Host::Ip(destination.ip())),
        info,
        ..blank(frame)
    };
    let facts = without_ports(&record, source, destination);
    (record, Some(facts))
}

fn of_arp(frame: Frame<'_>, arp: &Arp) -> (PacketRecord, Option<PacketFacts>) {
    let (source, destination) = (Address::v4(arp.sender_address), Address::v4(arp.target_address));
    let record = PacketRecord {
        protocol: PacketLabel::Arp,
        src: Some(Host::Ip(source.ip())),
        dst: Some(Host::Ip(destination.ip())),
        info: info::arp(arp),
        ..blank(frame)
    };
    let facts = without_ports(&record, source, destination);
    (record, Some(facts))
}

fn without_ports(record: &PacketRecord, source: Address, destination: Address) -> PacketFacts {
    let &PacketRecord { time, length, protocol: label, .. } = record;
    PacketFacts { time, source, destination, length, label, ports: None, syn: false, ack: false }
}

fn blank(frame: Frame<'_>) -> PacketRecord {
    PacketRecord {
        index: frame.number,
        time: frame.time,
        length: frame.length.max(frame.data.len() as u32),
        protocol: PacketLabel::Other,
        src: None,
        dst: None,
        src_port: None,
        dst_port: None,
        flags: None,
        info: String::new(),
        payload: None,
        is_anomaly: false,
        score: None,
        pattern: None,
    }
}

/// Destination and source of an Ethernet frame.
fn macs(frame: Frame<'_>) -> Option<(Host, Host)> {
    let addresses = frame.data.first_chunk::<12>().filter(|_| frame.link == LinkType::ETHERNET)?;
    let at = |from: usize| Host::Mac(std::array::from_fn(|place| addresses[from + place]));
    Some((at(0), at(6)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8], payload: Option<usize>) -> (PacketRecord, Option<PacketFacts>) {
        let (time, length) = (Timestamp::from_micros(1_700_000_000_000_000), data.len() as u32);
        let frame = Frame { number: 5, time, link: LinkType::ETHERNET, length, offset: 77, data };
        PacketReader::default().read(frame, payload)
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// A segment with `hello` over IPv6 in VLAN 10.
    const IPV6_SEGMENT: &str = "333300000001 020000000001 8100000a 86dd
        6000000000190640 20010db8000000000000000000000001 20010db8000000000000000000000002
        9c400050 00000001 00000002 50180100 00000000 68656c6c6f";

    #[test]
    fn a_segment_over_ipv6_in_a_vlan_is_a_line_of_the_list() {
        let (record, facts) = read(&hex(IPV6_SEGMENT), Some(3));
        let expected = serde_json::json!({
            "index": 5, "timestamp": "2023-11-14T22:13:20.000000Z", "length": 83, "protocol": "HTTP",
            "src": "2001:db8::1", "dst": "2001:db8::2", "src_port": 40_000, "dst_port": 80,
            "flags": {"syn": false, "ack": true, "fin": false, "rst": false, "psh": true},
            "info": "ACK PSH, 5 bytes, VLAN 10", "payload": "hel", "is_anomaly": false, "score": null, "pattern": null,
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), expected);
        let facts = facts.unwrap();
        assert_eq!((facts.ports, facts.length, facts.ack, facts.syn), (Some((40_000, 80)), 83, true, false));
    }

    #[test]
    fn payload_is_shown_only_when_asked_for() {
        assert_eq!(read(&hex(IPV6_SEGMENT), None).0.payload, None);
    }

    #[test]
    fn arp_is_told_by_the_addresses_it_speaks_of() {
        let (record, facts) = read(
            &hex("ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002"),
            None,
        );
        assert_eq!(record.info, "who has 10.0.0.2? tell 10.0.0.1");
        assert!(record.is_of("10.0.0.2".parse().unwrap()) && facts.is_some());
    }

    #[test]
    fn frames_that_are_neither_are_told_by_their_hardware_addresses() {
        let (record, facts) = read(&hex("0180c200000e 020000000001 88cc 0207"), None);
        assert_eq!(record.src.unwrap().to_string(), "02:00:00:00:00:01");
        assert!(record.info.contains("LLDP"), "{}", record.info);
        assert!(facts.is_none() && record.protocol == PacketLabel::Other);
    }

    #[test]
    fn a_frame_cut_anywhere_is_a_record() {
        let frame = hex(IPV6_SEGMENT);
        for end in 0..frame.len() {
            assert_eq!(read(&frame[..end], Some(100)).0.index, 5);
        }
    }
}
