//! The row of a window.

use lapwing_protocol::Fact;

use super::{PacketWindow, WindowMeasures};
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

impl PacketWindow {
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
