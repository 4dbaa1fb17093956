//! What is asked of the store.

use lapwing_alert::Status;
use lapwing_capture::Timestamp;
use lapwing_detect::Severity;

use crate::Cursor;

/// From a moment on, up to but without another; open where it is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
}

impl TimeRange {
    /// Everything there is.
    pub const ALL: Self = Self { from: None, until: None };

    /// From one moment up to another.
    #[must_use]
    pub const fn between(from: Timestamp, until: Timestamp) -> Self {
        Self { from: Some(from), until: Some(until) }
    }

    /// Whether something that lasted from `first` to `last` was there in the meantime.
    #[must_use]
    pub fn touches(&self, first: Timestamp, last: Timestamp) -> bool {
        self.from.is_none_or(|from| last >= from) && self.until.is_none_or(|until| first < until)
    }
}

/// Which alerts: those to which everything applies that is set, the latest first.
#[derive(Clone, Debug, Default)]
pub struct AlertQuery {
    /// Alerts whose traffic touches this.
    pub time: TimeRange,
    /// About this host or device.
    pub device: Option<String>,
    /// With this host among those concerned.
    pub peer: Option<String>,
    /// About one of these hosts, or with it among those concerned; about any where it is empty.
    pub about: Vec<String>,
    /// Of one of these kinds; of any where it is empty.
    pub kinds: Vec<String>,
    /// This severe or worse.
    pub severity: Option<Severity>,
    /// Of one of these severities; of any where it is empty.
    pub severities: Vec<Severity>,
    /// In this state.
    pub status: Option<Status>,
    /// Of the run of that name, or of one that is not known.
    pub run: Option<Timestamp>,
    /// Those that nobody has acknowledged or closed.
    pub unseen: bool,
    /// With this in title, explanation, device, peers, detectors or rules; capitals or not.
    pub text: Option<String>,
    /// Those that a suppression hides too.
    pub suppressed: bool,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// Those behind the end of the page before.
    pub after: Option<Cursor>,
}

/// Which devices: those to which everything applies that is set, the one seen last first.
#[derive(Clone, Debug, Default)]
pub struct DeviceQuery {
    /// Devices seen in this time.
    pub time: TimeRange,
    /// With this address or link-layer address.
    pub device: Option<String>,
    /// With this in address, link-layer address, maker, name or note; capitals or not.
    pub text: Option<String>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// Those behind the end of the page before.
    pub after: Option<Cursor>,
}

/// Which changes that people made: those to which everything applies that is set, the latest first.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Made in this time.
    pub time: TimeRange,
    /// By exactly this account or person.
    pub who: Option<String>,
    /// To exactly this: the id of an alert, device or suppression, the name of an account.
    pub subject: Option<String>,
    /// With this in who, action, subject or detail; capitals or not.
    pub text: Option<String>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// Those behind the end of the page before.
    pub after: Option<Cursor>,
}

/// A result that may have been cut off at the limit.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Where to go on, if there is more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// From up to one more than the limit; `end` says where a page ends that has this item last.
    pub(crate) fn new(mut items: Vec<T>, limit: Option<usize>, end: impl FnOnce(&T) -> Cursor) -> Self {
        let cut = limit.is_some_and(|limit| items.len() > limit);
        items.truncate(limit.unwrap_or(usize::MAX));
        let next = if cut { items.last().map(end) } else { None };
        Self { items, next }
    }
}

/// The `LIMIT` of a statement: one more, so that it is known whether there is more.
pub(crate) fn limit_clause(limit: Option<usize>) -> String {
    limit.map_or_else(String::new, |limit| format!(" LIMIT {}", limit.saturating_add(1)))
}
