//! Time to decode one frame, checksums verified and not. Sizes are those of the whole Ethernet frame.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etherparse::PacketBuilder;
use lapwing_capture::{FrameBatch, FrameIndex, LinkType, Timestamp};
use lapwing_decode::{DecodeOptions, Decoder, PacketBatch};

/// Frames of a batch: as many as stay in a second-level cache.
const FRAMES: u32 = 512;

/// `FRAMES` TCP frames of `size` bytes from as many hosts.
fn tcp(size: usize) -> FrameBatch {
    let mut batch = FrameBatch { first_number: 1, ..FrameBatch::default() };
    for host in 0..FRAMES {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4((0x0a00_0000 + host).to_be_bytes(), [192, 0, 2, 1], 64)
            .tcp(40_000, 443, host, 1024)
            .ack(1);
        let payload = vec![host as u8; size - builder.size(0)];
        let offset = batch.buffer.len() as u32;
        builder.write(&mut batch.buffer, &payload).unwrap();
        batch.frames.push(FrameIndex {
            time: Timestamp::from_seconds(i64::from(host)),
            offset,
            captured: size as u32,
            length: size as u32,
            link: LinkType::ETHERNET,
            input: 0,
        });
    }
    batch
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(u64::from(FRAMES)));
    for size in [64, 444, 1514] {
        let batch = tcp(size);
        for checksums in [false, true] {
            let decoder = Decoder::new(DecodeOptions { checksums });
            let mut out = PacketBatch::default();
            let name = format!("tcp-{size}-{}", if checksums { "checksums" } else { "plain" });
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    out.clear();
                    for frame in black_box(&batch).iter() {
                        decoder.decode(frame, &mut out);
                    }
                    out.packets.len()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
