//! Frames in a block of the kernel's ring (`TPACKET_V3`), found in safe code.
//!
//! The layout is that of `<linux/if_packet.h>`: a block descriptor of 48 bytes, then for each frame a header of 48 bytes, a
//! link-layer address (`sockaddr_ll`), padding, and the frame. Numbers are in the machine's byte order. A block is believed
//! as little as a file is: whatever leads out of it ends it.

use crate::Timestamp;

/// A frame in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Captured<'a> {
    pub(super) time: Timestamp,
    /// Bytes on the wire, without the tag that was taken out.
    pub(super) length: u32,
    pub(super) data: &'a [u8],
    /// The outer VLAN tag, which the kernel has taken out of the frame: type and tag as they stood behind the addresses.
    pub(super) vlan: Option<[u8; 4]>,
    /// The machine itself sent it.
    pub(super) outgoing: bool,
}

/// Where reading stands in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    at: usize,
    left: u32,
}

/// Offsets in the block descriptor (`struct tpacket_block_desc`).
pub(super) const STATUS: usize = 8;
const FRAMES: usize = 12;
const FIRST: usize = 16;
/// Offsets in a frame's header (`struct tpacket3_hdr`).
const NEXT: usize = 0;
const SECONDS: usize = 4;
const NANOS: usize = 8;
const CAPTURED: usize = 12;
const LENGTH: usize = 16;
const FRAME_STATUS: usize = 20;
const LINK_HEADER: usize = 24;
const TAG: usize = 32;
const TAG_TYPE: usize = 36;
/// Offset of `sll_pkttype` in the address behind the header.
const PACKET_TYPE: usize = 48 + 10;

const HAS_TAG: u32 = 1 << 4; // TP_STATUS_VLAN_VALID
const HAS_TAG_TYPE: u32 = 1 << 6; // TP_STATUS_VLAN_TPID_VALID
const OUTGOING: u8 = 4; // PACKET_OUTGOING

/// Tag type of a VLAN where the kernel does not say: IEEE 802.1Q.
const CUSTOMER_TAG: u16 = 0x8100;

impl Cursor {
    /// The start of a block that the kernel has handed over.
    pub(super) fn new(block: &[u8]) -> Self {
        let left = word(block, FRAMES).unwrap_or(0);
        Self { at: word(block, FIRST).unwrap_or(0) as usize, left }
    }

    /// The frame it stands at; `None` at the end of the block.
    pub(super) fn peek<'a>(&self, block: &'a [u8]) -> Option<Captured<'a>> {
        if self.left == 0 {
            return None;
        }
        let header = block.get(self.at..)?;
        let (captured, status) = (word(header, CAPTURED)? as usize, word(header, FRAME_STATUS)?);
        let start = usize::from(half(header, LINK_HEADER)?);
        let data = header.get(start..start.checked_add(captured)?)?;
        let vlan = (status & HAS_TAG != 0).then(|| {
            let known = if status & HAS_TAG_TYPE == 0 { None } else { half(header, TAG_TYPE) };
            let [a, b] = known.unwrap_or(CUSTOMER_TAG).to_be_bytes();
            let [c, d] = (word(header, TAG).unwrap_or(0) as u16).to_be_bytes();
            [a, b, c, d]
        });
        let nanos = i64::from(word(header, SECONDS)?) * 1_000_000_000 + i64::from(word(header, NANOS)?);
        Some(Captured {
            time: Timestamp::from_nanos(nanos),
            length: word(header, LENGTH)?,
            data,
            vlan,
            outgoing: header.get(PACKET_TYPE) == Some(&OUTGOING),
        })
    }

    /// Goes on to the next frame.
    pub(super) fn advance(&mut self, block: &[u8]) {
        self.left = self.left.saturating_sub(1);
        let step = block.get(self.at..).and_then(|header| word(header, NEXT)).unwrap_or(0);
        match self.at.checked_add(step as usize) {
            // A step of nothing would hand out the same frame again.
            Some(next) if step > 0 => self.at = next,
            _ => self.left = 0,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use proptest::prelude::*;

    use super::*;

    /// The bytes of a frame; type and content of its tag if it has one.
    type Written<'a> = (&'a [u8], Option<(u16, u16)>);

    /// A block as the kernel writes it, with these frames one second apart.
    fn block(frames: &[Written<'_>]) -> Vec<u8> {
        let mut block = vec![0; 48];
        block[FRAMES..FRAMES + 4].copy_from_slice(&(frames.len() as u32).to_ne_bytes());
        block[FIRST..FIRST + 4].copy_from_slice(&48_u32.to_ne_bytes());
        for (place, (data, tag)) in (1_u32..).zip(frames) {
            let mut header = vec![0; 96];
            let size = (header.len() + data.len()).next_multiple_of(16) as u32;
            for (at, value) in [(NEXT, size), (SECONDS, place), (NANOS, 7), (CAPTURED, data.len() as u32)] {
                header[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            }
            header[LENGTH..LENGTH + 4].copy_from_slice(&(data.len() as u32 + 100).to_ne_bytes());
            header[LINK_HEADER..LINK_HEADER + 2].copy_from_slice(&96_u16.to_ne_bytes());
            if let Some((kind, tag)) = tag {
                let status = HAS_TAG | if *kind == 0 { 0 } else { HAS_TAG_TYPE };
                header[FRAME_STATUS..FRAME_STATUS + 4].copy_from_slice(&status.to_ne_bytes());
                header[TAG..TAG + 4].copy_from_slice(&u32::from(*tag).to_ne_bytes());
                header[TAG_TYPE..TAG_TYPE + 2].copy_from_slice(&kind.to_ne_bytes());
            }
            header.extend_from_slice(data);
            header.resize(size as usize, 0xee);
            block.extend(header);
        }
        block
    }

    fn walk(block: &[u8]) -> Vec<Captured<'_>> {
        let (mut cursor, mut found) = (Cursor::new(block), Vec::new());
        while let Some(captured) = cursor.peek(block) {
            found.push(captured);
            cursor.advance(block);
        }
        found
    }

    #[test]
    fn offsets_are_those_of_the_kernel() {
        assert_eq!(offset_of!(libc::tpacket_block_desc, hdr), STATUS);
        assert_eq!(STATUS + offset_of!(libc::tpacket_hdr_v1, num_pkts), FRAMES);
        assert_eq!(STATUS + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt), FIRST);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_next_offset), NEXT);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_sec), SECONDS);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_nsec), NANOS);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_snaplen), CAPTURED);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_len), LENGTH);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_status), FRAME_STATUS);
        assert_eq!(offset_of!(libc::tpacket3_hdr, tp_mac), LINK_HEADER);
        let tags = offset_of!(libc::tpacket3_hdr, hv1);
        assert_eq!(tags + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci), TAG);
        assert_eq!(tags + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid), TAG_TYPE);
        assert_eq!(size_of::<libc::tpacket3_hdr>() + offset_of!(libc::sockaddr_ll, sll_pkttype), PACKET_TYPE);
        assert_eq!((libc::TP_STATUS_VLAN_VALID, libc::TP_STATUS_VLAN_TPID_VALID), (HAS_TAG, HAS_TAG_TYPE));
        assert_eq!(libc::PACKET_OUTGOING, OUTGOING);
    }

    #[test]
    fn every_frame_comes_out_with_time_length_and_tag() {
        let block = block(&[(b"one", None), (b"three", Some((0x88a8, 5))), (b"", Some((0, 4094)))]);
        let found = walk(&block);
        assert_eq!(found.iter().map(|frame| frame.data).collect::<Vec<_>>(), [&b"one"[..], b"three", b""]);
        assert_eq!(found[1].time, Timestamp::from_nanos(2_000_000_007));
        assert_eq!(found[1].length, 105);
        let tags: Vec<_> = found.iter().map(|frame| frame.vlan).collect();
        assert_eq!(tags, [None, Some([0x88, 0xa8, 0, 5]), Some([0x81, 0, 0x0f, 0xfe])]);
    }

    #[test]
    fn frame_that_leads_out_of_the_block_ends_it() {
        let mut cut = block(&[(b"one", None), (b"two", None)]);
        cut.truncate(cut.len() - 20);
        assert_eq!(walk(&cut).len(), 1);
        let mut endless = block(&[(b"one", None)]);
        endless[FRAMES..FRAMES + 4].copy_from_slice(&u32::MAX.to_ne_bytes());
        endless[48..52].fill(0);
        assert_eq!(walk(&endless).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_end(mut bytes in prop::collection::vec(any::<u8>(), 0..600), small in any::<bool>()) {
            if small && bytes.len() > 52 {
                // Small numbers, so that some of the walk stays inside.
                bytes[FRAMES..FRAMES + 8].copy_from_slice(&[9, 0, 0, 0, 48, 0, 0, 0]);
                bytes[48..52].copy_from_slice(&[1, 0, 0, 0]);
            }
            prop_assert!(walk(&bytes).len() <= bytes.len());
        }
    }
}
