//! What is kept of flows only if something uses it: packet series and payload entropy.

use lapwing_decode::{Buffers, Packet};

use crate::config::FlowConfig;
use crate::entry::Entry;
use crate::series::{PacketSeries, SERIES_FROM, SERIES_LENGTH, SeriesPacket};

/// Bytes of a payload whose entropy is measured, at most.
const ENTROPY_BYTES: usize = 256;

/// Beside each place in the slab what [`FlowConfig`] asks for; empty if it asks for nothing.
#[derive(Debug)]
pub(crate) struct Extras {
    with_series: bool,
    with_entropy: bool,
    series: Vec<Early>,
    /// Of the lower and the higher endpoint's first payload; not a number before it came.
    entropy: Vec<[f32; 2]>,
}

/// The first packets of a flow, until it is worth a series of its own.
#[derive(Debug, Default)]
struct Early {
    /// Time of the packet before, in nanoseconds.
    last: i64,
    packets: [SeriesPacket; SERIES_FROM - 1],
    full: Option<Box<PacketSeries>>,
}

/// The extras of one flow.
#[derive(Debug, Default)]
pub(crate) struct FlowExtras {
    /// Directions by originator.
    pub(crate) series: Option<Box<PacketSeries>>,
    /// Of the lower and the higher endpoint's first payload.
    pub(crate) entropy: [Option<f32>; 2],
}

impl Extras {
    pub(crate) fn new(config: &FlowConfig) -> Self {
        Self {
            with_series: config.packet_series,
            with_entropy: config.payload_entropy,
            series: Vec::new(),
            entropy: Vec::new(),
        }
    }

    /// A flow begins at this place.
    pub(crate) fn start(&mut self, slot: u32) {
        let slot = slot as usize;
        if self.with_series {
            if self.series.len() <= slot {
                self.series.resize_with(slot + 1, Early::default);
            }
            self.series[slot] = Early::default();
        }
        if self.with_entropy {
            if self.entropy.len() <= slot {
                self.entropy.resize(slot + 1, [f32::NAN; 2]);
            }
            self.entropy[slot] = [f32::NAN; 2];
        }
    }

    /// A packet that was just counted.
    pub(crate) fn note(&mut self, slot: u32, entry: &Entry, side: usize, packet: &Packet, buffers: Buffers<'_>) {
        if self.with_entropy && packet.payload_captured > 0 && self.entropy[slot as usize][side].is_nan() {
            self.entropy[slot as usize][side] = entropy(packet.payload(buffers));
        }
        if self.with_series {
            let count = entry.packets();
            if count <= SERIES_LENGTH as u64 {
                self.series[slot as usize].note(count as usize, side, packet);
            }
        }
    }

    /// The extras of a flow. `is_end`: they are not needed again.
    pub(crate) fn of(&mut self, slot: u32, originator_is_higher: bool, is_end: bool) -> FlowExtras {
        let mut extras = FlowExtras::default();
        if let Some(measured) = self.entropy.get(slot as usize) {
            extras.entropy = measured.map(|entropy| (!entropy.is_nan()).then_some(entropy));
        }
        if let Some(early) = self.series.get_mut(slot as usize) {
            extras.series = if is_end { early.full.take() } else { early.full.clone() };
        }
        if let Some(series) = &mut extras.series
            && originator_is_higher
        {
            series.turn();
        }
        extras
    }
}

impl Early {
    fn note(&mut self, count: usize, side: usize, packet: &Packet) {
        let time = packet.time.nanos();
        let gap = if count <= 1 { 0.0 } else { time.saturating_sub(self.last).max(0) as f64 * 1e-9 };
        self.last = time;
        let sign = if side == 0 { 1 } else { -1 };
        let signed = |length: u32| i16::try_from(length).unwrap_or(i16::MAX) * sign;
        let packet =
            SeriesPacket { payload: signed(packet.payload_length), size: signed(packet.ip_length), gap: gap as f32 };
        if let Some(place) = self.packets.get_mut(count.saturating_sub(1)) {
            *place = packet;
            return;
        }
        let full = self.full.get_or_insert_with(|| {
            let mut series = Box::<PacketSeries>::default();
            self.packets.iter().for_each(|packet| series.push(*packet));
            series
        });
        full.push(packet);
    }
}

/// Shannon entropy of the first bytes in bits per byte; empty: not a number.
fn entropy(payload: &[u8]) -> f32 {
    let payload = &payload[..payload.len().min(ENTROPY_BYTES)];
    if payload.is_empty() {
        return f32::NAN;
    }
    let mut counts = [0_u16; 256];
    for byte in payload {
        counts[usize::from(*byte)] += 1;
    }
    let total = payload.len() as f32;
    let weighted: f32 =
        counts.iter().filter(|count| **count > 1).map(|count| f32::from(*count)).map(|n| n * n.log2()).sum();
    (total.log2() - weighted / total).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_that_of_the_bytes() {
        assert!(entropy(&[]).is_nan());
        assert!(entropy(&[7; 100]).abs() < 1e-6);
        assert!((entropy(&[0, 1, 2, 3]) - 2.0).abs() < 1e-6);
        let all: Vec<u8> = (0..=255).collect();
        assert!((entropy(&all) - 8.0).abs() < 1e-6);
    }
}
