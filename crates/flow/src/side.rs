//! What one endpoint of a flow sent, counted.

use lapwing_decode::Packet;

use crate::ports::TCP;
use crate::tcp::TcpSide;
use crate::{Half, Moments};

/// A gap longer than this ends a burst.
const BURST_GAP_NANOS: i64 = 1_000_000_000;

/// What one endpoint sent.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Side {
    pub(crate) packets: u64,
    ip_bytes: u64,
    /// Sum of the squares of packet sizes; saturates.
    size_squares: u64,
    /// Time of its last packet in nanoseconds.
    last: i64,
    /// Sum of the gaps between its packets in nanoseconds.
    gap_total: u64,
    /// Sum of the squares of the gaps in seconds.
    gap_squares: f64,
    gap_min: f32,
    gap_max: f32,
    /// UDP and ICMP: payload bytes. TCP: bytes missed.
    pub(crate) bytes: u64,
    payload_packets: u32,
    bursts: u32,
    pushes: u32,
    acknowledgments: u32,
    /// FIN, SYN, RST, URG, ECE, CWR; each saturates.
    rare_flags: [u16; 6],
    size_min: u16,
    size_max: u16,
    ttl: (u8, u8),
    pub(crate) mac: [u8; 6],
    pub(crate) tcp: TcpSide,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            packets: 0,
            ip_bytes: 0,
            size_squares: 0,
            last: 0,
            gap_total: 0,
            gap_squares: 0.0,
            gap_min: f32::INFINITY,
            gap_max: 0.0,
            bytes: 0,
            payload_packets: 0,
            bursts: 0,
            pushes: 0,
            acknowledgments: 0,
            rare_flags: [0; 6],
            size_min: u16::MAX,
            size_max: 0,
            ttl: (u8::MAX, 0),
            mac: [0; 6],
            tcp: TcpSide::default(),
        }
    }
}

impl Side {
    /// Counts a packet of this side; `turned`: the packet before it was the other side's.
    pub(crate) fn count(&mut self, packet: &Packet, turned: bool) {
        let time = packet.time.nanos();
        let mut begins_burst = turned || self.packets == 0;
        if self.packets > 0 {
            let gap = time.saturating_sub(self.last).max(0);
            let seconds = gap as f64 * 1e-9;
            self.gap_total = self.gap_total.saturating_add(gap.unsigned_abs());
            self.gap_squares += seconds * seconds;
            self.gap_min = self.gap_min.min(seconds as f32);
            self.gap_max = self.gap_max.max(seconds as f32);
            begins_burst |= gap > BURST_GAP_NANOS;
        }
        self.bursts += u32::from(begins_burst);
        self.last = time;
        self.packets += 1;
        let bytes = u64::from(packet.ip_length);
        self.ip_bytes += bytes;
        self.size_squares = self.size_squares.saturating_add(bytes * bytes);
        let size = u16::try_from(packet.ip_length).unwrap_or(u16::MAX);
        self.size_min = self.size_min.min(size);
        self.size_max = self.size_max.max(size);
        self.ttl = (self.ttl.0.min(packet.ttl), self.ttl.1.max(packet.ttl));
        self.payload_packets += u32::from(packet.payload_length > 0);
        if packet.protocol == TCP {
            self.count_flags(packet.tcp_flags);
        }
    }

    /// What was counted, to be read; `mac` says whether link-layer addresses are known.
    #[inline(always)]
    pub(crate) fn half(&self, mac: bool) -> Half {
        let mac = mac.then_some(self.mac);
        if self.packets == 0 {
            return Half { mac, ..Half::default() };
        }
        Half {
            packets: self.packets,
            ip_bytes: self.ip_bytes,
            payload_packets: self.payload_packets,
            flags: self.flags(),
            sizes: self.sizes(),
            gaps: self.gaps(),
            ttl: self.ttl,
            mac,
            bursts: self.bursts,
            ..Half::default()
        }
    }

    fn count_flags(&mut self, flags: u8) {
        self.pushes += u32::from(flags >> 3 & 1);
        self.acknowledgments += u32::from(flags >> 4 & 1);
        // All but PSH and ACK come a few times in a flow.
        if flags & 0b1110_0111 != 0 {
            for (count, shift) in self.rare_flags.iter_mut().zip([0, 1, 2, 5, 6, 7]) {
                *count = count.saturating_add(u16::from(flags >> shift & 1));
            }
        }
    }

    fn flags(&self) -> [u32; 8] {
        let [fin, syn, rst, urg, ece, cwr] = self.rare_flags.map(u32::from);
        [fin, syn, rst, self.pushes, self.acknowledgments, urg, ece, cwr]
    }

    fn sizes(&self) -> Moments {
        if self.packets == 1 {
            let size = f32::from(self.size_min);
            return Moments { count: 1, mean: size, m2: 0.0, min: size, max: size };
        }
        let (count, total) = (self.packets as f64, self.ip_bytes as f64);
        let mean = total / count;
        Moments {
            count: u32::try_from(self.packets).unwrap_or(u32::MAX),
            mean: mean as f32,
            m2: (self.size_squares as f64 - total * mean).max(0.0) as f32,
            min: f32::from(self.size_min),
            max: f32::from(self.size_max),
        }
    }

    fn gaps(&self) -> Moments {
        if self.packets < 2 {
            return Moments::default();
        }
        let total = self.gap_total as f64 * 1e-9;
        let mean = total / (self.packets - 1) as f64;
        Moments {
            count: u32::try_from(self.packets - 1).unwrap_or(u32::MAX),
            mean: mean as f32,
            m2: (self.gap_squares - total * mean).max(0.0) as f32,
            min: self.gap_min,
            max: self.gap_max,
        }
    }
}
