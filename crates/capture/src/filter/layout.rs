//! Where headers lie in a frame of a given link type, and what names the protocol above.

use super::condition::{Base, Condition, Field, Size, Start, Test};
use super::names::ethertype;
use crate::LinkType;

/// The places that conditions are about. Encapsulations (`vlan`, `mpls`, `pppoes`) move them for all that follows in the
/// text of the filter, as libpcap does.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub kind: LinkKind,
    pub link: LinkType,
    /// What the places of the link header, and of all behind it, count from.
    link_start: Start,
    payload_start: Start,
    /// Where the link header starts.
    link_header: u32,
    /// Where the field that names the next protocol lies, for link types that have one.
    link_type: u32,
    /// Where the link header's payload starts.
    payload: u32,
    /// Bytes of labels, or of LLC and SNAP, before the network header.
    labels: u32,
    /// Bytes of an LLC header before an OSI header.
    llc: u32,
    pub mpls_depth: u32,
}

/// How the next protocol is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// Ethernet type, or a length and LLC.
    Ethernet,
    /// Ethernet type, or 4 and LLC.
    Cooked,
    /// Ethernet type.
    EtherType,
    /// PPP protocol number.
    Ppp,
    /// Ethernet type, but for OSI.
    CiscoHdlc,
    /// LLC, in data frames.
    Wireless,
    /// Address family, in whatever byte order the capturing machine had.
    AddressFamily,
    /// By the version of the IP header.
    RawIp,
    OnlyIp4,
    OnlyIp6,
}

/// Largest value of the type field that is a length (IEEE 802.3).
const LARGEST_LENGTH: u32 = 1500;
/// Linux's protocol numbers for frames with an LLC header and for raw 802.3 ones.
const COOKED_LLC: u32 = 4;
const COOKED_8023: u32 = 1;

const NEVER: Condition = Condition::Constant(false);

impl Layout {
    /// The layout of frames of a link type, if filters know it.
    pub(super) fn new(link: LinkType) -> Option<Self> {
        let (kind, link_type, payload) = match link {
            LinkType::ETHERNET => (LinkKind::Ethernet, 12, 14),
            LinkType::LINUX_SLL => (LinkKind::Cooked, 14, 16),
            LinkType::LINUX_SLL2 => (LinkKind::EtherType, 0, 20),
            LinkType::NULL | LinkType::LOOP => (LinkKind::AddressFamily, 0, 4),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => (LinkKind::RawIp, 0, 0),
            LinkType::IPV4 => (LinkKind::OnlyIp4, 0, 0),
            LinkType::IPV6 => (LinkKind::OnlyIp6, 0, 0),
            LinkType::PPP | LinkType::PPP_HDLC => (LinkKind::Ppp, 2, 4),
            LinkType::PPP_ETHERNET => (LinkKind::Ppp, 6, 8),
            LinkType::CISCO_HDLC => (LinkKind::CiscoHdlc, 2, 4),
            LinkType::IEEE802_11 | LinkType::IEEE802_11_RADIOTAP => (LinkKind::Wireless, 0, 0),
            _ => return None,
        };
        let (labels, llc) = match kind {
            LinkKind::Wireless => (8, 3),
            LinkKind::Ethernet => (0, 3),
            LinkKind::CiscoHdlc => (0, 1), // a byte of padding before an OSI header
            _ => (0, 0),
        };
        let link_start = if link == LinkType::IEEE802_11_RADIOTAP { Start::Wireless } else { Start::Frame };
        let payload_start = if kind == LinkKind::Wireless { Start::WirelessPayload } else { Start::Frame };
        let (link_header, mpls_depth) = (0, 0);
        Some(Self { kind, link, link_start, payload_start, link_header, link_type, payload, labels, llc, mpls_depth })
    }

    /// Moves everything behind a VLAN tag.
    pub(super) fn enter_vlan(&mut self) {
        self.link_type += 4;
        self.payload += 4;
    }

    /// Moves everything behind an MPLS label.
    pub(super) fn enter_mpls(&mut self) {
        self.labels += 4;
        self.llc += 4;
        self.mpls_depth += 1;
    }

    /// Moves everything into a PPPoE session: what follows its header of 6 bytes is PPP without framing.
    pub(super) fn enter_pppoe(&mut self) {
        self.link_start = self.payload_start;
        self.link_header = self.network() + 6;
        self.kind = LinkKind::Ppp;
        self.link_type = self.link_header;
        self.payload = self.link_header + 2;
        self.labels = 0;
        self.llc = 0;
    }

    /// Where the network header starts.
    fn network(&self) -> u32 {
        self.payload + self.labels
    }

    /// A field of the link header.
    pub(super) fn in_link_header(&self, offset: u32, size: Size) -> Field {
        Field { base: Base::Start(self.link_start), offset: self.link_header.wrapping_add(offset), size }
    }

    /// A field of the network header; `offset` may lead back from it.
    pub(super) fn in_network(&self, offset: u32, size: Size) -> Field {
        Field { base: Base::Start(self.payload_start), offset: self.network().wrapping_add(offset), size }
    }

    /// A field of what follows the IPv4 header.
    pub(super) fn in_ip4_payload(&self, offset: u32, size: Size) -> Field {
        let header = self.network();
        Field { base: Base::Ipv4 { start: self.payload_start, header }, offset: header.wrapping_add(offset), size }
    }

    /// A field of what follows the IPv6 header of 40 bytes; extension headers are not passed over, as in libpcap.
    pub(super) fn in_ip6_payload(&self, offset: u32, size: Size) -> Field {
        self.in_network(40_u32.wrapping_add(offset), size)
    }

    /// A field of an OSI header, which follows LLC without SNAP.
    pub(super) fn in_osi(&self, offset: u32, size: Size) -> Field {
        self.in_payload(self.llc + offset, size)
    }

    fn in_payload(&self, offset: u32, size: Size) -> Field {
        Field { base: Base::Start(self.payload_start), offset: self.payload + offset, size }
    }

    fn type_field(&self) -> Field {
        Field { base: Base::Start(self.link_start), offset: self.link_type, size: Size::Half }
    }

    /// The payload is of `protocol`: an Ethernet type, or below 1,501 an LLC service access point.
    pub(super) fn carries(&self, protocol: u32) -> Result<Condition, String> {
        if self.mpls_depth > 0 {
            return self.carries_behind_labels(protocol);
        }
        let version = |version| Condition::masked(self.in_link_header(0, Size::Byte), 0xf0, version);
        Ok(match self.kind {
            LinkKind::Ethernet => {
                let length = Condition::compared(self.type_field(), Test::Greater, LARGEST_LENGTH).negated();
                self.typed_or_llc(protocol, length, true)
            }
            LinkKind::Cooked => {
                let llc = Condition::equal(self.type_field(), COOKED_LLC);
                self.typed_or_llc(protocol, llc, false)
            }
            LinkKind::EtherType => Condition::equal(self.type_field(), protocol),
            LinkKind::Ppp => Condition::equal(self.type_field(), ppp_protocol(protocol)),
            LinkKind::CiscoHdlc if protocol == ethertype::SAP_ISO => Condition::equal(self.type_field(), 0xfefe),
            LinkKind::CiscoHdlc => Condition::equal(self.type_field(), protocol),
            LinkKind::Wireless => self.data_frame().and(self.behind_llc(protocol)),
            LinkKind::AddressFamily => self.family(protocol),
            LinkKind::RawIp => match protocol {
                ethertype::IP => version(0x40),
                ethertype::IP6 => version(0x60),
                _ => NEVER,
            },
            LinkKind::OnlyIp4 => Condition::Constant(protocol == ethertype::IP),
            LinkKind::OnlyIp6 => Condition::Constant(protocol == ethertype::IP6),
        })
    }

    fn carries_behind_labels(&self, protocol: u32) -> Result<Condition, String> {
        let version = match protocol {
            ethertype::IP => 0x40,
            ethertype::IP6 => 0x60,
            _ => return Err("behind an MPLS label only IPv4 and IPv6 can be told".to_owned()),
        };
        // Two bytes before the network header: the octet with the bottom-of-stack bit.
        let bottom = Condition::masked(self.in_network(2_u32.wrapping_neg(), Size::Byte), 1, 1);
        Ok(bottom.and(Condition::masked(self.in_network(0, Size::Byte), 0xf0, version)))
    }

    /// By the type field, or where `llc` holds by the LLC header. AppleTalk and IPX come both ways.
    fn typed_or_llc(&self, protocol: u32, llc: Condition, ethernet: bool) -> Condition {
        let typed = |protocol| Condition::equal(self.type_field(), protocol);
        match protocol {
            ethertype::SAP_ISO | ethertype::SAP_IP | ethertype::SAP_NETBEUI => {
                llc.and(Condition::equal(self.in_payload(0, Size::Half), protocol << 8 | protocol))
            }
            ethertype::SAP_IPX => {
                let sap = Condition::equal(self.in_payload(0, Size::Byte), protocol);
                let snap = self.snap(0, ethertype::IPX);
                if ethernet {
                    let raw = Condition::equal(self.in_payload(0, Size::Half), 0xffff);
                    typed(ethertype::IPX).or(llc.and(snap.or(sap).or(raw)))
                } else {
                    typed(ethertype::IPX).or(typed(COOKED_8023)).or(llc.and(sap.or(snap)))
                }
            }
            ethertype::APPLETALK => typed(protocol).or(llc.and(self.snap(0x08_00_07, protocol))),
            ethertype::AARP => typed(protocol).or(llc.and(self.snap(0, protocol))),
            0..=LARGEST_LENGTH if ethernet => {
                let sap = Field { offset: self.link_type + 2, size: Size::Byte, ..self.type_field() };
                llc.and(Condition::equal(sap, protocol))
            }
            0..=LARGEST_LENGTH => llc.and(Condition::equal(self.in_payload(0, Size::Byte), protocol)),
            _ => typed(protocol),
        }
    }

    /// An IEEE 802.11 data frame: of the type's two bits the lower is clear, the higher set.
    fn data_frame(&self) -> Condition {
        let control = self.in_link_header(0, Size::Byte);
        Condition::compared(control, Test::AnyBit, 0x04).negated().and(Condition::compared(control, Test::AnyBit, 0x08))
    }

    /// LLC in a wireless frame; an Ethernet type is looked for where SNAP has it, and the rest of SNAP not looked at.
    fn behind_llc(&self, protocol: u32) -> Condition {
        match protocol {
            ethertype::SAP_ISO | ethertype::SAP_IP | ethertype::SAP_NETBEUI => {
                Condition::equal(self.in_payload(0, Size::Half), protocol << 8 | protocol)
            }
            ethertype::APPLETALK => self.snap(0x08_00_07, protocol),
            0..=LARGEST_LENGTH => Condition::equal(self.in_payload(0, Size::Byte), protocol),
            _ => Condition::equal(self.in_payload(6, Size::Half), protocol),
        }
    }

    /// An LLC and SNAP header with this organization and protocol (IEEE 802): `aa aa 03`, three bytes, two bytes.
    fn snap(&self, organization: u32, protocol: u32) -> Condition {
        let end = (organization & 0xffff) << 16 | protocol;
        let start = 0xaaaa_0300 | organization >> 16;
        Condition::equal(self.in_payload(4, Size::Word), end)
            .and(Condition::equal(self.in_payload(0, Size::Word), start))
    }

    fn family(&self, protocol: u32) -> Condition {
        // BSD systems number IPv6 differently: NetBSD and OpenBSD, FreeBSD, macOS.
        let families: &[u32] = match protocol {
            ethertype::IP => &[2],
            ethertype::IP6 => &[24, 28, 30],
            _ => return NEVER,
        };
        let field = self.in_link_header(0, Size::Word);
        let mut forms: Vec<Condition> = families.iter().map(|family| Condition::equal(field, *family)).collect();
        if self.link == LinkType::NULL {
            // In the byte order of the machine that captured, which the frame does not tell.
            forms.extend(families.iter().map(|family| Condition::equal(field, family.swap_bytes())));
        }
        Condition::Any(forms)
    }
}

/// The PPP protocol number of an Ethernet type or service access point (IANA); others are taken as they are.
fn ppp_protocol(protocol: u32) -> u32 {
    match protocol {
        ethertype::IP => 0x0021,
        ethertype::IP6 => 0x0057,
        ethertype::DECNET => 0x0027,
        ethertype::APPLETALK => 0x0029,
        ethertype::SAP_ISO => 0x0023,
        ethertype::SAP_SPANNING_TREE => 0x0031,
        ethertype::SAP_IPX => 0x002b,
        other => other,
    }
}
