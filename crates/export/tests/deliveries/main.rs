//! From an alert to a receiver, through spool and threads.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;
mod kills;
mod outages;
mod receivers;
mod tls;
