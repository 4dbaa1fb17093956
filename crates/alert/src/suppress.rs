//! Suppressions: alerts that somebody has looked into and does not want to be told of again.
//!
//! A suppression hides an alert; it is kept all the same, marked with the suppression's id. Pure matching: nothing here keeps,
//! counts or reads a clock.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::Severity;
use lapwing_protocol::LocalNetworks;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Alert;
use crate::alert::{Evidence, MAX_NAMED};

/// Hides the alerts that match, until it expires.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suppression {
    /// Its name in `suppressed_by`: a hash of what it hides, who made it and when.
    pub id: String,
    /// Which alerts it hides.
    #[serde(flatten)]
    pub matcher: Matcher,
    /// Who made it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it was made.
    #[serde(with = "crate::time::text")]
    pub created: Timestamp,
    /// Alerts whose traffic goes on at this moment or later are shown again; `None` hides for ever. It is compared with capture
    /// time, so that a capture that is scanned again a year later gives what it gave.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::time::optional")]
    pub expires: Option<Timestamp>,
}

impl Suppression {
    /// A suppression of what `matcher` matches.
    #[must_use]
    pub fn new(
        matcher: Matcher,
        author: String,
        reason: String,
        created: Timestamp,
        expires: Option<Timestamp>,
    ) -> Self {
        let digest = Sha256::digest(format!("{matcher}\n{author}\n{}", created.micros()));
        let id = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Self { id, matcher, author, reason, created, expires }
    }

    /// Whether it hides the alert.
    #[must_use]
    pub fn hides(&self, alert: &Alert, local: &LocalNetworks) -> bool {
        self.expires.is_none_or(|expires| alert.last_seen < expires) && self.matcher.matches(alert, local)
    }
}

/// Which alerts: those to which everything applies that is set. An alert that names several peers, ports, directions or
/// detectors matches only if all of them do, so that what is new is not hidden with what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matcher {
    /// The host or device it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub device: Option<HostPattern>,
    /// The other hosts concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub peer: Option<HostPattern>,
    /// The responder's port of the flows it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Where those flows went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Who claims it: a detector, or a signature by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
}

impl Matcher {
    /// Whether nothing is set: it would match every alert.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether everything that is set applies to the alert.
    #[must_use]
    pub fn matches(&self, alert: &Alert, local: &LocalNetworks) -> bool {
        let flows = |applies: &dyn Fn(&Evidence) -> bool| all_of(&alert.evidence, |flow| applies(flow));
        self.kind.as_ref().is_none_or(|kind| *kind == alert.kind)
            && self.device.as_ref().is_none_or(|pattern| pattern.matches(&alert.device))
            && self.peer.as_ref().is_none_or(|pattern| all_of(&alert.peers, |peer| pattern.matches(peer)))
            && self.port.is_none_or(|port| flows(&|flow| flow.responder_port == port))
            && self.direction.is_none_or(|direction| flows(&|flow| Direction::of(flow, local) == Some(direction)))
            && self.detector.as_ref().is_none_or(|name| {
                all_of(&alert.detectors, |detector| detector == name) || all_of(&alert.rules, |rule| rule == name)
            })
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = Vec::new();
        set.extend(self.kind.as_ref().map(|kind| format!("kind {kind}")));
        set.extend(self.device.as_ref().map(|device| format!("device {device}")));
        set.extend(self.peer.as_ref().map(|peer| format!("peer {peer}")));
        set.extend(self.port.map(|port| format!("port {port}")));
        set.extend(self.direction.map(|direction| format!("direction {}", direction.as_str())));
        set.extend(self.detector.as_ref().map(|detector| format!("detector {detector}")));
        formatter.write_str(&set.join(", "))
    }
}

/// A full list may have left something out, so it never matches as a whole.
fn all_of<T>(list: &[T], applies: impl Fn(&T) -> bool) -> bool {
    !list.is_empty() && list.len() < MAX_NAMED && list.iter().all(applies)
}

/// Where a flow went, seen from the watched networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From outside to a device.
    Inbound,
    /// From a device to outside.
    Outbound,
    /// Between devices.
    Internal,
    /// Between hosts that are no devices.
    External,
}

impl Direction {
    /// Its name in rules and outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
            Self::External => "external",
        }
    }

    /// The direction of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Inbound, Self::Outbound, Self::Internal, Self::External];
        all.into_iter().find(|direction| direction.as_str() == name)
    }

    fn of(flow: &Evidence, local: &LocalNetworks) -> Option<Self> {
        let is_local = |text: &str| text.parse::<IpAddr>().ok().map(|ip| local.contains(Address::from(ip)));
        Some(match (is_local(&flow.originator)?, is_local(&flow.responder)?) {
            (false, true) => Self::Inbound,
            (true, false) => Self::Outbound,
            (true, true) => Self::Internal,
            (false, false) => Self::External,
        })
    }
}

/// A host as an alert names it: an address, a network in CIDR notation, or a link-layer address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern {
    text: String,
    /// `None` for what is no address: then the text has to be the same.
    network: Option<LocalNetworks>,
}

/// A host that was not understood.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no host: write an address, a network such as 192.168.7.0/24, or a link-layer address")]
pub struct PatternError(String);

impl HostPattern {
    /// Whether it is the host, or the network it is in.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match (&self.network, host.parse::<IpAddr>()) {
            (Some(network), Ok(ip)) => network.contains(Address::from(ip)),
            _ => self.text == host,
        }
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let text = text.trim().to_ascii_lowercase();
        if text == "network" || is_link_layer(&text) {
            return Ok(Self { text, network: None });
        }
        match LocalNetworks::parse([text.as_str()]) {
            Ok(network) => Ok(Self { text, network: Some(network) }),
            Err(_) => Err(PatternError(text)),
        }
    }
}

fn is_link_layer(text: &str) -> bool {
    let mut bytes = 0;
    text.split(':').all(|byte| {
        bytes += 1;
        byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit())
    }) && bytes == 6
}

impl TryFrom<String> for HostPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.text
    }
}

impl PartialEq for HostPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for HostPattern {}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

/// The suppressions in force, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    list: Vec<Suppression>,
    local: LocalNetworks,
}

impl Suppressions {
    /// From a list; `local` says which addresses are devices.
    #[must_use]
    pub fn new(mut list: Vec<Suppression>, local: LocalNetworks) -> Self {
        list.sort_by(|left, right| (left.created, &left.id).cmp(&(right.created, &right.id)));
        Self { list, local }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The first that hides the alert.
    #[must_use]
    pub fn hiding(&self, alert: &Alert) -> Option<&Suppression> {
        self.list.iter().find(|suppression| suppression.hides(alert, &self.local))
    }

    /// Marks the alert with the suppression that hides it, or with none.
    pub fn mark(&self, alert: &mut Alert) {
        alert.suppressed_by = self.hiding(alert).map(|suppression| suppression.id.clone());
    }
}

/// What a suppression would hide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Alerts, by severity from informational to critical.
    by_severity: [u64; 5],
}

impl Preview {
    /// Takes in one alert that would be hidden.
    pub fn add(&mut self, severity: Severity) {
        self.by_severity[severity as usize] += 1;
    }

    /// What `suppression` would hide of `alerts`.
    #[must_use]
    pub fn of<'a>(
        suppression: &Suppression,
        alerts: impl IntoIterator<Item = &'a Alert>,
        local: &LocalNetworks,
    ) -> Self {
        let mut preview = Self::default();
        let hidden = alerts.into_iter().filter(|alert| suppression.hides(alert, local));
        hidden.for_each(|alert| preview.add(alert.severity));
        preview
    }

    /// How many alerts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_severity.iter().sum()
    }

    /// How many of that severity.
    #[must_use]
    pub fn of_severity(&self, severity: Severity) -> u64 {
        self.by_severity[severity as usize]
    }
}

impl fmt::Display for Preview {
    /// `would hide 412 alerts, 3 of them high`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total() {
            0 => formatter.write_str("would hide no alert")?,
            1 => formatter.write_str("would hide 1 alert")?,
            total => write!(formatter, "would hide {total} alerts")?,
        }
        for severity in [Severity::Critical, Severity::High] {
            let count = self.of_severity(severity);
            if count > 0 {
                write!(formatter, ", {count} of them {severity}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lapwing_detect::{Detection, EvidenceFlow, Subject, kind_info};
    use lapwing_flow::Endpoint;

    use super::*;
    use crate::Merger;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    /// A scan of `ports` of one target by one source.
    fn scan(source: &str, target: &str, ports: &[u16]) -> Alert {
        let subject = Subject::HostPair { source: address(source), target: address(target) };
        let kind = kind_info("port-scan").unwrap();
        let mut detection = Detection::new(kind, subject, "vertical-scan", Timestamp::from_seconds(1_000));
        for (uid, &port) in (1..).zip(ports) {
            detection.evidence.push(EvidenceFlow {
                originator: Endpoint { address: address(source), port: 40_000 },
                responder: Endpoint { address: address(target), port },
                uid,
                protocol: 6,
                ..EvidenceFlow::from(&lapwing_flow::Flow::default())
            });
        }
        let mut merger = Merger::default();
        merger.take_in(&detection);
        merger.into_alerts().remove(0)
    }

    fn hides(matcher: &Matcher, alert: &Alert) -> bool {
        matcher.matches(alert, &LocalNetworks::default())
    }

    #[test]
    fn each_condition_is_looked_at_and_all_of_them_must_hold() {
        let alert = scan("192.168.0.7", "198.51.100.1", &[22]);
        let host = |text: &str| Some(text.parse().unwrap());
        assert!(hides(&Matcher { device: host("192.168.0.7"), ..Matcher::default() }, &alert));
        assert!(hides(&Matcher { device: host("192.168.0.0/24"), ..Matcher::default() }, &alert));
        assert!(!hides(&Matcher { device: host("192.168.1.0/24"), ..Matcher::default() }, &alert));
        assert!(hides(&Matcher { peer: host("198.51.100.0/24"), ..Matcher::default() }, &alert));
        assert!(hides(&Matcher { port: Some(22), ..Matcher::default() }, &alert));
        assert!(!hides(&Matcher { port: Some(23), ..Matcher::default() }, &alert));
        assert!(hides(&Matcher { direction: Some(Direction::Outbound), ..Matcher::default() }, &alert));
        assert!(!hides(&Matcher { direction: Some(Direction::Inbound), ..Matcher::default() }, &alert));
        assert!(hides(&Matcher { kind: Some("port-scan".to_owned()), ..Matcher::default() }, &alert));
        assert!(hides(&Matcher { detector: Some("vertical-scan".to_owned()), ..Matcher::default() }, &alert));
        let both = Matcher { kind: Some("port-scan".to_owned()), port: Some(23), ..Matcher::default() };
        assert!(!hides(&both, &alert));
    }

    #[test]
    fn what_is_new_is_not_hidden_with_what_is_known() {
        let port = |port| Matcher { port: Some(port), ..Matcher::default() };
        assert!(!hides(&port(22), &scan("192.168.0.7", "198.51.100.1", &[22, 2_222])));
        assert!(!hides(&port(22), &scan("192.168.0.7", "198.51.100.1", &[])), "no flow is known to go there");
        assert!(!hides(&port(22), &scan("192.168.0.7", "198.51.100.1", &[22; 16])), "the list may have been cut");
    }

    #[test]
    fn it_expires_by_capture_time() {
        let matcher = Matcher { kind: Some("port-scan".to_owned()), ..Matcher::default() };
        let until = |seconds| {
            let expires = Some(Timestamp::from_seconds(seconds));
            Suppression::new(
                matcher.clone(),
                "kim".into(),
                "our scanner".into(),
                Timestamp::from_seconds(5_000),
                expires,
            )
        };
        let alert = scan("192.168.0.7", "198.51.100.1", &[22]);
        assert!(until(1_001).hides(&alert, &LocalNetworks::default()));
        assert!(!until(1_000).hides(&alert, &LocalNetworks::default()));
    }

    #[test]
    fn a_preview_counts_and_names_the_severe() {
        let mut preview = Preview::default();
        assert_eq!(preview.to_string(), "would hide no alert");
        (0..409).for_each(|_| preview.add(Severity::Low));
        (0..3).for_each(|_| preview.add(Severity::High));
        assert_eq!(preview.to_string(), "would hide 412 alerts, 3 of them high");
        assert_eq!(preview.total(), 412);
    }

    #[test]
    fn a_suppression_reads_back_as_it_was_written() {
        let matcher =
            Matcher { device: Some("AA:bb:cc:00:11:22".parse().unwrap()), port: Some(23), ..Matcher::default() };
        let suppression = Suppression::new(matcher, "kim".into(), "known".into(), Timestamp::from_seconds(7), None);
        let text = serde_json::to_string(&suppression).unwrap();
        let read: Suppression = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(text.contains("\"device\":\"aa:bb:cc:00:11:22\""), "{text}");
        assert!("not a host".parse::<HostPattern>().is_err());
    }

    #[test]
    fn the_first_suppression_that_hides_an_alert_marks_it() {
        let matcher = Matcher { port: Some(22), ..Matcher::default() };
        let made = |seconds| {
            Suppression::new(matcher.clone(), "kim".into(), "x".into(), Timestamp::from_seconds(seconds), None)
        };
        let suppressions = Suppressions::new(vec![made(9), made(8)], LocalNetworks::default());
        let mut alert = scan("192.168.0.7", "198.51.100.1", &[22]);
        suppressions.mark(&mut alert);
        assert_eq!(alert.suppressed_by, Some(made(8).id));
        Suppressions::default().mark(&mut alert);
        assert_eq!(alert.suppressed_by, None);
    }
}
