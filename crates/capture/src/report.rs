//! What is said about an input after it was read.

use std::path::PathBuf;

use crate::{FrameIndex, LinkType, Timestamp};

/// How the frames of a capture file are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap, capture times in microseconds.
    Pcap,
    /// Classic pcap, capture times in nanoseconds.
    PcapNanoseconds,
    /// pcapng.
    Pcapng,
}

/// What a capture file is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// What was read from one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputReport {
    /// The file, `-` for standard input, or the name of the interface.
    pub path: PathBuf,
    /// Its format, once its first bytes were seen.
    pub format: Option<Format>,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// Frames read.
    pub packets: u64,
    /// Bytes these frames had on the wire.
    pub bytes: u64,
    /// Bytes of them that were captured.
    pub captured_bytes: u64,
    /// Live: frames that the kernel let go because they were not read in time.
    pub dropped: u64,
    /// The earliest capture time.
    pub first: Option<Timestamp>,
    /// The latest capture time.
    pub last: Option<Timestamp>,
    /// Link types of the frames and of the described interfaces, in the order of appearance.
    pub link_types: Vec<LinkType>,
    /// Interfaces described; a classic pcap file has one.
    pub interfaces: u32,
    /// Blocks that hold no frame and were passed over: statistics, names, secrets, comments, unknown ones.
    pub skipped_blocks: u64,
    /// Blocks with a frame that could not be read, as no interface was described for it.
    pub lost_blocks: u64,
    /// Where the record begins that reading ended at, because it is cut off or damaged, counted in bytes after
    /// decompression.
    pub truncated_at: Option<u64>,
    /// Why nothing was read from this input.
    pub refused: Option<String>,
    /// Whatever else a person should know, errors that ended the reading included; at most [`InputReport::WARNINGS`].
    pub warnings: Vec<String>,
}

impl InputReport {
    /// Warnings that are kept for an input; further ones repeat what these say.
    pub const WARNINGS: usize = 16;

    /// Link types that are listed; a real file has one or two.
    const LINK_TYPES: usize = 32;

    /// Of an input of which nothing was read yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            format: None,
            compression: None,
            packets: 0,
            bytes: 0,
            captured_bytes: 0,
            dropped: 0,
            first: None,
            last: None,
            link_types: Vec::new(),
            interfaces: 0,
            skipped_blocks: 0,
            lost_blocks: 0,
            truncated_at: None,
            refused: None,
            warnings: Vec::new(),
        }
    }

    pub(crate) fn warn(&mut self, warning: String) {
        if self.warnings.len() < Self::WARNINGS {
            self.warnings.push(warning);
        }
    }

    pub(crate) fn link_type(&mut self, link: LinkType) {
        if self.link_types.len() < Self::LINK_TYPES && !self.link_types.contains(&link) {
            self.link_types.push(link);
        }
    }

    /// Counts frames of this input.
    pub fn count(&mut self, frames: &[FrameIndex]) {
        let Some(first) = frames.first() else { return };
        let (mut earliest, mut latest) = (first.time, first.time);
        for frame in frames {
            earliest = earliest.min(frame.time);
            latest = latest.max(frame.time);
            self.bytes += u64::from(frame.length);
            self.captured_bytes += u64::from(frame.captured);
        }
        self.packets += frames.len() as u64;
        self.first = Some(self.first.map_or(earliest, |known| known.min(earliest)));
        self.last = Some(self.last.map_or(latest, |known| known.max(latest)));
    }
}
