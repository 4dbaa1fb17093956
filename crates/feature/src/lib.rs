//! Flows in, rows of a feature matrix out, under a named and versioned schema.
//!
//! A [`Schema`] is a name, a version and an ordered list of [`Feature`]s; its hash is stored in every model, and a model
//! refuses any other schema. Ports, protocols and states are categories, never magnitudes; no address, checksum or
//! identifier is a feature.

mod connection;
mod connection_nine;
mod packet_label;
mod packet_window;
mod port_class;
mod schema;

pub use connection::CONNECTION;
pub use connection_nine::CONNECTION_9;
pub use packet_label::PacketLabel;
pub use packet_window::{PACKET_WINDOW_14, PacketFacts, PacketWindow, WindowMeasures};
pub use port_class::PortClass;
pub use schema::{Feature, Schema, Values, find};

/// Every schema whose rows are flows, in the order in which they are listed. [`PACKET_WINDOW_14`] has a row for each packet.
pub const SCHEMAS: &[&Schema] = &[&CONNECTION, &CONNECTION_9];
