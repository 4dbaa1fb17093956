//! Where frames begin and end in the bytes of a capture file, whatever its format.

use crate::pcap::PcapFraming;
use crate::pcapng::PcapngFraming;
use crate::{Format, FrameIndex, InputReport, Problem};

/// Bytes that a frame can have: libpcap's `MAXIMUM_SNAPLEN` and Wireshark's limit. A record that claims more is damaged.
pub(crate) const MAXIMUM_FRAME: u32 = 256 * 1024;

/// What stands at a place of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A frame; its offset counts from the place.
    Frame { frame: FrameIndex, size: u64 },
    /// Something without a frame.
    Skip { size: u64 },
    /// It cannot be told before this many bytes from the place on are there; always more than were given.
    Need { size: usize },
}

/// Finds the frames of one file, record by record.
#[derive(Clone, Debug)]
pub(crate) enum Framing {
    Pcap(PcapFraming),
    Pcapng(PcapngFraming),
}

impl Framing {
    /// Bytes of the start of a file that [`Framing::recognise`] wants to see.
    pub(crate) const HEADER: usize = 28;

    /// Tells the format from the first bytes of a file (fewer than [`Framing::HEADER`] only if it has no more), and where
    /// its first record starts.
    pub(crate) fn recognise(head: &[u8], input: u16, report: &mut InputReport) -> Result<(Self, usize), String> {
        if let Some((framing, size)) = PcapFraming::recognise(head, input, report)? {
            return Ok((Self::Pcap(framing), size));
        }
        if let Some(framing) = PcapngFraming::recognise(head, input)? {
            return Ok((Self::Pcapng(framing), 0));
        }
        match head {
            [] => Err("it is empty".to_owned()),
            [a, b, c, d, ..] => Err(format!("it starts with the bytes {a:02x} {b:02x} {c:02x} {d:02x}")),
            _ => Err(format!("it has {} bytes", head.len())),
        }
    }

    pub(crate) fn format(&self) -> Format {
        match self {
            Self::Pcap(framing) => framing.format(),
            Self::Pcapng(_) => Format::Pcapng,
        }
    }

    /// Looks at what stands at the start of `bytes`.
    #[inline]
    pub(crate) fn step(&mut self, bytes: &[u8], report: &mut InputReport) -> Result<Step, Problem> {
        match self {
            Self::Pcap(framing) => framing.step(bytes),
            Self::Pcapng(framing) => framing.step(bytes, report),
        }
    }
}
