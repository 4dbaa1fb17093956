//! Ports as classes: what kind of service a responder's port stands for.

/// The kind of service a port stands for, by the IANA registry and the habits of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum PortClass {
    /// No port: the protocol has none.
    None,
    /// Name, time, address and discovery services: DNS, DHCP, NTP, mDNS, LLMNR, SSDP, NetBIOS names, WS-Discovery.
    Infrastructure,
    /// HTTP and HTTPS, QUIC included.
    Web,
    /// Remote control of a machine: SSH, Telnet, RDP, VNC, Windows management.
    RemoteAdministration,
    /// Messages of devices: MQTT, CoAP, AMQP, XMPP.
    DeviceMessaging,
    /// Mail and files: SMTP, IMAP, POP, FTP, TFTP, SMB, NFS, rsync.
    MailAndFiles,
    /// Video and voice: RTSP, RTP's usual control ports, SIP.
    Media,
    /// Industrial control: Modbus, DNP3, S7, EtherNet/IP, BACnet, OPC UA, IEC 60870-5-104.
    Industrial,
    /// Other system ports (below 1024).
    System,
    /// Other registered ports (1024 to 49151).
    Registered,
    /// Dynamic ports (from 49152; RFC 6335).
    Dynamic,
}

impl PortClass {
    /// Names of the classes, in order.
    pub const NAMES: &'static [&'static str] = &[
        "none",
        "infrastructure",
        "web",
        "remote-administration",
        "device-messaging",
        "mail-and-files",
        "media",
        "industrial",
        "system",
        "registered",
        "dynamic",
    ];

    /// The class of a port; `has_ports` is false for protocols without ports.
    #[must_use]
    pub const fn of(port: u16, has_ports: bool) -> Self {
        if !has_ports {
            return Self::None;
        }
        match port {
            53 | 67 | 68 | 123 | 137 | 138 | 546 | 547 | 853 | 1900 | 3702 | 5353 | 5355 => Self::Infrastructure,
            80 | 443 | 591 | 8000 | 8008 | 8080 | 8081 | 8443 | 8888 => Self::Web,
            22 | 23 | 2222 | 2323 | 3389 | 5800..=5909 | 5985 | 5986 => Self::RemoteAdministration,
            1883 | 5222 | 5671 | 5672 | 5683 | 5684 | 8883 => Self::DeviceMessaging,
            20 | 21 | 25 | 69 | 110 | 111 | 139 | 143 | 445 | 465 | 587 | 873 | 989 | 990 | 993 | 995 | 2049 => {
                Self::MailAndFiles
            }
            554 | 1935 | 3478 | 5004 | 5005 | 5060 | 5061 | 8554 => Self::Media,
            102 | 502 | 2404 | 4840 | 20000 | 44818 | 47808 => Self::Industrial,
            0..=1023 => Self::System,
            1024..=49151 => Self::Registered,
            49152..=65535 => Self::Dynamic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_classes_have_one_order() {
        assert_eq!(PortClass::NAMES.len(), PortClass::Dynamic as usize + 1);
        assert_eq!(PortClass::NAMES[PortClass::of(1883, true) as usize], "device-messaging");
        assert_eq!(PortClass::NAMES[PortClass::of(8, false) as usize], "none");
        assert_eq!(PortClass::NAMES[PortClass::of(65535, true) as usize], "dynamic");
    }
}
