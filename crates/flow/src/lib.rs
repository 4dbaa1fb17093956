//! Packets in, flow events out.
//!
//! [`FlowTable`] owns every live flow of its shard ([`FlowTables`] of several); nothing else creates, updates or evicts one. Time is capture time:
//! nothing here reads the wall clock, so replaying a file gives the flows the live link gave. Memory is bounded by
//! [`FlowConfig::capacity`]; when full, the flow idle longest ends with [`EndReason::Evicted`]. States, history, counts and
//! timers are Zeek's, so that records compare.

mod config;
mod counters;
mod entry;
mod extras;
mod history;
mod index;
mod ports;
mod prefetch;
mod queue;
mod reassembly;
mod record;
mod series;
mod settling;
mod side;
mod table;
mod tables;
mod tcp;
#[cfg(test)]
mod testing;

pub use config::*;
pub use counters::FlowCounters;
pub use history::History;
pub use reassembly::{Datagram, FRAGMENT_TIMEOUT, Reassembler, ReassemblyCounters, ReassemblyLimits};
pub use record::{ConnState, EndReason, Endpoint, Flow, FlowEvent, FlowEventKind, Half, Moments, Settled};
pub use series::{PacketSeries, SERIES_FROM, SERIES_LENGTH, SeriesPacket};
pub use table::FlowTable;
pub use tables::{FlowTables, Sweep};
