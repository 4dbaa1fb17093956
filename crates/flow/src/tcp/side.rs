//! One endpoint of a TCP connection: its state and its place in the sequence space.

use super::State;

/// Bits of [`TcpSide::bits`].
pub(crate) mod bit {
    /// It sent a FIN.
    pub(crate) const FIN: u8 = 1;
    /// Its close has been taken note of (Zeek's `did_close`).
    pub(crate) const CLOSED: u8 = 1 << 1;
    /// Its data is no longer followed (Zeek's `skip_deliveries`).
    pub(crate) const GIVEN_UP: u8 = 1 << 2;
    /// All its data has been seen and it closed (Zeek's `did_EOF`).
    pub(crate) const AT_END: u8 = 1 << 3;
}

/// No out-of-order data.
pub(crate) const NO_BLOCKS: u32 = u32::MAX;

/// One endpoint of a TCP connection. Sequence numbers are as sent, with a count of wraps; places in the stream are relative
/// to the SYN, so the first byte of data is 1.
#[derive(Clone, Debug)]
pub(crate) struct TcpSide {
    /// Up to here data was seen in order, or is given up as missed.
    pub(crate) delivered: u64,
    /// Up to here data is acknowledged and no longer looked at.
    pub(crate) trimmed: u64,
    /// Just behind its FIN.
    pub(crate) fin: u64,
    pub(crate) start: u32,
    /// Just behind the last byte seen.
    pub(crate) last: u32,
    /// The highest acknowledgment its peer sent.
    pub(crate) acknowledged: u32,
    pub(crate) last_wraps: u16,
    pub(crate) acknowledged_wraps: u16,
    /// Where its last SYN, FIN and RST stood (low 32 bits): the same again is not worth a letter.
    pub(crate) last_syn: u32,
    pub(crate) last_fin: u32,
    pub(crate) last_rst: u32,
    pub(crate) retransmissions: u32,
    /// Counts that only decide on letters; they saturate.
    pub(crate) zero_windows: u16,
    pub(crate) gaps: u16,
    /// Also of UDP.
    pub(crate) bad_checksums: u16,
    /// Its out-of-order data, in [`Blocks`](super::Blocks).
    pub(crate) blocks: u32,
    pub(crate) state: State,
    pub(crate) previous: State,
    pub(crate) bits: u8,
}

impl Default for TcpSide {
    fn default() -> Self {
        Self {
            delivered: 1,
            trimmed: 1,
            fin: 0,
            start: 0,
            last: 0,
            acknowledged: 0,
            last_wraps: 0,
            acknowledged_wraps: 0,
            last_syn: 0,
            last_fin: 0,
            last_rst: 0,
            retransmissions: 0,
            zero_windows: 0,
            gaps: 0,
            bad_checksums: 0,
            blocks: NO_BLOCKS,
            state: State::Inactive,
            previous: State::Inactive,
            bits: 0,
        }
    }
}

/// How far `a` lies ahead of `b`, modulo 2^32.
pub(crate) fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

impl TcpSide {
    pub(crate) fn has(&self, mask: u8) -> bool {
        self.bits & mask != 0
    }

    /// Begins the numbering at `start`, with `last` as the end of what was seen.
    pub(crate) fn begin(&mut self, start: u32, last: u32) {
        self.start = start;
        self.acknowledged = start;
        self.last = last;
    }

    pub(crate) fn last_full(&self) -> u64 {
        u64::from(self.last_wraps) << 32 | u64::from(self.last)
    }

    pub(crate) fn acknowledged_full(&self) -> u64 {
        u64::from(self.acknowledged_wraps) << 32 | u64::from(self.acknowledged)
    }

    pub(crate) fn advance_last(&mut self, sequence: u32) {
        if sequence < self.last {
            self.last_wraps = self.last_wraps.wrapping_add(1);
        }
        self.last = sequence;
    }

    pub(crate) fn advance_acknowledged(&mut self, sequence: u32) {
        if sequence < self.acknowledged {
            self.acknowledged_wraps = self.acknowledged_wraps.wrapping_add(1);
        }
        self.acknowledged = sequence;
    }

    /// Whether nothing but perhaps the SYN was ever acknowledged.
    pub(crate) fn nothing_acknowledged(&self) -> bool {
        matches!(self.acknowledged_full().wrapping_sub(u64::from(self.start)), 0 | 1)
    }

    /// The place in the stream of a sequence number near `reference`; `None` as second value's `true`: it lies before the
    /// start.
    pub(crate) fn place(&self, sequence: u32, reference: u32, wraps: u16) -> Sequence {
        let distance = ahead(sequence, reference);
        let wraps = if distance < 0 && wraps > 0 && sequence > reference {
            wraps - 1
        } else if distance > 0 && sequence < reference {
            wraps.wrapping_add(1)
        } else {
            wraps
        };
        if wraps == 0 {
            let distance = ahead(sequence, self.start);
            return Sequence { place: i64::from(distance) as u64, before_start: distance < 0 };
        }
        let full = u64::from(wraps) << 32 | u64::from(sequence);
        Sequence { place: full.wrapping_sub(u64::from(self.start)), before_start: false }
    }

    /// Payload bytes by sequence numbers, SYN and FIN not counted.
    pub(crate) fn size(&self, peer_is_inactive: bool) -> u64 {
        if self.previous == State::SynSent
            && self.state == State::Reset
            && peer_is_inactive
            && !self.nothing_acknowledged()
        {
            // A half-open connection found out and aborted: its numbers say nothing about data.
            return 0;
        }
        let end = self.last_full().max(self.acknowledged_full());
        let size = end.wrapping_sub(u64::from(self.start)).saturating_sub(1);
        if self.has(bit::FIN) { size.saturating_sub(1) } else { size }
    }
}

/// A place in a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    pub(crate) place: u64,
    /// It lies before the stream's start, so `place` is meaningless but for comparing.
    pub(crate) before_start: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_on_over_a_wrap() {
        let mut side = TcpSide::default();
        side.begin(u32::MAX - 10, u32::MAX - 9);
        assert_eq!(side.place(u32::MAX - 9, side.last, side.last_wraps).place, 1);
        side.advance_last(90);
        assert_eq!(side.last_wraps, 1);
        assert_eq!(side.place(90, side.last, side.last_wraps).place, 101);
        assert_eq!(side.place(u32::MAX - 5, side.last, side.last_wraps).place, 5);
        assert_eq!(side.size(false), 100);
    }
}
