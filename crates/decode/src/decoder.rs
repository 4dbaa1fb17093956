//! The decoder, and one frame's walk through its layers.

use lapwing_capture::{Frame, LinkType, Timestamp};

use crate::key::{FlowKey, process_key};
use crate::span::Span;
use crate::{Address, Packet, PacketBatch, Tunnel, Undecoded, flag};

/// Headers that one frame may nest before the rest is given up: far more than any network stacks, few enough that work
/// stays linear in the bytes of the frame.
const MAX_LAYERS: u8 = 32;

/// Tunnels that one frame may nest.
const MAX_TUNNELS: u8 = 4;

/// `LINKTYPE_FDDI`.
const FDDI: LinkType = LinkType(10);

/// `LINKTYPE_PPI`.
const PPI: LinkType = LinkType(192);

/// `LINKTYPE_NFLOG`.
const NFLOG: LinkType = LinkType(239);

/// `LINKTYPE_C_HDLC`.
const CISCO_HDLC: LinkType = LinkType(104);

/// What a [`Decoder`] does besides decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Whether checksums are computed; without, [`flag::BAD_CHECKSUM`] and [`flag::BAD_IP_CHECKSUM`] are never set.
    pub checksums: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { checksums: true }
    }
}

/// Decodes frames into packets. Stateless: any number of them, on any thread, decode a frame alike.
#[derive(Clone, Debug)]
pub struct Decoder {
    options: DecodeOptions,
    hash_key: [u64; 5],
}

impl Decoder {
    /// A decoder; all decoders of a process share the key of [`Packet::hash`].
    #[must_use]
    pub fn new(options: DecodeOptions) -> Self {
        Self { options, hash_key: process_key() }
    }

    /// Appends what `frame` holds to `out`. Payload offsets are those of the frame's batch buffer.
    #[inline]
    pub fn decode(&self, frame: Frame<'_>, out: &mut PacketBatch) {
        let captured = frame.data.len() as u32;
        out.counts.frames += 1;
        out.counts.bytes += u64::from(frame.length.max(captured));
        out.counts.truncated += u64::from(frame.length > captured);
        let span = Span { bytes: frame.data, offset: frame.offset, length: frame.length.max(captured) };
        let mut walk = self.walk(frame.time, frame.number, out);
        match frame.link {
            LinkType::ETHERNET => walk.ethernet(span),
            link => walk.link(link, span),
        }
    }

    /// Appends the packet of a datagram that was put together from fragments, and whatever is tunnelled in it.
    ///
    /// `fragment` is the datagram's first fragment (offset zero), with time and number of the frame that completed it. The
    /// datagram's payload must be what `out.reassembled` holds from `start` on.
    pub fn decode_datagram(&self, fragment: &Packet, start: usize, out: &mut PacketBatch) {
        let reassembled = std::mem::take(&mut out.reassembled);
        let bytes = reassembled.get(start..).unwrap_or_default();
        let length = bytes.len() as u32;
        let mut walk = self.walk(fragment.time, fragment.frame, out);
        walk.inherit(fragment);
        walk.datagram(fragment, Span { bytes, offset: start as u32, length });
        out.reassembled = reassembled;
    }

    #[inline]
    fn walk<'out>(&self, time: Timestamp, frame: u64, out: &'out mut PacketBatch) -> Walk<'out> {
        Walk { out, options: self.options, hash_key: self.hash_key, time, frame, around: Around::default(), layers: 0 }
    }
}

/// One frame's (or datagram's) walk through its layers: what the outer ones said, and where packets go.
pub(crate) struct Walk<'out> {
    pub(crate) out: &'out mut PacketBatch,
    pub(crate) options: DecodeOptions,
    hash_key: [u64; 5],
    pub(crate) time: Timestamp,
    pub(crate) frame: u64,
    pub(crate) around: Around,
    layers: u8,
}

/// What the layers around an IP packet said of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around {
    /// [`flag`] bits that every packet inside gets.
    pub(crate) flags: u16,
    pub(crate) vlan: u16,
    pub(crate) inner_vlan: u16,
    pub(crate) source_mac: [u8; 6],
    pub(crate) destination_mac: [u8; 6],
    pub(crate) tunnel: Tunnel,
    tunnel_path: u16,
    /// Tunnels entered so far.
    tunnels: u8,
}

impl Walk<'_> {
    pub(crate) fn link(&mut self, link: LinkType, span: Span<'_>) {
        match link {
            LinkType::ETHERNET => self.ethernet(span),
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => {
                self.raw_ip(span);
            }
            LinkType::NULL | LinkType::LOOP => self.loopback(span),
            LinkType::LINUX_SLL => self.cooked_v1(span),
            LinkType::LINUX_SLL2 => self.cooked_v2(span),
            LinkType::IEEE802_11 => self.wifi(span, false),
            LinkType::IEEE802_11_RADIOTAP => self.radiotap(span),
            LinkType::PPP | LinkType::PPP_HDLC => self.ppp(span),
            LinkType::PPP_ETHERNET => self.pppoe(span),
            FDDI => self.fddi(span),
            PPI => self.per_packet_information(span),
            NFLOG => self.nflog(span),
            CISCO_HDLC => self.cisco_hdlc(span),
            other => self.undecoded(Undecoded::LinkType(other.0)),
        }
    }

    /// Counts what is not decoded.
    #[cold]
    pub(crate) fn undecoded(&mut self, what: Undecoded) {
        *self.out.counts.undecoded.entry(what).or_default() += 1;
    }

    /// Counts a header that is longer than what there is of it: cut by the snap length, or malformed.
    #[cold]
    pub(crate) fn too_short(&mut self, layer: &'static str, span: Span<'_>) {
        self.undecoded(if span.is_cut() { Undecoded::Cut(layer) } else { Undecoded::Malformed(layer) });
    }

    /// Whether one more layer may be entered.
    pub(crate) fn descend(&mut self) -> bool {
        self.layers += 1;
        if self.layers > MAX_LAYERS {
            self.undecoded(Undecoded::Other("layers nested too deep"));
        }
        self.layers <= MAX_LAYERS
    }

    /// Whether one more tunnel may be entered. Packets in it note `tunnel`, and whether a checksum of the packet around them
    /// was wrong: whoever discards that one discards them too.
    pub(crate) fn enter(&mut self, tunnel: Tunnel, outer: Outer) -> bool {
        if self.around.tunnels == MAX_TUNNELS {
            self.undecoded(Undecoded::Other("tunnels nested too deep"));
            return false;
        }
        self.around.tunnels += 1;
        self.around.tunnel = tunnel;
        self.around.tunnel_path = outer.path(self.around.tunnel_path, tunnel);
        if outer.flags & (flag::BAD_IP_CHECKSUM | flag::BAD_CHECKSUM) != 0 {
            self.around.flags |= flag::BAD_IP_CHECKSUM;
        }
        true
    }

    /// Takes over what the frame of a fragment said outside its IP header.
    fn inherit(&mut self, fragment: &Packet) {
        self.around = Around {
            flags: fragment.flags & (flag::VLAN | flag::INNER_VLAN | flag::MAC) | flag::REASSEMBLED,
            vlan: fragment.vlan,
            inner_vlan: fragment.inner_vlan,
            source_mac: fragment.source_mac,
            destination_mac: fragment.destination_mac,
            tunnel: fragment.tunnel,
            tunnel_path: fragment.tunnel_path,
            tunnels: u8::from(fragment.tunnel != Tunnel::None),
        };
    }

    /// What the headers said, in one record.
    #[inline(always)]
    pub(crate) fn packet(&self, ip: &IpHeader, transport: &Transport<'_>) -> Packet {
        let Transport { source_port, destination_port, payload, .. } = *transport;
        let one_way = transport.flags & flag::ONE_WAY != 0;
        let key = FlowKey::new((ip.source, source_port), (ip.destination, destination_port), ip.protocol, one_way);
        let truncated = if payload.is_cut() { flag::TRUNCATED } else { 0 };
        let from_higher = if key.from_higher { flag::FROM_HIGHER } else { 0 };
        Packet {
            time: self.time,
            frame: self.frame,
            hash: key.hash(&self.hash_key),
            source: ip.source,
            destination: ip.destination,
            source_port,
            destination_port,
            flags: self.around.flags | ip.flags | transport.flags | truncated | from_higher,
            shard: key.shard(),
            protocol: ip.protocol,
            tcp_flags: transport.tcp_flags,
            icmp_code: transport.icmp_code,
            ttl: ip.ttl,
            tunnel: self.around.tunnel,
            tunnel_path: self.around.tunnel_path,
            vlan: self.around.vlan,
            inner_vlan: self.around.inner_vlan,
            window: transport.window,
            sequence: transport.sequence,
            acknowledgment: transport.acknowledgment,
            ip_length: ip.length,
            payload_length: payload.length,
            payload_offset: payload.offset,
            payload_captured: payload.bytes.len() as u32,
            source_mac: self.around.source_mac,
            destination_mac: self.around.destination_mac,
        }
    }

    /// Appends a packet.
    #[inline(always)]
    pub(crate) fn push(&mut self, ip: &IpHeader, transport: &Transport<'_>) {
        let packet = self.packet(ip, transport);
        self.out.counts.bad_checksums += u64::from(packet.flags & (flag::BAD_CHECKSUM | flag::BAD_IP_CHECKSUM) != 0);
        self.out.packets.push(packet);
    }
}

/// The packet around a tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outer {
    /// Its [`flag`] bits.
    flags: u16,
    source: (Address, u16),
    destination: (Address, u16),
    protocol: u8,
}

impl Outer {
    /// Of a tunnel that IP carries itself; such tunnels know hosts only.
    pub(crate) fn ip(ip: &IpHeader) -> Self {
        Self { flags: ip.flags, source: (ip.source, 0), destination: (ip.destination, 0), protocol: ip.protocol }
    }

    /// Of a tunnel over UDP.
    pub(crate) fn udp(ip: &IpHeader, transport: &Transport<'_>) -> Self {
        Self {
            flags: ip.flags | transport.flags,
            source: (ip.source, transport.source_port),
            destination: (ip.destination, transport.destination_port),
            protocol: ip.protocol,
        }
    }

    /// [`Packet::tunnel_path`] one tunnel further in than `path`.
    fn path(&self, path: u16, tunnel: Tunnel) -> u16 {
        let flow = FlowKey::new(self.source, self.destination, self.protocol, false).fixed_hash();
        let mixed = (u64::from(path) << 8 | tunnel as u64).wrapping_add(flow).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 48) as u16 | 1
    }
}

/// What an IP header said, as the transports need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpHeader {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    /// Bytes of the IP packet, header included.
    pub(crate) length: u32,
    /// [`flag`] bits of this IP packet alone.
    pub(crate) flags: u16,
    pub(crate) ttl: u8,
    pub(crate) protocol: u8,
}

/// What a transport header said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transport<'a> {
    pub(crate) payload: Span<'a>,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    /// [`flag`] bits that the transport sets.
    pub(crate) flags: u16,
    /// TCP flags or ICMP type.
    pub(crate) tcp_flags: u8,
    pub(crate) icmp_code: u8,
    pub(crate) window: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
}

impl<'a> Transport<'a> {
    /// Two ports and what lies behind the header.
    pub(crate) fn new(source_port: u16, destination_port: u16, payload: Span<'a>) -> Self {
        Self {
            payload,
            source_port,
            destination_port,
            flags: 0,
            tcp_flags: 0,
            icmp_code: 0,
            window: 0,
            sequence: 0,
            acknowledgment: 0,
        }
    }
}
