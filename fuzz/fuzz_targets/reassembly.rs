//! IP fragments: bytes become fragments of few datagrams, these go through decoder, reassembler, `decode_datagram` and the
//! flow table.
//!
//! Each fragment is eight bytes that say how it is (see [`fragment`]), and its piece of the payload.
#![no_main]

use std::cell::RefCell;

use lapwing_capture::LinkType;
use lapwing_decode::PacketBatch;
use lapwing_flow::{FlowConfig, ReassemblyLimits};
use lapwing_fuzz::{Frames, Traffic};
use libfuzzer_sys::fuzz_target;

/// Protocols that a fragment chooses from: those with ports, and tunnels whose inside may be fragments again.
const PROTOCOLS: [u8; 8] = [17, 6, 1, 58, 4, 41, 47, 132];
/// IPv6: the fragment header.
const FRAGMENT: u8 = 44;

thread_local! {
    static STATE: RefCell<(Frames, PacketBatch)> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let Some((limits, mut rest)) = data.split_first() else { return };
    let limits = match limits % 3 {
        0 => ReassemblyLimits { datagrams: 2, bytes: 4_096 },
        1 => ReassemblyLimits { datagrams: 16, bytes: 1_500 },
        _ => ReassemblyLimits::default(),
    };
    STATE.with_borrow_mut(|(frames, out)| {
        frames.begin();
        let mut count = 0;
        while let Some((header, behind)) = rest.split_first_chunk::<8>() {
            let length = usize::from(header[7]).min(behind.len());
            let (piece, behind) = behind.split_at(length);
            frames.push(LinkType::RAW.0, header[6], &fragment(header, piece));
            rest = behind;
            count += 1;
            if count == 512 {
                break;
            }
        }
        let mut traffic = Traffic::new(FlowConfig::default(), limits);
        traffic.take(&frames.batch, out);
        let counters = traffic.reassembly();
        assert!(counters.datagrams + counters.timed_out + counters.evicted <= counters.fragments);
        traffic.finish();
    });
});

/// An IP packet: version, more-fragments flag, protocol, identification, offset, source host.
fn fragment(header: &[u8; 8], piece: &[u8]) -> Vec<u8> {
    let [kind, protocol, identification, offset_high, offset_low, host, ..] = *header;
    let (six, more) = (kind & 1 != 0, kind & 2 != 0);
    let protocol = PROTOCOLS[usize::from(protocol) % PROTOCOLS.len()];
    let offset = u16::from_be_bytes([offset_high, offset_low]) & 0x1fff;
    let (identification, host) = (identification & 3, host & 1);
    let mut packet = Vec::with_capacity(48 + piece.len());
    if six {
        packet.extend([0x60, 0, 0, 0]);
        packet.extend((8 + piece.len() as u16).to_be_bytes());
        packet.extend([FRAGMENT, 64]);
        packet.extend([&[0xfd; 15][..], &[host], &[0xfe; 15], &[1]].concat());
        packet.extend([protocol, 0]);
        packet.extend((offset << 3 | u16::from(more)).to_be_bytes());
        packet.extend([0, 0, 0, identification]);
    } else {
        packet.extend([0x45, 0]);
        packet.extend((20 + piece.len() as u16).to_be_bytes());
        packet.extend([0, identification]);
        packet.extend((offset | u16::from(more) << 13).to_be_bytes());
        packet.extend([64, protocol, 0, 0]);
        packet.extend([10, 0, 0, host, 10, 0, 0, 9]);
    }
    packet.extend(piece);
    packet
}
