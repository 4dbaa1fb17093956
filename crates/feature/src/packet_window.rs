//! `packet-window-14`: the fourteen features that `traffic-monitor` users know, over the last packets that one host sent.
//!
//! One definition for files and for interfaces: a window holds the last [`PacketWindow::PACKETS`] packets of its host, whatever
//! other hosts sent in between.

use std::collections::VecDeque;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_protocol::Fact;

use crate::schema::{Row, RowsOf};
use crate::{Feature, PacketLabel, PortClass, Schema};

/// The last packet, and what the host's last packets have in common. Protocol and ports are classes, as everywhere here: the
/// numbers they had in that program rank SSH above DNS.
pub static PACKET_WINDOW_14: Schema = Schema {
    name: "packet-window-14",
    version: 1,
    features: FEATURES,
    needs: &[Fact::Packets],
    rows_of: RowsOf::PacketWindows,
};

const PROTOCOLS: &[&str] = &["other", "tcp", "udp", "icmp", "http", "https", "dns", "ssh", "ftp"];

const FEATURES: &[Feature] = &[
    Feature::number("length", "bytes", "bytes of the frame", "the packet"),
    Feature::class("protocol", "protocol by its port", "the packet", PROTOCOLS),
    Feature::class("src_port", "kind of the source port", "the packet", PortClass::NAMES),
    Feature::class("dst_port", "kind of service by the destination port", "the packet", PortClass::NAMES),
    Feature::number(
        "packet_rate",
        "packets/s",
        "packets over the window's time and 1 ms; 0 for one packet",
        "the window",
    ),
    Feature::number("avg_size", "bytes", "mean length", "the window"),
    Feature::number("std_size", "bytes", "standard deviation of the length", "the window"),
    Feature::number("unique_dsts", "hosts", "different destinations", "the window"),
    Feature::number("unique_ports", "ports", "different destination ports", "the window"),
    Feature::number("protocol_diversity", "0 to 1", "different protocols for each packet", "the window"),
    Feature::number("uncommon_ports_ratio", "0 to 1", "share of packets to ports above 10,000", "the window"),
    Feature::number("burst_ratio", "times", "longest gap over the mean gap and 1 ms", "the window"),
    Feature::number("silence_duration", "s", "longest gap", "the window"),
    Feature::number("syn_ratio", "0 to 1", "share of packets with a SYN", "the window"),
];

/// What a window takes in of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketFacts {
    /// When it was captured.
    pub time: Timestamp,
    /// Who sent it.
    pub source: Address,
    /// To whom.
    pub destination: Address,
    /// Bytes of its frame on the wire.
    pub length: u32,
    /// What it looks like.
    pub label: PacketLabel,
    /// Source and destination port, where it has ports.
    pub ports: Option<(u16, u16)>,
    /// TCP: it opens or accepts a connection.
    pub syn: bool,
    /// TCP: it acknowledges something.
    pub ack: bool,
}

impl PacketFacts {
    /// Whether it seems to answer: it accepts a connection, or goes from a lower port to a higher one. The destinations and
    /// ports of answers are those of whoever asked, and say nothing of what their sender looks for.
    #[must_use]
    pub fn answers(&self) -> bool {
        match (self.ports, self.syn, self.ack) {
            (_, true, acknowledges) => acknowledges,
            (Some((source, destination)), false, _) => source < destination,
            (None, false, _) => false,
        }
    }
}

/// Ports above this one are not those of usual services.
const COMMON_PORTS: u16 = 10_000;

/// The last packets of one host, with what the features need kept up to date: taking one in costs O(different hosts and ports).
#[derive(Clone, Debug, Default)]
pub struct PacketWindow {
    packets: VecDeque<Kept>,
    destinations: Distinct<Address>,
    ports: Distinct<u16>,
    labels: [u8; PacketLabel::ALL.len()],
    bytes: u64,
    squares: u128,
    uncommon: u32,
    uncommon_asked: u32,
    syn: u32,
    last: Option<PacketFacts>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    time: Timestamp,
    length: u32,
    destination: u8,
    port: Option<u8>,
    label: PacketLabel,
    uncommon: bool,
    syn: bool,
    asks: bool,
}

/// What a window comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowMeasures {
    /// Packets in it.
    pub packets: usize,
    /// Packets a second: packets over the time from the first to the last and 1 ms; 0 for one packet.
    pub packet_rate: f32,
    /// Mean length, in bytes.
    pub avg_size: f32,
    /// Standard deviation of the length (of the population), in bytes.
    pub std_size: f32,
    /// Different destinations.
    pub unique_dsts: f32,
    /// Different destination ports.
    pub unique_ports: f32,
    /// Different labels over packets.
    pub protocol_diversity: f32,
    /// Share of packets to ports above 10,000.
    pub uncommon_ports_ratio: f32,
    /// Longest gap over the mean gap and 1 ms.
    pub burst_ratio: f32,
    /// Longest gap, in seconds.
    pub silence_duration: f32,
    /// Share of packets with a SYN.
    pub syn_ratio: f32,
    /// Different destinations, answers left out.
    pub asked_dsts: u32,
    /// Different destination ports, answers left out.
    pub asked_ports: u32,
    /// Share of packets to ports above 10,000 that are no answers.
    pub asked_uncommon_ratio: f32,
    /// Different labels.
    pub labels: u32,
    /// Share of the most frequent label.
    pub commonest_label: f32,
}

impl PacketWindow {
    /// Packets that a window holds at most.
    pub const PACKETS: usize = 100;

    /// Takes in the host's next packet.
    pub fn push(&mut self, packet: &PacketFacts) {
        if self.packets.len() == Self::PACKETS {
            self.forget_oldest();
        }
        let asks = !packet.answers();
        let port = packet.ports.map(|(_, destination)| destination);
        let kept = Kept {
            time: packet.time,
            length: packet.length,
            destination: self.destinations.add(packet.destination, asks),
            port: port.map(|port| self.ports.add(port, asks)),
            label: packet.label,
            uncommon: port.is_some_and(|port| port > COMMON_PORTS),
            syn: packet.syn,
            asks,
        };
        self.labels[kept.label as usize] += 1;
        self.bytes += u64::from(kept.length);
        self.squares += u128::from(kept.length).pow(2);
        self.uncommon += u32::from(kept.uncommon);
        self.uncommon_asked += u32::from(kept.uncommon && asks);
        self.syn += u32::from(kept.syn);
        self.packets.push_back(kept);
        self.last = Some(*packet);
    }

    /// Packets in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// What it comes to.
    #[must_use]
    pub fn measures(&self) -> WindowMeasures {
        let packets = self.packets.len();
        let count = packets.max(1) as f64;
        let mean = self.bytes as f64 / count;
        let (span, longest) = self.gaps();
        let mean_gap = if packets > 1 { span / (count - 1.0) } else { 0.0 };
        let labels = self.labels.iter().filter(|count| **count > 0).count();
        let commonest = self.labels.iter().max().copied().unwrap_or_default();
        let share = |packets: u32| (f64::from(packets) / count) as f32;
        WindowMeasures {
            packets,
            packet_rate: if packets > 1 { (count / (span + 0.001)) as f32 } else { 0.0 },
            avg_size: mean as f32,
            std_size: (self.squares as f64 / count - mean * mean).max(0.0).sqrt() as f32,
            unique_dsts: self.destinations.all() as f32,
            unique_ports: self.ports.all() as f32,
            protocol_diversity: share(labels as u32),
            uncommon_ports_ratio: share(self.uncommon),
            burst_ratio: (longest / (mean_gap + 0.001)) as f32,
            silence_duration: longest as f32,
            syn_ratio: share(self.syn),
            asked_dsts: self.destinations.asked(),
            asked_ports: self.ports.asked(),
            asked_uncommon_ratio: share(self.uncommon_asked),
            labels: labels as u32,
            commonest_label: share(u32::from(commonest)),
        }
    }

    /// Appends its row under [`PACKET_WINDOW_14`] to `rows`; none for an empty window.
    pub fn append_row(&self, rows: &mut Vec<f32>) {
        let Some(last) = self.last else { return };
        let start = rows.len();
        rows.resize(start + PACKET_WINDOW_14.width(), 0.0);
        let mut row = Row::new(&mut rows[start..]);
        let measures = self.measures();
        let (source, destination) = last.ports.unwrap_or_default();
        row.number(last.length as f32);
        row.class(protocol_class(last.label), PROTOCOLS.len());
        row.class(PortClass::of(source, last.ports.is_some()) as usize, PortClass::NAMES.len());
        row.class(PortClass::of(destination, last.ports.is_some()) as usize, PortClass::NAMES.len());
        measures.numbers().into_iter().for_each(|number| row.number(number));
    }

    /// Time from the earliest packet to the latest, and the longest gap between packets in the order in which they came, in seconds.
    fn gaps(&self) -> (f64, f64) {
        let Some(first) = self.packets.front() else { return (0.0, 0.0) };
        let (mut before, mut earliest, mut latest, mut longest) = (first.time, first.time, first.time, 0);
        for packet in self.packets.iter().skip(1) {
            longest = longest.max(packet.time.nanos_since(before));
            before = packet.time;
            earliest = earliest.min(packet.time);
            latest = latest.max(packet.time);
        }
        (latest.seconds_since(earliest), longest as f64 / 1e9)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.packets.pop_front() else { return };
        self.destinations.remove(oldest.destination, oldest.asks);
        if let Some(port) = oldest.port {
            self.ports.remove(port, oldest.asks);
        }
        self.labels[oldest.label as usize] -= 1;
        self.bytes -= u64::from(oldest.length);
        self.squares -= u128::from(oldest.length).pow(2);
        self.uncommon -= u32::from(oldest.uncommon);
        self.uncommon_asked -= u32::from(oldest.uncommon && oldest.asks);
        self.syn -= u32::from(oldest.syn);
    }
}

impl WindowMeasures {
    /// The ten numbers of [`PACKET_WINDOW_14`] that describe the window, in its order.
    #[must_use]
    pub fn numbers(&self) -> [f32; 10] {
        [
            self.packet_rate,
            self.avg_size,
            self.std_size,
            self.unique_dsts,
            self.unique_ports,
            self.protocol_diversity,
            self.uncommon_ports_ratio,
            self.burst_ratio,
            self.silence_duration,
            self.syn_ratio,
        ]
    }
}

fn protocol_class(label: PacketLabel) -> usize {
    match label {
        PacketLabel::Tcp | PacketLabel::Telnet | PacketLabel::Mqtt | PacketLabel::Rtsp => 1,
        PacketLabel::Udp
        | PacketLabel::Coap
        | PacketLabel::Quic
        | PacketLabel::Ntp
        | PacketLabel::Dhcp
        | PacketLabel::Mdns
        | PacketLabel::Ssdp => 2,
        PacketLabel::Icmp | PacketLabel::Icmpv6 => 3,
        PacketLabel::Http => 4,
        PacketLabel::Https => 5,
        PacketLabel::Dns => 6,
        PacketLabel::Ssh => 7,
        PacketLabel::Ftp => 8,
        PacketLabel::Other | PacketLabel::Arp | PacketLabel::Igmp | PacketLabel::Sctp => 0,
    }
}

/// How often each of a few keys occurs: at most as many as a window has packets, so that places fit a byte.
#[derive(Clone, Debug)]
struct Distinct<K> {
    /// Places without an occurrence are used again.
    places: Vec<(K, u8, u8)>,
}

impl<K> Default for Distinct<K> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<K: PartialEq> Distinct<K> {
    /// Adds an occurrence; its place.
    fn add(&mut self, key: K, asks: bool) -> u8 {
        let mut free = None;
        for (place, (known, all, asked)) in self.places.iter_mut().enumerate() {
            if *all == 0 {
                free = free.or(Some(place));
            } else if *known == key {
                *all += 1;
                *asked += u8::from(asks);
                return place as u8;
            }
        }
        let occurrence = (key, 1, u8::from(asks));
        match free {
            Some(place) => self.places[place] = occurrence,
            None => self.places.push(occurrence),
        }
        free.unwrap_or(self.places.len() - 1) as u8
    }

    fn remove(&mut self, place: u8, asks: bool) {
        let (_, all, asked) = &mut self.places[usize::from(place)];
        *all -= 1;
        *asked -= u8::from(asks);
    }

    fn all(&self) -> u32 {
        self.places.iter().filter(|(_, all, _)| *all > 0).count() as u32
    }

    fn asked(&self) -> u32 {
        self.places.iter().filter(|(_, _, asked)| *asked > 0).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(milliseconds: i64, host: u8, ports: Option<(u16, u16)>, length: u32) -> PacketFacts {
        PacketFacts {
            time: Timestamp::from_micros(milliseconds * 1_000),
            source: Address::v4([10, 0, 0, 1]),
            destination: Address::v4([10, 0, 0, host]),
            length,
            label: ports.map_or(PacketLabel::Icmp, |(source, destination)| PacketLabel::of(6, source, destination)),
            ports,
            syn: false,
            ack: false,
        }
    }

    fn window(packets: &[PacketFacts]) -> PacketWindow {
        let mut window = PacketWindow::default();
        packets.iter().for_each(|packet| window.push(packet));
        window
    }

    #[test]
    fn lengths_that_lie_do_not_overflow() {
        let window = window(&[packet(0, 1, None, u32::MAX); 2 * PacketWindow::PACKETS]);
        let measures = window.measures();
        assert_eq!((measures.avg_size, measures.std_size), (u32::MAX as f32, 0.0));
    }

    #[test]
    fn the_numbers_are_those_of_the_formulas() {
        let web = Some((40_000, 443));
        let mut packets =
            [packet(0, 1, web, 100), packet(500, 2, web, 200), packet(4_000, 2, Some((40_000, 20_000)), 300)];
        packets[0].syn = true;
        let measures = window(&packets).measures();
        let expected = WindowMeasures {
            packets: 3,
            packet_rate: 3.0 / 4.001,
            avg_size: 200.0,
            std_size: (20_000.0_f32 / 3.0).sqrt(),
            unique_dsts: 2.0,
            unique_ports: 2.0,
            protocol_diversity: 2.0 / 3.0,
            uncommon_ports_ratio: 1.0 / 3.0,
            burst_ratio: 3.5 / 2.001,
            silence_duration: 3.5,
            syn_ratio: 1.0 / 3.0,
            asked_dsts: 2,
            asked_ports: 2,
            asked_uncommon_ratio: 1.0 / 3.0,
            labels: 2,
            commonest_label: 2.0 / 3.0,
        };
        assert_eq!(measures, expected);
    }

    #[test]
    fn one_packet_has_no_rate_and_no_gap() {
        let measures = window(&[packet(5, 1, None, 60)]).measures();
        assert_eq!((measures.packet_rate, measures.burst_ratio, measures.silence_duration), (0.0, 0.0, 0.0));
    }

    #[test]
    fn what_a_server_answers_is_nothing_it_asks() {
        let answers: Vec<_> =
            (0..20).map(|client| packet(0, client, Some((443, 50_000 + u16::from(client))), 60)).collect();
        let measures = window(&answers).measures();
        assert_eq!((measures.unique_ports, measures.uncommon_ports_ratio), (20.0, 1.0));
        assert_eq!((measures.asked_ports, measures.asked_dsts, measures.asked_uncommon_ratio), (0, 0, 0.0));
        let mut from_a_low_port = packet(0, 1, Some((53, 8_080)), 60);
        assert!(from_a_low_port.answers());
        from_a_low_port.syn = true;
        assert!(!from_a_low_port.answers(), "a scan may choose its source port");
        from_a_low_port.ack = true;
        assert!(from_a_low_port.answers());
    }

    #[test]
    fn the_row_has_the_columns_of_the_schema() {
        let mut rows = Vec::new();
        window(&[packet(0, 1, Some((40_000, 22)), 60)]).append_row(&mut rows);
        assert_eq!(PACKET_WINDOW_14.features.len(), 14);
        assert_eq!(rows.len(), PACKET_WINDOW_14.width());
        assert_eq!(PACKET_WINDOW_14.describe(1, &rows), "ssh");
        assert_eq!(PACKET_WINDOW_14.describe(3, &rows), "remote-administration");
        PacketWindow::default().append_row(&mut rows);
        assert_eq!(rows.len(), PACKET_WINDOW_14.width());
    }

    proptest! {
        /// What is kept up to date is what the last hundred packets alone come to.
        #[test]
        fn a_window_forgets_all_but_the_last_hundred(
            packets in prop::collection::vec((0_i64..50, any::<u8>(), prop::option::of(any::<(u16, u16)>()), 60_u32..1_500), 1..400),
        ) {
            let mut time = 0;
            let packets: Vec<_> = packets.into_iter().map(|(gap, host, ports, length)| {
                time += gap;
                packet(time, host, ports, length)
            }).collect();
            let last = &packets[packets.len().saturating_sub(PacketWindow::PACKETS)..];
            prop_assert_eq!(window(&packets).measures(), window(last).measures());
        }
    }
}
