//! The words of the filter language.

/// A word with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    Source,
    Destination,
    Host,
    Net,
    Mask,
    Port,
    PortRange,
    Proto,
    Less,
    Greater,
    Byte,
    Broadcast,
    Multicast,
    Length,
    Vlan,
    Mpls,
    PppoeDiscovery,
    PppoeSession,
    Protocol(Protocol),
    /// Known to libpcap, not to us.
    Unsupported,
}

/// A protocol that the language names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// The link layer, whatever it is (`ether`).
    Link,
    Ip,
    Ip6,
    Arp,
    Rarp,
    AppleTalk,
    Aarp,
    DecNet,
    Lat,
    Sca,
    MopRc,
    MopDl,
    Iso,
    EsIs,
    IsIs,
    Clnp,
    SpanningTree,
    Ipx,
    NetBeui,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Ah,
    Esp,
}

/// What a word means, if it is a keyword.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    use Protocol as P;
    Some(match word {
        "and" => Keyword::And,
        "or" => Keyword::Or,
        "not" => Keyword::Not,
        "src" => Keyword::Source,
        "dst" => Keyword::Destination,
        "host" => Keyword::Host,
        "net" => Keyword::Net,
        "mask" => Keyword::Mask,
        "port" => Keyword::Port,
        "portrange" => Keyword::PortRange,
        "proto" => Keyword::Proto,
        "less" => Keyword::Less,
        "greater" => Keyword::Greater,
        "byte" => Keyword::Byte,
        "broadcast" => Keyword::Broadcast,
        "multicast" => Keyword::Multicast,
        "len" | "length" => Keyword::Length,
        "vlan" => Keyword::Vlan,
        "mpls" => Keyword::Mpls,
        "pppoed" => Keyword::PppoeDiscovery,
        "pppoes" => Keyword::PppoeSession,
        "link" | "ether" | "ppp" | "slip" | "fddi" | "tr" | "wlan" => Keyword::Protocol(P::Link),
        "ip" => Keyword::Protocol(P::Ip),
        "ip6" => Keyword::Protocol(P::Ip6),
        "arp" => Keyword::Protocol(P::Arp),
        "rarp" => Keyword::Protocol(P::Rarp),
        "atalk" => Keyword::Protocol(P::AppleTalk),
        "aarp" => Keyword::Protocol(P::Aarp),
        "decnet" => Keyword::Protocol(P::DecNet),
        "lat" => Keyword::Protocol(P::Lat),
        "sca" => Keyword::Protocol(P::Sca),
        "moprc" => Keyword::Protocol(P::MopRc),
        "mopdl" => Keyword::Protocol(P::MopDl),
        "iso" => Keyword::Protocol(P::Iso),
        "esis" | "es-is" => Keyword::Protocol(P::EsIs),
        "isis" | "is-is" => Keyword::Protocol(P::IsIs),
        "clnp" => Keyword::Protocol(P::Clnp),
        "stp" => Keyword::Protocol(P::SpanningTree),
        "ipx" => Keyword::Protocol(P::Ipx),
        "netbeui" => Keyword::Protocol(P::NetBeui),
        "tcp" => Keyword::Protocol(P::Tcp),
        "udp" => Keyword::Protocol(P::Udp),
        "sctp" => Keyword::Protocol(P::Sctp),
        "icmp" => Keyword::Protocol(P::Icmp),
        "icmp6" => Keyword::Protocol(P::Icmp6),
        "igmp" => Keyword::Protocol(P::Igmp),
        "igrp" => Keyword::Protocol(P::Igrp),
        "pim" => Keyword::Protocol(P::Pim),
        "vrrp" | "carp" => Keyword::Protocol(P::Vrrp),
        "ah" => Keyword::Protocol(P::Ah),
        "esp" => Keyword::Protocol(P::Esp),
        word if UNSUPPORTED.contains(&word) => Keyword::Unsupported,
        _ => return None,
    })
}

/// Keywords of libpcap that are refused here: they read what a capture file does not hold (direction, interface, firewall
/// decisions), other link layers (ATM, SS7, 802.11), or headers of variable length.
#[rustfmt::skip]
const UNSUPPORTED: &[&str] = &[
    "protochain", "gateway", "type", "subtype", "direction", "dir", "address1", "addr1", "address2", "addr2", "address3",
    "addr3", "address4", "addr4", "ra", "ta", "inbound", "outbound", "ifindex", "geneve", "radio", "lane", "llc", "metac",
    "bcc", "oam", "oamf4", "oamf4ec", "oamf4sc", "sc", "ilmic", "vpi", "vci", "connectmsg", "metaconnect", "on", "ifname",
    "rset", "ruleset", "rnr", "rulenum", "srnr", "subrulenum", "reason", "action", "fisu", "lssu", "lsu", "msu", "hfisu",
    "hlssu", "hmsu", "sio", "opc", "dpc", "sls", "hsio", "hopc", "hdpc", "hsls", "l1", "l2", "iih", "lsp", "snp", "csnp",
    "psnp",
];

/// The number that a word stands for: places of fields, and values of them (RFC 792, 4443, 9293).
pub(super) fn constant(word: &str) -> Option<u32> {
    Some(match word {
        "icmptype" | "icmp6type" | "icmp-echoreply" => 0,
        "icmpcode" | "icmp6code" | "icmp6-destinationunreach" => 1,
        "icmp6-packettoobig" => 2,
        "icmp-unreach" | "icmp6-timeexceeded" => 3,
        "icmp-sourcequench" | "icmp6-parameterproblem" => 4,
        "icmp-redirect" => 5,
        "icmp-echo" => 8,
        "icmp-routeradvert" => 9,
        "icmp-routersolicit" => 10,
        "icmp-timxceed" => 11,
        "icmp-paramprob" => 12,
        "icmp-tstamp" | "tcpflags" => 13,
        "icmp-tstampreply" => 14,
        "icmp-ireq" => 15,
        "icmp-ireqreply" => 16,
        "icmp-maskreq" => 17,
        "icmp-maskreply" => 18,
        "icmp6-echo" => 128,
        "icmp6-echoreply" => 129,
        "icmp6-multicastlistenerquery" => 130,
        "icmp6-multicastlistenerreportv1" => 131,
        "icmp6-multicastlistenerdone" => 132,
        "icmp6-routersolicit" => 133,
        "icmp6-routeradvert" => 134,
        "icmp6-neighborsolicit" => 135,
        "icmp6-neighboradvert" => 136,
        "icmp6-redirect" => 137,
        "icmp6-routerrenum" => 138,
        "icmp6-nodeinformationquery" => 139,
        "icmp6-nodeinformationresponse" => 140,
        "icmp6-ineighbordiscoverysolicit" => 141,
        "icmp6-ineighbordiscoveryadvert" => 142,
        "icmp6-multicastlistenerreportv2" => 143,
        "icmp6-homeagentdiscoveryrequest" => 144,
        "icmp6-homeagentdiscoveryreply" => 145,
        "icmp6-mobileprefixsolicit" => 146,
        "icmp6-mobileprefixadvert" => 147,
        "icmp6-certpathsolicit" => 148,
        "icmp6-certpathadvert" => 149,
        "icmp6-multicastrouteradvert" => 151,
        "icmp6-multicastroutersolicit" => 152,
        "icmp6-multicastrouterterm" => 153,
        "tcp-fin" => 0x01,
        "tcp-syn" => 0x02,
        "tcp-rst" => 0x04,
        "tcp-push" => 0x08,
        "tcp-ack" => 0x10,
        "tcp-urg" => 0x20,
        "tcp-ece" => 0x40,
        "tcp-cwr" => 0x80,
        _ => return None,
    })
}

/// The transport protocols for which a service name is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transports {
    Tcp,
    Udp,
    /// Both, and as in libpcap SCTP with them.
    All,
}

/// The port of a service name: those that people filter by, registered as in Debian's `/etc/services`, so that a filter
/// means the same on every machine.
pub(super) fn service(name: &str) -> Option<(u16, Transports)> {
    SERVICES.iter().find(|service| service.0 == name).map(|service| (service.1, service.2))
}

use Transports::{All, Tcp, Udp};

#[rustfmt::skip]
const SERVICES: &[(&str, u16, Transports)] = &[
    ("echo", 7, All), ("discard", 9, All), ("daytime", 13, All), ("qotd", 17, Tcp), ("chargen", 19, All),
    ("ftp-data", 20, Tcp), ("ftp", 21, Tcp), ("ssh", 22, Tcp), ("telnet", 23, Tcp), ("smtp", 25, Tcp), ("time", 37, All),
    ("whois", 43, Tcp), ("tacacs", 49, All), ("domain", 53, All), ("bootps", 67, Udp), ("bootpc", 68, Udp),
    ("tftp", 69, Udp), ("gopher", 70, Tcp), ("finger", 79, Tcp), ("http", 80, Tcp), ("kerberos", 88, All),
    ("iso-tsap", 102, Tcp), ("pop3", 110, Tcp), ("sunrpc", 111, All), ("auth", 113, Tcp), ("nntp", 119, Tcp),
    ("ntp", 123, Udp), ("epmap", 135, Tcp), ("netbios-ns", 137, Udp), ("netbios-dgm", 138, Udp),
    ("netbios-ssn", 139, Tcp), ("imap2", 143, Tcp), ("snmp", 161, All), ("snmp-trap", 162, All), ("bgp", 179, Tcp),
    ("ptp-event", 319, Udp), ("ptp-general", 320, Udp), ("ldap", 389, All), ("svrloc", 427, All), ("https", 443, All),
    ("microsoft-ds", 445, Tcp), ("kpasswd", 464, All), ("submissions", 465, Tcp), ("isakmp", 500, Udp),
    ("exec", 512, Tcp), ("login", 513, Tcp), ("shell", 514, Tcp), ("syslog", 514, Udp), ("printer", 515, Tcp),
    ("route", 520, Udp), ("dhcpv6-client", 546, Udp), ("dhcpv6-server", 547, Udp), ("rtsp", 554, All),
    ("submission", 587, Tcp), ("ipp", 631, Tcp), ("ldaps", 636, All), ("ldp", 646, All), ("domain-s", 853, All),
    ("rsync", 873, Tcp), ("ftps-data", 989, Tcp), ("ftps", 990, Tcp), ("telnets", 992, Tcp), ("imaps", 993, Tcp),
    ("pop3s", 995, Tcp), ("socks", 1080, Tcp), ("openvpn", 1194, All), ("ms-sql-s", 1433, Tcp), ("ms-sql-m", 1434, Udp),
    ("l2f", 1701, Udp), ("radius", 1812, All), ("radius-acct", 1813, All), ("nfs", 2049, All), ("iscsi-target", 3260, Tcp),
    ("mysql", 3306, Tcp), ("ms-wbt-server", 3389, Tcp), ("svn", 3690, Tcp), ("ipsec-nat-t", 4500, Udp),
    ("sip", 5060, All), ("sip-tls", 5061, All), ("xmpp-client", 5222, Tcp), ("xmpp-server", 5269, Tcp),
    ("mdns", 5353, Udp), ("postgresql", 5432, Tcp), ("x11", 6000, Tcp), ("redis", 6379, Tcp), ("syslog-tls", 6514, Tcp),
    ("ircd", 6667, Tcp), ("http-alt", 8080, Tcp), ("git", 9418, Tcp), ("zabbix-agent", 10_050, Tcp),
];

/// The number of an IP protocol, by the names of IANA as `/etc/protocols` writes them.
pub(super) fn ip_protocol(name: &str) -> Option<u32> {
    Some(match name {
        "ip" | "hopopt" => 0,
        "icmp" => 1,
        "igmp" => 2,
        "ggp" => 3,
        "ipencap" => 4,
        "st" => 5,
        "tcp" => 6,
        "egp" => 8,
        "igp" => 9,
        "udp" => 17,
        "rdp" => 27,
        "dccp" => 33,
        "ipv6" => 41,
        "ipv6-route" => 43,
        "ipv6-frag" => 44,
        "rsvp" => 46,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" => 58,
        "ipv6-nonxt" => 59,
        "ipv6-opts" => 60,
        "eigrp" => 88,
        "ospf" => 89,
        "ipip" => 94,
        "etherip" => 97,
        "pim" => 103,
        "ipcomp" => 108,
        "vrrp" => 112,
        "l2tp" => 115,
        "isis" => 124,
        "sctp" => 132,
        "udplite" => 136,
        "mpls-in-ip" => 137,
        _ => return None,
    })
}

/// The Ethernet type, or below 1,501 the LLC service access point, of a name.
pub(super) fn link_protocol(name: &str) -> Option<u32> {
    Some(match name {
        "aarp" => ethertype::AARP,
        "arp" => ethertype::ARP,
        "atalk" => ethertype::APPLETALK,
        "decnet" => ethertype::DECNET,
        "ip" => ethertype::IP,
        "ip6" => ethertype::IP6,
        "lat" => ethertype::LAT,
        "loopback" => 0x9000,
        "mopdl" => ethertype::MOP_DL,
        "moprc" => ethertype::MOP_RC,
        "rarp" => ethertype::RARP,
        "sca" => ethertype::SCA,
        "iso" => ethertype::SAP_ISO,
        "stp" => ethertype::SAP_SPANNING_TREE,
        "ipx" => ethertype::SAP_IPX,
        "netbeui" => ethertype::SAP_NETBEUI,
        _ => return None,
    })
}

/// Ethernet types, and service access points of LLC, which are told apart by being at most 1,500.
pub(super) mod ethertype {
    pub(crate) const IP: u32 = 0x0800;
    pub(crate) const ARP: u32 = 0x0806;
    pub(crate) const RARP: u32 = 0x8035;
    pub(crate) const IP6: u32 = 0x86dd;
    pub(crate) const VLAN: u32 = 0x8100;
    pub(crate) const VLAN_SERVICE: u32 = 0x88a8; // 802.1ad
    pub(crate) const VLAN_QINQ: u32 = 0x9100;
    pub(crate) const MPLS: u32 = 0x8847;
    pub(crate) const PPPOE_DISCOVERY: u32 = 0x8863;
    pub(crate) const PPPOE_SESSION: u32 = 0x8864;
    pub(crate) const APPLETALK: u32 = 0x809b;
    pub(crate) const AARP: u32 = 0x80f3;
    pub(crate) const IPX: u32 = 0x8137;
    pub(crate) const MOP_DL: u32 = 0x6001;
    pub(crate) const MOP_RC: u32 = 0x6002;
    pub(crate) const DECNET: u32 = 0x6003;
    pub(crate) const LAT: u32 = 0x6004;
    pub(crate) const SCA: u32 = 0x6007;
    pub(crate) const SAP_IP: u32 = 0x06;
    pub(crate) const SAP_SPANNING_TREE: u32 = 0x42;
    pub(crate) const SAP_IPX: u32 = 0xe0;
    pub(crate) const SAP_NETBEUI: u32 = 0xf0;
    pub(crate) const SAP_ISO: u32 = 0xfe;
}
