//! What the pipeline reads from.

use crate::{FrameBatch, InputReport, SourceError};

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Frames may follow.
    More,
    /// The input has ended; the batch may still hold its last frames.
    End,
}

/// Something that frames come out of: a capture file, several of them, an interface.
pub trait Source: Send {
    /// Clears `batch` and fills it with the next frames, at most [`FrameBatch::FRAMES`] of them.
    ///
    /// The batches of a file depend on its bytes only: reading it again, from a disk or through a pipe, gives the same.
    ///
    /// # Errors
    /// When reading fails. What was read before was handed out before, so nothing of it is lost.
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError>;

    /// What was read so far, one report an input, in the order of [`FrameIndex::input`](crate::FrameIndex::input).
    fn reports(&self) -> Vec<InputReport>;

    /// How far reading has come, for progress bars.
    fn position(&self) -> Position;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        (**self).read(batch)
    }

    fn reports(&self) -> Vec<InputReport> {
        (**self).reports()
    }

    fn position(&self) -> Position {
        (**self).position()
    }
}

/// How far reading has come, in bytes as they lie on the disk (compressed ones where a file is compressed).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes read.
    pub read: u64,
    /// Bytes there are, when that is known: not for standard input.
    pub total: Option<u64>,
}
