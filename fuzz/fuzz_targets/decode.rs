//! The whole decode path: two bytes choose the link type, the rest is a frame; then every fragment and the frame itself as
//! datagrams that were put together.
#![no_main]

use std::cell::RefCell;

use lapwing_decode::{Address, Buffers, DecodeOptions, Decoder, Packet, PacketBatch, flag};
use lapwing_fuzz::Frames;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static STATE: RefCell<(Frames, PacketBatch)> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let [link_low, link_high, frame @ ..] = data else { return };
    STATE.with_borrow_mut(|(frames, out)| {
        frames.begin();
        frames.push(u16::from_le_bytes([*link_low, *link_high]), 0, frame);
        let read = frames.batch.iter().nth(1).expect("one frame was pushed");
        let decoder = Decoder::new(DecodeOptions::default());

        out.clear();
        decoder.decode(read, out);
        let packets = out.packets.len();
        check(&out.packets, &frames.batch.buffer, &[]);
        check(out.fragments.iter().map(|fragment| &fragment.packet), &frames.batch.buffer, &[]);
        assert_eq!(out.counts.fragments, out.fragments.len() as u64);

        let unchecked = Decoder::new(DecodeOptions { checksums: false });
        unchecked.decode(read, out);
        assert_eq!(out.packets.len(), 2 * packets, "checksums decide how much is decoded");

        let mut firsts: Vec<Packet> = out.fragments.drain(..).map(|fragment| fragment.packet).collect();
        firsts.truncate(4);
        firsts.push(whole(frame, Address::v4([192, 0, 2, 1]), 0));
        firsts.push(whole(frame, Address([0x20; 16]), flag::IPV6));
        for first in &firsts {
            out.clear();
            out.reassembled.extend(&frame[..frame.len() / 3]);
            let start = out.reassembled.len();
            out.reassembled.extend(frame.get(1..).unwrap_or_default());
            decoder.decode_datagram(first, start, out);
            check(&out.packets, &[], &out.reassembled);
        }
    });
});

/// A first fragment, of which the first byte of the frame says the protocol.
fn whole(frame: &[u8], source: Address, flags: u16) -> Packet {
    let protocol = frame.first().copied().unwrap_or_default();
    Packet { source, destination: Address([0x22; 16]), protocol, flags, ttl: 64, ..Packet::default() }
}

/// Payloads lie where they are said to lie, and a frame cannot give packets without end.
fn check<'a>(packets: impl IntoIterator<Item = &'a Packet>, frames: &[u8], reassembled: &[u8]) {
    let mut count = 0;
    for packet in packets {
        count += 1;
        assert!(packet.payload_captured <= packet.payload_length);
        assert_eq!(packet.payload(Buffers { frames, reassembled }).len(), packet.payload_captured as usize);
        assert!(usize::from(packet.shard) < Packet::SHARDS);
    }
    assert!(count < 64, "{count} packets");
}
