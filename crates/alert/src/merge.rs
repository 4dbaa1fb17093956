//! Detections merged into alerts.

use std::collections::BTreeMap;
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_detect::{Detection, Severity, Subject};

use crate::{Alert, Missed, Status};

/// How detections are merged.
#[derive(Clone, Debug)]
pub struct AlertConfig {
    /// An alert closes when no detection of its kind about its subject came for this long.
    pub quiet: Duration,
    /// An alert closes this long after it opened, however long it goes on: the next detection opens a new one.
    pub longest: Duration,
    /// Alerts kept, open and closed; beyond it a quarter is let go and counted: first of a kind that fills more than half of
    /// the place, then the least severe and oldest.
    pub capacity: usize,
    /// The traffic is simulated, and every alert says so ([`Alert::simulated`]).
    pub simulated: bool,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(60 * 60),
            longest: Duration::from_secs(24 * 60 * 60),
            capacity: 16_384,
            simulated: false,
        }
    }
}

/// Owns every alert of a run.
///
/// A scan takes them all at the end ([`Merger::into_alerts`]). Live they are taken as they open ([`Merger::opened`]) and
/// change ([`Merger::changed`]); those that can grow no more are then forgotten.
#[derive(Debug, Default)]
pub struct Merger {
    config: AlertConfig,
    alerts: Vec<Alert>,
    /// The newest alert of each kind about each subject.
    newest: BTreeMap<(String, Subject), usize>,
    dropped: u64,
    /// No alert closes before.
    next_close: Timestamp,
    /// Somebody takes alerts as they come.
    live: bool,
    /// Alerts before this place were seen by [`Merger::opened`].
    looked_at: usize,
    /// Left open by an earlier run.
    earlier: Vec<Alert>,
    /// Let go before their last revision was taken.
    leaving: Vec<Alert>,
    /// What is being missed now.
    missed: Option<Missed>,
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
            if let Some(missed) = &self.missed {
                alert.note_missed(missed);
            }
            alert.status = Status::Open;
            self.next_close = self.next_close.min(due(alert, &self.config));
            return;
        }
        let earlier =
            self.earlier.iter().position(|alert| alert.is_about(detection) && belongs(alert, detection, &self.config));
        if self.alerts.len() >= self.config.capacity {
            self.let_go();
        }
        let mut alert = match earlier {
            Some(place) => self.earlier.swap_remove(place).go_on(detection),
            None => Alert::open(detection, self.config.simulated),
        };
        if let Some(missed) = &self.missed {
            alert.note_missed(missed);
        }
        self.next_close = self.next_close.min(due(&alert, &self.config));
        self.newest.insert(key, self.alerts.len());
        self.alerts.push(alert);
    }

    /// Goes on with alerts that an earlier run left open: the next detection of the kind about the subject belongs to them, and
    /// without one they close when their window has ended. What was simulated does not go on in what is real, nor the other way
    /// round.
    pub fn recall(&mut self, mut earlier: Vec<Alert>) {
        earlier.retain(|alert| alert.simulated == self.config.simulated);
        for mut alert in earlier.into_iter().take(self.config.capacity / 4) {
            alert.recall(self.config.longest);
            self.next_close = self.next_close.min(due(&alert, &self.config));
            self.earlier.push(alert);
        }
    }

    /// What detections from now on rest on less than all of: alerts that are taken live are less sure by it, and say why.
    pub fn set_missed(&mut self, missed: Option<Missed>) {
        self.missed = missed;
    }

    /// Closes the alerts whose window has ended by `now`. A detection whose traffic began inside the window still belongs to
    /// its alert, and opens it again.
    pub fn advance(&mut self, now: Timestamp) {
        if now < self.next_close {
            return;
        }
        self.next_close = Timestamp::MAX;
        for alert in self.alerts.iter_mut().filter(|alert| alert.status != Status::Closed) {
            let due = due(alert, &self.config);
            if now >= due {
                alert.close();
            } else {
                self.next_close = self.next_close.min(due);
            }
        }
        for mut alert in self.earlier.extract_if(.., |alert| now >= due(alert, &self.config)) {
            alert.close();
            self.leaving.push(alert);
        }
        self.next_close =
            self.earlier.iter().map(|alert| due(alert, &self.config)).fold(self.next_close, Timestamp::min);
    }

    /// Appends to `taken` the alerts that opened since this was called last.
    pub fn opened(&mut self, taken: &mut Vec<Alert>) {
        self.live = true;
        for alert in self.alerts.iter_mut().skip(self.looked_at).filter(|alert| alert.taken == 0) {
            taken.push(alert.take());
        }
        self.looked_at = self.alerts.len();
    }

    /// Appends to `taken` the alerts that opened, changed or closed since they were taken last; meant to be called once a
    /// second, which joins what changes faster. Forgets those that are closed and, `now`, too old to open again.
    pub fn changed(&mut self, now: Timestamp, taken: &mut Vec<Alert>) {
        self.live = true;
        taken.append(&mut self.leaving);
        for alert in self.alerts.iter_mut().filter(|alert| alert.taken < alert.revision) {
            taken.push(alert.take());
        }
        let over = |alert: &Alert| alert.status == Status::Closed && now >= alert.opened.plus(self.config.longest);
        if self.alerts.iter().any(over) {
            self.alerts.retain(|alert| !over(alert));
            self.renew_places();
        }
        self.looked_at = self.alerts.len();
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

    /// Lets a quarter go: first of the kind that fills more than half of the place, then the least severe, the oldest of them
    /// first. So what comes in masses, forged perhaps to hide something, pushes out its like.
    fn let_go(&mut self) {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for alert in &self.alerts {
            *kinds.entry(&alert.merged_kind).or_default() += 1;
        }
        let crowd = kinds.into_iter().find(|(_, count)| *count > self.config.capacity / 2).map(|(kind, _)| kind);
        let rank = |(place, alert): (usize, &Alert)| {
            (Some(alert.merged_kind.as_str()) != crowd, alert.severity, alert.last_seen, place)
        };
        let mut order: Vec<(bool, Severity, Timestamp, usize)> = self.alerts.iter().enumerate().map(rank).collect();
        order.sort_unstable();
        order.truncate((self.config.capacity / 4).max(1));
        let mut doomed: Vec<usize> = order.into_iter().map(|(.., place)| place).collect();
        doomed.sort_unstable();
        self.dropped += doomed.len() as u64;
        if self.live {
            let leaving = doomed.iter().map(|&place| &self.alerts[place]);
            self.leaving.extend(leaving.filter(|alert| alert.taken < alert.revision).map(|alert| alert.clone().take()));
        }
        let mut place = 0;
        self.alerts.retain(|_| {
            place += 1;
            doomed.binary_search(&(place - 1)).is_err()
        });
        self.renew_places();
    }

    fn renew_places(&mut self) {
        let places = self.alerts.iter().enumerate();
        self.newest = places.map(|(place, alert)| ((alert.merged_kind.clone(), alert.subject), place)).collect();
        self.looked_at = 0;
    }
}

/// When an alert closes if nothing happens.
fn due(alert: &Alert, config: &AlertConfig) -> Timestamp {
    alert.latest.plus(config.quiet).min(alert.opened.plus(config.longest))
}

fn belongs(alert: &Alert, detection: &Detection, config: &AlertConfig) -> bool {
    detection.first <= alert.last_seen.plus(config.quiet) && detection.time < alert.opened.plus(config.longest)
}

#[cfg(test)]
mod tests {
    use lapwing_decode::Address;
    use lapwing_detect::{KINDS, Measured, kind_info};

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
    fn what_was_missed_lowers_confidence_and_is_told() {
        let mut merger = Merger::default();
        merger.take_in(&detection("port-scan", 1, 0));
        let mut taken = Vec::new();
        merger.opened(&mut taken);
        merger.set_missed(Some(Missed { share: 0.5, reason: "half was lost".to_owned() }));
        merger.take_in(&detection("port-scan", 1, 1));
        merger.set_missed(None);
        merger.take_in(&detection("port-scan", 1, 2));
        merger.changed(Timestamp::from_seconds(3), &mut taken);
        assert_eq!(taken[1].confidence, taken[0].confidence / 2.0);
        assert_eq!(taken[1].explanation, "at 2; less sure, for half was lost");
    }

    #[test]
    fn what_was_simulated_says_so_and_does_not_go_on_in_what_is_real() {
        let mut merger = Merger::new(AlertConfig { simulated: true, ..AlertConfig::default() });
        merger.take_in(&detection("port-scan", 1, 0));
        let mut worse = detection("port-scan", 1, 1);
        worse.severity = Severity::Critical;
        worse.title = "Worse".into();
        merger.take_in(&worse);
        let alerts = merger.into_alerts();
        assert_eq!((alerts[0].simulated, alerts[0].title.as_str()), (true, "Simulated: Worse"));
        let mut merger = Merger::default();
        merger.recall(alerts);
        merger.take_in(&detection("port-scan", 1, 2));
        let alerts = merger.into_alerts();
        assert_eq!((alerts[0].simulated, alerts[0].count, alerts[0].title.as_str()), (false, 1, "Port scan"));
        assert!(!serde_json::to_string(&alerts).unwrap().contains("imulated"));
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

    /// Id, revision and status of what was taken.
    fn told(taken: &mut Vec<Alert>) -> Vec<(u32, Status)> {
        taken.drain(..).map(|alert| (alert.revision, alert.status)).collect()
    }

    #[test]
    fn an_alert_is_taken_when_it_opens_then_joined_changes_then_its_close() {
        let (mut merger, mut taken) = (Merger::default(), Vec::new());
        merger.take_in(&detection("port-scan", 1, 10));
        merger.opened(&mut taken);
        assert_eq!(told(&mut taken), [(1, Status::Open)]);
        merger.take_in(&detection("port-scan", 1, 11));
        merger.take_in(&detection("port-scan", 1, 12));
        merger.opened(&mut taken);
        assert_eq!(told(&mut taken), []);
        merger.changed(Timestamp::from_seconds(12), &mut taken);
        assert_eq!(told(&mut taken), [(3, Status::Open)]);
        merger.changed(Timestamp::from_seconds(13), &mut taken);
        merger.advance(Timestamp::from_seconds(3_611));
        merger.changed(Timestamp::from_seconds(3_611), &mut taken);
        assert_eq!(told(&mut taken), []);
        merger.advance(Timestamp::from_seconds(3_612));
        merger.changed(Timestamp::from_seconds(3_612), &mut taken);
        assert_eq!(told(&mut taken), [(4, Status::Closed)]);
    }

    #[test]
    fn what_began_inside_the_window_opens_a_closed_alert_again() {
        let (mut merger, mut taken) = (Merger::default(), Vec::new());
        merger.take_in(&detection("beacon", 1, 10));
        merger.advance(Timestamp::from_seconds(5_000));
        let mut slow = detection("beacon", 1, 5_001);
        slow.first = Timestamp::from_seconds(3_000);
        merger.take_in(&slow);
        merger.changed(Timestamp::from_seconds(5_001), &mut taken);
        assert_eq!(told(&mut taken), [(3, Status::Open)]);
        merger.advance(Timestamp::from_seconds(8_601));
        assert_eq!(merger.into_alerts()[0].status, Status::Closed);
    }

    /// What an earlier run left open of a scan by host 1 at second 10, as it was kept.
    fn left_open() -> Alert {
        let (mut merger, mut taken) = (Merger::default(), Vec::new());
        merger.take_in(&detection("port-scan", 1, 10));
        merger.opened(&mut taken);
        serde_json::from_str(&serde_json::to_string(&taken[0]).unwrap()).unwrap()
    }

    #[test]
    fn an_alert_of_an_earlier_run_goes_on_under_its_id() {
        let (mut merger, mut taken, earlier) = (Merger::default(), Vec::new(), left_open());
        merger.recall(vec![earlier.clone()]);
        merger.take_in(&detection("port-scan", 2, 20));
        merger.take_in(&detection("port-scan", 1, 20));
        merger.opened(&mut taken);
        assert_eq!(taken.len(), 1, "it was told");
        merger.changed(Timestamp::from_seconds(20), &mut taken);
        assert_eq!((&taken[1].id, taken[1].revision, taken[1].count), (&earlier.id, 2, 2));
        assert!(!taken[1].is_new() && taken[0].is_new());
        assert_eq!(taken[1].device, "192.168.0.1");
    }

    #[test]
    fn an_alert_of_an_earlier_run_closes_when_nothing_comes() {
        let (mut merger, mut taken, earlier) = (Merger::default(), Vec::new(), left_open());
        merger.recall(vec![earlier.clone()]);
        merger.advance(Timestamp::from_seconds(3_609));
        merger.changed(Timestamp::from_seconds(3_609), &mut taken);
        assert!(taken.is_empty());
        merger.advance(Timestamp::from_seconds(3_610));
        merger.changed(Timestamp::from_seconds(3_610), &mut taken);
        assert_eq!((taken[0].id.as_str(), taken[0].is_new()), (earlier.id.as_str(), false));
        assert_eq!(told(&mut taken), [(2, Status::Closed)]);
        merger.take_in(&detection("port-scan", 1, 3_611));
        merger.opened(&mut taken);
        assert_ne!(taken[0].id, earlier.id);
    }

    #[test]
    fn what_is_over_is_forgotten_once_it_was_taken() {
        let (mut merger, mut taken) = (Merger::default(), Vec::new());
        merger.take_in(&detection("port-scan", 1, 10));
        let end = Timestamp::from_seconds(10 + 24 * 60 * 60);
        merger.advance(end);
        merger.changed(end, &mut taken);
        assert_eq!(told(&mut taken), [(2, Status::Closed)]);
        assert!(merger.is_empty());
        merger.take_in(&detection("port-scan", 1, 11 + 24 * 60 * 60));
        merger.opened(&mut taken);
        assert_eq!(told(&mut taken), [(1, Status::Open)]);
    }

    #[test]
    fn what_is_let_go_unseen_is_taken_first() {
        let (mut merger, mut taken) = (Merger::new(AlertConfig { capacity: 8, ..AlertConfig::default() }), Vec::new());
        merger.opened(&mut taken);
        for host in 0..20 {
            merger.take_in(&detection("host-sweep", host, 10));
        }
        merger.changed(Timestamp::from_seconds(10), &mut taken);
        assert_eq!(taken.len(), 20);
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

    #[test]
    fn what_comes_in_masses_pushes_out_its_like() {
        let mut merger = Merger::new(AlertConfig { capacity: 8, ..AlertConfig::default() });
        merger.take_in(&detection("host-sweep", 1, 0));
        for host in 0..50 {
            merger.take_in(&detection("arp-spoofing", host, 10));
        }
        assert!(merger.into_alerts().iter().any(|alert| alert.kind == "host-sweep"));
    }

    #[test]
    fn of_the_equally_sure_the_one_that_measured_most_explains() {
        let mut merger = Merger::default();
        for (ports, seconds) in [(10, 1), (30, 2), (15, 2), (12, 3)] {
            let mut scan = detection("port-scan", 1, seconds);
            scan.explanation = format!("{ports} ports");
            scan.measured =
                vec![Measured { name: "failed_ports".to_owned(), value: f64::from(ports), threshold: 10.0 }];
            merger.take_in(&scan);
        }
        assert_eq!(merger.into_alerts()[0].explanation, "30 ports");
    }
}
