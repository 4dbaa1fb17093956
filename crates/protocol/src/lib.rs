//! Flow events in, observations out.
//!
//! An [`Observation`] is one fact worth looking at; detectors, signatures and writers see nothing else of the traffic.

mod community_id;
mod conn_log;
mod facts;
mod fields;
mod line;
mod local;

use lapwing_capture::Timestamp;
use lapwing_decode::Arp;
use lapwing_flow::{Flow, Settled};

pub use community_id::CommunityId;
pub use conn_log::{ConnLog, LogFormat};
pub use facts::{Fact, Facts, Need};
pub use fields::{CONN_FIELDS, Field, FieldValue, Uid, ZeekType, conn_field, transport};
pub use local::{LocalNetworks, NetworkError, Scope};

/// One fact worth looking at, borrowed from the batch it came in.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A flow's first packet came; its counts are those of that packet.
    FlowStarted(&'a Flow),
    /// A flow goes on; its counts are interim.
    FlowProgress(&'a Flow),
    /// What came of a flow can be told, before its end.
    FlowSettled(&'a Flow),
    /// A flow is over; its counts are final.
    FlowEnded(&'a Flow),
    /// An ARP packet.
    Arp(&'a Arp),
}

impl<'a> Observation<'a> {
    /// The flow, where something new is told of one, and whether this is the report at which it counts: what came of it has
    /// settled, or it ended before it did. The end of what had settled is told only if more than stragglers came since.
    #[must_use]
    pub fn reported(&self) -> Option<(&'a Flow, bool)> {
        match *self {
            Self::FlowProgress(flow) => Some((flow, false)),
            Self::FlowSettled(flow) => Some((flow, true)),
            Self::FlowEnded(flow) if flow.settled == Settled::No => Some((flow, true)),
            Self::FlowEnded(flow) if flow.settled == Settled::Tried && flow.has_grown() => Some((flow, false)),
            Self::FlowEnded(_) | Self::FlowStarted(_) | Self::Arp(_) => None,
        }
    }

    /// The flow, at the one report at which it counts.
    #[must_use]
    pub fn judged(&self) -> Option<&'a Flow> {
        self.reported().filter(|(_, counts)| *counts).map(|(flow, _)| flow)
    }

    /// The flow, at the end of one that counted as an attempt, if more came of it since.
    #[must_use]
    pub fn outlived(&self) -> Option<&'a Flow> {
        match (self, self.reported()) {
            (Self::FlowEnded(_), Some((flow, false))) => Some(flow),
            _ => None,
        }
    }

    /// The flow, once it is complete: its connection was closed or reset and the last acknowledgments have come, or it ended.
    #[must_use]
    pub fn finished(&self) -> Option<&'a Flow> {
        match *self {
            Self::FlowSettled(flow) if flow.settled == Settled::Closed => Some(flow),
            Self::FlowEnded(flow) if flow.settled != Settled::Closed => Some(flow),
            _ => None,
        }
    }
}

/// An observation with its place in the order that every detector sees: capture time, frame number, kind.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Capture time of the fact.
    pub time: Timestamp,
    /// Frame number at which it became known.
    pub frame: u64,
    /// The fact.
    pub fact: Observation<'a>,
}

#[cfg(test)]
mod tests {
    use lapwing_flow::Half;

    use super::*;

    #[test]
    fn a_flow_counts_once_and_finishes_once_whatever_is_told_of_it() {
        for settled in [Settled::No, Settled::Tried, Settled::Closed] {
            let flow =
                Flow { settled, orig: Half { packets: 2, ..Half::default() }, told_packets: 1, ..Flow::default() };
            let all =
                [Observation::FlowProgress(&flow), Observation::FlowSettled(&flow), Observation::FlowEnded(&flow)];
            let told = if settled == Settled::No { &all[2..] } else { &all };
            assert_eq!(told.iter().filter(|fact| fact.judged().is_some()).count(), 1, "{settled:?}");
            assert_eq!(told.iter().filter(|fact| fact.finished().is_some()).count(), 1, "{settled:?}");
            let outlived = told.iter().filter(|fact| fact.outlived().is_some()).count();
            assert_eq!(outlived, usize::from(settled == Settled::Tried));
        }
    }
}
