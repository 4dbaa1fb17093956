//! Detections merged into alerts.

use std::collections::BTreeMap;
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_detect::{Detection, Severity, Subject};

use crate::Alert;

/// How detections are merged.
#[derive(Clone, Debug)]
pub struct AlertConfig {
    /// An alert closes when no detection of its kind about its subject came for this long.
    pub quiet: Duration,
    /// An alert closes this long after it opened, however long it goes on: the next detection opens a new one.
    pub longest: Duration,
    /// Alerts kept, open and closed; beyond it the least severe and oldest are let go and counted.
    pub capacity: usize,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(60 * 60), longest: Duration::from_secs(24 * 60 * 60), capacity: 16_384 }
    }
}

/// Owns every alert of a run.
#[derive(Debug, Default)]
pub struct Merger {
    config: AlertConfig,
    alerts: Vec<Alert>,
    /// The newest alert of each kind about each subject.
    newest: BTreeMap<(String, Subject), usize>,
    dropped: u64,
}

impl Merger {
    /// A merger without alerts.
    #[must_use]
    pub fn new(config: AlertConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes in one detection.
    pub fn take_in(&mut self, detection: &Detection) {
        let key = (crate::alert::merged_kind(detection), detection.subject);
        let open = self.newest.get(&key).map(|&place| &mut self.alerts[place]);
        if let Some(alert) = open
            && belongs(alert, detection, &self.config)
        {
            alert.take_in(detection);
            return;
        }
        if self.alerts.len() >= self.config.capacity {
            self.let_go();
        }
        self.newest.insert(key, self.alerts.len());
        self.alerts.push(Alert::open(detection));
    }

    /// Alerts that were let go because there were too many.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Alerts so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether there is no alert.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// The last revision of every alert, oldest first.
    #[must_use]
    pub fn into_alerts(self) -> Vec<Alert> {
        let mut alerts = self.alerts;
        alerts.sort_by(|left, right| (left.first_seen, &left.id).cmp(&(right.first_seen, &right.id)));
        alerts
    }

    /// Lets the least severe quarter go, the oldest of them first.
    fn let_go(&mut self) {
        let mut order: Vec<(Severity, Timestamp, usize)> =
            self.alerts.iter().enumerate().map(|(place, alert)| (alert.severity, alert.last_seen, place)).collect();
        order.sort_unstable();
        order.truncate((self.config.capacity / 4).max(1));
        let mut doomed: Vec<usize> = order.into_iter().map(|(_, _, place)| place).collect();
        doomed.sort_unstable();
        self.dropped += doomed.len() as u64;
        let mut place = 0;
        self.alerts.retain(|_| {
            place += 1;
            doomed.binary_search(&(place - 1)).is_err()
        });
        self.newest = self
            .alerts
            .iter()
            .enumerate()
            .map(|(place, alert)| ((alert.merged_kind.clone(), alert.subject), place))
            .collect();
    }
}

fn belongs(alert: &Alert, detection: &Detection, config: &AlertConfig) -> bool {
    detection.first <= alert.last_seen.plus(config.quiet) && detection.time < alert.opened.plus(config.longest)
}

#[cfg(test)]
mod tests {
    use lapwing_decode::Address;
    use lapwing_detect::{KINDS, kind_info};

    use super::*;

    fn detection(kind: &str, host: u8, seconds: i64) -> Detection {
        let subject = Subject::Host(Address::v4([192, 168, 0, host]));
        let kind = kind_info(kind).unwrap_or(&KINDS[0]);
        let mut detection = Detection::new(kind, subject, "test", Timestamp::from_seconds(seconds));
        detection.explanation = format!("at {seconds}");
        detection
    }

    #[test]
    fn one_kind_about_one_subject_is_one_alert() {
        let mut merger = Merger::default();
        for seconds in 0..100 {
            merger.take_in(&detection("port-scan", 1, seconds));
        }
        let alerts = merger.into_alerts();
        assert_eq!(alerts.len(), 1);
        assert_eq!((alerts[0].count, alerts[0].revision), (100, 100));
        assert_eq!(alerts[0].explanation, "at 99");
    }

    #[test]
    fn another_subject_another_kind_or_a_quiet_hour_open_another_alert() {
        let mut merger = Merger::default();
        for detection in [
            detection("port-scan", 1, 0),
            detection("port-scan", 2, 0),
            detection("syn-flood", 1, 0),
            detection("port-scan", 1, 3_601),
        ] {
            merger.take_in(&detection);
        }
        let mut ids: Vec<String> = merger.into_alerts().into_iter().map(|alert| alert.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn what_began_long_ago_opens_one_alert_when_it_is_noticed() {
        let mut merger = Merger::default();
        for seconds in [200_000, 200_060, 200_120] {
            let mut slow = detection("beacon", 1, seconds);
            slow.first = Timestamp::from_seconds(0);
            merger.take_in(&slow);
        }
        assert_eq!(merger.into_alerts().len(), 1);
    }

    #[test]
    fn the_id_does_not_change_while_an_alert_grows() {
        let mut merger = Merger::default();
        merger.take_in(&detection("port-scan", 1, 10));
        let id = merger.alerts[0].id.clone();
        merger.take_in(&detection("port-scan", 1, 20));
        assert_eq!(merger.alerts[0].id, id);
        assert_eq!(Merger::default().into_alerts().len(), 0);
    }

    #[test]
    fn when_there_are_too_many_the_severe_ones_stay() {
        let mut merger = Merger::new(AlertConfig { capacity: 8, ..AlertConfig::default() });
        merger.take_in(&detection("syn-flood", 1, 0));
        for host in 0..20 {
            merger.take_in(&detection("host-sweep", host, 10));
        }
        assert!(merger.len() <= 8);
        assert!(merger.dropped() > 0);
        assert!(merger.into_alerts().iter().any(|alert| alert.kind == "syn-flood"));
    }
}
