//! The short way for the usual segment: in order, on a clean connection, with nothing new to note.
//!
//! It does to the flow what [`take`](super::take) would, or refuses; a test holds the two against each other.

use lapwing_decode::Packet;

use super::side::{NO_BLOCKS, TcpSide, ahead, bit as side_bit};
use super::{ACK, FIN, RST, SYN, State, letter};
use crate::config::TCP_EXCESSIVE_DATA;
use crate::entry::{Entry, bit};

/// Takes the segment in if it is a usual one; tells whether it was.
#[inline]
pub(super) fn take(entry: &mut Entry, side: usize, packet: &Packet) -> bool {
    let length = packet.payload_length;
    let code = if length > 0 { letter::DATA } else { letter::ACK };
    let seen = if side == entry.originator() { code } else { code << 16 };
    let both_spoke = bit::ORIGINATOR_SEEN | bit::RESPONDER_SEEN;
    let is_usual = packet.tcp_flags & (SYN | FIN | RST | ACK) == ACK
        && packet.window != 0
        && entry.history_seen & seen != 0
        && entry.bits & both_spoke == both_spoke
        && packet.payload_captured >= length;
    let [low, high] = &mut entry.sides;
    let (sender, peer) = if side == 0 { (&mut low.tcp, &mut high.tcp) } else { (&mut high.tcp, &mut low.tcp) };
    if !is_usual || !sender.is_usual() || !peer.is_usual() {
        return false;
    }
    let start = u64::from(packet.sequence.wrapping_sub(sender.start));
    let end = start + u64::from(length);
    let acknowledged = u64::from(packet.acknowledgment.wrapping_sub(peer.start));
    let in_order = packet.sequence == sender.last
        && is_near(end)
        && packet.sequence.checked_add(length).is_some()
        && ahead(packet.acknowledgment, peer.acknowledged) >= 0
        && packet.acknowledgment >= peer.acknowledged
        && is_near(acknowledged)
        && (acknowledged <= peer.trimmed || acknowledged <= peer.delivered);
    if !in_order || length > 0 && !sender.takes_next(start, end) {
        return false;
    }
    if length > 0 {
        sender.last = packet.sequence + length;
        sender.delivered = end;
    }
    peer.acknowledged = packet.acknowledgment;
    peer.trimmed = peer.trimmed.max(acknowledged);
    entry.last = packet.time.nanos();
    true
}

/// Whether a place lies in the first 2 GB of a stream, where signed and unsigned differences agree.
fn is_near(place: u64) -> bool {
    place <= i32::MAX as u64
}

impl TcpSide {
    /// Established or picked up on the way, never wrapped, nothing out of order.
    fn is_usual(&self) -> bool {
        matches!(self.state, State::Established | State::Partial)
            && self.bits & (side_bit::FIN | side_bit::CLOSED | side_bit::GIVEN_UP) == 0
            && self.blocks == NO_BLOCKS
            && self.last_wraps | self.acknowledged_wraps == 0
    }

    /// Whether data from `start` to `end` follows on what was delivered, and none of it was acknowledged before.
    fn takes_next(&self, start: u64, end: u64) -> bool {
        let acknowledged = u64::from(self.acknowledged.wrapping_sub(self.start));
        start == self.delivered
            && acknowledged > 1
            && acknowledged <= start
            && self.trimmed <= start
            && end - self.trimmed <= TCP_EXCESSIVE_DATA
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tcp::{Blocks, take_any};
    use crate::testing::packet;

    /// Steps of an orderly connection with some disorder: who sends, how much, what is odd.
    fn steps() -> impl Strategy<Value = Vec<(bool, u32, u8)>> {
        prop::collection::vec((any::<bool>(), prop_oneof![Just(0_u32), 1_u32..3000], 0_u8..24), 0..60)
    }

    proptest! {
        #[test]
        fn the_short_way_does_what_the_long_way_does(first in any::<u32>(), missed in 0_usize..4, steps in steps()) {
            let ends = ((1, 40_000), (2, 443));
            let mut next = [first, first.wrapping_mul(7)];
            let opening = [(0, SYN, 0), (1, SYN | ACK, 0), (0, ACK, 0)];
            let steps = opening.into_iter().skip(missed).chain(steps.into_iter().map(|(turn, length, odd)| {
                let flags = match odd { 0 => ACK | FIN, 1 => RST, 2 => SYN, _ => ACK };
                (usize::from(turn), flags | u8::from(odd == 5) << 5, length | u32::from(odd) << 16)
            }));
            let mut flow: Option<(Entry, Entry)> = None;
            let (mut blocks, mut other_blocks) = (Blocks::new(100), Blocks::new(100));
            for (number, (side, flags, length)) in steps.enumerate() {
                let (odd, length) = (length >> 16, length & 0xffff);
                let mut segment = if side == 0 { packet(6, ends.0, ends.1) } else { packet(6, ends.1, ends.0) };
                segment.time = lapwing_capture::Timestamp::from_micros(number as i64);
                segment.tcp_flags = flags;
                segment.payload_length = length;
                segment.payload_captured = if odd == 6 { length / 2 } else { length };
                segment.window = if odd == 7 { 0 } else { 500 };
                // Some are lost, come again, or acknowledge what was not seen.
                if odd == 8 { next[side] = next[side].wrapping_add(1000); }
                segment.sequence = if odd == 9 { next[side].wrapping_sub(500) } else { next[side] };
                segment.acknowledgment = if odd == 10 { next[1 - side].wrapping_add(700) } else { next[1 - side] };
                if odd == 11 { segment.acknowledgment = segment.acknowledgment.wrapping_sub(300); }
                next[side] = segment.sequence.wrapping_add(length + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0));
                let (entry, other) = flow.get_or_insert_with(|| (Entry::new(&segment, false), Entry::new(&segment, false)));
                let side = entry.side_of(&segment);
                if !take(entry, side, &segment) {
                    take_any(entry, &mut blocks, side, &segment);
                }
                take_any(other, &mut other_blocks, side, &segment);
                prop_assert_eq!(format!("{entry:?}"), format!("{other:?}"));
            }
            prop_assert_eq!(format!("{blocks:?}"), format!("{other_blocks:?}"));
        }
    }
}
