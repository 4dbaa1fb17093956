//! Frames that were read together.

use crate::{LinkType, Timestamp};

/// One frame, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Place in the input, counted from 1 over all that was read.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// What its first bytes are.
    pub link: LinkType,
    /// Bytes it had on the wire; more than `data` holds where the snap length cut it.
    pub length: u32,
    /// Where `data` starts in the batch's buffer.
    pub offset: u32,
    /// The bytes that were kept.
    pub data: &'a [u8],
}

/// Where a frame lies in the buffer of its batch.
#[derive(Clone, Copy, Debug)]
pub struct FrameIndex {
    /// When it was captured.
    pub time: Timestamp,
    /// Its first byte in the buffer.
    pub offset: u32,
    /// Bytes that were kept.
    pub captured: u32,
    /// Bytes it had on the wire.
    pub length: u32,
    /// What its first bytes are.
    pub link: LinkType,
    /// The input (file) it came from: its place in the order in which inputs were opened.
    pub input: u16,
}

/// A buffer of bytes as they were read, and the frames in it, in capture order.
#[derive(Debug, Default)]
pub struct FrameBatch {
    /// Bytes as they came from the file, record headers included.
    pub buffer: Vec<u8>,
    /// The frames in it.
    pub frames: Vec<FrameIndex>,
    /// Number of the first frame, counted from 1 over all that was read.
    pub first_number: u64,
}

impl FrameBatch {
    /// Frames in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Forgets the frames; keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.frames.clear();
    }

    /// The frames, oldest read first.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().zip(self.first_number..).map(|(index, number)| self.frame(index, number))
    }

    fn frame(&self, index: &FrameIndex, number: u64) -> Frame<'_> {
        let start = index.offset as usize;
        let data = self.buffer.get(start..start + index.captured as usize).unwrap_or_default();
        Frame { number, time: index.time, link: index.link, length: index.length, offset: index.offset, data }
    }
}
