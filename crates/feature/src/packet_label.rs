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
            ip::TCP => TCP.of_either(source_port, destination_port, Self::Tcp),
            ip::UDP => UDP.of_either(source_port, destination_port, Self::Udp),
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

static TCP: Ports = Ports::new(&[
    (80, PacketLabel::Http),
    (8080, PacketLabel::Http),
    (443, PacketLabel::Https),
    (22, PacketLabel::Ssh),
    (20, PacketLabel::Ftp),
    (21, PacketLabel::Ftp),
    (23, PacketLabel::Telnet),
    (53, PacketLabel::Dns),
    (554, PacketLabel::Rtsp),
    (1883, PacketLabel::Mqtt),
    (8883, PacketLabel::Mqtt),
]);

static UDP: Ports = Ports::new(&[
    (53, PacketLabel::Dns),
    (67, PacketLabel::Dhcp),
    (68, PacketLabel::Dhcp),
    (546, PacketLabel::Dhcp),
    (547, PacketLabel::Dhcp),
    (123, PacketLabel::Ntp),
    (443, PacketLabel::Quic),
    (1900, PacketLabel::Ssdp),
    (5353, PacketLabel::Mdns),
    (5683, PacketLabel::Coap),
    (5684, PacketLabel::Coap),
]);

/// A few ports with their labels, hashed without collisions when it is compiled: asking takes no branch, for nobody foresees the
/// ports of the next packet.
struct Ports {
    factor: u32,
    places: [(u16, PacketLabel); Self::PLACES],
}

impl Ports {
    const PLACES: usize = 64;

    const fn new(list: &[(u16, PacketLabel)]) -> Self {
        let mut factor = 1;
        loop {
            // Port 0 is in no list, so it marks what is empty.
            let mut ports = Self { factor, places: [(0, PacketLabel::Other); Self::PLACES] };
            let mut next = 0;
            while next < list.len() {
                let place = ports.place(list[next].0);
                if ports.places[place].0 != 0 {
                    break;
                }
                ports.places[place] = list[next];
                next += 1;
            }
            if next == list.len() {
                return ports;
            }
            factor += 2;
        }
    }

    const fn place(&self, port: u16) -> usize {
        ((port as u32).wrapping_mul(self.factor.wrapping_mul(0x9e37_79b1)) >> 26) as usize
    }

    /// The label of a port; [`PacketLabel::Other`] of one that is not in the list.
    #[inline(always)]
    fn of(&self, port: u16) -> PacketLabel {
        let (known, label) = self.places[self.place(port)];
        if known == port { label } else { PacketLabel::Other }
    }

    /// The label of the destination's port, else of the source's, else `otherwise`.
    #[inline(always)]
    fn of_either(&self, source: u16, destination: u16, otherwise: PacketLabel) -> PacketLabel {
        let (from, to) = (self.of(source), self.of(destination));
        let from = if from as u8 == 0 { otherwise } else { from };
        if to as u8 == 0 { from } else { to }
    }
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
        assert_eq!(PacketLabel::of(17, 0, 0), PacketLabel::Udp);
        assert_eq!(PacketLabel::of(6, 22, 443), PacketLabel::Https, "the destination says more");
    }
}
