//! The HTTP and WebSocket API over a running engine, behind accounts with roles; serves the dashboard.
//!
//! A run puts what it sees into a [`Feed`] (through [`Feeding`], a stage around its own) and what it finds into a store; whoever runs it
//! answers as [`Operator`]. A [`Server`] shows all that: to programs by the operations that `/openapi.json` describes, to
//! people by the dashboard, to both as it happens by the stream `/ws`. Every operation is one line of one table, which says who
//! may use it.

mod access;
mod answers;
mod assets;
pub mod auth;
mod clock;
mod extract;
mod feed;
mod network;
mod openapi;
mod operation;
mod operator;
mod problem;
mod publish;
mod random;
mod request;
mod request_id;
mod routes;
mod server;
mod shared;
mod socket;
mod stream;
mod uploads;
mod view;

pub use feed::{Feed, Feeding, Second};
pub use operator::{
    Analysis, Coverage, DetectionChoice, Findings, InterfaceCoverage, InterfaceView, LogCoverage, LogState, MethodView,
    ModelView, Operator, Refused, SignatureView, SinkView, SourceChoice, SourceKind, SourceState, SourceStatus,
};
pub use server::{Parts, ServeError, Server};
