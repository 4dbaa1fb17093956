//! The reading end of the pipeline.

use lapwing_capture::{Filter, Position, Progress, Source, SourceError};

use crate::PipelineConfig;
use crate::work::Work;

/// Numbers batches, and stops at the limit or at the first error, which it keeps: what came before it was used.
pub(crate) struct Reader<'a> {
    source: &'a mut dyn Source,
    filter: Option<Filter>,
    sequence: u64,
    frames_left: u64,
    error: Option<SourceError>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a mut dyn Source, config: &PipelineConfig) -> Self {
        let filter = config.filter.clone();
        Self { source, filter, sequence: 0, frames_left: config.limit.unwrap_or(u64::MAX), error: None }
    }

    pub(crate) fn position(&self) -> Position {
        self.source.position()
    }

    /// Fills the next batch; returns whether it was the last.
    pub(crate) fn read(&mut self, work: &mut Work) -> bool {
        work.sequence = self.sequence;
        if work.filter.is_none() {
            work.filter.clone_from(&self.filter);
        }
        self.sequence += 1;
        let over = match self.source.read(&mut work.frames) {
            Ok(progress) => progress == Progress::End,
            Err(error) => {
                work.frames.clear();
                self.error = Some(error);
                true
            }
        };
        if work.frames.len() as u64 >= self.frames_left {
            let keep = usize::try_from(self.frames_left).expect("no more frames are left than the batch holds");
            work.frames.frames.truncate(keep);
            return true;
        }
        self.frames_left -= work.frames.len() as u64;
        over
    }

    pub(crate) fn into_error(self) -> Option<SourceError> {
        self.error
    }
}
