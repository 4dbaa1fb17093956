//! Frames in, packets out: every link type, tunnel and header; stateless.
//!
//! A [`Packet`] is a small record of what the headers said, with the place of its payload in the batch's buffer: nothing
//! is copied. What cannot be decoded is counted in [`DecodeCounts`] by name, never dropped silently. IP fragments come out
//! as [`Fragment`]s, for `flow` owns reassembly; the datagram comes back here through [`Decoder::decode_datagram`].

mod batch;
mod checksum;
mod decoder;
mod icmp;
mod ip;
mod key;
mod link;
mod network;
mod packet;
mod ppp;
mod span;
mod transport;
mod tunnel;
mod udp_tunnel;
mod undecoded;
mod wifi;

pub use batch::{Arp, Buffers, DecodeCounts, Fragment, PacketBatch};
pub use decoder::{DecodeOptions, Decoder};
pub use icmp::counterpart as icmp_counterpart;
pub use packet::{Address, Packet, Tunnel, flag};
pub use undecoded::Undecoded;
