//! The flow record: what is known of both directions of a five-tuple.

use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Tunnel};

use crate::{History, PacketSeries};

/// One end of a flow. For ICMP the ports are Zeek's: message type and counterpart (or code).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Its address.
    pub address: Address,
    /// Its port.
    pub port: u16,
}

/// Running mean, variance and extremes of a series (Welford 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Values seen.
    pub count: u32,
    /// Their mean.
    pub mean: f32,
    /// Sum of squared distances from the mean.
    pub m2: f32,
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
}

impl Moments {
    /// Takes one more value in.
    pub fn add(&mut self, value: f32) {
        if self.count == 0 {
            self.min = value;
            self.max = value;
        } else {
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
        self.count = self.count.saturating_add(1);
        let delta = value - self.mean;
        self.mean += delta / self.count as f32;
        self.m2 += delta * (value - self.mean);
    }

    /// Population standard deviation; zero for fewer than two values.
    #[must_use]
    pub fn deviation(&self) -> f32 {
        if self.count < 2 { 0.0 } else { (self.m2 / self.count as f32).max(0.0).sqrt() }
    }
}

/// What one side of a flow sent.
#[derive(Clone, Debug, Default)]
pub struct Half {
    /// Packets.
    pub packets: u64,
    /// Bytes of IP packets, headers included: Zeek's `orig_ip_bytes` and `resp_ip_bytes`.
    pub ip_bytes: u64,
    /// Payload bytes as Zeek counts them: for TCP by sequence numbers, for others the sum of payload lengths.
    pub payload_bytes: u64,
    /// Packets that carried payload.
    pub payload_packets: u32,
    /// TCP segments that repeat bytes already seen.
    pub retransmissions: u32,
    /// Bytes that the other side acknowledged but that were never captured: its share of Zeek's `missed_bytes`.
    pub missed_bytes: u64,
    /// TCP packets with each flag: FIN, SYN, RST, PSH, ACK, URG, ECE, CWR.
    pub flags: [u32; 8],
    /// Sizes of IP packets in bytes.
    pub sizes: Moments,
    /// Gaps between packets of this side in seconds.
    pub gaps: Moments,
    /// Lowest and highest TTL or hop limit.
    pub ttl: (u8, u8),
    /// Link-layer address in the flow's first packet, when known.
    pub mac: Option<[u8; 6]>,
    /// Bursts: runs of packets of this side without one of the other side and without a gap over a second.
    pub bursts: u32,
    /// Entropy of the first payload in bits per byte, 0.0..=8.0; only with
    /// [`FlowConfig::payload_entropy`](crate::FlowConfig::payload_entropy).
    pub entropy: Option<f32>,
}

/// How a TCP connection stands, in Zeek's words (`conn_state` of `base/protocols/conn/main.zeek`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are Zeek's own; `as_str` and docs/ explain them")]
pub enum ConnState {
    S0,
    S1,
    Sf,
    Rej,
    S2,
    S3,
    Rsto,
    Rstr,
    Rstos0,
    Rstrh,
    Sh,
    Shr,
    #[default]
    Oth,
}

impl ConnState {
    /// Zeek's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::Sf => "SF",
            Self::Rej => "REJ",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::Rsto => "RSTO",
            Self::Rstr => "RSTR",
            Self::Rstos0 => "RSTOS0",
            Self::Rstrh => "RSTRH",
            Self::Sh => "SH",
            Self::Shr => "SHR",
            Self::Oth => "OTH",
        }
    }
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// Both sides closed, or one reset, and the close timer ran out; or a new connection took its five-tuple.
    Closed,
    /// Nothing came for the protocol's idle timeout.
    Idle,
    /// It was the flow idle longest when the table was full.
    Evicted,
    /// The input ended.
    EndOfInput,
}

/// What is known of both directions of a five-tuple.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Hash of five-tuple, start and a fixed seed: the same in every run. Zeek's `uid` is its text form.
    pub uid: u64,
    /// Who sent first, by Zeek's rules.
    pub originator: Endpoint,
    /// Who answered.
    pub responder: Endpoint,
    /// IP protocol number.
    pub protocol: u8,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// An ICMP flow whose message type has no counterpart.
    pub one_way: bool,
    /// The innermost tunnel it came out of.
    pub tunnel: Tunnel,
    /// Outer VLAN id.
    pub vlan: Option<u16>,
    /// Inner VLAN id.
    pub inner_vlan: Option<u16>,
    /// Time of the first packet.
    pub start: Timestamp,
    /// Time of the last packet that counts for the duration: of TCP not those after both sides closed.
    pub last: Timestamp,
    /// Frame number of the first packet; 0 where the flow came from a log, without frames.
    pub first_frame: u64,
    /// Frame number of the last packet; 0 where the flow came from a log.
    pub last_frame: u64,
    /// What the originator sent.
    pub orig: Half,
    /// What the responder sent.
    pub resp: Half,
    /// How the TCP connection stands (for other protocols by who has sent, as Zeek does).
    pub state: ConnState,
    /// Zeek's history.
    pub history: History,
    /// Application protocols that a sensor found by content, in Zeek's words with commas between: `http`, `gssapi,smb`. Only of
    /// flows that came from a log.
    pub service: Option<Box<str>>,
    /// The first packets' lengths, directions and gaps, of flows of at least four packets; only with
    /// [`FlowConfig::packet_series`](crate::FlowConfig::packet_series).
    pub series: Option<Box<PacketSeries>>,
    /// What was told of it before its end, this report included.
    pub settled: Settled,
    /// Packets of both sides at the report before this one, starts aside; 0 where there was none.
    pub told_packets: u64,
}

impl Flow {
    /// Whether packets came since the report before this one.
    #[must_use]
    pub fn has_grown(&self) -> bool {
        self.orig.packets + self.resp.packets > self.told_packets
    }

    /// From the first to the last packet, as Zeek's `duration`.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.last.nanos_since(self.start).max(0).unsigned_abs())
    }
}

/// Whether what came of a flow was told before its end, so that nobody has to wait for timers that only gather stragglers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settled {
    /// It was not.
    #[default]
    No,
    /// When [`SETTLE_DELAY`](crate::config::SETTLE_DELAY) had passed since its first packet: a TCP attempt that nobody had
    /// answered, or a flow of another protocol, whose first question mostly has its answer by then.
    Tried,
    /// That long after its TCP connection was closed by both sides, or reset.
    Closed,
}

/// What happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowEventKind {
    /// Its first packet came.
    Started,
    /// It goes on: after its first packets, when its packet count has grown eightfold, and every minute.
    Progress,
    /// What came of it can be told: at most once, and [`Flow::settled`] says by what.
    Settled,
    /// It is over.
    Ended(EndReason),
}

/// A flow as it stood when something happened to it.
#[derive(Clone, Debug)]
pub struct FlowEvent {
    /// When it happened: capture time; for an end by timeout the moment the timer ran out.
    pub time: Timestamp,
    /// Frame number at which it was noticed.
    pub frame: u64,
    /// What happened.
    pub kind: FlowEventKind,
    /// The flow at that moment.
    pub flow: Flow,
}
