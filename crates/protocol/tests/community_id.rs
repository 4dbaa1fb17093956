//! Community IDs against the vectors and captures of the specification.
//!
//! Reads the folder `community-id` of the one named by `LAPWING_DATA` (a copy of `corelight/community-id-spec`) and skips with
//! a word when it is unset.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::Path;

use lapwing_capture::{FrameBatch, Inputs, Progress, Source};
use lapwing_decode::{Buffers, DecodeOptions, Decoder, Packet, PacketBatch};
use lapwing_flow::{Flow, FlowConfig, FlowTable};
use lapwing_protocol::CommunityId;

#[test]
fn the_specifications_captures_give_its_ids() {
    let data = std::env::var_os("LAPWING_DATA").map(|data| Path::new(&data).join("community-id"));
    let Some(folder) = data.filter(|folder| folder.is_dir()) else {
        eprintln!("skipped: LAPWING_DATA names no folder with community-id");
        return;
    };
    let captures = std::fs::read_dir(folder.join("pcaps")).unwrap().map(|entry| entry.unwrap().path());
    let flows: Vec<Flow> =
        captures.filter(|path| path.extension().unwrap() == "pcap").flat_map(|path| flows_of(&path)).collect();
    for (file, seed) in [("baseline_deflt.json", 0), ("baseline_seed1.json", 1)] {
        let vectors: Vec<serde_json::Value> =
            serde_json::from_slice(&std::fs::read(folder.join("baseline").join(file)).unwrap()).unwrap();
        let expected: BTreeSet<String> =
            vectors.iter().map(|vector| vector["communityid"].as_str().unwrap().to_owned()).collect();
        let found: BTreeSet<String> = flows.iter().map(|flow| CommunityId::new(flow, seed).to_string()).collect();
        assert_eq!(found, expected, "seed {seed}");
        eprintln!("seed {seed}: {} vectors, {} ids", vectors.len(), found.len());
    }
}

/// Every flow of a capture, as it starts.
fn flows_of(path: &Path) -> Vec<Flow> {
    let mut inputs = Inputs::open(&[path.to_path_buf()]).unwrap();
    let decoder = Decoder::new(DecodeOptions::default());
    let mut tables: Vec<FlowTable> = (0..Packet::SHARDS).map(|_| FlowTable::new(&FlowConfig::default())).collect();
    let (mut frames, mut out, mut events) = (FrameBatch::default(), PacketBatch::default(), Vec::new());
    loop {
        let progress = inputs.read(&mut frames).unwrap();
        out.clear();
        frames.iter().for_each(|frame| decoder.decode(frame, &mut out));
        for packet in &out.packets {
            tables[usize::from(packet.shard)].take(packet, Buffers::default(), &mut events);
        }
        if progress == Progress::End {
            return events.into_iter().map(|event| event.flow).collect();
        }
    }
}
