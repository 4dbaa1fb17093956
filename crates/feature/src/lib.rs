//! Flows in, rows of a feature matrix out, under a named and versioned schema.
//!
//! A [`Schema`] is a name, a version and an ordered list of [`Feature`]s; its hash is stored in every model, and a model
//! refuses any other schema. Ports, protocols and states are categories, never magnitudes; no address, checksum or
//! identifier is a feature.

mod connection;
mod connection_nine;
mod port_class;
mod schema;

pub use connection::CONNECTION;
pub use connection_nine::CONNECTION_9;
pub use port_class::PortClass;
pub use schema::{Feature, Schema, Values, find};

/// Every schema, in the order in which they are listed.
pub const SCHEMAS: &[&Schema] = &[&CONNECTION, &CONNECTION_9];
