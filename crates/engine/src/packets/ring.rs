//! The last frames, cut short, so that a filter can be applied to the past too.

use std::collections::VecDeque;

use lapwing_capture::{Frame, LinkType, Timestamp};
use lapwing_detect::packets::Judgement;

/// Frames that are kept.
pub(super) const FRAMES: usize = 1_000;

/// Bytes of each that are kept: headers, names asked for, the first words of a conversation.
pub(super) const CUT: usize = 256;

/// The last frames that were looked at, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: VecDeque<Kept>,
}

/// A frame, and what was said of it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    number: u64,
    time: Timestamp,
    link: LinkType,
    length: u32,
    data: Vec<u8>,
    pub(super) judgement: Judgement,
}

impl Kept {
    pub(super) fn frame(&self) -> Frame<'_> {
        let Self { number, time, link, length, ref data, .. } = *self;
        Frame { number, time, link, length, offset: 0, data }
    }
}

impl Ring {
    pub(super) fn push(&mut self, frame: Frame<'_>, judgement: Judgement) {
        let oldest = if self.kept.len() == FRAMES { self.kept.pop_front() } else { None };
        let mut data = oldest.map(|kept| kept.data).unwrap_or_default();
        data.clear();
        data.extend_from_slice(&frame.data[..frame.data.len().min(CUT)]);
        let Frame { number, time, link, .. } = frame;
        let length = frame.length.max(frame.data.len() as u32);
        self.kept.push_back(Kept { number, time, link, length, data, judgement });
    }

    /// Copies of those before the frame of number `before`, oldest first.
    pub(super) fn copy(&self, before: u64) -> Vec<Kept> {
        let until = self.kept.partition_point(|kept| kept.number < before);
        self.kept.range(..until).cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}
