//! What one batch of frames decodes to.

use std::collections::BTreeMap;

use lapwing_capture::Timestamp;

use crate::{Packet, Undecoded};

/// The two places where payload bytes lie.
#[derive(Clone, Copy, Debug, Default)]
pub struct Buffers<'a> {
    /// Bytes as they were read from the capture.
    pub frames: &'a [u8],
    /// Datagrams put together from fragments.
    pub reassembled: &'a [u8],
}

/// One IP fragment, still in its frame's buffer.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// What the headers said; the ports are zero, `payload_*` is this fragment's piece of the datagram, `ip_length` that of
    /// this fragment's IP packet.
    pub packet: Packet,
    /// IP identification.
    pub identification: u32,
    /// Where its bytes belong in the datagram's payload.
    pub fragment_offset: u32,
    /// Whether more fragments follow.
    pub more: bool,
}

/// One ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// When its frame was captured.
    pub time: Timestamp,
    /// Number of its frame.
    pub frame: u64,
    /// 1 request, 2 reply.
    pub operation: u16,
    /// VLAN id, zero without a tag.
    pub vlan: u16,
    /// Source address of the frame itself.
    pub frame_source: [u8; 6],
    /// Destination address of the frame itself.
    pub frame_destination: [u8; 6],
    /// Who says it holds `sender_address`.
    pub sender_mac: [u8; 6],
    /// The address it says it holds.
    pub sender_address: [u8; 4],
    /// Whom it asks or answers.
    pub target_mac: [u8; 6],
    /// The address asked for.
    pub target_address: [u8; 4],
}

/// Counts of what was and was not decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Frames looked at.
    pub frames: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Packets with a wrong IP or transport checksum.
    pub bad_checksums: u64,
    /// Frames cut by the snap length.
    pub truncated: u64,
    /// Fragments.
    pub fragments: u64,
    /// Frames or layers that were not decoded, by what they are (`ethertype 0x88cc (LLDP)`, `link type 195`, `malformed
    /// IPv4`).
    pub undecoded: BTreeMap<Undecoded, u64>,
}

impl DecodeCounts {
    /// Adds the counts of another batch.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.bad_checksums += other.bad_checksums;
        self.truncated += other.truncated;
        self.fragments += other.fragments;
        for (what, count) in &other.undecoded {
            *self.undecoded.entry(*what).or_default() += count;
        }
    }
}

/// What one batch of frames decodes to; reused from batch to batch.
#[derive(Debug, Default)]
pub struct PacketBatch {
    /// Packets, in frame order; one frame may give several (a tunnel's outer and inner packet).
    pub packets: Vec<Packet>,
    /// Fragments, in frame order.
    pub fragments: Vec<Fragment>,
    /// ARP packets, in frame order.
    pub arps: Vec<Arp>,
    /// Payload of datagrams put together from fragments.
    pub reassembled: Vec<u8>,
    /// Counts over this batch.
    pub counts: DecodeCounts,
}

impl PacketBatch {
    /// Forgets the contents; keeps the memory.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.fragments.clear();
        self.arps.clear();
        self.reassembled.clear();
        self.counts = DecodeCounts::default();
    }
}
