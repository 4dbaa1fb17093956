//! A capture file or an interface in, frames with their capture time out.
//!
//! A [`Source`] fills a [`FrameBatch`]: one buffer that holds the bytes as they were read, and an index of the frames in
//! it, so that a frame is never copied between the file and the decoder. Nothing here reads the wall clock.

mod batch;
mod error;
mod file;
mod filter;
mod folder;
mod framing;
mod inputs;
mod link;
mod merge;
mod pcap;
mod pcapng;
mod report;
mod source;
mod stream;
mod timestamp;
mod writer;

pub use batch::{Frame, FrameBatch, FrameIndex};
pub use error::{Problem, SourceError};
pub use filter::{Filter, FilterError, Instruction, Program};
pub use folder::{Expansion, expand};
pub use inputs::Inputs;
pub use link::LinkType;
pub use report::{Compression, Format, InputReport};
pub use source::{Position, Progress, Source};
pub use timestamp::Timestamp;
pub use writer::{PcapWriter, Resolution, WriteError};
