//! Classic pcap files.
//!
//! The format is described in draft-ietf-opsawg-pcap. Besides it, what is found in the field is read: Alexey Kuznetzov's
//! modified format (24-byte record headers, magic `a1b2cd34`), Ixia's lcap (a length after the file header), and the
//! files of old versions that wrote the two lengths of a record in the other order.

use crate::framing::{MAXIMUM_FRAME, Step};
use crate::{Format, FrameIndex, InputReport, LinkType, Problem, Timestamp};

/// Bytes of the file header.
const FILE_HEADER: usize = 24;

/// Bytes of a record header; Kuznetzov's has eight more.
const RECORD_HEADER: usize = 16;
const KUZNETZOV_RECORD_HEADER: usize = 24;

/// How the two lengths of a record are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    /// Versions before 2.3.
    WireFirst,
    /// Version 2.3 and DG/UX's 543.0 did both: the captured length is the smaller one.
    SmallerIsCaptured,
}

/// What the file header says about the records.
#[derive(Clone, Debug)]
pub(crate) struct PcapFraming {
    big_endian: bool,
    nanoseconds: bool,
    lengths: Lengths,
    record_header: usize,
    link: LinkType,
    input: u16,
}

/// A flavour of the format, by its magic number in the file's byte order.
struct Flavour {
    magic: u32,
    nanoseconds: bool,
    record_header: usize,
    file_header: usize,
}

#[rustfmt::skip]
const FLAVOURS: [Flavour; 5] = [
    Flavour { magic: 0xa1b2_c3d4, nanoseconds: false, record_header: RECORD_HEADER, file_header: FILE_HEADER },
    Flavour { magic: 0xa1b2_3c4d, nanoseconds: true, record_header: RECORD_HEADER, file_header: FILE_HEADER },
    Flavour { magic: 0xa1b2_cd34, nanoseconds: false, record_header: KUZNETZOV_RECORD_HEADER, file_header: FILE_HEADER },
    // Ixia's, with hardware and with software time stamps: the size of all records follows the header.
    Flavour { magic: 0x1c00_01ac, nanoseconds: true, record_header: RECORD_HEADER, file_header: FILE_HEADER + 4 },
    Flavour { magic: 0x1c00_01ab, nanoseconds: true, record_header: RECORD_HEADER, file_header: FILE_HEADER + 4 },
];

impl PcapFraming {
    /// The framing that a file header asks for and the header's size; `None` when these bytes are no pcap.
    pub(crate) fn recognise(
        head: &[u8],
        input: u16,
        report: &mut InputReport,
    ) -> Result<Option<(Self, usize)>, String> {
        let Some((flavour, big_endian)) = head.first_chunk().and_then(|magic| flavour(*magic)) else { return Ok(None) };
        if head.len() < flavour.file_header {
            return Err(format!(
                "the pcap file header has {} bytes, only {} are there",
                flavour.file_header,
                head.len()
            ));
        }
        let major = u16_at(head, 4, big_endian);
        let minor = u16_at(head, 6, big_endian);
        let lengths = match (major, minor) {
            (2, 3) | (543, 0) => Lengths::SmallerIsCaptured,
            (2, 0..3) => Lengths::WireFirst,
            (2.., _) => Lengths::CapturedFirst,
            (0 | 1, _) => return Err(format!("it claims pcap version {major}.{minor}, which never was in use")),
        };
        // The upper half holds the length of the frame check sequence, which stays part of the frame as with libpcap, so
        // that lengths and filters agree; no decoder looks behind the network packet.
        let link = LinkType(u32_at(head, 20, big_endian) as u16);
        report.interfaces = 1;
        report.link_type(link);
        let framing = Self {
            big_endian,
            nanoseconds: flavour.nanoseconds,
            lengths,
            record_header: flavour.record_header,
            link,
            input,
        };
        Ok(Some((framing, flavour.file_header)))
    }

    pub(crate) fn format(&self) -> Format {
        if self.nanoseconds { Format::PcapNanoseconds } else { Format::Pcap }
    }

    #[inline]
    pub(crate) fn step(&self, bytes: &[u8]) -> Result<Step, Problem> {
        let Some(header) = bytes.first_chunk::<RECORD_HEADER>() else { return Ok(Step::Need { size: RECORD_HEADER }) };
        let [seconds, fraction, mut captured, mut length] = if self.big_endian {
            [0, 4, 8, 12].map(|at| u32_at(header, at, true))
        } else {
            [0, 4, 8, 12].map(|at| u32_at(header, at, false))
        };
        if self.lengths != Lengths::CapturedFirst {
            (captured, length) = self.ordered(captured, length);
        }
        if captured > MAXIMUM_FRAME {
            return Err(Problem::FrameTooLong { captured, limit: MAXIMUM_FRAME });
        }
        let size = self.record_header + captured as usize;
        if bytes.len() < size {
            return Ok(Step::Need { size });
        }
        let nanos = if self.nanoseconds { i64::from(fraction) } else { i64::from(fraction) * 1_000 };
        let time = Timestamp::from_nanos(i64::from(seconds) * 1_000_000_000 + nanos);
        let offset = self.record_header as u32;
        let frame = FrameIndex { time, offset, captured, length, link: self.link, input: self.input };
        Ok(Step::Frame { frame, size: size as u64 })
    }

    #[cold]
    fn ordered(&self, first: u32, second: u32) -> (u32, u32) {
        match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        }
    }
}

fn flavour(magic: [u8; 4]) -> Option<(&'static Flavour, bool)> {
    FLAVOURS.iter().find_map(|flavour| {
        if magic == flavour.magic.to_le_bytes() {
            Some((flavour, false))
        } else if magic == flavour.magic.to_be_bytes() {
            Some((flavour, true))
        } else {
            None
        }
    })
}

/// The four bytes at `at`, which the caller knows to be there; zero where they are not.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// The two bytes at `at`, which the caller knows to be there; zero where they are not.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize, big_endian: bool) -> u16 {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}
