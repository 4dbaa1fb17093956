//! `serve`, asked and attacked from outside: what clients of earlier programs rely on, the stream, who may do what, and what
//! comes of hostile requests. It needs no rights and no network but loopback.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step fails the test")]

mod access;
mod full_disk;
mod limits;
mod logs;
mod operations;
mod replay;
mod sentrynet;
mod server;
mod sites;
mod sources;
mod stream;
mod tls;
mod traffic_monitor;
mod uploads;
