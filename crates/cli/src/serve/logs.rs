//! What there is to say of logs that are followed.

use std::path::Path;

use lapwing_api::{LogCoverage, LogState};
use lapwing_records::LogReport;

/// What a log brought, for whoever looks: where it lies is told to admins alone, with the source.
pub(super) fn coverage(log: &LogReport) -> LogCoverage {
    let told = |text: &String| without_folder(&log.path, text);
    LogCoverage {
        name: name(&log.path),
        kind: log.kind.map(|kind| kind.to_string()),
        state: match (&log.refused, log.there) {
            (Some(_), _) => LogState::Unreadable,
            (None, true) => LogState::Read,
            (None, false) => LogState::Waiting,
        },
        reason: log.refused.as_ref().map(told),
        records: log.records,
        other_lines: log.other,
        malformed_lines: log.malformed,
        problems: log.problems.iter().chain(&log.warnings).map(told).collect(),
        lost_files: log.lost_files,
        last: log.last,
    }
}

/// What keeps logs from being read, in a line; `None` where they are.
pub(super) fn trouble(logs: &[LogReport]) -> Option<String> {
    let unreadable: Vec<String> = logs
        .iter()
        .filter_map(|log| {
            let reason = without_folder(&log.path, log.refused.as_ref()?);
            Some(format!("{} cannot be read: {reason}", name(&log.path)))
        })
        .collect();
    if !unreadable.is_empty() {
        return Some(unreadable.join("; "));
    }
    let waits = !logs.is_empty() && logs.iter().all(|log| !log.there);
    waits.then(|| "no log is there; it is waited for".to_owned())
}

/// A log's name with that of its folder, which tells the current one from those that were put away.
fn name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// What is said of a log, without where it lies.
fn without_folder(path: &Path, text: &str) -> String {
    let folder = path.parent().and_then(Path::parent).map(|folder| format!("{}/", folder.display()));
    folder.map_or_else(|| text.to_owned(), |folder| text.replace(&folder, ""))
}
