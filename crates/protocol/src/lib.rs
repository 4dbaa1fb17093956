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
use lapwing_flow::Flow;

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
    /// A flow is over; its counts are final.
    FlowEnded(&'a Flow),
    /// An ARP packet.
    Arp(&'a Arp),
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
