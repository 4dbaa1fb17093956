//! Frames that were read together.

use std::time::Duration;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Bytes as they came from the file, record headers included. Only the ranges that `frames` name mean anything: what
    /// lies behind the last of them may be left from an earlier batch.
    pub buffer: Vec<u8>,
    /// The frames in it.
    pub frames: Vec<FrameIndex>,
    /// Number of the first frame, counted from 1 over all that was read.
    pub first_number: u64,
    /// Live, or as if it were: capture time has come this far, in whole steps of [`FrameBatch::STEP`], though no frame says so; frames that follow are
    /// not older.
    pub reached: Option<Timestamp>,
}

impl FrameBatch {
    /// A batch ends before a frame that would take it past this many bytes of input, unless it is its first frame. It fits
    /// the second-level cache, and a batch of usual frames costs a handful of system calls.
    pub const BYTES: usize = 256 * 1024;
    /// A batch ends with this many frames.
    pub const FRAMES: usize = 1024;
    /// How finely capture time is followed: what waits for a moment is looked at when such a step is over, live as in a file.
    pub const STEP: Duration = Duration::from_millis(100);

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

    /// Forgets the frames; keeps the memory. The buffer keeps its length too: a source overwrites it, and emptying it
    /// would cost filling it with zeros again, some 15 ns a frame.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.reached = None;
    }

    /// The frames, oldest read first.
    pub fn iter(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().zip(self.first_number..).map(|(index, number)| self.frame(index, number))
    }

    /// The frame at that place in `frames`.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn at(&self, place: usize) -> Frame<'_> {
        self.frame(&self.frames[place], self.first_number + place as u64)
    }

    /// The bytes of one frame of this batch.
    #[must_use]
    pub fn data(&self, index: &FrameIndex) -> &[u8] {
        let start = index.offset as usize;
        self.buffer.get(start..start + index.captured as usize).unwrap_or_default()
    }

    /// Appends a copy of `data` as a frame of `input`. Files are read without this copy; it serves merging and tests.
    pub fn push(&mut self, time: Timestamp, link: LinkType, length: u32, input: u16, data: &[u8]) {
        self.push_parts(time, link, length, input, [data]);
    }

    /// The same, of a frame that comes in parts.
    pub(crate) fn push_parts<const N: usize>(
        &mut self,
        time: Timestamp,
        link: LinkType,
        length: u32,
        input: u16,
        parts: [&[u8]; N],
    ) {
        let start = self.buffered();
        let mut end = start;
        for part in parts {
            let place = end;
            end += part.len();
            if self.buffer.len() < end {
                self.buffer.resize(end.next_multiple_of(4096), 0);
            }
            self.buffer[place..end].copy_from_slice(part);
        }
        let (offset, captured) = (start as u32, (end - start) as u32);
        self.frames.push(FrameIndex { time, offset, captured, length, link, input });
    }

    /// Where the last frame ends in the buffer.
    pub(crate) fn buffered(&self) -> usize {
        self.frames.last().map_or(0, |last| last.offset as usize + last.captured as usize)
    }

    fn frame(&self, index: &FrameIndex, number: u64) -> Frame<'_> {
        let data = self.data(index);
        Frame { number, time: index.time, link: index.link, length: index.length, offset: index.offset, data }
    }
}
