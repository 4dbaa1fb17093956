//! Settings of a run, composed of the stages' own.

use std::num::NonZeroUsize;

use lapwing_capture::Filter;
use lapwing_decode::DecodeOptions;
use lapwing_flow::{FlowConfig, ReassemblyLimits};

/// How frames become observations.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Threads that share the work; results do not depend on it.
    pub threads: usize,
    /// How frames are decoded.
    pub decode: DecodeOptions,
    /// How flows are kept.
    pub flow: FlowConfig,
    /// How many fragments may wait.
    pub reassembly: ReassemblyLimits,
    /// Frames that are looked at; `None` takes all.
    pub filter: Option<Filter>,
    /// Frames read at most.
    pub limit: Option<u64>,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(Self::MOST_THREADS),
            decode: DecodeOptions::default(),
            flow: FlowConfig::default(),
            reassembly: ReassemblyLimits::default(),
            filter: None,
            limit: None,
        }
    }
}

impl PipelineConfig {
    /// More threads than logical shards have nothing to do.
    pub const MOST_THREADS: usize = lapwing_decode::Packet::SHARDS;
}
