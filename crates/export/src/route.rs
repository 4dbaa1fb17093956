//! Which deliveries a sink gets.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use lapwing_detect::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Delivery, SinkConfig};

/// A pattern in which `*` stands for any text and `?` for one character; upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// A pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Whether the text is of the pattern. O(pattern · text), without backtracking over more than one star.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.to_lowercase(), text.to_lowercase());
        let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
        let (mut p, mut t) = (0, 0);
        // Where the last star was, and how far it reached.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            if pattern.get(p) == Some(&'*') {
                star = Some((p, t));
                p += 1;
            } else if pattern.get(p).is_some_and(|&c| c == '?' || c == text[t]) {
                p += 1;
                t += 1;
            } else if let Some((at, reached)) = star {
                star = Some((at, reached + 1));
                p = at + 1;
                t = reached + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}

/// `informational`, `low`, `medium`, `high` or `critical`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct MinimumSeverity(pub Severity);

impl TryFrom<String> for MinimumSeverity {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Severity::from_name(&name)
            .map(Self)
            .ok_or_else(|| format!("`{name}` is no severity; use informational, low, medium, high or critical"))
    }
}

impl Serialize for MinimumSeverity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

/// Which revisions of an alert are sent after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Updates {
    /// Every revision, for programs that keep the latest.
    #[default]
    Every,
    /// A revision that is more severe than what was sent, for people.
    Worse,
    /// None.
    None,
}

impl fmt::Display for Updates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Every => "every",
            Self::Worse => "worse",
            Self::None => "none",
        })
    }
}

/// What of the stream is for a sink.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    minimum_severity: Severity,
    kinds: Vec<Glob>,
    devices: Vec<Glob>,
}

impl Route {
    pub(crate) fn new(config: &SinkConfig) -> Self {
        Self {
            minimum_severity: config.minimum_severity.0,
            kinds: config.kinds.clone(),
            devices: config.devices.clone(),
        }
    }

    /// Whether severity, kind and device are for this sink.
    pub(crate) fn takes(&self, delivery: &Delivery) -> bool {
        delivery.severity >= self.minimum_severity
            && any_matches(&self.kinds, &delivery.kind)
            && any_matches(&self.devices, &delivery.device)
    }
}

fn any_matches(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

/// Alerts whose last sent severity is remembered; beyond it the one remembered first is forgotten.
const REMEMBERED: usize = 8_192;

/// Remembers what a sink was sent, so that people are not told everything again. After a restart nothing is remembered: an
/// alert that goes on is told once more.
#[derive(Debug)]
pub(crate) struct Sent {
    updates: Updates,
    severities: HashMap<String, Severity>,
    order: VecDeque<String>,
}

impl Sent {
    pub(crate) fn new(updates: Updates) -> Self {
        Self { updates, severities: HashMap::new(), order: VecDeque::new() }
    }

    /// Whether this revision is to be sent.
    pub(crate) fn wants(&self, delivery: &Delivery) -> bool {
        match (self.updates, self.severities.get(&delivery.id)) {
            (Updates::Every, _) | (_, None) => true,
            (Updates::Worse, Some(sent)) => delivery.severity > *sent,
            (Updates::None, Some(_)) => false,
        }
    }

    /// It was sent, or is about to be.
    pub(crate) fn remember(&mut self, delivery: &Delivery) {
        if self.updates == Updates::Every {
            return;
        }
        if self.severities.insert(delivery.id.clone(), delivery.severity).is_none() {
            self.order.push_back(delivery.id.clone());
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.severities.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lapwing_capture::Timestamp;

    use super::*;
    use crate::synthetic_alert;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("port-*", "port-scan", true),
            ("port-*", "host-sweep", false),
            ("*-scan", "port-scan", true),
            ("192.168.?.*", "192.168.1.20", true),
            ("192.168.?.*", "192.168.10.20", false),
            ("AA:bb:*", "aa:bb:cc:dd:ee:ff", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
        assert!(!Glob::new(&"*a".repeat(200)).matches(&"a".repeat(199)), "many stars end soon");
    }

    fn delivery(severity: Severity, revision: u32) -> Delivery {
        let mut alert = synthetic_alert(Timestamp::from_seconds(0));
        alert.severity = severity;
        alert.revision = revision;
        Delivery::of_alert(&alert, false).unwrap()
    }

    #[test]
    fn people_are_told_when_it_gets_worse_only() {
        let mut sent = Sent::new(Updates::Worse);
        let mut told = Vec::new();
        for (revision, severity) in
            [Severity::Low, Severity::Low, Severity::High, Severity::Medium].into_iter().enumerate()
        {
            let delivery = delivery(severity, u32::try_from(revision).unwrap());
            if sent.wants(&delivery) {
                sent.remember(&delivery);
                told.push(revision);
            }
        }
        assert_eq!(told, [0, 2]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut sent = Sent::new(Updates::None);
        for number in 0..REMEMBERED + 100 {
            let mut delivery = delivery(Severity::Low, 1);
            delivery.id = number.to_string();
            sent.remember(&delivery);
        }
        assert_eq!((sent.order.len(), sent.severities.len()), (REMEMBERED, REMEMBERED));
    }
}
