//! What there is to say of logs that are followed.

use lapwing_api::{LogCoverage, LogState};
use lapwing_records::LogReport;

/// What a log brought, for whoever looks.
pub(super) fn coverage(log: &LogReport) -> LogCoverage {
    LogCoverage {
        path: log.path.display().to_string(),
        kind: log.kind.map(|kind| kind.to_string()),
        state: match (&log.refused, log.there) {
            (Some(_), _) => LogState::Unreadable,
            (None, true) => LogState::Read,
            (None, false) => LogState::Waiting,
        },
        reason: log.refused.clone(),
        records: log.records,
        other_lines: log.other,
        malformed_lines: log.malformed,
        problems: log.problems.iter().chain(&log.warnings).cloned().collect(),
        lost_files: log.lost_files,
        last: log.last,
    }
}

/// What keeps logs from being read, in a line; `None` where they are.
pub(super) fn trouble(logs: &[LogReport]) -> Option<String> {
    let unreadable: Vec<String> = logs
        .iter()
        .filter_map(|log| Some(format!("{} cannot be read: {}", log.path.display(), log.refused.as_ref()?)))
        .collect();
    if !unreadable.is_empty() {
        return Some(unreadable.join("; "));
    }
    let waits = !logs.is_empty() && logs.iter().all(|log| !log.there);
    waits.then(|| "no log is there; it is waited for".to_owned())
}
