//! Frames in, packets out: every link type, tunnel and header; stateless.
//!
//! A [`Packet`] is a small record of what the headers said, with the place of its payload in the batch's buffer: nothing
//! is copied. What cannot be decoded is counted in [`DecodeCounts`] by name, never dropped silently. IP fragments come out
//! as [`Fragment`]s, for `flow` owns reassembly; the datagram comes back here through the decoder.

mod batch;
mod packet;

pub use batch::{Arp, Buffers, DecodeCounts, Fragment, PacketBatch};
pub use packet::{Address, Packet, Tunnel, flag};
