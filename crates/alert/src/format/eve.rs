//! Alerts as Suricata EVE records, so that every EVE consumer takes them unchanged.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use lapwing_detect::{EvidenceFlow, Severity, Subject};
use serde::Serialize;

use crate::{Alert, time};

/// Generator id of Lapwing's alerts: a private one, so that no rule of a public set has the same (gid, signature id).
const GENERATOR: u32 = 9_000;

/// The bits of a uid that are a flow's id here.
const FLOW_ID_BITS: u64 = (1 << 51) - 1;

#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    /// Suricata's are 51 bits wide, and so stay exact in every consumer that reads numbers as JavaScript does.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_id: Option<u64>,
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_v: Option<u8>,
    /// Where the packets came from: Suricata's word for an interface or a capture file.
    pkt_src: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ether: Option<Ether<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<&'a str>,
    alert: Signature<'a>,
    /// Source and destination are originator and responder: a client speaks to a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Flow<'a>>,
    lapwing: &'a Alert,
}

/// Link-layer addresses, for alerts about ARP: those know no other name for their device.
#[derive(Serialize)]
struct Ether<'a> {
    src_mac: &'a str,
}

/// The flow as it stood when the alert last named it. Bytes are those of the IP packets.
#[derive(Serialize)]
struct Flow<'a> {
    pkts_toserver: u64,
    pkts_toclient: u64,
    bytes_toserver: u64,
    bytes_toclient: u64,
    start: String,
    src_ip: &'a str,
    dest_ip: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
}

#[derive(Serialize)]
struct Signature<'a> {
    action: &'static str,
    gid: u32,
    signature_id: u32,
    rev: u32,
    signature: &'a str,
    category: &'a str,
    severity: u8,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    mitre_technique_id: &'a [String],
    confidence: [&'static str; 1],
    signature_severity: [&'static str; 1],
}

/// Writes one EVE record an alert, a line each; Lapwing's own fields stand in the object `lapwing`.
///
/// # Errors
/// When `output` cannot be written.
pub fn write_eve(alerts: &[Alert], output: &mut dyn Write) -> io::Result<()> {
    for alert in alerts {
        serde_json::to_writer(&mut *output, &record(alert))?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

fn record(alert: &Alert) -> Record<'_> {
    let flow = alert.flows.first();
    let evidence = alert.evidence.first();
    let mac = matches!(alert.subject, Subject::Device(_)).then_some(alert.device.as_str());
    let (source, target) = match evidence {
        Some(evidence) => (Some(evidence.originator.as_str()), Some(evidence.responder.as_str())),
        None => (mac.is_none().then_some(alert.device.as_str()), alert.peers.first().map(String::as_str)),
    };
    let port = |port: u16| flow.is_some_and(has_ports).then_some(port);
    let src_port = evidence.and_then(|evidence| port(evidence.originator_port));
    let dest_port = evidence.and_then(|evidence| port(evidence.responder_port));
    Record {
        timestamp: time::eve(alert.last_seen),
        flow_id: flow.map(|flow| flow.uid & FLOW_ID_BITS),
        event_type: "alert",
        src_ip: source,
        src_port,
        dest_ip: target,
        dest_port,
        proto: match (flow, &alert.subject) {
            (Some(flow), _) => protocol(flow.protocol),
            (None, Subject::Device(_)) => "ARP".into(),
            (None, _) => "IP".into(),
        },
        ip_v: source.and_then(|source| source.parse().ok()).map(|source: IpAddr| if source.is_ipv4() { 4 } else { 6 }),
        pkt_src: "wire/pcap",
        ether: mac.map(|src_mac| Ether { src_mac }),
        community_id: evidence.map(|evidence| evidence.community_id.as_str()),
        alert: Signature {
            action: "allowed",
            gid: GENERATOR,
            signature_id: signature_id(&alert.kind),
            rev: 1,
            signature: &alert.title,
            category: &alert.kind,
            severity: priority(alert.severity),
            metadata: Metadata {
                mitre_technique_id: &alert.attack,
                confidence: [in_words(alert.confidence)],
                signature_severity: [alert.severity.as_str()],
            },
        },
        direction: flow.map(|_| "to_server"),
        flow: flow.zip(evidence).map(|(flow, evidence)| Flow {
            pkts_toserver: flow.packets[0],
            pkts_toclient: flow.packets[1],
            bytes_toserver: flow.bytes[0],
            bytes_toclient: flow.bytes[1],
            start: time::eve(flow.start),
            src_ip: &evidence.originator,
            dest_ip: &evidence.responder,
            src_port,
            dest_port,
        }),
        lapwing: alert,
    }
}

fn has_ports(flow: &EvidenceFlow) -> bool {
    matches!(flow.protocol, 6 | 17 | 132)
}

/// Suricata's name of an IP protocol: that of `/etc/protocols`, else the number in three digits.
fn protocol(number: u8) -> Cow<'static, str> {
    match number {
        1 => "ICMP".into(),
        2 => "IGMP".into(),
        6 => "TCP".into(),
        17 => "UDP".into(),
        41 => "IPv6".into(),
        47 => "GRE".into(),
        50 => "ESP".into(),
        51 => "AH".into(),
        58 => "IPv6-ICMP".into(),
        132 => "SCTP".into(),
        other => format!("{other:03}").into(),
    }
}

/// Suricata's priority: 1 is the worst.
const fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Critical | Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Informational => 4,
    }
}

/// A number for a kind that stays the same when kinds are added: FNV-1a (RFC draft eastlake-fnv) over its name, 31 bits.
fn signature_id(kind: &str) -> u32 {
    let hash = kind.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash & 0x7fff_ffff).max(1)
}

/// Suricata's words for confidence.
fn in_words(confidence: f32) -> &'static str {
    match confidence {
        high if high >= 0.8 => "High",
        medium if medium >= 0.5 => "Medium",
        _ => "Low",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_ids_of_kinds_differ() {
        let mut ids: Vec<u32> = lapwing_detect::KINDS.iter().map(|kind| signature_id(kind.name)).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), lapwing_detect::KINDS.len());
    }
}
