//! What a run read, and what it could not.

use std::collections::BTreeMap;
use std::path::Path;

use lapwing_alert::rfc3339;
use lapwing_capture::InputReport;
use lapwing_detect::signature::{LoadReport, Standing};
use lapwing_records::LogReport;
use serde::Serialize;

use crate::{LogRun, PipelineReport};

/// What a run read, and what it could not: the head of every JSON result.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Frames looked at: those within the limit that the filter took.
    pub packets: u64,
    /// Bytes they had on the wire.
    pub bytes: u64,
    /// Frames read, where that is more: the inputs say how many each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_read: Option<u64>,
    /// Records read from logs.
    #[serde(skip_serializing_if = "is_zero")]
    pub records: u64,
    /// Flows seen.
    pub flows: u64,
    /// Time of the first frame, RFC 3339.
    pub first: Option<String>,
    /// The latest time seen.
    pub last: Option<String>,
    /// Somebody ended the run before its input ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What was read.
    pub inputs: Vec<InputSummary>,
    /// Frames and layers that were not decoded, by what they are.
    pub undecoded: BTreeMap<String, u64>,
    /// Detectors and signatures that had nothing to judge, with the reason: silence of theirs means nothing.
    pub not_evaluated: Vec<String>,
    /// What was seen only in part.
    pub coverage: BTreeMap<String, u64>,
    /// The same about the trusted captures that were learnt from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Box<Summary>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One input.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InputSummary {
    /// Its path, or `-`.
    pub path: String,
    /// Frames read from it.
    pub packets: u64,
    /// Bytes they had on the wire.
    pub bytes: u64,
    /// What it is, for logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Records read from it, for logs.
    #[serde(skip_serializing_if = "is_zero")]
    pub records: u64,
    /// Lines of it that tell of no connection.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_lines: u64,
    /// Lines of it that could not be read; the warnings name the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub malformed_lines: u64,
    /// Frames that the kernel let go because they were not read in time.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Where a last record is cut off, in bytes after decompression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_at: Option<u64>,
    /// Why nothing was read from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whatever else a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl InputSummary {
    /// An input of which nothing was read.
    #[must_use]
    pub fn refused(path: &Path, reason: String) -> Self {
        Self { path: path.display().to_string(), refused: Some(reason), ..Self::default() }
    }
}

impl From<&InputReport> for InputSummary {
    fn from(report: &InputReport) -> Self {
        Self {
            path: report.path.display().to_string(),
            packets: report.packets,
            bytes: report.bytes,
            dropped: report.dropped,
            truncated_at: report.truncated_at,
            refused: report.refused.clone(),
            warnings: report.warnings.clone(),
            ..Self::default()
        }
    }
}

impl From<&LogReport> for InputSummary {
    fn from(report: &LogReport) -> Self {
        Self {
            path: report.path.display().to_string(),
            kind: report.kind.map(|kind| kind.to_string()),
            records: report.records,
            other_lines: report.other,
            malformed_lines: report.malformed,
            refused: report.refused.clone().or_else(|| (!report.there).then(|| "it is not there".to_owned())),
            warnings: report.problems.iter().chain(&report.warnings).cloned().collect(),
            ..Self::default()
        }
    }
}

impl Summary {
    /// From what the pipeline and the source report.
    #[must_use]
    pub fn new(report: &PipelineReport, inputs: &[InputReport]) -> Self {
        let (flows, fragments) = (&report.flows, &report.reassembly);
        let read: u64 = inputs.iter().map(|input| input.packets).sum();
        let coverage = [
            ("bad_checksums", report.decode.bad_checksums),
            ("truncated_frames", report.decode.truncated),
            ("fragments", fragments.fragments),
            ("fragments_cut", fragments.cut),
            ("datagrams_timed_out", fragments.timed_out),
            ("datagrams_evicted", fragments.evicted),
            ("flows_evicted", flows.evicted),
            ("directions_given_up", flows.given_up_directions),
            ("packets_without_transport", flows.without_transport),
            ("late_frames", report.late_frames),
            ("frames_with_unbelievable_time", report.held_frames),
            ("frames_dropped", inputs.iter().map(|input| input.dropped).sum()),
            ("packet_blocks_skipped", inputs.iter().map(|input| input.lost_blocks).sum()),
            ("inputs_cut_off_or_damaged", inputs.iter().filter(|input| input.truncated_at.is_some()).count() as u64),
        ];
        Self {
            packets: report.frames,
            bytes: report.bytes,
            packets_read: (read != report.frames).then_some(read),
            records: 0,
            flows: flows.started,
            first: report.span.map(|(first, _)| rfc3339(first)),
            last: report.span.map(|(_, last)| rfc3339(last)),
            interrupted: false,
            inputs: inputs.iter().map(InputSummary::from).collect(),
            undecoded: report.decode.undecoded.iter().map(|(what, count)| (what.to_string(), *count)).collect(),
            not_evaluated: Vec::new(),
            coverage: coverage
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(what, count)| (what.to_owned(), count))
                .collect(),
            baseline: None,
        }
    }

    /// From what a run over logs and the logs report.
    #[must_use]
    pub fn of_logs(run: &LogRun, inputs: &[LogReport]) -> Self {
        let estimates = run.estimates().into_iter().map(|(_, count)| count).max().unwrap_or(0);
        let coverage = [
            ("malformed_lines", inputs.iter().map(|input| input.malformed).sum()),
            ("lines_cut_off", inputs.iter().filter(|input| input.cut_off.is_some()).count() as u64),
            ("late_records", run.late),
            ("records_with_unbelievable_time", run.held),
            ("records_with_estimated_sizes", estimates),
        ];
        Self {
            records: run.ended + run.open,
            flows: run.ended,
            first: run.span.map(|(first, _)| rfc3339(first)),
            last: run.span.map(|(_, last)| rfc3339(last)),
            inputs: inputs.iter().map(InputSummary::from).collect(),
            not_evaluated: run.not_evaluated(),
            coverage: coverage
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(what, count)| (what.to_owned(), count))
                .collect(),
            ..Self::default()
        }
    }

    /// Notes the signatures that need what nothing here produces.
    pub fn note_signatures(&mut self, report: &LoadReport) {
        for problem in &report.problems {
            self.not_evaluated.push(format!("signature {problem}"));
        }
        for warning in &report.warnings {
            self.not_evaluated.push(format!("in a signature, {warning}"));
        }
        for rule in &report.rules {
            if let Standing::NotEvaluated { needs } = &rule.standing {
                self.not_evaluated.push(format!("signature '{}': needs {needs}", rule.title));
            }
        }
    }

    /// Adds what another run read.
    pub fn add(&mut self, other: Self) {
        if self.packets_read.is_some() || other.packets_read.is_some() {
            self.packets_read =
                Some(self.packets_read.unwrap_or(self.packets) + other.packets_read.unwrap_or(other.packets));
        }
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.records += other.records;
        self.flows += other.flows;
        self.first = [self.first.take(), other.first].into_iter().flatten().min();
        self.last = self.last.take().max(other.last);
        self.interrupted |= other.interrupted;
        self.inputs.extend(other.inputs);
        for (what, count) in other.undecoded {
            *self.undecoded.entry(what).or_default() += count;
        }
        for (what, count) in other.coverage {
            *self.coverage.entry(what).or_default() += count;
        }
        self.baseline = self.baseline.take().or(other.baseline);
        for reason in other.not_evaluated {
            if !self.not_evaluated.contains(&reason) {
                self.not_evaluated.push(reason);
            }
        }
    }
}
