//! A capture file or an interface in, frames with their capture time out.
//!
//! A [`Source`] fills a [`FrameBatch`]: one buffer that holds the bytes as they were read, and an index of the frames in
//! it, so that a frame is never copied between the file and the decoder. Nothing here reads the wall clock.

mod batch;
mod link;
mod timestamp;

pub use batch::{Frame, FrameBatch, FrameIndex};
pub use link::LinkType;
pub use timestamp::Timestamp;
