//! Where the time went.

use std::time::Duration;

/// A step of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes from the input, cut into frames.
    Read,
    /// Frames into packets.
    Decode,
    /// Batches put in order, fragments together.
    Order,
    /// Logs into records, in the order of time.
    Log,
    /// Packets into flows.
    Flow,
    /// Feature rows written and scored.
    Score,
    /// Observations through detectors, signatures and alerts, or into a writer.
    Detect,
}

impl Step {
    /// Every step, in the order of the journey.
    pub const ALL: [Self; 7] =
        [Self::Read, Self::Decode, Self::Order, Self::Log, Self::Flow, Self::Score, Self::Detect];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Order => "order",
            Self::Log => "log",
            Self::Flow => "flow",
            Self::Score => "score",
            Self::Detect => "detect",
        }
    }

    /// What it counts as samples.
    #[must_use]
    pub const fn samples(self) -> &'static str {
        match self {
            Self::Read | Self::Decode => "frames",
            Self::Order | Self::Flow => "packets",
            Self::Log => "records",
            Self::Score => "rows",
            Self::Detect => "observations",
        }
    }
}

/// What one step did, summed over threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepTiming {
    /// Time spent in it.
    pub time: Duration,
    /// Things it handled.
    pub samples: u64,
    /// Bytes it handled, where it counts bytes.
    pub bytes: u64,
}

/// The time of every step, summed over threads: elapsed time inside the step, not CPU time.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    steps: [StepTiming; Step::ALL.len()],
}

impl Timings {
    pub(crate) fn add(&mut self, step: Step, time: Duration, samples: u64, bytes: u64) {
        let timing = &mut self.steps[step as usize];
        timing.time += time;
        timing.samples += samples;
        timing.bytes += bytes;
    }

    /// What one step did.
    #[must_use]
    pub fn of(&self, step: Step) -> StepTiming {
        self.steps[step as usize]
    }
}
