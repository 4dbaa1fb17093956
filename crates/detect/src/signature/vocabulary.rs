//! The names that rules may ask for: the fields of each log that is produced here.
//!
//! A misspelt field never matches, and a rule that never matches looks like peace; so the names that a rule uses are
//! compared with those there are.

use lapwing_protocol::CONN_FIELDS;
use rsigma_parser::{Detection as Selection, Detections, LogSource, Modifier, SigmaValue};

use crate::Measurement;

/// Fields of every `logsource: {product: lapwing, service: S}`, as behaviours measure them: the table of
/// `docs/signatures.md`. Debug builds assert that no behaviour measures anything else.
const SERVICES: &[(&str, &str)] = &[
    (
        "arp",
        "mac address known_as contested claimed_addresses unasked_replies conflicts back_and_forth asked_addresses \
         asked_addresses_minute claimants turns",
    ),
    (
        "beacon",
        "scope source target protocol port outside_target contacts companions period_seconds dispersion near_share regularity \
         symmetry size_likeness coverage score sent_bytes_mean",
    ),
    (
        "broker_session",
        "source target port seconds sent_packets sent_bytes sent_packets_per_second sent_bytes_per_second",
    ),
    (
        "device",
        "change address mac random_mac maker known known_hours quiet_share peer protocol port before now maker_now other turns",
    ),
    (
        "host_window",
        "source local_source protocol port style failed_targets_minute failed_targets failed_targets_long \
         answered_targets open_targets tried_targets tried_targets_minute failed_share failed_share_long seconds outside_share refused unanswered half_open empty \
         outcomes",
    ),
    (
        "login",
        "scope source local_source target targets sources port login_service attempts attempts_minute server_closed_share \
         seconds_mean seconds_per_message sent_messages_mean sent_bytes_mean received_bytes_mean sent_spread received_spread",
    ),
    (
        "outbound_volume",
        "source target port sent_megabytes received_megabytes sent_to_received device_sent_megabytes usual_megabytes \
         hours_of_history times_usual times_largest",
    ),
    (
        "pair_window",
        "source target protocol style failed_ports_minute failed_ports failed_ports_long failed_ports_per_minute seconds \
         answered_ports failed_share failed_share_long refused unanswered half_open empty outcomes open_ports ports",
    ),
    (
        "reflection",
        "target protocol port reflector servers packets bytes seconds packets_per_second bytes_per_second bytes_per_packet",
    ),
    ("reflector", "client reflectors port reflector stranger asked_bytes answered_bytes times_asked"),
    ("slow_request", "source target port waiting sent_bytes_mean"),
    ("source_window", "source style failed_targets failed_ports answered_targets failed_share seconds outcomes"),
    (
        "victim_window",
        "target local_target protocol seconds flows flows_per_second finished unfinished unfinished_per_second \
         unfinished_share unfinished_per_port strays strays_per_second strays_per_port packets packets_per_second \
         bytes_per_second bytes_per_packet answered_share sources ports packets_per_port flows_per_source",
    ),
];

/// The fields of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vocabulary {
    /// What to call the log: `lapwing/pair_window`.
    log: String,
    names: Vec<&'static str>,
    /// The log is ours alone: another name is a mistake. Zeek's sites and packages add columns, so there another name is one
    /// that is never set here.
    pub(super) is_closed: bool,
}

impl Vocabulary {
    /// The fields of the log that a rule reads; `None` where nothing here says what it holds.
    pub(super) fn of(logsource: &LogSource) -> Option<Self> {
        Self::of_log(logsource.product.as_deref()?, logsource.service.as_deref()?)
    }

    /// The fields of that product's service.
    pub(super) fn of_log(product: &str, service: &str) -> Option<Self> {
        let log = |product: &str, service: &str| format!("{product}/{service}");
        match (product, service) {
            ("lapwing", service) => {
                let names = service_fields(service)?.collect();
                Some(Self { log: log("lapwing", service), names, is_closed: true })
            }
            ("zeek", "conn") => {
                let names = CONN_FIELDS.iter().map(|field| field.name).collect();
                Some(Self { log: log("zeek", "conn"), names, is_closed: false })
            }
            _ => None,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// What to say of a name that is not there.
    pub(super) fn lacks(&self, name: &str) -> String {
        let advice = match self.nearest(name) {
            Some(nearest) => format!("did you mean '{nearest}'?"),
            None => format!("it has {}", self.names.join(", ")),
        };
        format!("there is no field '{name}' in {}; {advice}", self.log)
    }

    fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest(name, self.names.iter().copied())
    }
}

/// The name that is most likely meant: letters swapped, lost or doubled.
fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let likeness = |known: &&'static str| (strsim::jaro_winkler(name, known) * 1e6) as u32;
    known.max_by_key(likeness).filter(|known| likeness(known) >= 850_000)
}

/// What to say of a service that no behaviour measures for.
pub(super) fn no_such_service(service: &str) -> String {
    let names = SERVICES.iter().map(|(name, _)| *name);
    match nearest(service, names.clone()) {
        Some(nearest) => format!("nothing measures for the service '{service}'; did you mean '{nearest}'?"),
        None => {
            let names = names.collect::<Vec<_>>().join(", ");
            format!("nothing measures for the service '{service}'; there are {names}")
        }
    }
}

/// The services whose measurements rules judge, in alphabetical order.
pub fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(service, _)| *service)
}

/// The fields of one of our services.
pub fn service_fields(service: &str) -> Option<impl Iterator<Item = &'static str>> {
    SERVICES.iter().find(|(name, _)| *name == service).map(|(_, fields)| fields.split_whitespace())
}

/// A field of the measurement that is not listed here.
pub(super) fn unlisted(measurement: &Measurement) -> Option<&'static str> {
    let listed = |name: &str| service_fields(measurement.service)?.find(|field| *field == name);
    measurement.fields.iter().map(|(name, _)| *name).find(|name| listed(name).is_none())
}

/// The fields that a rule's selections ask for, and those they compare with, sorted.
pub(super) fn fields_of(detections: &Detections) -> Vec<&str> {
    let mut found = Vec::new();
    detections.named.values().for_each(|selection| collect(selection, &mut found));
    found.sort_unstable();
    found.dedup();
    found
}

fn collect<'a>(selection: &'a Selection, found: &mut Vec<&'a str>) {
    match selection {
        Selection::AllOf(items) => {
            for item in items {
                found.extend(item.field.name.as_deref());
                if item.field.has_modifier(Modifier::FieldRef) {
                    let other = |value: &'a SigmaValue| match value {
                        SigmaValue::String(text) => Some(text.original.as_str()),
                        _ => None,
                    };
                    found.extend(item.values.iter().filter_map(other));
                }
            }
        }
        Selection::AnyOf(selections) | Selection::And(selections) => {
            selections.iter().for_each(|selection| collect(selection, found));
        }
        // What lies inside an array has names of its own.
        Selection::ArrayMatch { field, .. } => found.push(field),
        Selection::Keywords(_) | Selection::Conditional { .. } => {}
    }
}

/// The names in a sentence's `{name}`, `{name.threshold}` and `{name|form}`.
pub(super) fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        let (name, _form) = name.split_once('|').unwrap_or((name, ""));
        Some(name.strip_suffix(".threshold").unwrap_or(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DETECTORS;

    #[test]
    fn every_service_of_a_behaviour_has_its_fields_here() {
        let produced: Vec<&str> = DETECTORS.iter().flat_map(|entry| entry.info.services).copied().collect();
        for service in &produced {
            assert!(service_fields(service).is_some(), "{service}");
        }
        assert!(SERVICES.iter().all(|(service, _)| produced.contains(service)));
    }

    #[test]
    fn the_guide_lists_these_fields() {
        let guide = include_str!("../../../../docs/signatures.md");
        for (service, fields) in SERVICES {
            let rows = guide.lines().filter(|line| line.starts_with(&format!("| `{service}`")));
            let named = rows.flat_map(|row| row.split('|').nth(3).unwrap().split('`').skip(1).step_by(2));
            let listed: Vec<&str> = named.flat_map(str::split_whitespace).collect();
            for field in fields.split_whitespace() {
                assert!(listed.contains(&field), "{service} {field} is not in docs/signatures.md");
            }
            let known = |field: &&str| fields.split_whitespace().any(|known| known == *field);
            assert!(listed.iter().all(known), "{service}: {listed:?}");
        }
    }

    #[test]
    fn the_nearest_name_is_told_and_a_strange_one_gets_the_list() {
        let logsource =
            LogSource { product: Some("lapwing".into()), service: Some("pair_window".into()), ..LogSource::default() };
        let vocabulary = Vocabulary::of(&logsource).unwrap();
        assert_eq!(
            vocabulary.lacks("failed_port"),
            "there is no field 'failed_port' in lapwing/pair_window; did you mean 'failed_ports'?"
        );
        assert!(vocabulary.lacks("zzz").contains("it has source, target"));
    }

    #[test]
    fn names_in_a_sentence_are_found() {
        let names: Vec<&str> =
            placeholders("{source} tried {ports|port|ports} (threshold {ports.threshold}) {open").collect();
        assert_eq!(names, ["source", "ports", "ports"]);
    }
}
