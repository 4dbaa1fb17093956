//! Connections that look like logins, gathered: one source's at one service of one target, and at one service wherever.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use lapwing_flow::{Flow, Moments};

use super::recent::{Recent, WINDOW};
use super::second;
use crate::Value;
use crate::distinct::{Distinct, address_thing};
use crate::evidence::{Evidence, Steps};

/// What the connections of a series were like.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) count: u32,
    server_closed: u32,
    sent: Moments,
    received: Moments,
    /// Packets with payload that the client sent: what it had to say until it was over.
    messages: Moments,
    seconds: Moments,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Series {
    /// Whether an attempt at second `now` comes too late to belong to it.
    fn is_over(&self, now: u32) -> bool {
        self.count > 0 && now.saturating_sub(second(self.last)) > WINDOW
    }

    fn add(&mut self, flow: &Flow) {
        if self.count == 0 {
            (self.first, self.last) = (flow.start, flow.last);
        }
        self.count = self.count.saturating_add(1);
        self.server_closed = self.server_closed.saturating_add(u32::from(server_closed(flow)));
        self.sent.add(flow.orig.payload_bytes as f32);
        self.received.add(flow.resp.payload_bytes as f32);
        self.messages.add(flow.orig.payload_packets as f32);
        self.seconds.add(flow.duration().as_secs_f32());
        (self.first, self.last) = (self.first.min(flow.start), self.last.max(flow.last));
    }

    pub(super) fn fields(&self) -> [(&'static str, Value); 8] {
        let mean = |moments: &Moments| Value::Number(f64::from(moments.mean));
        // Deviation over mean: refused logins are alike.
        let spread =
            |moments: &Moments| Value::Number(f64::from(moments.deviation()) / f64::from(moments.mean.max(1.0)));
        [
            ("server_closed_share", Value::Number(f64::from(self.server_closed) / f64::from(self.count.max(1)))),
            // Servers delay a refusal: PAM by two seconds, others alike.
            ("seconds_mean", mean(&self.seconds)),
            ("seconds_per_message", Value::Number(f64::from(self.seconds.mean / self.messages.mean.max(1.0)))),
            // Who was let in goes on talking: a channel, a command, a file.
            ("sent_messages_mean", mean(&self.messages)),
            ("sent_bytes_mean", mean(&self.sent)),
            ("received_bytes_mean", mean(&self.received)),
            ("sent_spread", spread(&self.sent)),
            ("received_spread", spread(&self.received)),
        ]
    }
}

/// Whether the server hung up first, as its letters tell.
fn server_closed(flow: &Flow) -> bool {
    let closing = flow.history.as_str().bytes().find(|letter| matches!(letter, b'f' | b'F' | b'r' | b'R'));
    matches!(closing, Some(b'f' | b'r'))
}

/// Attempts of one source at one service of one target.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) series: Series,
    /// How many began in each half minute of the last 15 minutes.
    pub(super) recent: Recent,
    pub(super) steps: Steps,
    pub(super) evidence: Evidence,
}

impl Attempts {
    pub(super) fn add(&mut self, flow: &Flow, now: u32) {
        if self.series.is_over(now) {
            *self = Self::default();
        }
        self.series.add(flow);
        self.recent.add(now);
        if self.series.count > 2 {
            self.evidence.note(flow);
        }
    }
}

/// Attempts of one source at one service, wherever.
#[derive(Debug, Default)]
pub(super) struct Spray {
    pub(super) series: Series,
    pub(super) targets: Distinct,
    pub(super) steps: Steps,
    pub(super) evidence: Evidence,
    pub(super) peers: Vec<Address>,
}

impl Spray {
    pub(super) fn add(&mut self, flow: &Flow, target: Address, now: u32) {
        if self.series.is_over(now) {
            *self = Self::default();
        }
        self.series.add(flow);
        if self.targets.insert(address_thing(&target), now, WINDOW)
            && self.peers.len() < 8
            && !self.peers.contains(&target)
        {
            self.peers.push(target);
            self.evidence.note(flow);
        }
    }
}
