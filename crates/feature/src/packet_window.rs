//! `packet-window-14`: the fourteen features that `traffic-monitor` users know, over the last packets that one host sent.
//!
//! One definition for files and for interfaces: a window holds the last [`PacketWindow::PACKETS`] packets of its host, whatever
//! other hosts sent in between.

mod distinct;
mod row;

use std::collections::VecDeque;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;

use crate::PacketLabel;
use distinct::Distinct;
pub use row::PACKET_WINDOW_14;

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
