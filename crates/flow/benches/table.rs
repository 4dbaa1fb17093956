//! CPU time that the flow table takes per packet of a capture, without reading and decoding.
//!
//! `cargo bench -p lapwing-flow --bench table -- CAPTURE [full]` (`full`: with packet series and entropy). Batches as the
//! engine makes them. Prints nanoseconds per packet;
//! take the least of several runs.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::path::PathBuf;

use lapwing_capture::{FrameBatch, Inputs, Progress, Source};
use lapwing_decode::{Buffers, DecodeOptions, Decoder, PacketBatch};
use lapwing_flow::{FlowConfig, FlowTables};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(path) = arguments.first() else {
        eprintln!("skipped: no capture named");
        return;
    };
    let full = arguments.iter().any(|argument| argument == "full");
    let config = FlowConfig { packet_series: full, payload_entropy: full, ..FlowConfig::default() };
    let mut inputs = Inputs::open(&[PathBuf::from(path)]).unwrap();
    let decoder = Decoder::new(DecodeOptions { checksums: false });
    let mut tables = FlowTables::new(&config, 0, 1);
    let (mut frames, mut out, mut events) = (FrameBatch::default(), PacketBatch::default(), Vec::new());
    let (mut packets, mut spent, mut reported) = (0_u64, 0_u64, 0_u64);
    loop {
        let progress = inputs.read(&mut frames).unwrap();
        out.clear();
        frames.iter().for_each(|frame| decoder.decode(frame, &mut out));
        let which: Vec<u32> = (0..out.packets.len() as u32).collect();
        packets += out.packets.len() as u64;
        let buffers = Buffers { frames: &frames.buffer, reassembled: &[] };
        let before = cpu_nanos();
        tables.process(&out.packets, &which, buffers, [], &mut events);
        spent += cpu_nanos() - before;
        reported += events.len() as u64;
        events.clear();
        if progress == Progress::End {
            break;
        }
    }
    let counters = tables.counters();
    println!("{packets} packets, {:.1} ns each; {reported} events; {counters:?}", spent as f64 / packets as f64);
}

/// CPU time of this thread, as Linux accounts it.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
