//! Many connections that are held open and say next to nothing.
//!
//! # What it sees
//! Per source, target and port: how many connections within two minutes were open, and had hardly carried anything: under
//! four kilobytes from the client and half a kilobyte from the server, after twenty seconds or when the capture ended; or, after
//! twenty seconds, a short request whose answer trickles at less than 500 bytes a second. Emits service `slow_request`.
//!
//! # Why it matters
//! A server has a limited number of places; slowloris and its kin (slowite for MQTT) occupy them all with next to no traffic
//! (ATT&CK T1499.002).
//!
//! # False positives
//! A pool of idle connections to a database, a simulator of many clients. Connections that were served (TLS handshakes, pages)
//! carried more and are not counted.
//!
//! # References
//! Hansen 2009 (Slowloris); Vaccari et al. 2020, *SlowITe, a novel denial of service attack affecting MQTT*.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{ConnState, Flow};
use lapwing_protocol::{Fact, Need, Observation, Observed};

use super::second;
use super::sweep::Sweep;
use crate::detector::first_packet_from_responder;
use crate::distinct::Distinct;
use crate::evidence::{Evidence, Steps};
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, SHARDS, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "slow-request",
    summary: "many open connections of one client that say next to nothing",
    services: &["slow_request"],
    needs: &[
        Need::all(Fact::PayloadBytes),
        Need::all(Fact::Flags),
        Need::part(Fact::Progress, "connections that still wait"),
    ],
};

/// Source, target and port triples watched at a time, over all shards: 2,048 × at most 1.2 kB.
const PAIRS: usize = 2_048;

/// Connections count this many seconds after they were last seen waiting.
const WINDOW: u32 = 120;

/// A connection that waits is at least this old.
const WAITING_SECONDS: f64 = 20.0;

/// A client that waits has not got its request out (512 bytes back are a greeting), or has sent a short one and takes the
/// answer in sips.
const MAX_SENT: u64 = 4_096;
const MAX_RECEIVED: u64 = 512;
const SHORT_REQUEST: u64 = 1_024;
const SIPS_PER_SECOND: f64 = 500.0;
const FLOOR: u32 = 10;

/// See the module.
#[derive(Debug)]
pub struct SlowRequest {
    pairs: Table<(Address, Address, u16), Pair>,
    sweep: Sweep,
}

#[derive(Debug, Default)]
struct Pair {
    waiting: Distinct,
    sent: u64,
    counted: u64,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
    evidence: Evidence,
}

impl SlowRequest {
    /// With its share of the cap for one of [`SHARDS`] shards.
    #[must_use]
    pub fn new() -> Self {
        Self { pairs: Table::new(PAIRS / SHARDS), sweep: Sweep::new() }
    }

    fn look(&mut self, flow: &Flow, time: Timestamp, ended: bool, found: &mut Found) {
        if !waits(flow, ended) {
            return;
        }
        let (source, target, port) = (flow.originator.address, flow.responder.address, flow.responder.port);
        let now = second(time);
        let pair = self.pairs.entry((source, target, port));
        if pair.counted > 0 && now.saturating_sub(second(pair.last)) > WINDOW {
            *pair = Pair::default();
        }
        if pair.counted == 0 {
            pair.first = flow.start;
        }
        pair.first = pair.first.min(flow.start);
        pair.last = pair.last.max(time);
        if pair.waiting.insert((flow.uid ^ flow.uid >> 32) as u32, now, WINDOW) {
            pair.counted += 1;
            pair.sent += flow.orig.payload_bytes;
            if pair.counted > 3 {
                pair.evidence.note(flow);
            }
        }
        let waiting = pair.waiting.count(now, WINDOW);
        self.sweep.stir_if(waiting >= FLOOR);
        if pair.steps.reached(waiting, FLOOR) {
            found.measurements.push(pair.measurement((source, target, port), waiting, time));
        }
    }
}

impl Default for SlowRequest {
    fn default() -> Self {
        Self::new()
    }
}

fn waits(flow: &Flow, ended: bool) -> bool {
    let (orig, resp) = (&flow.orig, &flow.resp);
    let seconds = flow.duration().as_secs_f64();
    let is_old = seconds >= WAITING_SECONDS;
    let says_nothing = orig.payload_bytes <= MAX_SENT && resp.payload_bytes <= MAX_RECEIVED;
    let sips = is_old && orig.payload_bytes <= SHORT_REQUEST && resp.payload_bytes as f64 <= SIPS_PER_SECOND * seconds;
    // At the end of the input, and when they time out, connections are still open: `S1`.
    let is_open = flow.state == ConnState::S1;
    flow.protocol == 6
        && (is_old || (ended && is_open))
        && orig.flags[1] > 0
        && resp.flags[1] > 0
        && orig.payload_packets > 0
        && (says_nothing || sips)
        && !first_packet_from_responder(flow)
}

impl Pair {
    fn measurement(
        &self,
        (source, target, port): (Address, Address, u16),
        waiting: u32,
        time: Timestamp,
    ) -> Measurement {
        Measurement {
            time,
            service: "slow_request",
            detector: INFO.name,
            subject: Subject::HostPair { source, target },
            peers: vec![target],
            first: self.first,
            last: self.last,
            evidence: self.evidence.flows(),
            fields: vec![
                ("source", Value::Address(source)),
                ("target", Value::Address(target)),
                ("port", Value::Count(u64::from(port))),
                ("waiting", Value::Count(u64::from(waiting))),
                ("sent_bytes_mean", Value::Number(self.sent as f64 / self.counted.max(1) as f64)),
            ],
        }
    }
}

impl Detector for SlowRequest {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Actor
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            match observed.fact {
                Observation::FlowEnded(flow) => self.look(flow, observed.time, true, found),
                Observation::FlowProgress(flow) | Observation::FlowSettled(flow) => {
                    self.look(flow, observed.time, false, found);
                }
                Observation::FlowStarted(_) | Observation::Arp(_) => {}
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if !self.sweep.is_due(now) {
            return;
        }
        for (key, pair) in self.pairs.iter_mut() {
            let waiting = pair.waiting.count(second(pair.last), WINDOW);
            if pair.steps.unreported(waiting, FLOOR) {
                found.measurements.push(pair.measurement(*key, waiting, now));
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
    use crate::testing::{Shape, flow};

    fn waiting(number: u16, received: u64) -> Flow {
        let mut flow = flow(&format!("10.0.0.1:{}", 30_000 + number), "10.0.0.2:80", 6, Shape::Conversation);
        flow.state = ConnState::S1;
        flow.last = Timestamp::from_seconds(1060);
        flow.resp.payload_bytes = received;
        flow
    }

    fn most(received: u64) -> u64 {
        let (mut slow, mut found) = (SlowRequest::new(), Found::default());
        for number in 0..100 {
            slow.look(&waiting(number, received), Timestamp::from_seconds(1060), false, &mut found);
        }
        slow.advance(Timestamp::from_seconds(1061), &mut found);
        match found.measurements.last().and_then(|measurement| measurement.get("waiting")) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    #[test]
    fn connections_that_wait_are_counted() {
        // Beyond thirty-two a sketch counts.
        assert!((85..=115).contains(&most(0)), "{}", most(0));
    }

    #[test]
    fn connections_that_were_served_are_not() {
        assert_eq!(most(500_000), 0);
    }
}
