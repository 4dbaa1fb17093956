//! What a packet is called in a list: by its transport, and by the ports that services are expected at.

/// What a single packet looks like. By port alone, as lists of packets do it: what a connection really speaks is not proved here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are the protocols' own")]
pub enum PacketLabel {
    /// Neither IP nor ARP, or an IP protocol without a name here.
    #[default]
    Other,
    Tcp,
    Udp,
    Icmp,
    Http,
    Https,
    Dns,
    Ssh,
    Ftp,
    Icmpv6,
    Arp,
    Telnet,
    Mqtt,
    Coap,
    Rtsp,
    Quic,
    Ntp,
    Dhcp,
    Mdns,
    Ssdp,
    Igmp,
    Sctp,
}

/// IP protocol numbers (IANA).
mod ip {
    pub(super) const ICMP: u8 = 1;
    pub(super) const IGMP: u8 = 2;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const SCTP: u8 = 132;
}

impl PacketLabel {
    /// Every label, in order.
    pub const ALL: [Self; 22] = [
        Self::Other,
        Self::Tcp,
        Self::Udp,
        Self::Icmp,
        Self::Http,
        Self::Https,
        Self::Dns,
        Self::Ssh,
        Self::Ftp,
        Self::Icmpv6,
        Self::Arp,
        Self::Telnet,
        Self::Mqtt,
        Self::Coap,
        Self::Rtsp,
        Self::Quic,
        Self::Ntp,
        Self::Dhcp,
        Self::Mdns,
        Self::Ssdp,
        Self::Igmp,
        Self::Sctp,
    ];

    /// The label of an IP packet, by protocol number and ports (zero where there are none).
    #[must_use]
    #[inline]
    pub fn of(protocol: u8, source_port: u16, destination_port: u16) -> Self {
        match protocol {
            ip::TCP => tcp(destination_port).or_else(|| tcp(source_port)).unwrap_or(Self::Tcp),
            ip::UDP => udp(destination_port).or_else(|| udp(source_port)).unwrap_or(Self::Udp),
            ip::ICMP => Self::Icmp,
            ip::ICMPV6 => Self::Icmpv6,
            ip::IGMP => Self::Igmp,
            ip::SCTP => Self::Sctp,
            _ => Self::Other,
        }
    }

    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "OTHER",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Icmp => "ICMP",
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Dns => "DNS",
            Self::Ssh => "SSH",
            Self::Ftp => "FTP",
            Self::Icmpv6 => "ICMPv6",
            Self::Arp => "ARP",
            Self::Telnet => "TELNET",
            Self::Mqtt => "MQTT",
            Self::Coap => "COAP",
            Self::Rtsp => "RTSP",
            Self::Quic => "QUIC",
            Self::Ntp => "NTP",
            Self::Dhcp => "DHCP",
            Self::Mdns => "MDNS",
            Self::Ssdp => "SSDP",
            Self::Igmp => "IGMP",
            Self::Sctp => "SCTP",
        }
    }
}

#[inline]
fn tcp(port: u16) -> Option<PacketLabel> {
    Some(match port {
        80 | 8080 => PacketLabel::Http,
        443 => PacketLabel::Https,
        22 => PacketLabel::Ssh,
        20 | 21 => PacketLabel::Ftp,
        23 => PacketLabel::Telnet,
        53 => PacketLabel::Dns,
        554 => PacketLabel::Rtsp,
        1883 | 8883 => PacketLabel::Mqtt,
        _ => return None,
    })
}

#[inline]
fn udp(port: u16) -> Option<PacketLabel> {
    Some(match port {
        53 => PacketLabel::Dns,
        67 | 68 | 546 | 547 => PacketLabel::Dhcp,
        123 => PacketLabel::Ntp,
        443 => PacketLabel::Quic,
        1900 => PacketLabel::Ssdp,
        5353 => PacketLabel::Mdns,
        5683 | 5684 => PacketLabel::Coap,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbered_in_order_and_have_names_of_their_own() {
        for (index, label) in PacketLabel::ALL.into_iter().enumerate() {
            assert_eq!(label as usize, index);
        }
        let names: std::collections::BTreeSet<_> = PacketLabel::ALL.map(PacketLabel::name).into();
        assert_eq!(names.len(), PacketLabel::ALL.len());
    }

    #[test]
    fn both_directions_of_a_service_have_its_label() {
        assert_eq!(PacketLabel::of(6, 51_000, 443), PacketLabel::Https);
        assert_eq!(PacketLabel::of(6, 443, 51_000), PacketLabel::Https);
        assert_eq!(PacketLabel::of(17, 443, 51_000), PacketLabel::Quic);
        assert_eq!(PacketLabel::of(6, 51_000, 4_433), PacketLabel::Tcp);
        assert_eq!(PacketLabel::of(47, 0, 0), PacketLabel::Other);
    }
}
