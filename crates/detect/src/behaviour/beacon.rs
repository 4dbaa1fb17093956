//! Contacts that come as by a clock.
//!
//! # What it sees
//! Per source, target, transport and port: when the last forty contacts began. A contact is a flow, or several that begin
//! within half a second; packets that come in regular bursts inside one long connection count as contacts too. Measured are
//! four sub-scores from 0 to 1: how regular the intervals are, how symmetric they spread, how alike the sizes, how fully
//! the contacts cover the time; and how many devices contact the target's network as steadily. Emits service `beacon` with
//! `scope: flows` or `scope: connection`, at 10, 13, 16, 20, 25, 32 and 40 contacts, later only when the contacts have become twice as
//! regular: what goes on as it was told needs no second telling.
//!
//! # Why it matters
//! Malware asks its master for orders at fixed intervals, with some jitter (ATT&CK T1071, T1573).
//!
//! # False positives
//! So do update checks, cloud clients, time and name services; rules leave out the well-known ones and peers at home. An
//! interval without jitter is more often a timer of something honest than one with jitter: what tells them apart is the peer,
//! and who else calls it: what many devices of a network call by a clock is their makers' cloud.
//!
//! # References
//! RITA 5 `analysis/beacons.go` (Bowley skewness and median deviation of intervals, sizes, duration). For intervals with uniform
//! jitter of ±J, MAD/median is J/2: 0.10 at 20 %, 0.25 at 50 %; for accidental contacts (exponential intervals) it is 0.69.

use lapwing_asset::Prefix;
use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{Flow, Moments};
use lapwing_protocol::{Fact, LocalNetworks, Need, Observed, Scope, transport};

use crate::detector::first_packet_from_responder;
use crate::distinct::{Distinct, address_thing};
use crate::evidence::Evidence;
use crate::first_sight::FirstSight;
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "beacon",
    summary: "contacts with one service at regular intervals",
    services: &["beacon"],
    needs: &[Need::all(Fact::Packets), Need::part(Fact::PacketTimes, "bursts inside one long connection")],
};

/// Source, target, transport and port quadruples watched at a time: 8,192 × at most 900 bytes.
const PAIRS: usize = 8_192;

/// Places for quadruples with one contact so far: 16 bytes each.
const FIRST_SIGHTS: usize = 32_768;

/// Intervals remembered.
const REMEMBERED: usize = 40;

/// Flows that begin within this many seconds of each other are one contact.
const SAME_CONTACT: f64 = 0.5;

/// Places for networks that are contacted steadily: 64 bytes each and more.
const CALLED: usize = 4_096;

/// Contacts after which a device counts as a steady caller, for so many seconds.
const STEADY: u32 = 10;
const STEADY_FOR: u32 = 86_400;

/// Contacts at which the intervals are judged; above the last, every forty.
const JUDGED_AT: &[u32] = &[10, 13, 16, 20, 25, 32, 40];

/// Evidence is kept from this contact on.
const EVIDENCE_FROM: u32 = 4;

/// After so many seconds without a contact, or four times the longest interval before, whichever is more, the count begins
/// anew: what was contacted last week is another story.
const FORGOTTEN: f64 = 6.0 * 3600.0;

/// A connection shows its rhythm after this many seconds.
const LONG_CONNECTION: f64 = 120.0;

/// Share of the beats inside a connection that have to carry a message.
const SAYS_SOMETHING: f64 = 0.8;

/// See the module.
#[derive(Debug)]
pub struct Beacon {
    pairs: Table<(Address, Address, u8, u16), Pair>,
    first_sights: FirstSight,
    /// Steady callers by the network, transport and port they call.
    called: Table<(Prefix, u8, u16), Distinct>,
    local: LocalNetworks,
}

#[derive(Debug, Default)]
struct Pair {
    contacts: u32,
    latest: Timestamp,
    last: Timestamp,
    /// Seconds between contacts, a ring once full.
    intervals: Vec<f32>,
    sent: Moments,
    evidence: Evidence,
    /// The least dispersion that was told since the fortieth contact.
    told: Option<f64>,
}

impl Beacon {
    /// For the whole network: who else calls a service is part of what is measured.
    #[must_use]
    pub fn new(local: LocalNetworks) -> Self {
        Self {
            pairs: Table::new(PAIRS),
            first_sights: FirstSight::new(FIRST_SIGHTS),
            called: Table::new(CALLED),
            local,
        }
    }

    fn contact(&mut self, flow: &Flow, time: Timestamp, found: &mut Found) {
        if !is_contact(flow) {
            return;
        }
        let key = (flow.originator.address, flow.responder.address, flow.protocol, flow.responder.port);
        let pair = match self.pairs.get_mut(&key) {
            Some(pair) => pair,
            None => {
                // What is contacted once takes no place; the thing noted is the moment itself.
                let moment = (flow.start.nanos() / 1_000_000) as u32;
                let Some(earlier) = self.first_sights.note(key, moment, flow.start.nanos(), 0) else { return };
                // Multicast and broadcast are how a link talks to itself.
                if self.local.scope(flow.responder.address) == Scope::Group {
                    return;
                }
                let earlier = Timestamp::from_nanos(earlier.nanos);
                if flow.start.seconds_since(earlier) < SAME_CONTACT {
                    return;
                }
                let pair = self.pairs.entry(key);
                (pair.contacts, pair.latest, pair.last) = (1, earlier, earlier);
                pair
            }
        };
        if !pair.add(flow) || !pair.is_judged_now() {
            return;
        }
        let called = self.called.entry((Prefix::of(key.1), key.2, key.3));
        let second = u32::try_from(flow.start.seconds()).unwrap_or_default();
        if pair.contacts >= STEADY {
            called.insert(address_thing(&key.0), second, STEADY_FOR);
        }
        let rhythm = Rhythm::of(&pair.intervals);
        if pair.tells(rhythm.dispersion) {
            let companions = called.count(second, STEADY_FOR).saturating_sub(1);
            found.measurements.push(pair.measurement(key, time, &rhythm, companions, &self.local));
        }
    }
}

fn is_contact(flow: &Flow) -> bool {
    matches!(flow.protocol, 6 | 17) && flow.orig.packets > 0 && !first_packet_from_responder(flow)
}

impl Pair {
    /// Takes a flow in; returns whether it is a new contact.
    fn add(&mut self, flow: &Flow) -> bool {
        // Flows are looked at in the order of their ends; one that began before the latest contact fills no gap.
        let interval = flow.start.seconds_since(self.latest);
        if interval < SAME_CONTACT {
            return false;
        }
        let longest = self.intervals.iter().copied().fold(0.0, f32::max);
        if interval > FORGOTTEN.max(4.0 * f64::from(longest)) {
            let moment = flow.start;
            *self = Self { contacts: 1, latest: moment, last: flow.last, ..Self::default() };
            return false;
        }
        if self.intervals.len() < REMEMBERED {
            self.intervals.push(interval as f32);
        } else {
            self.intervals[self.contacts as usize % REMEMBERED] = interval as f32;
        }
        self.contacts = self.contacts.saturating_add(1);
        (self.latest, self.last) = (flow.start, self.last.max(flow.last));
        self.sent.add(flow.orig.payload_bytes as f32);
        if self.contacts >= EVIDENCE_FROM {
            self.evidence.note(flow);
        }
        true
    }

    fn is_judged_now(&self) -> bool {
        JUDGED_AT.contains(&self.contacts) || self.contacts.is_multiple_of(REMEMBERED as u32)
    }

    /// Whether this dispersion is news.
    fn tells(&mut self, dispersion: f64) -> bool {
        if self.told.is_some_and(|told| dispersion > told / 2.0) {
            return false;
        }
        if self.contacts as usize >= REMEMBERED {
            self.told = Some(dispersion);
        }
        true
    }

    fn measurement(
        &self,
        key: (Address, Address, u8, u16),
        time: Timestamp,
        rhythm: &Rhythm,
        companions: u32,
        local: &LocalNetworks,
    ) -> Measurement {
        let sizes = 1.0 - (f64::from(self.sent.deviation()) / f64::from(self.sent.mean.max(1.0))).min(1.0);
        // The span of the contacts remembered; those before are told of in measurements before.
        let span = self.intervals.iter().copied().map(f64::from).sum::<f64>().max(1e-9);
        let first = Timestamp::from_nanos(self.latest.nanos().saturating_sub((span * 1e9) as i64));
        let coverage = (rhythm.median * self.intervals.len() as f64 / span).min(1.0);
        let regularity = (1.0 - rhythm.dispersion / 0.5).clamp(0.0, 1.0);
        let symmetry = 1.0 - rhythm.skewness.abs();
        let score = (regularity + symmetry + sizes + coverage) / 4.0;
        let (source, target, protocol, port) = key;
        Measurement {
            time,
            service: "beacon",
            detector: INFO.name,
            subject: Subject::Host(source),
            peers: vec![target],
            first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: fields(
                ("flows", source, target, protocol, port, local.scope(target)),
                &[
                    ("contacts", Value::Count(u64::from(self.contacts))),
                    ("companions", Value::Count(u64::from(companions))),
                    ("period_seconds", Value::Number(rhythm.median)),
                    ("dispersion", Value::Number(rhythm.dispersion)),
                    ("near_share", Value::Number(rhythm.near_share)),
                    ("regularity", Value::Number(regularity)),
                    ("symmetry", Value::Number(symmetry)),
                    ("size_likeness", Value::Number(sizes)),
                    ("coverage", Value::Number(coverage)),
                    ("score", Value::Number(score)),
                    ("sent_bytes_mean", Value::Number(f64::from(self.sent.mean))),
                ],
            ),
        }
    }
}

/// How intervals spread.
#[derive(Debug, Default, PartialEq)]
struct Rhythm {
    /// In seconds.
    median: f64,
    /// Median absolute deviation over the median.
    dispersion: f64,
    /// Bowley's skewness, -1 to 1.
    skewness: f64,
    /// Share of intervals between half and one and a half medians.
    near_share: f64,
}

impl Rhythm {
    fn of(intervals: &[f32]) -> Self {
        let mut sorted: Vec<f64> = intervals.iter().map(|&interval| f64::from(interval)).collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(low), Some(median), Some(high)) =
            (quantile(&sorted, 0.25), quantile(&sorted, 0.5), quantile(&sorted, 0.75))
        else {
            return Self::default();
        };
        let mut deviations: Vec<f64> = sorted.iter().map(|interval| (interval - median).abs()).collect();
        deviations.sort_by(f64::total_cmp);
        let dispersion = quantile(&deviations, 0.5).unwrap_or_default() / median.max(1e-9);
        let skewness = if high - low > 0.02 * median { (low + high - 2.0 * median) / (high - low) } else { 0.0 };
        let near = sorted.iter().filter(|&&interval| interval >= 0.45 * median && interval <= 1.6 * median).count();
        Self { median, dispersion, skewness, near_share: near as f64 / sorted.len() as f64 }
    }
}

fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// A long connection in which the originator's bursts come at one interval.
fn connection(flow: &Flow, time: Timestamp, local: &LocalNetworks, found: &mut Found) {
    let seconds = flow.duration().as_secs_f64();
    let gaps = &flow.orig.gaps;
    if seconds < LONG_CONNECTION
        || gaps.count < 20
        || !is_contact(flow)
        || local.scope(flow.responder.address) == Scope::Group
    {
        return;
    }
    let (mean, deviation) = (f64::from(gaps.mean), f64::from(gaps.deviation()));
    let variance = deviation * deviation;
    // Gaps inside a burst are near nothing, those between bursts near the period: weighting gaps by their length leaves the
    // period. If all long gaps are alike, the variance is the largest that mean and extremes allow (Bhatia and Davis 2000).
    let period = if mean > 0.0 { (variance + mean * mean) / mean } else { return };
    let bound = (f64::from(gaps.max) - mean) * (mean - f64::from(gaps.min));
    let spread = deviation / mean;
    let rhythm = if spread <= 0.3 {
        1.0 - spread / 0.5
    } else if bound > 0.0 {
        (variance / bound).min(1.0)
    } else {
        0.0
    };
    let contacts = (mean * f64::from(gaps.count) / period.max(1e-9)).min(f64::from(gaps.count)) as u64 + 1;
    // TCP keep-alives come by a clock too, and say nothing: an old byte at most.
    let messages = u64::from(flow.orig.payload_packets.saturating_sub(flow.orig.retransmissions));
    if contacts < 20 || period < 1.0 || (messages as f64) < SAYS_SOMETHING * contacts as f64 {
        return;
    }
    let (source, target) = (flow.originator.address, flow.responder.address);
    found.measurements.push(Measurement {
        time,
        service: "beacon",
        detector: INFO.name,
        subject: Subject::Host(source),
        peers: vec![target],
        first: flow.start,
        last: flow.last,
        evidence: vec![flow.into()],
        fields: fields(
            ("connection", source, target, flow.protocol, flow.responder.port, local.scope(target)),
            &[
                ("contacts", Value::Count(contacts)),
                ("period_seconds", Value::Number(period)),
                ("regularity", Value::Number(rhythm.max(0.0))),
                ("score", Value::Number(rhythm.max(0.0))),
                ("sent_bytes_mean", Value::Number(flow.orig.payload_bytes as f64 / contacts as f64)),
            ],
        ),
    });
}

fn fields(
    (scope, source, target, protocol, port, target_scope): (&'static str, Address, Address, u8, u16, Scope),
    more: &[(&'static str, Value)],
) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("scope", Value::Text(scope.into())),
        ("source", Value::Address(source)),
        ("target", Value::Address(target)),
        ("outside_target", Value::Flag(target_scope == Scope::Outside && !is_neighbour(source, target))),
        ("protocol", Value::Text(transport(protocol).into())),
        ("port", Value::Count(u64::from(port))),
    ];
    fields.extend_from_slice(more);
    fields
}

/// Whether two addresses share the prefix that links usually have (/24, /64): such a peer is at home even where the site's
/// addresses are public and nobody named its networks.
fn is_neighbour(source: Address, target: Address) -> bool {
    let length = if source.is_v4() { 15 } else { 8 };
    source.0[..length] == target.0[..length]
}

impl Detector for Beacon {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Network
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            let Some((flow, counts)) = observed.fact.reported() else { continue };
            connection(flow, observed.time, &self.local, found);
            if counts {
                self.contact(flow, observed.time, found);
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.pairs.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, at, end, flow};

    /// A pseudo-random number from 0 to 1 (xorshift, fixed seed).
    fn random(state: &mut u64) -> f64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn contacts(count: u32, mut next: impl FnMut() -> f64) -> Found {
        let (mut beacon, mut found) = (Beacon::new(LocalNetworks::default()), Found::default());
        let mut second = 1000.0;
        for number in 0..count {
            let contact = flow(&format!("10.0.0.1:{}", 30_000 + number), "198.51.100.1:443", 6, Shape::Conversation);
            end(&mut beacon, &at(contact, second), &mut found);
            second += next();
        }
        found
    }

    fn last(found: &Found, name: &str) -> f64 {
        match found.measurements.last().and_then(|measurement| measurement.get(name)) {
            Some(Value::Number(number)) => *number,
            Some(Value::Count(count)) => *count as f64,
            _ => f64::NAN,
        }
    }

    #[test]
    fn jitter_shows_as_dispersion() {
        let mut state = 42;
        let mut jittered = |jitter: f64, count| {
            let found = contacts(count, || 60.0 * (1.0 + jitter * (2.0 * random(&mut state) - 1.0)));
            (last(&found, "dispersion"), last(&found, "near_share"), last(&found, "contacts"))
        };
        let (dispersion, near, count) = jittered(0.2, 20);
        assert!(dispersion < 0.15 && near == 1.0 && count == 20.0, "{dispersion} {near} {count}");
        let (dispersion, near, count) = jittered(0.5, 40);
        assert!(dispersion < 0.35 && near > 0.85 && count == 40.0, "{dispersion} {near} {count}");
    }

    #[test]
    fn accidental_contacts_are_not_regular() {
        let mut state = 7;
        let mut regular = 0;
        for _ in 0..200 {
            let found = contacts(40, || -60.0 * (1.0 - random(&mut state)).ln() + 0.6);
            for measurement in &found.measurements {
                let value = |name| match measurement.get(name) {
                    Some(Value::Number(number)) => *number,
                    Some(Value::Count(count)) => *count as f64,
                    _ => f64::NAN,
                };
                let late = value("contacts") >= 40.0;
                let limit = if late { 0.35 } else { 0.15 };
                regular += u32::from(value("contacts") >= 20.0 && value("dispersion") <= limit);
            }
        }
        assert_eq!(regular, 0);
    }

    #[test]
    fn flows_that_begin_together_are_one_contact() {
        let (mut beacon, mut found) = (Beacon::new(LocalNetworks::default()), Found::default());
        for number in 0..300 {
            let parallel = flow(&format!("10.0.0.1:{}", 30_000 + number), "198.51.100.1:443", 6, Shape::Conversation);
            end(&mut beacon, &at(parallel, 1000.0 + f64::from(number) * 0.001), &mut found);
        }
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn a_heartbeat_inside_one_connection_counts_its_beats() {
        let mut heartbeat = flow("10.0.0.1:40000", "198.51.100.1:4444", 6, Shape::Conversation);
        heartbeat.orig.gaps = Moments::default();
        heartbeat.orig.payload_packets = 31;
        for _ in 0..30 {
            // A message, and a moment later the acknowledgment of its answer.
            heartbeat.orig.gaps.add(0.05);
            heartbeat.orig.gaps.add(30.0);
        }
        heartbeat.last = Timestamp::from_seconds(1000 + 900);
        let mut found = Found::default();
        connection(&heartbeat, heartbeat.last, &LocalNetworks::default(), &mut found);
        assert!((last(&found, "period_seconds") - 30.0).abs() < 0.5, "{:?}", found.measurements);
        assert!((28.0..=32.0).contains(&last(&found, "contacts")));
        assert!(last(&found, "regularity") > 0.95);
    }

    #[test]
    fn tcp_keep_alives_are_no_beats() {
        let mut idle = flow("10.0.0.1:40000", "198.51.100.1:80", 6, Shape::Conversation);
        (0..60).for_each(|_| idle.orig.gaps.add(10.0));
        idle.last = Timestamp::from_seconds(1000 + 600);
        let mut found = Found::default();
        connection(&idle, idle.last, &LocalNetworks::default(), &mut found);
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn contacts_of_last_week_are_another_story() {
        let mut second = 0;
        let found = contacts(21, || {
            second += 1;
            if second == 1 { 3.0 * 86_400.0 } else { 60.0 }
        });
        let measured = found.measurements.last().unwrap();
        assert_eq!((last(&found, "contacts"), last(&found, "coverage")), (20.0, 1.0));
        assert!(measured.first > Timestamp::from_seconds(3 * 86_400));
    }

    #[test]
    fn what_goes_on_for_a_week_is_told_until_it_is_known() {
        let mut state = 42;
        let found = contacts(700, || 900.0 * (1.0 + 0.2 * random(&mut state)));
        let told: Vec<_> = found.measurements.iter().filter_map(|measurement| measurement.get("contacts")).collect();
        let at = [10, 13, 16, 20, 25, 32, 40].map(Value::Count);
        assert_eq!(told[..7], at.each_ref()[..]);
        assert!(told.len() <= 8, "{told:?}");
    }

    #[test]
    fn devices_that_call_one_network_as_steadily_are_companions() {
        let (mut beacon, mut found) = (Beacon::new(LocalNetworks::default()), Found::default());
        for number in 0..25 {
            for device in 1..=6 {
                let from = format!("10.0.0.{device}:{}", 30_000 + number);
                let contact = flow(&from, &format!("198.51.100.{device}:443"), 6, Shape::Conversation);
                end(&mut beacon, &at(contact, 1000.0 + 60.0 * f64::from(number) + f64::from(device)), &mut found);
            }
        }
        assert_eq!(last(&found, "companions"), 5.0);
    }

    #[test]
    fn a_person_typing_has_no_rhythm() {
        let mut state = 11;
        let mut session = flow("10.0.0.1:40000", "198.51.100.1:22", 6, Shape::Conversation);
        session.orig.gaps = Moments::default();
        for _ in 0..500 {
            session.orig.gaps.add((-3.0 * (1.0 - random(&mut state)).ln()) as f32);
        }
        session.last = Timestamp::from_seconds(1000 + 1500);
        let mut found = Found::default();
        connection(&session, session.last, &LocalNetworks::default(), &mut found);
        assert!(found.measurements.is_empty() || last(&found, "regularity") < 0.5);
    }
}
