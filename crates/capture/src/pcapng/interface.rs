//! Interface description blocks: link type, and what a capture time counts.

use crate::pcap::{u16_at, u32_at};
use crate::{LinkType, Timestamp};

const END_OF_OPTIONS: u16 = 0;
const TIMESTAMP_RESOLUTION: u16 = 9; // if_tsresol
const TIMESTAMP_OFFSET: u16 = 14; // if_tsoffset

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// One interface of a section.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub link: LinkType,
    /// Bytes kept of a frame; `u32::MAX` without a limit.
    pub snap_length: u32,
    tick: Tick,
    /// Nanoseconds that are added to every capture time.
    offset: i64,
}

/// How long a unit of the capture time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tick {
    /// This many nanoseconds.
    Nanos(u64),
    /// This part of a nanosecond.
    PerNano(u64),
    /// The second divided by this power of two.
    BinaryFraction(u8),
}

impl Interface {
    /// Reads the body of the block, which holds the fixed fields at least.
    pub(super) fn read(body: &[u8], big_endian: bool) -> Self {
        let snap_length = match u32_at(body, 4, big_endian) {
            0 => u32::MAX,
            limit => limit,
        };
        let link = LinkType(u16_at(body, 0, big_endian));
        let mut interface = Self { link, snap_length, tick: Tick::Nanos(1_000), offset: 0 };
        let mut options = body.get(8..).unwrap_or_default();
        while options.len() >= 4 {
            let (code, length) = (u16_at(options, 0, big_endian), usize::from(u16_at(options, 2, big_endian)));
            let Some(value) = options.get(4..4 + length) else { break };
            match (code, value) {
                (END_OF_OPTIONS, _) => break,
                (TIMESTAMP_RESOLUTION, &[resolution]) => interface.tick = Tick::from_resolution(resolution),
                (TIMESTAMP_OFFSET, &[_, _, _, _, _, _, _, _]) => {
                    let (first, second) = (u32_at(value, 0, big_endian), u32_at(value, 4, big_endian));
                    let (high, low) = if big_endian { (first, second) } else { (second, first) };
                    let seconds = (u64::from(high) << 32 | u64::from(low)).cast_signed();
                    interface.offset = seconds.saturating_mul(NANOS_PER_SECOND);
                }
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
        interface
    }

    /// The moment that a count of ticks stands for; saturates.
    #[inline]
    pub(super) fn time(&self, ticks: u64) -> Timestamp {
        let nanos = match self.tick {
            Tick::Nanos(nanos) => ticks.saturating_mul(nanos),
            Tick::PerNano(parts) => ticks / parts,
            Tick::BinaryFraction(shift) => {
                let nanos = (u128::from(ticks) * u128::from(NANOS_PER_SECOND.unsigned_abs())) >> shift;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX).saturating_add(self.offset))
    }
}

impl Tick {
    /// The option's byte: a negative power of ten, or of two when the highest bit is set.
    fn from_resolution(resolution: u8) -> Self {
        let exponent = resolution & 0x7f;
        if resolution & 0x80 != 0 {
            Self::BinaryFraction(exponent)
        } else if exponent <= 9 {
            Self::Nanos(10_u64.pow(9 - u32::from(exponent)))
        } else {
            // Past 10^-28 s even the largest count stays below a nanosecond.
            Self::PerNano(10_u64.checked_pow(u32::from(exponent) - 9).unwrap_or(u64::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(options: &[u8]) -> Interface {
        let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
        body.extend(options);
        Interface::read(&body, false)
    }

    #[test]
    fn capture_time_counts_microseconds_by_default() {
        assert_eq!(interface(&[]).time(1_500_000), Timestamp::from_micros(1_500_000));
    }

    #[test]
    fn resolution_is_a_power_of_ten_or_two() {
        assert_eq!(interface(&[9, 0, 1, 0, 9, 0, 0, 0]).time(15), Timestamp::from_nanos(15));
        assert_eq!(interface(&[9, 0, 1, 0, 12, 0, 0, 0]).time(15_999), Timestamp::from_nanos(15));
        assert_eq!(interface(&[9, 0, 1, 0, 0, 0, 0, 0]).time(3), Timestamp::from_seconds(3));
        assert_eq!(interface(&[9, 0, 1, 0, 0x81, 0, 0, 0]).time(3), Timestamp::from_nanos(1_500_000_000));
        for resolution in 0..=255 {
            interface(&[9, 0, 1, 0, resolution, 0, 0, 0]).time(u64::MAX);
        }
    }

    #[test]
    fn offset_moves_every_time() {
        let with_offset = interface(&[14, 0, 8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(with_offset.time(5_000_000), Timestamp::from_seconds(4));
    }

    #[test]
    fn option_longer_than_the_block_ends_the_options() {
        assert_eq!(interface(&[9, 0, 9, 0, 9]).time(1), Timestamp::from_micros(1));
    }
}
