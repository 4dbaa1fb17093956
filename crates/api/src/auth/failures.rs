//! Failed logins as the audit trail tells them: the first at once, those that follow within a quarter of an hour in one line.
//!
//! Names that are none are not told, for some of them are passwords that somebody typed into the wrong field.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lapwing_capture::Timestamp;

/// How long failures are gathered.
const GATHERED: Duration = Duration::from_secs(15 * 60);

/// Addresses that a line names.
const NAMED: usize = 4;

/// What is told of names that are no account's.
const NO_ACCOUNT: &str = "(no such account)";

/// Failures that are not told yet. There are as many entries as accounts, and one.
#[derive(Default)]
pub(super) struct FailedLogins {
    gathered: BTreeMap<String, Gathered>,
}

struct Gathered {
    since: Timestamp,
    /// Since the first one, which was told.
    failed: u64,
    /// Of them not looked at, for there were too many.
    refused: u64,
    addresses: Vec<IpAddr>,
    more_addresses: bool,
}

/// A line for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) subject: String,
    pub(super) detail: String,
}

impl FailedLogins {
    /// Notes a failure; `account` is `None` for a name that is none. Returns what is to be told at once.
    pub(super) fn failed(&mut self, account: Option<&str>, address: IpAddr, now: Timestamp) -> Option<Line> {
        let subject = account.unwrap_or(NO_ACCOUNT);
        if let Some(gathered) = self.gathered.get_mut(subject) {
            gathered.add(address);
            return None;
        }
        let gathered = Gathered { since: now, failed: 0, refused: 0, addresses: Vec::new(), more_addresses: false };
        self.gathered.insert(subject.to_owned(), gathered);
        Some(Line { subject: subject.to_owned(), detail: format!("from {address}") })
    }

    /// Notes a try that was not looked at, so that it is not known whether there is such an account.
    pub(super) fn refused(&mut self, name: &str, address: IpAddr, now: Timestamp) -> Option<Line> {
        let account = self.gathered.contains_key(name).then_some(name);
        let line = self.failed(account, address, now);
        if let Some(gathered) = self.gathered.get_mut(account.unwrap_or(NO_ACCOUNT)) {
            gathered.refused += 1;
        }
        line
    }

    /// What is to be told at that moment, and is not gathered any more.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Line> {
        let due = |gathered: &Gathered| now < gathered.since || now >= gathered.since.plus(GATHERED);
        let over: Vec<String> =
            self.gathered.iter().filter(|(_, gathered)| due(gathered)).map(|(name, _)| name.clone()).collect();
        over.iter().filter_map(|subject| self.end(subject)).collect()
    }

    /// What there is to tell of an account, as when somebody has logged in.
    pub(super) fn end(&mut self, subject: &str) -> Option<Line> {
        let gathered = self.gathered.remove(subject)?;
        gathered.told().map(|detail| Line { subject: subject.to_owned(), detail })
    }

    /// Everything, as at the end.
    pub(super) fn end_all(&mut self) -> Vec<Line> {
        let all: Vec<String> = self.gathered.keys().cloned().collect();
        all.iter().filter_map(|subject| self.end(subject)).collect()
    }
}

impl Gathered {
    fn add(&mut self, address: IpAddr) {
        self.failed += 1;
        if self.addresses.contains(&address) {
            return;
        }
        if self.addresses.len() < NAMED {
            self.addresses.push(address);
        } else {
            self.more_addresses = true;
        }
    }

    fn told(&self) -> Option<String> {
        let Self { failed, refused, .. } = self;
        if *failed == 0 {
            return None;
        }
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let others = if self.more_addresses { " and others" } else { "" };
        let unseen = if *refused > 0 { format!(", {refused} of them refused unseen") } else { String::new() };
        Some(format!("{failed} more from {}{others}{unseen}", addresses.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    #[test]
    fn many_failures_make_few_lines() {
        let mut failures = FailedLogins::default();
        let mut lines = Vec::new();
        for second in 0..10_000_i64 {
            let address = IpAddr::from([10, 0, 0, (second % 7) as u8]);
            lines.extend(failures.due(at(second / 10)));
            lines.extend(failures.failed(Some("kim"), address, at(second / 10)));
            lines.extend(failures.refused(&format!("guess {second}"), address, at(second / 10)));
        }
        lines.extend(failures.end_all());
        assert_eq!(lines.len(), 8, "{lines:?}");
        let told = |place: usize| (lines[place].subject.as_str(), lines[place].detail.as_str());
        assert_eq!(told(0), ("kim", "from 10.0.0.0"));
        assert_eq!(told(1), (NO_ACCOUNT, "from 10.0.0.0"));
        let none = "8999 more from 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and others, 9000 of them refused unseen";
        assert_eq!(told(2), (NO_ACCOUNT, none));
        assert_eq!(told(3), ("kim", "8999 more from 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4 and others"));
        assert!(failures.end_all().is_empty());
    }

    #[test]
    fn one_failure_is_told_once() {
        let mut failures = FailedLogins::default();
        assert!(failures.failed(Some("kim"), IpAddr::from([10, 0, 0, 1]), at(0)).is_some());
        assert_eq!(failures.end("kim"), None);
    }
}
