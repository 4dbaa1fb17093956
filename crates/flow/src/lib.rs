//! Packets in, flow events out.
//!
//! Time is capture time: nothing here reads the wall clock, so replaying a file gives the flows the live link gave.

mod record;

pub use record::{ConnState, EndReason, Endpoint, Flow, FlowEvent, FlowEventKind, Half, History, Moments};
