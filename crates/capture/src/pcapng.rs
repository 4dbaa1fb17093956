//! pcapng files (draft-ietf-opsawg-pcapng).
//!
//! Blocks that hold frames (enhanced, simple, and the obsolete packet block) and those that say how to read them (section
//! header, interface description) are read; all others are passed over and counted. A file may hold several sections, each
//! in its own byte order and with its own interfaces.

mod interface;

use interface::Interface;

use crate::framing::{MAXIMUM_FRAME, Step};
use crate::pcap::{u16_at, u32_at};
use crate::{FrameIndex, InputReport, Problem, Timestamp};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Type, length, and the length again at the end: the smallest block.
const BLOCK_OVERHEAD: u32 = 12;
/// A block that claims more is damaged; the limit is Wireshark's.
const MAXIMUM_BLOCK: u32 = 16 * 1024 * 1024;
/// Blocks up to this size are looked at whole, and their two lengths compared; of larger ones only the start is kept.
const WHOLE_BLOCK: u32 = MAXIMUM_FRAME + 64 * 1024;
/// Interfaces that a section may describe: as many as the obsolete packet block can name.
const MAXIMUM_INTERFACES: usize = 1 << 16;

/// What the blocks so far say about the following ones.
#[derive(Clone, Debug)]
pub(crate) struct PcapngFraming {
    big_endian: bool,
    /// Interfaces of this section.
    interfaces: Vec<Interface>,
    /// Time of the last frame: that of a simple packet block, which has none of its own.
    last_time: Timestamp,
    input: u16,
}

impl PcapngFraming {
    /// The framing for a file that starts with these bytes; `None` when they are no pcapng.
    pub(crate) fn recognise(head: &[u8], input: u16) -> Result<Option<Self>, String> {
        if head.first_chunk() != Some(&SECTION_HEADER.to_be_bytes()) {
            return Ok(None);
        }
        let big_endian = byte_order(head).ok_or("it starts like a pcapng file, but without the byte-order magic")?;
        Ok(Some(Self { big_endian, interfaces: Vec::new(), last_time: Timestamp::default(), input }))
    }

    pub(crate) fn step(&mut self, bytes: &[u8], report: &mut InputReport) -> Result<Step, Problem> {
        if bytes.len() < BLOCK_OVERHEAD as usize {
            return Ok(Step::Need { size: BLOCK_OVERHEAD as usize });
        }
        let kind = u32_at(bytes, 0, self.big_endian);
        if kind == SECTION_HEADER {
            self.big_endian = byte_order(bytes).ok_or(Problem::ByteOrder)?;
        }
        let stated = u32_at(bytes, 4, self.big_endian);
        if !(BLOCK_OVERHEAD..=MAXIMUM_BLOCK).contains(&stated) {
            return Err(Problem::BlockLength { length: stated, limit: MAXIMUM_BLOCK });
        }
        // Some programs write the length without the padding.
        let size = stated.next_multiple_of(4);
        let looked_at = size.min(WHOLE_BLOCK) as usize;
        let Some(block) = bytes.get(..looked_at) else { return Ok(Step::Need { size: looked_at }) };
        if size <= WHOLE_BLOCK {
            let trailer = u32_at(block, looked_at - 4, self.big_endian);
            if trailer != stated {
                return Err(Problem::BlockLengths { first: stated, second: trailer });
            }
        }
        let body = block.get(8..(size as usize - 4).min(looked_at)).unwrap_or_default();
        let block = Block { size, body, big_endian: self.big_endian };
        match kind {
            ENHANCED_PACKET => self.packet(&block, block.u32(0), report),
            OBSOLETE_PACKET => self.packet(&block, u32::from(u16_at(block.body, 0, block.big_endian)), report),
            SIMPLE_PACKET => self.simple_packet(&block, report),
            INTERFACE_DESCRIPTION => self.interface(&block, report),
            SECTION_HEADER => self.section(&block),
            _ => {
                report.skipped_blocks += 1;
                Ok(block.skip())
            }
        }
    }

    /// Enhanced and obsolete packet blocks have the same layout, but for the interface's number: the obsolete one has 16
    /// bits for it and a count of dropped frames behind.
    #[inline]
    fn packet(&mut self, block: &Block<'_>, interface: u32, report: &mut InputReport) -> Result<Step, Problem> {
        const HEADER: u32 = 20;
        block.holds(HEADER)?;
        let [high, low, captured, length] = [4, 8, 12, 16].map(|at| block.u32(at));
        block.holds_frame(captured, HEADER)?;
        let Some(described) = self.interfaces.get(interface as usize) else {
            return Ok(self.undescribed(block, interface, report));
        };
        let time = described.time(u64::from(high) << 32 | u64::from(low));
        self.last_time = time;
        Ok(block.frame(FrameIndex {
            time,
            offset: 8 + HEADER,
            captured,
            length,
            link: described.link,
            input: self.input,
        }))
    }

    fn simple_packet(&self, block: &Block<'_>, report: &mut InputReport) -> Result<Step, Problem> {
        const HEADER: u32 = 4;
        block.holds(HEADER)?;
        let Some(described) = self.interfaces.first() else { return Ok(self.undescribed(block, 0, report)) };
        let length = block.u32(0);
        let captured = length.min(described.snap_length).min(block.size - BLOCK_OVERHEAD - HEADER);
        block.holds_frame(captured, HEADER)?;
        Ok(block.frame(FrameIndex {
            time: self.last_time,
            offset: 8 + HEADER,
            captured,
            length,
            link: described.link,
            input: self.input,
        }))
    }

    fn interface(&mut self, block: &Block<'_>, report: &mut InputReport) -> Result<Step, Problem> {
        const HEADER: u32 = 8;
        block.holds(HEADER)?;
        if self.interfaces.len() == MAXIMUM_INTERFACES {
            return Err(Problem::TooManyInterfaces { limit: MAXIMUM_INTERFACES });
        }
        let interface = Interface::read(block.body, block.big_endian);
        report.interfaces += 1;
        report.link_type(interface.link);
        self.interfaces.push(interface);
        Ok(block.skip())
    }

    fn section(&mut self, block: &Block<'_>) -> Result<Step, Problem> {
        const HEADER: u32 = 16;
        block.holds(HEADER)?;
        let (major, minor) = (u16_at(block.body, 4, block.big_endian), u16_at(block.body, 6, block.big_endian));
        // 1.2 was written by some programs and means the same as 1.0 (draft, section 4.1).
        if major != 1 || !matches!(minor, 0 | 2) {
            return Err(Problem::Version { major, minor });
        }
        self.interfaces.clear();
        Ok(block.skip())
    }

    /// A frame whose link type nobody told: it cannot be read, the ones after it can.
    #[cold]
    fn undescribed(&self, block: &Block<'_>, interface: u32, report: &mut InputReport) -> Step {
        report.lost_blocks += 1;
        if report.lost_blocks == 1 {
            report.warn(format!(
                "{}: a packet block names interface {interface}, but only {} are described before it; such frames are skipped \
                 and counted",
                report.path.display(),
                self.interfaces.len()
            ));
        }
        block.skip()
    }
}

/// One block.
struct Block<'a> {
    /// Bytes from its type to its second length.
    size: u32,
    /// What is between the lengths, or its start where the block is larger than [`WHOLE_BLOCK`].
    body: &'a [u8],
    big_endian: bool,
}

impl Block<'_> {
    fn u32(&self, at: usize) -> u32 {
        u32_at(self.body, at, self.big_endian)
    }

    fn skip(&self) -> Step {
        Step::Skip { size: u64::from(self.size) }
    }

    fn frame(&self, frame: FrameIndex) -> Step {
        Step::Frame { frame, size: u64::from(self.size) }
    }

    /// Checks that the fixed fields fit.
    fn holds(&self, header: u32) -> Result<(), Problem> {
        if self.size < BLOCK_OVERHEAD + header {
            return Err(Problem::BlockTooShort { length: self.size, needed: BLOCK_OVERHEAD + header });
        }
        Ok(())
    }

    /// Checks that a frame of that size fits behind the fixed fields.
    fn holds_frame(&self, captured: u32, header: u32) -> Result<(), Problem> {
        if captured > MAXIMUM_FRAME {
            return Err(Problem::FrameTooLong { captured, limit: MAXIMUM_FRAME });
        }
        self.holds(header + captured)
    }
}

/// Whether the section that starts here is big-endian; `None` when that cannot be told.
fn byte_order(bytes: &[u8]) -> Option<bool> {
    match bytes.get(8..12)? {
        magic if magic == BYTE_ORDER_MAGIC.to_le_bytes() => Some(false),
        magic if magic == BYTE_ORDER_MAGIC.to_be_bytes() => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameBatch, Inputs, LinkType, Progress, Source};

    /// A block with its lengths; `big` chooses the byte order.
    fn block(kind: u32, body: &[u8], big: bool) -> Vec<u8> {
        let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = (body.len() + padding.len()) as u32 + BLOCK_OVERHEAD;
        [&word(kind), &word(length), body, &padding, &word(length)[..]].concat()
    }

    fn words(words: &[u32], big: bool) -> Vec<u8> {
        words.iter().flat_map(|word| if big { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
    }

    fn section(big: bool) -> Vec<u8> {
        let version = if big { 0x0001_0000 } else { 1 };
        block(SECTION_HEADER, &words(&[BYTE_ORDER_MAGIC, version, u32::MAX, u32::MAX], big), big)
    }

    fn interface(link: u16, big: bool) -> Vec<u8> {
        let link = if big { u32::from(link) << 16 } else { u32::from(link) };
        block(INTERFACE_DESCRIPTION, &words(&[link, 0], big), big)
    }

    fn enhanced(interface: u32, micros: u32, data: &[u8], big: bool) -> Vec<u8> {
        let length = data.len() as u32;
        block(ENHANCED_PACKET, &[words(&[interface, 0, micros, length, length], big), data.to_vec()].concat(), big)
    }

    fn read(bytes: Vec<u8>) -> (Vec<(i64, LinkType, Vec<u8>)>, InputReport) {
        let mut inputs = Inputs::from_reader("x", std::io::Cursor::new(bytes)).unwrap();
        let (mut batch, mut seen) = (FrameBatch::default(), Vec::new());
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            seen.extend(batch.iter().map(|frame| (frame.time.micros(), frame.link, frame.data.to_vec())));
            if progress == Progress::End {
                return (seen, inputs.reports().remove(0));
            }
        }
    }

    #[test]
    fn sections_have_their_own_byte_order_and_interfaces() {
        let bytes = [
            section(false),
            interface(1, false),
            interface(101, false),
            enhanced(1, 5, b"raw", false),
            section(true),
            interface(113, true),
            enhanced(0, 6, b"cooked", true),
        ];
        let (seen, report) = read(bytes.concat());
        let expected = [(5, LinkType::RAW, b"raw".to_vec()), (6, LinkType::LINUX_SLL, b"cooked".to_vec())];
        assert_eq!(seen, expected);
        assert_eq!(report.interfaces, 3);
    }

    #[test]
    fn simple_packet_takes_the_first_interface_and_the_last_time() {
        let simple = block(SIMPLE_PACKET, &[words(&[3], false), b"abc".to_vec()].concat(), false);
        let (seen, _) = read([section(false), interface(1, false), enhanced(0, 9, b"x", false), simple].concat());
        assert_eq!(seen[1], (9, LinkType::ETHERNET, b"abc".to_vec()));
    }

    #[test]
    fn obsolete_packet_is_read() {
        let body = [words(&[0x0007_0000, 0, 3, 2, 2], false), b"ab".to_vec()].concat();
        let (seen, _) = read([section(false), interface(1, false), block(OBSOLETE_PACKET, &body, false)].concat());
        assert_eq!(seen, [(3, LinkType::ETHERNET, b"ab".to_vec())]);
    }

    #[test]
    fn other_blocks_are_passed_over_whatever_their_size() {
        let large = block(0x0bad, &vec![7; 2_000_000], false);
        let many = block(5, &words(&[0; 3], false), false).repeat(20_000);
        let (seen, report) =
            read([section(false), interface(1, false), large, many, enhanced(0, 9, b"x", false)].concat());
        assert_eq!((seen.len(), report.skipped_blocks), (1, 20_001));
    }

    #[test]
    fn frame_of_an_undescribed_interface_is_skipped_and_said() {
        let lost = enhanced(0, 1, b"a", false).repeat(3);
        let (seen, report) = read([section(false), lost, interface(1, false), enhanced(0, 2, b"b", false)].concat());
        assert_eq!(seen.len(), 1);
        assert!(report.warnings[0].contains("names interface 0"), "{:?}", report.warnings);
        assert_eq!((report.warnings.len(), report.lost_blocks, report.skipped_blocks), (1, 3, 0));
    }

    #[test]
    fn lengths_that_differ_end_the_file() {
        let mut damaged = enhanced(0, 1, b"a", false);
        let last = damaged.len() - 4;
        damaged[last] ^= 4;
        let (seen, report) = read([section(false), interface(1, false), enhanced(0, 1, b"a", false), damaged].concat());
        assert_eq!(seen.len(), 1);
        assert!(report.warnings[0].contains("starts with a length of 36 bytes and ends with 32"), "{report:?}");
    }
}
