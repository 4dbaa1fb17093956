//! What the detections inside a baseline name, noted as they come.
//!
//! Alerts would not do: they name a few of their flows, and under pressure they are let go. Nothing here is let go unnoticed:
//! where there is no room left, [`Named::lost`] says so, and nothing may be learnt.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_detect::{Detection, Subject};

/// Flows kept, and times kept of hosts and pairs of hosts: traffic in which more is wrong is nothing to learn from.
const MOST_FLOWS: usize = 1 << 20;
const MOST_SPANS: usize = 1 << 16;

/// Detections about one subject that lie closer together are one time, as they are one alert.
const QUIET: Duration = Duration::from_secs(60 * 60);

/// A host, or a pair of hosts.
type Hosts = (Address, Option<Address>);

/// First and last moment.
type Span = (Timestamp, Timestamp);

/// Flows, and the times in which hosts or pairs of hosts were named.
#[derive(Debug, Default)]
pub(crate) struct Named {
    uids: HashSet<u64>,
    spans: HashMap<Hosts, Vec<Span>>,
    count: usize,
    lost: u64,
}

impl Named {
    /// Notes what a detection names.
    pub(crate) fn note(&mut self, detection: &Detection) {
        for flow in &detection.evidence {
            if self.uids.len() < MOST_FLOWS || self.uids.contains(&flow.uid) {
                self.uids.insert(flow.uid);
            } else {
                self.lost += 1;
            }
        }
        let key = match detection.subject {
            Subject::Host(host) | Subject::Victim(host) => (host, None),
            Subject::HostPair { source, target } => (source, Some(target)),
            Subject::Device(_) | Subject::Network => return,
        };
        let (first, last) = (detection.first, detection.last);
        let spans = self.spans.entry(key).or_default();
        let near = |span: &&mut Span| first <= span.1.plus(QUIET) && span.0 <= last.plus(QUIET);
        if let Some(span) = spans.iter_mut().rev().find(near) {
            *span = (span.0.min(first), span.1.max(last));
        } else if self.count < MOST_SPANS {
            self.count += 1;
            spans.push((first, last));
        } else {
            self.lost += 1;
            if spans.is_empty() {
                self.spans.remove(&key);
            }
        }
    }

    /// What there was no room to note.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether a flow between these ends, which ended then, was named.
    pub(crate) fn covers(&self, uid: u64, ends: [Address; 2], end: Timestamp) -> bool {
        let [one, other] = ends;
        let keys = [(one, None), (other, None), (one, Some(other)), (other, Some(one))];
        let mut spans = keys.iter().filter_map(|key| self.spans.get(key)).flatten();
        self.uids.contains(&uid) || spans.any(|(first, last)| (*first..=*last).contains(&end))
    }
}

#[cfg(test)]
mod tests {
    use lapwing_detect::KINDS;

    use super::*;

    fn host(number: u32) -> Address {
        let [_, b, c, d] = number.to_be_bytes();
        Address::v4([10, b, c, d])
    }

    fn about(subject: Subject, seconds: i64) -> Detection {
        Detection::new(&KINDS[0], subject, "test", Timestamp::from_seconds(seconds))
    }

    #[test]
    fn flows_of_a_named_host_are_covered_while_it_was_named() {
        let mut named = Named::default();
        named.note(&about(Subject::Host(host(1)), 1_000));
        named.note(&about(Subject::Host(host(1)), 2_000));
        named.note(&about(Subject::Host(host(1)), 900_000));
        let covers = |from, to, second| named.covers(7, [host(from), host(to)], Timestamp::from_seconds(second));
        assert!(covers(1, 2, 1_500) && covers(2, 1, 1_500) && covers(1, 2, 900_000));
        assert!(!covers(1, 2, 500_000) && !covers(2, 3, 1_500));
    }

    #[test]
    fn a_named_pair_leaves_the_other_traffic_of_its_hosts() {
        let mut named = Named::default();
        named.note(&about(Subject::HostPair { source: host(1), target: host(2) }, 1_000));
        let covers = |from, to| named.covers(7, [host(from), host(to)], Timestamp::from_seconds(1_000));
        assert!(covers(1, 2) && covers(2, 1) && !covers(1, 3));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut named = Named::default();
        let more = 10;
        for number in 0..MOST_SPANS as u32 + more {
            named.note(&about(Subject::Host(host(number)), 1_000));
        }
        assert_eq!(named.lost(), u64::from(more));
        assert!(!named.covers(7, [host(MOST_SPANS as u32), host(0x00ff_ffff)], Timestamp::from_seconds(1_000)));
    }
}
