//! An alert as the API shows it.

use std::net::IpAddr;

use lapwing_alert::{Alert, Evidence, Place};
use lapwing_store::DeviceRecord;
use schemars::JsonSchema;
use serde::Serialize;

/// An alert, with the fields that clients of earlier dashboards look for beside its own.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct AlertView {
    #[serde(flatten)]
    pub(crate) alert: Alert,
    /// When it began: the same as `first_seen`.
    timestamp: String,
    /// What `device` has to do with it.
    device_role: DeviceRole,
    /// Address of the host that acts: of the device, or of its one peer where the device suffers; null where it is not known, may
    /// be forged, or there are many.
    src_ip: Option<String>,
    /// Address of the host that suffers: of the device, or the first of its peers where the device acts.
    dst_ip: Option<String>,
    /// The port that was asked for in the first of its flows.
    dst_port: Option<u16>,
    /// `DDoS`, `Port Scan`, `Brute Force`, `Data Exfiltration`, or what its kind is called: the filter of that name finds it by this.
    attack_type: String,
    /// The model's score, of an anomaly.
    anomaly_score: Option<f64>,
    /// IP bytes of the flows that `evidence` names, as far as they had come when it was revised last; null where one of them was
    /// not counted, or none is named.
    bytes: Option<u64>,
    /// Packets of them, likewise.
    packets: Option<u64>,
    /// Where the outside host is, as far as a database tells.
    geoip: Option<GeoIp>,
    /// All that in one line.
    message: String,
}

/// What the device of an alert has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum DeviceRole {
    /// It does what the alert tells of.
    Actor,
    /// It suffers that.
    Target,
}

/// Where a host is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct GeoIp {
    /// ISO 3166-1, two letters.
    country: String,
    /// The city, where a database tells.
    city: Option<String>,
    /// Degrees north, where a database tells.
    lat: Option<f64>,
    /// Degrees east, where a database tells.
    lng: Option<f64>,
}

impl GeoIp {
    pub(crate) fn new(country: String) -> Self {
        Self { country, city: None, lat: None, lng: None }
    }

    fn of(places: &[Place]) -> Option<Self> {
        let country = places.iter().find_map(|place| place.country.clone())?;
        Some(Self::new(country))
    }
}

impl AlertView {
    pub(crate) fn new(alert: Alert) -> Self {
        let attack_type = attack_name(&alert.kind).to_owned();
        let flow = alert.evidence.first();
        let dst_port = flow.map(|flow| flow.responder_port).filter(|port| *port > 0);
        let scored = |measure: &&lapwing_alert::Measure| measure.name.contains("score");
        let anomaly_score = alert.measured.iter().find(scored).map(|measure| measure.value);
        let sum = |of: fn(&Evidence) -> Option<u64>| {
            alert.evidence.iter().map(of).reduce(|sum, next| Some(sum?.saturating_add(next?))).flatten()
        };
        let (bytes, packets) = (sum(|flow| flow.bytes), sum(|flow| flow.packets));
        let port = dst_port.map_or_else(String::new, |port| format!(" → port {port}"));
        let severity = alert.severity.as_str().to_uppercase();
        let is_address = |host: &&String| host.parse::<IpAddr>().is_ok();
        let device = Some(&alert.device).filter(is_address).cloned();
        let (device_role, src_ip, dst_ip, of) = match (alert.suffers, alert.peers.as_slice()) {
            (true, [peer]) => (DeviceRole::Target, Some(peer.clone()), device, "against"),
            (true, _) => (DeviceRole::Target, None, device, "against"),
            (false, peers) => (DeviceRole::Actor, device, peers.first().cloned(), "from"),
        };
        Self {
            timestamp: lapwing_alert::rfc3339(alert.first_seen),
            device_role,
            src_ip,
            dst_ip,
            dst_port,
            message: format!("[{severity}] {attack_type} detected {of} {}{port}", alert.device),
            attack_type,
            anomaly_score,
            bytes,
            packets,
            geoip: GeoIp::of(&alert.places),
            alert,
        }
    }

    /// With an address of the device that acts, where the alert knows it by its link-layer address. Addresses that the alert says
    /// are contested may be others'.
    pub(crate) fn with_addresses(mut self, device: Option<&DeviceRecord>) -> Self {
        if let Some(device) = device.filter(|device| device.id == self.alert.device && !self.alert.suffers) {
            let mut addresses = device.address.iter().chain(&device.addresses);
            let own = addresses.find(|address| !self.alert.peers.contains(address)).cloned();
            self.src_ip = self.src_ip.or(own);
        }
        self
    }
}

/// The four attacks that earlier dashboards know, by the kinds that are theirs.
const ATTACK_TYPES: [(&str, &[&str]); 4] = [
    (
        "DDoS",
        &[
            "amplification",
            "connection-flood",
            "icmp-flood",
            "ip-flood",
            "mqtt-flood",
            "slow-requests",
            "syn-flood",
            "tcp-flood",
            "tcp-reflection",
            "udp-flood",
        ],
    ),
    ("Port Scan", &["arp-sweep", "host-sweep", "network-scan", "port-scan", "service-discovery", "slow-scan"]),
    ("Brute Force", &["brute-force", "credential-spray"]),
    ("Data Exfiltration", &["exfiltration"]),
];

/// The attack that a kind of alert is of, if it is of one of the four.
pub(crate) fn attack_type(kind: &str) -> Option<&'static str> {
    ATTACK_TYPES.into_iter().find(|(_, kinds)| kinds.contains(&kind)).map(|(name, _)| name)
}

/// The kinds that the name of an attack, of a kind, or its title stands for; what is none of them is taken for a kind of a rule.
pub(crate) fn kinds_of(attack_type: &str) -> Vec<String> {
    let attack_type = attack_type.strip_prefix(lapwing_alert::SIMULATED).unwrap_or(attack_type);
    let is_it = |name: &str| name.eq_ignore_ascii_case(attack_type);
    if let Some((_, kinds)) = ATTACK_TYPES.iter().find(|(name, _)| is_it(name)) {
        return kinds.iter().map(|&kind| kind.to_owned()).collect();
    }
    let known = lapwing_detect::KINDS.iter().find(|kind| is_it(kind.name) || is_it(kind.title));
    vec![known.map_or(attack_type, |kind| kind.name).to_owned()]
}

/// The names of the four attacks, as a person reads them.
pub(crate) fn attacks() -> String {
    ATTACK_TYPES.map(|(name, _)| name).join(", ")
}

/// The name under which alerts of a kind are counted as attacks.
pub(crate) fn attack_name(kind: &str) -> &str {
    attack_type(kind).or_else(|| lapwing_detect::kind_info(kind).map(|info| info.title)).unwrap_or(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_named_by_kinds_that_exist() {
        for (_, kinds) in ATTACK_TYPES {
            kinds.iter().for_each(|kind| assert!(lapwing_detect::kind_info(kind).is_some(), "{kind}"));
        }
        assert_eq!(attack_type("syn-flood"), Some("DDoS"));
        assert_eq!(kinds_of("port scan").len(), 6);
        assert_eq!(kinds_of("Periodic contact with one server"), ["beacon"]);
        assert_eq!(kinds_of("Simulated: ARP spoofing"), ["arp-spoofing"]);
        assert_eq!(kinds_of("my-scan"), ["my-scan"]);
        assert_eq!(attack_name("beacon"), "Periodic contact with one server");
    }
}
