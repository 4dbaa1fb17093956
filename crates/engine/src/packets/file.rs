//! The packets of a capture file: a survey of all, and pages.

use std::path::Path;

use lapwing_capture::{Filter, Frame, FrameBatch, Inputs, Progress, Source, SourceError, Timestamp};
use lapwing_detect::packets::{JudgeState, Judgement, Method, PacketJudge, Pattern};
use lapwing_feature::PacketFacts;
use thiserror::Error;

use super::{PacketPage, PacketQuery, PacketReader, PacketRecord, Totals};
use crate::Control;

/// Why the packets of a file cannot be looked at.
#[derive(Debug, Error)]
pub enum LookError {
    /// The file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The detection method.
    #[error("{}: {reason}", method.key())]
    Method {
        /// Which.
        method: Method,
        /// Why not.
        reason: &'static str,
    },
}

/// What the packets of a capture file look like.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Frames of the file.
    pub frames: u64,
    /// What the filter took of them, by label, anomalies counted.
    pub totals: Totals,
    /// Earliest and latest capture time of what was taken.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How many packets had each pattern, in the order of [`Pattern::ALL`].
    pub patterns: Vec<(Pattern, u64)>,
    /// How many unusual packets had each pattern, likewise.
    pub unusual_patterns: Vec<(Pattern, u64)>,
    /// The first [`Survey::PACKETS`] packets.
    pub packets: Vec<PacketRecord>,
    /// The first [`Survey::PACKETS`] unusual ones.
    pub anomalies: Vec<PacketRecord>,
    /// How far the method came: a short capture may be over while it still learns.
    pub judging: JudgeState,
    /// What a person should know of the file: that it ends early, for instance.
    pub warnings: Vec<String>,
    /// `control` stopped it.
    pub interrupted: bool,
}

impl Survey {
    /// Packets that a survey shows.
    pub const PACKETS: usize = 1_000;

    fn take_in(&mut self, record: PacketRecord) {
        self.totals.count(record.protocol, record.length);
        self.totals.anomalies += u64::from(record.is_anomaly);
        let (first, last) = self.span.unwrap_or((record.time, record.time));
        self.span = Some((first.min(record.time), last.max(record.time)));
        if record.is_anomaly && self.anomalies.len() < Self::PACKETS {
            self.anomalies.push(record.clone());
        }
        if self.packets.len() < Self::PACKETS {
            self.packets.push(record);
        }
    }
}

/// Reads the capture at `path` as far as `within` takes its frames, and judges every packet by `method`; shows at most `payload`
/// bytes of what packets carry. `control` stops it and hears how far it has come.
///
/// # Errors
/// [`LookError`] when the file cannot be read, or the method is not available.
pub fn survey(
    path: &Path,
    within: Option<&Filter>,
    method: Method,
    payload: Option<usize>,
    control: &Control,
) -> Result<Survey, LookError> {
    let (mut judge, mut reader) = (judge_by(method)?, PacketReader::default());
    let mut survey = Survey::default();
    let mut inputs = Inputs::open(&[path.to_owned()])?;
    let mut unusual = Pattern::ALL.map(|pattern| (pattern, 0));
    survey.frames = walk(&mut inputs, within, control, &mut |frame| {
        let (mut record, facts) = reader.read(frame, payload);
        record.set(facts.map_or_else(Judgement::default, |facts| judge.judge(&facts)));
        if let Some(pattern) = record.pattern.filter(|_| record.is_anomaly) {
            unusual[pattern as usize].1 += 1;
        }
        survey.take_in(record);
        !control.stopped()
    })?;
    survey.patterns = judge.patterns().collect();
    survey.unusual_patterns = unusual.into();
    survey.judging = judge.state();
    survey.interrupted = control.stopped();
    survey.warnings = inputs.reports().into_iter().flat_map(|report| report.warnings).collect();
    Ok(survey)
}

/// The packets of the capture at `path` that fit, in file order, behind the one of index `after` (0: from the start). `within` is
/// the filter that the capture was surveyed with: what it leaves does not exist here. With a method they are judged as in that
/// survey; without, nothing is said of them.
///
/// O(frames up to the end of the page); `control` ends it before, with what was found by then.
///
/// # Errors
/// [`LookError`] when the file cannot be read, or the method is not available.
pub fn packets(
    path: &Path,
    within: Option<&Filter>,
    method: Option<Method>,
    query: &PacketQuery,
    after: u64,
    control: &Control,
) -> Result<PacketPage, LookError> {
    let mut judge = method.map(judge_by).transpose()?;
    let (mut reader, mut query, mut page) = (PacketReader::default(), query.clone(), PacketPage::default());
    let mut inputs = Inputs::open(&[path.to_owned()])?;
    walk(&mut inputs, within, control, &mut |frame| {
        let facts = judge.as_mut().zip(judge_facts(&mut reader, frame, method));
        let judgement = match facts {
            Some((judge, facts)) if frame.number <= after => {
                judge.take_in(&facts);
                Judgement::default()
            }
            Some((judge, facts)) => judge.judge(&facts),
            None => Judgement::default(),
        };
        if frame.number <= after {
            return true;
        }
        let Some(record) = query.pick(frame, judgement, &mut reader) else { return true };
        if page.packets.len() == query.limit {
            page.next = page.packets.last().map(|last| last.index);
            return false;
        }
        page.packets.push(record);
        true
    })?;
    Ok(page)
}

fn judge_by(method: Method) -> Result<PacketJudge, LookError> {
    PacketJudge::new(method).map_err(|reason| LookError::Method { method, reason })
}

/// What a judge takes in of a frame, where there is one.
fn judge_facts(reader: &mut PacketReader, frame: Frame<'_>, method: Option<Method>) -> Option<PacketFacts> {
    method.and_then(|_| reader.read(frame, None).1)
}

/// Hands every frame that `within` takes to `each`, until that says false or `control` ends it; returns the frames read.
fn walk(
    inputs: &mut Inputs,
    within: Option<&Filter>,
    control: &Control,
    each: &mut dyn FnMut(Frame<'_>) -> bool,
) -> Result<u64, SourceError> {
    let (mut within, mut batch, mut frames) = (within.cloned(), FrameBatch::default(), 0);
    loop {
        let progress = inputs.read(&mut batch)?;
        frames += batch.len() as u64;
        control.report(inputs.position(), batch.len() as u64);
        for frame in batch.iter() {
            let is_taken = within.as_mut().is_none_or(|filter| filter.matches(frame.link, frame.data, frame.length));
            if is_taken && !each(frame) {
                return Ok(frames);
            }
        }
        if progress == Progress::End || control.stopped() {
            return Ok(frames);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::Ordering;

    use super::*;

    fn capture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/first-look/suspicious.pcap")
    }

    fn all(within: Option<&Filter>, query: &PacketQuery) -> Vec<PacketRecord> {
        let (mut packets_so_far, mut after) = (Vec::new(), 0);
        loop {
            let page =
                packets(&capture(), within, Some(Method::Statistical), query, after, &Control::default()).unwrap();
            packets_so_far.extend(page.packets);
            let Some(next) = page.next else { return packets_so_far };
            after = next;
        }
    }

    #[test]
    fn pages_in_a_row_are_the_whole_file_as_it_was_surveyed() {
        let survey = survey(&capture(), None, Method::Statistical, None, &Control::default()).unwrap();
        let packets = all(None, &PacketQuery { limit: 700, ..PacketQuery::default() });
        assert!(packets.len() > 1_000 && packets.iter().map(|packet| packet.index).eq(1..=survey.frames));
        assert_eq!(packets[..Survey::PACKETS], survey.packets);
        assert_eq!(packets.iter().filter(|packet| packet.is_anomaly).count() as u64, survey.totals.anomalies);
        for (pattern, count) in survey.patterns {
            let with_it = packets.iter().filter(|packet| packet.pattern == Some(pattern)).count();
            assert_eq!(with_it as u64, count, "{pattern:?}");
        }
        for (pattern, count) in survey.unusual_patterns {
            let with_it = packets.iter().filter(|packet| packet.is_anomaly && packet.pattern == Some(pattern)).count();
            assert_eq!(with_it as u64, count, "{pattern:?}");
        }
    }

    #[test]
    fn a_scan_in_a_capture_is_a_shark() {
        let query = PacketQuery { pattern: Some(Pattern::Shark), limit: 100_000, ..PacketQuery::default() };
        let sharks = all(None, &query);
        assert!(!sharks.is_empty());
        let survey = survey(&capture(), None, Method::Statistical, None, &Control::default()).unwrap();
        assert!(survey.patterns.contains(&(Pattern::Shark, sharks.len() as u64)));
    }

    #[test]
    fn filters_of_the_survey_and_of_the_page_both_hold() {
        let (tcp, port) = (Filter::new("tcp").unwrap(), Filter::new("port 53 or port 443").unwrap());
        let query = PacketQuery { filter: Some(port), limit: 100_000, ..PacketQuery::default() };
        let (any, both) = (all(None, &query), all(Some(&tcp), &query));
        assert!(!both.is_empty() && both.len() < any.len());
        assert!(both.iter().all(|packet| packet.flags.is_some()));
    }

    #[test]
    fn a_survey_can_be_stopped_and_says_how_far_it_came() {
        let control = Control::default();
        control.stop_flag().store(true, Ordering::Relaxed);
        let survey = survey(&capture(), None, Method::Statistical, None, &control).unwrap();
        assert!(survey.interrupted && survey.packets.len() == 1 && control.frames() > 0);
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let packets =
            |path: &Path, method| packets(path, None, method, &PacketQuery::default(), 0, &Control::default());
        assert!(matches!(packets(Path::new("Cargo.toml"), None), Err(LookError::Source(_))));
        let error = packets(&capture(), Some(Method::Autoencoder)).unwrap_err().to_string();
        assert!(error.starts_with("autoencoder: this build has no"), "{error}");
    }
}
