//! Captures and Zeek logs for the tests of this folder.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use lapwing_capture::{FrameBatch, Inputs, Progress, Source, Timestamp};
use lapwing_decode::{Buffers, DecodeOptions, Decoder, Packet, PacketBatch};
use lapwing_flow::{EndReason, Flow, FlowConfig, FlowEventKind, FlowTable, Reassembler, ReassemblyLimits};

/// A folder of the test data, if there is any.
pub(crate) fn data_folder(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LAPWING_DATA").map(|data| Path::new(&data).join(name)).filter(|path| path.is_dir());
    if folder.is_none() {
        eprintln!("skipped: LAPWING_DATA names no folder with {name}");
    }
    folder
}

/// One row of a `conn.log`, as far as it is compared.
pub(crate) struct Row {
    /// Protocol and endpoints.
    pub(crate) ends: String,
    duration: Option<f64>,
    /// State, history, packets, missed bytes and, where there is a duration, payload bytes.
    facts: String,
    /// IP bytes.
    sizes: String,
}

impl Row {
    pub(crate) fn of(flow: &Flow) -> Self {
        let protocol = match flow.protocol {
            6 => "tcp",
            17 => "udp",
            1 | 58 => "icmp",
            _ => "unknown_transport",
        };
        let (from, to) = (flow.originator, flow.responder);
        // Zeek knows no ports of protocols that it does not take apart.
        let port = |port| if protocol == "unknown_transport" { 0 } else { port };
        let duration = (flow.last > flow.start).then(|| flow.duration().as_secs_f64());
        let history = if flow.history.as_str().is_empty() { "-" } else { flow.history.as_str() };
        let bytes = |half: &lapwing_flow::Half| duration.map_or("-".into(), |_| half.payload_bytes.to_string());
        Self {
            ends: format!("{protocol} {}:{} {}:{}", from.address.ip(), port(from.port), to.address.ip(), port(to.port)),
            duration,
            facts: [
                bytes(&flow.orig),
                bytes(&flow.resp),
                flow.state.as_str().into(),
                (flow.orig.missed_bytes + flow.resp.missed_bytes).to_string(),
                history.into(),
                flow.orig.packets.to_string(),
                flow.resp.packets.to_string(),
            ]
            .join(" "),
            sizes: format!("{} {}", flow.orig.ip_bytes, flow.resp.ip_bytes),
        }
    }

    fn parse(line: &str, fields: &[&str]) -> Self {
        let values: Vec<&str> = line.split('\t').collect();
        let get = |name| fields.iter().position(|field| *field == name).map_or("-", |at| values[at]);
        Self {
            ends: format!(
                "{} {}:{} {}:{}",
                get("proto"),
                get("id.orig_h"),
                get("id.orig_p"),
                get("id.resp_h"),
                get("id.resp_p")
            ),
            duration: get("duration").parse().ok(),
            facts: ["orig_bytes", "resp_bytes", "conn_state", "missed_bytes", "history", "orig_pkts", "resp_pkts"]
                .map(get)
                .join(" "),
            sizes: ["orig_ip_bytes", "resp_ip_bytes"].map(get).join(" "),
        }
    }

    /// Whether both say the same; durations to a microsecond.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let duration = match (self.duration, other.duration) {
            (Some(one), Some(other)) => (one - other).abs() < 1.5e-6,
            (None, None) => true,
            _ => false,
        };
        duration && self.facts == other.facts
    }

    /// Whether both count the same bytes of IP packets.
    pub(crate) fn agrees_in_size(&self, other: &Self) -> bool {
        self.sizes == other.sizes
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {} ({})", self.duration, self.facts, self.sizes)
    }
}

/// The rows of the `conn.log` in a folder.
pub(crate) fn zeek_rows(folder: &Path) -> Vec<Row> {
    let plain = folder.join("conn.log");
    let text = if plain.exists() {
        std::fs::read_to_string(plain).unwrap()
    } else {
        let mut text = String::new();
        let packed = std::fs::File::open(folder.join("conn.log.zst")).unwrap();
        zstd::Decoder::new(packed).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    let mut fields = Vec::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(names) = line.strip_prefix("#fields\t") {
            fields = names.split('\t').collect();
        } else if !line.starts_with('#') {
            rows.push(Row::parse(line, &fields));
        }
    }
    rows
}

/// All files in a folder and the folders in it.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut files): (Vec<PathBuf>, Vec<PathBuf>) =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

/// The flows of the capture in a folder, in the order in which they start.
pub(crate) fn flows_of(folder: &Path, config: &FlowConfig) -> Vec<(Flow, EndReason)> {
    let capture = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("capture."))
        .unwrap();
    let mut flows = flows_of_file(&capture, config);
    flows.sort_by_key(|(flow, _)| (flow.start, flow.first_frame));
    flows
}

/// The flows of a capture, in the order in which they end; none if it cannot be read.
pub(crate) fn flows_of_file(path: &Path, config: &FlowConfig) -> Vec<(Flow, EndReason)> {
    let Ok(mut inputs) = Inputs::open(&[path.to_path_buf()]) else { return Vec::new() };
    let decoder = Decoder::new(DecodeOptions::default());
    let mut reassembler = Reassembler::new(ReassemblyLimits::default());
    let mut tables: Vec<FlowTable> = (0..Packet::SHARDS).map(|_| FlowTable::new(config)).collect();
    let (mut frames, mut out, mut events) = (FrameBatch::default(), PacketBatch::default(), Vec::new());
    let (mut now, mut started) = (Timestamp::MIN, 0);
    loop {
        let progress = inputs.read(&mut frames).unwrap_or(Progress::End);
        for frame in frames.iter() {
            out.clear();
            now = now.max(frame.time);
            decoder.decode(frame, &mut out);
            for fragment in std::mem::take(&mut out.fragments) {
                let bytes = fragment.packet.payload(Buffers { frames: &frames.buffer, reassembled: &[] });
                if let Some(datagram) = reassembler.push(&fragment, bytes) {
                    let start = out.reassembled.len();
                    out.reassembled.extend_from_slice(&datagram.payload);
                    decoder.decode_datagram(&datagram.packet, start, &mut out);
                }
            }
            let buffers = Buffers { frames: &frames.buffer, reassembled: &out.reassembled };
            for packet in &out.packets {
                tables[usize::from(packet.shard)].take(packet, buffers, &mut events);
            }
        }
        if progress == Progress::End {
            break;
        }
    }
    for table in &mut tables {
        while table.finish(now, 0, &mut events) {}
        assert!(table.is_empty());
        started += table.counters().started;
    }
    let flows: Vec<(Flow, EndReason)> = events
        .into_iter()
        .filter_map(|event| match event.kind {
            FlowEventKind::Ended(reason) => Some((event.flow, reason)),
            _ => None,
        })
        .collect();
    assert_eq!(flows.len() as u64, started, "every flow ends once");
    flows
}
