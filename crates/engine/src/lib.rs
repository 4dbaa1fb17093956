//! Wires the stages: threads, queues, the clock, evidence.
//!
//! [`run`] carries a [`lapwing_capture::Source`] through decode, flow and feature into a [`Stage`]: the detectors of a
//! scan, the rows of a training, the lines of a flow log; [`run_logs`] does the same with what others wrote down. What the stage sees does not depend on the number of threads.

mod bank;
mod clock;
mod config;
mod control;
mod coverage;
mod devices;
mod evidence;
mod lane;
mod learning;
mod logs;
mod named;
mod order;
pub mod packets;
mod pipeline;
mod ranges;
mod reader;
mod recording;
mod scan;
mod stage;
mod summary;
mod timings;
mod watch;
mod work;

pub use config::{
    AlertSettings, CaptureSettings, Config, FlowSettings, FollowSettings, PipelineConfig, ServeSettings,
    SignatureSettings, StoreSection, TrainSettings,
};
pub use control::{Control, Counted, missed_in_logs};
pub use coverage::Heard;
pub use devices::TakingStock;
pub use evidence::{EvidenceError, cut_evidence, write_evidence};
pub use lane::Scoring;
pub use learning::{FitSettings, Learning, Learnt, Lesson, Overrun};
pub use logs::{LogRun, run_followed, run_logs};
pub use pipeline::{PipelineReport, run};
pub use ranges::{Budget, Count, FilterText, Networks, OutOfRange};
pub use recording::Recording;
pub use scan::{Detecting, Raised};
pub use stage::{Rows, Scored, Stage};
pub use summary::{InputSummary, Summary};
pub use timings::{Step, StepTiming, Timings};
pub use watch::{Watcher, Watching};
