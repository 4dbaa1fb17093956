//! IEEE 802.11 data frames, with and without radiotap.

use crate::decoder::Walk;
use crate::span::Span;
use crate::{Undecoded, flag};

/// Bytes before the LLC header of an A-MSDU subframe: two addresses and a length (IEEE 802.11-2020 section 9.3.2.2).
const SUBFRAME_HEADER: usize = 14;

impl Walk<'_> {
    /// A radiotap header (<https://www.radiotap.org>), then the frame.
    pub(crate) fn radiotap(&mut self, frame: Span<'_>) {
        let Some(&[version, _, l0, l1]) = frame.array(0) else { return self.too_short("radiotap", frame) };
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        let Some(header) = frame.bytes.get(..length).filter(|header| version == 0 && header.len() >= 8) else {
            return self.too_short("radiotap", frame);
        };
        let padded = radiotap_flags(header).is_some_and(|flags| flags & 0x20 != 0);
        self.wifi(frame.skip(length), padded);
    }

    /// An 802.11 frame; `padded` says that its header was filled up to a multiple of four bytes.
    pub(crate) fn wifi(&mut self, frame: Span<'_>, padded: bool) {
        let Some(header) = frame.array::<24>(0) else { return self.short_wifi(frame) };
        let (control, flags) = (header[0], header[1]);
        let subtype = control >> 4;
        match control & 0x0f {
            0x00 => return self.undecoded(Undecoded::Other("802.11 management")),
            0x04 => return self.undecoded(Undecoded::Other("802.11 control")),
            0x08 if subtype & 4 != 0 => return self.undecoded(Undecoded::Other("802.11 null data")),
            0x08 if flags & 0x40 != 0 => return self.undecoded(Undecoded::Other("802.11 protected data")),
            0x08 if flags & 0x04 != 0 || header[22] & 0x0f != 0 => {
                return self.undecoded(Undecoded::Other("802.11 fragment"));
            }
            0x08 => {}
            _ => return self.undecoded(Undecoded::Malformed("802.11")),
        }
        // Where the addresses stand depends on the bits "to" and "from" the distribution system.
        let (source_at, destination_at) = [(10, 4), (10, 16), (16, 4), (24, 16)][usize::from(flags & 3)];
        let mut length = if flags & 3 == 3 { 30 } else { 24 };
        let mut aggregated = false;
        if subtype & 8 != 0 {
            aggregated = frame.u8(length).is_some_and(|quality| quality & 0x80 != 0);
            length += if flags & 0x80 != 0 { 6 } else { 2 };
        }
        if padded {
            length = length.next_multiple_of(4);
        }
        let (Some(source), Some(destination)) = (frame.array(source_at), frame.array(destination_at)) else {
            return self.too_short("802.11", frame);
        };
        self.around.source_mac = *source;
        self.around.destination_mac = *destination;
        self.around.flags |= flag::MAC;
        let body = frame.skip(length);
        if aggregated { self.subframes(body) } else { self.llc(body) }
    }

    /// Several frames in one (A-MSDU), each filled up to a multiple of four bytes.
    fn subframes(&mut self, mut body: Span<'_>) {
        if body.bytes.len() < SUBFRAME_HEADER {
            return self.too_short("802.11 aggregate", body);
        }
        let around = self.around;
        while body.bytes.len() >= SUBFRAME_HEADER {
            let (Some(destination), Some(source)) = (body.array(0), body.array(6)) else { return };
            let length = body.u16(12).map_or(0, usize::from);
            self.around = around;
            self.around.destination_mac = *destination;
            self.around.source_mac = *source;
            self.llc(body.skip(SUBFRAME_HEADER).limit(length as u32));
            body = body.skip((SUBFRAME_HEADER + length).next_multiple_of(4));
        }
    }

    /// Acknowledgments and other control frames are shorter than a data frame's header.
    fn short_wifi(&mut self, frame: Span<'_>) {
        match frame.u8(0) {
            Some(control) if control & 0x0f == 0x04 => self.undecoded(Undecoded::Other("802.11 control")),
            _ => self.too_short("802.11", frame),
        }
    }
}

/// The radiotap field "Flags": the second field, behind the bitmaps (chained by their top bit) and an eight-byte timestamp.
fn radiotap_flags(header: &[u8]) -> Option<u8> {
    let (words, _) = header.get(4..)?.as_chunks::<4>();
    let first = u32::from_le_bytes(*words.first()?);
    if first & 2 == 0 {
        return None;
    }
    let bitmaps = 1 + words.iter().take_while(|word| word[3] & 0x80 != 0).count();
    let fields = 4 + bitmaps * 4;
    let at = if first & 1 == 0 { fields } else { fields.next_multiple_of(8) + 8 };
    header.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radiotap_flags_lie_behind_bitmaps_and_timestamp() {
        assert_eq!(radiotap_flags(&[0, 0, 9, 0, 2, 0, 0, 0, 0x20]), Some(0x20));
        let mut chained = vec![0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0];
        chained.extend([0; 4]);
        chained.extend([7; 8]);
        chained.push(0x10);
        assert_eq!(radiotap_flags(&chained), Some(0x10));
        assert_eq!(radiotap_flags(&[0, 0, 8, 0, 0, 0, 0, 0]), None);
    }
}
