//! A capture file or an interface in, frames with their capture time out.
//!
//! A [`Source`] fills a [`FrameBatch`]: one buffer that holds the bytes as they were read, and an index of the frames in
//! it, so that a frame is never copied between the file and the decoder. Only [`LiveSource`], which reads interfaces, looks at the
//! wall clock: it says how far capture time has come when no frame does.
//!
//! [`expand`] turns folders into the captures in them; [`Inputs`] reads one capture (pcap or pcapng, plain or compressed)
//! or merges many into one timeline, and an [`InputReport`] says of each what was read, where reading ended early, or why
//! it was refused. [`Filter`] compiles the tcpdump language; [`PcapWriter`] writes frames back, [`Recorder`]
//! keeps those of a source in a folder, [`Paced`] hands those of a file over as an interface would. Memory is bounded whatever
//! the files hold: a batch by [`FrameBatch::BYTES`] and its longest frame, merging by a budget for open files.
//!
//! ```no_run
//! use lapwing_capture::{Filter, FrameBatch, Inputs, Progress, Source, expand};
//!
//! let inputs = expand(&["captures".into()]);
//! let mut inputs = Inputs::open(&inputs.files)?;
//! let mut filter = Filter::new("tcp port 1883 or 8883")?;
//! let mut batch = FrameBatch::default();
//! let mut taken = 0;
//! loop {
//!     let progress = inputs.read(&mut batch)?;
//!     taken += batch.iter().filter(|frame| filter.matches(frame.link, frame.data, frame.length)).count();
//!     if progress == Progress::End {
//!         break;
//!     }
//! }
//! println!("{taken} of {} frames", inputs.reports().iter().map(|report| report.packets).sum::<u64>());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod error;
mod file;
mod filter;
mod folder;
mod framing;
mod inputs;
mod link;
#[cfg(target_os = "linux")]
mod live;
mod merge;
mod pace;
mod paced;
mod pcap;
mod pcapng;
mod recorder;
mod report;
mod source;
mod stream;
mod timestamp;
mod writer;

pub use batch::{Frame, FrameBatch, FrameIndex};
pub use error::{Problem, SourceError};
pub use filter::{Filter, FilterError, Instruction, Program};
pub use folder::{Expansion, expand};
pub use inputs::{Inputs, size_on_disk};
pub use link::LinkType;
#[cfg(target_os = "linux")]
pub use live::{
    InterfaceInfo, InterfaceStatus, LiveConfig, LiveError, LiveEvent, LiveSource, LiveStatus, Offload, interfaces,
    offloads,
};
pub use pace::{Pace, PaceError, Speed};
pub use paced::{PaceStatus, Paced, ShortenedSilence};
pub use recorder::{Recorder, RecorderEvent, Rotation};
pub use report::{Compression, Format, InputReport};
pub use source::{Position, Progress, Source};
pub use stream::Counted;
pub use timestamp::Timestamp;
pub use writer::{PcapWriter, Resolution, WriteError};
