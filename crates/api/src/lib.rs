//! The HTTP and WebSocket API over a running engine, behind accounts with roles; serves the dashboard.

pub mod auth;
