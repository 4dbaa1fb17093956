//! The one registry of what a detection can be called.

use std::fmt;

/// How bad it would be if the detection is right, in Sigma's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, nothing to do.
    #[default]
    Informational,
    /// Look at it when there is time.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
    /// Something is being damaged.
    Critical,
}

impl Severity {
    /// Its name in rules, configuration and outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A kind of detection: one line of [`KINDS`].
#[derive(Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// Its name in alerts, suppressions and configuration; kebab-case.
    pub name: &'static str,
    /// What a person reads first.
    pub title: &'static str,
    /// Severity where the rule or detector states none.
    pub severity: Severity,
    /// MITRE ATT&CK techniques.
    pub techniques: &'static [&'static str],
}

const fn kind(
    name: &'static str,
    title: &'static str,
    severity: Severity,
    techniques: &'static [&'static str],
) -> KindInfo {
    KindInfo { name, title, severity, techniques }
}

/// Every kind that Lapwing itself raises, in alphabetical order. Each has one owner: one shipped rule or one detector. A
/// user's rule without a kind of its own is a [`SIGNATURE`].
pub const KINDS: &[KindInfo] = &[
    kind("address-conflict", "One address, two devices", Severity::Low, &["T1557.002"]),
    kind("amplification", "Amplification attack", Severity::High, &["T1498.002"]),
    kind(ANOMALY, "Unusual traffic", Severity::Medium, &[]),
    kind("arp-spoofing", "ARP spoofing", Severity::High, &["T1557.002"]),
    kind("arp-sweep", "ARP sweep", Severity::Low, &["T1018"]),
    kind("beacon", "Periodic contact with one server", Severity::Medium, &["T1071", "T1573"]),
    kind("botnet-propagation", "Botnet propagation", Severity::Critical, &["T1595.001", "T1110.001", "T1105"]),
    kind("brute-force", "Password guessing", Severity::High, &["T1110.001"]),
    kind("connection-flood", "Connection flood", Severity::High, &["T1499.002"]),
    kind("credential-spray", "Password guessing against many hosts", Severity::High, &["T1110.003", "T1078.001"]),
    kind("exfiltration", "Unusual volume sent out", Severity::High, &["T1048", "T1041"]),
    kind("gateway-changed", "Gateway changed", Severity::Medium, &["T1557"]),
    kind("host-sweep", "Ping sweep", Severity::Low, &["T1018"]),
    kind("icmp-flood", "ICMP flood", Severity::High, &["T1498.001"]),
    kind("ip-flood", "Flood of another protocol", Severity::High, &["T1498.001"]),
    kind("mqtt-flood", "MQTT flood", Severity::High, &["T1499.002"]),
    kind("network-scan", "Scan of one service over many hosts", Severity::Medium, &["T1046", "T1595.001"]),
    kind("new-destination", "New destination", Severity::Low, &["T1071"]),
    kind("new-device", "New device", Severity::Low, &["T1200"]),
    kind("new-service", "New service", Severity::Low, &["T1543"]),
    kind("port-scan", "Port scan", Severity::Medium, &["T1046"]),
    kind("service-discovery", "Service discovery", Severity::Low, &["T1046"]),
    kind(SIGNATURE, "Signature matched", Severity::Medium, &[]),
    kind("slow-requests", "Slow-request exhaustion", Severity::High, &["T1499.002"]),
    kind("slow-scan", "Slow port scan", Severity::Medium, &["T1046"]),
    kind("syn-flood", "SYN flood", Severity::Critical, &["T1499.001", "T1498.001"]),
    kind("tcp-flood", "TCP flood", Severity::High, &["T1498.001"]),
    kind("tcp-reflection", "SYN-ACK reflection", Severity::High, &["T1498.002"]),
    kind("udp-flood", "UDP flood", Severity::High, &["T1498.001"]),
];

/// The kind of what a learned model finds.
pub const ANOMALY: &str = "anomaly";

/// The kind of a rule that names none.
pub const SIGNATURE: &str = "signature";

/// The registered kind of that name.
#[must_use]
pub fn kind_info(name: &str) -> Option<&'static KindInfo> {
    KINDS.binary_search_by_key(&name, |kind| kind.name).ok().map(|index| &KINDS[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted_and_found_by_name() {
        assert!(KINDS.is_sorted_by(|a, b| a.name < b.name));
        assert!(KINDS.iter().all(|kind| kind_info(kind.name) == Some(kind)));
        assert_eq!(kind_info("no-such-kind"), None);
    }

    #[test]
    fn names_are_kebab_case() {
        for kind in KINDS {
            assert!(kind.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", kind.name);
        }
    }

    #[test]
    fn severities_order_from_informational_to_critical() {
        assert!(Severity::Informational < Severity::Low && Severity::High < Severity::Critical);
        assert_eq!(Severity::from_name("high"), Some(Severity::High));
    }
}
