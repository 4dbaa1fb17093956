//! Fills `corpus/TARGET/` with inputs to start from; see `fuzz/seed`.
//!
//! Captures come from the repository's `corpus/` and from the folder that `LAPWING_DATA` names; only small ones, and of
//! these the first frames.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use lapwing_capture::{FrameBatch, Inputs, LinkType, Source, Timestamp, expand};
use lapwing_fuzz::{encode_frame, encode_frames, encode_model};
use lapwing_learn::model::{Baseline, SchemaId};
use lapwing_learn::{ForestSettings, Matrix, Model, ModelCard, Random};
use lapwing_records::find;

/// Larger captures are cut after this many bytes: a fuzzer runs thousands of inputs a second only if they are small.
const CAPTURE_BYTES: usize = 4_096;
/// Frames of a capture that become seeds of their own.
const FRAMES: usize = 6;
/// Bytes of a frame that are kept.
const FRAME_BYTES: usize = 512;
/// Frames of a capture that go together into a seed of the flow table.
const FLOW_FRAMES: usize = 24;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = fuzz.parent().ok_or("the crate lies in the repository")?;
    let seeds = Seeds { folder: fuzz.join("corpus") };
    let mut folders = vec![repository.join("corpus")];
    match std::env::var_os("LAPWING_DATA") {
        Some(data) => folders.push(PathBuf::from(data)),
        None => eprintln!("LAPWING_DATA is not set: seeds come from the repository alone"),
    }
    let captures = expand(&folders).files;
    for path in &captures {
        seeds.capture(path)?;
    }
    seeds.rules(&repository.join("signatures"))?;
    seeds.filters(&repository.join("crates/capture/tests/filters.txt"))?;
    seeds.fragments()?;
    seeds.models()?;
    seeds.logs(&folders)?;
    for target in fs::read_dir(&seeds.folder)? {
        let target = target?.path();
        println!("{}: {} seeds", target.display(), fs::read_dir(&target)?.count());
    }
    Ok(())
}

struct Seeds {
    folder: PathBuf,
}

impl Seeds {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), bytes)?)
    }

    fn capture(&self, path: &Path) -> Result<()> {
        let name: String =
            path.to_string_lossy().chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let bytes = beginning(path)?;
        match bytes[..] {
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => self.write("pcapng", &name, &bytes)?,
            [0xa1, ..] | [_, _, _, 0xa1, ..] => self.write("pcap", &name, &bytes)?,
            _ => return Ok(()),
        }
        let Ok(mut inputs) = Inputs::open(&[path.to_owned()]) else { return Ok(()) };
        let mut batch = FrameBatch::default();
        if inputs.read(&mut batch).is_err() {
            return Ok(());
        }
        let frames: Vec<(Timestamp, LinkType, &[u8])> = batch
            .iter()
            .take(FLOW_FRAMES)
            .map(|frame| (frame.time, frame.link, &frame.data[..frame.data.len().min(FRAME_BYTES)]))
            .collect();
        for (index, (_, link, frame)) in frames.iter().take(FRAMES).enumerate() {
            self.write("decode", &format!("{name}-{index}"), &encode_frame(link.0, frame))?;
        }
        let flows = [&[0x0c][..], &encode_frames(frames.iter().copied())].concat();
        self.write("flow", &name, &flows)
    }

    fn rules(&self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(name) = path.file_name().filter(|_| path.is_file()) else { continue };
            let (name, text) = (name.to_string_lossy(), fs::read_to_string(&path)?);
            for (index, rule) in text.split("\n---\n").enumerate() {
                self.write("rules", &format!("{name}-{index}"), rule.as_bytes())?;
            }
            if let Ok(cases) = fs::read_to_string(folder.join("cases").join(name.as_ref())) {
                let first_case = cases.split("\n- name").next().unwrap_or_default();
                self.write("rules", &format!("{name}-cases"), format!("{text}\n# cases\n{first_case}\n").as_bytes())?;
            }
        }
        for (index, rule) in RULES.iter().enumerate() {
            self.write("rules", &format!("made-{index}"), rule.as_bytes())?;
        }
        Ok(())
    }

    /// The filters that the crate's own test compiles, each with a frame of TCP to run on.
    fn filters(&self, list: &Path) -> Result<()> {
        let text = fs::read_to_string(list)?;
        let lines = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        let mut filters: Vec<&str> = lines.filter_map(|line| line.splitn(3, ' ').nth(2)).collect();
        filters.sort_unstable();
        filters.dedup();
        for (index, filter) in filters.iter().enumerate() {
            self.write("filter", &format!("{index}"), &[filter.as_bytes(), &[0], TCP_FRAME].concat())?;
        }
        Ok(())
    }

    /// A log of every form, and the first lines of those in `folders`, whole and compressed.
    fn logs(&self, folders: &[PathBuf]) -> Result<()> {
        for (index, log) in LOGS.iter().enumerate() {
            self.write("records", &format!("made-{index}"), log.as_bytes())?;
            self.write("records", &format!("made-{index}-zst"), &zstd::encode_all(log.as_bytes(), 3)?)?;
        }
        for (index, log) in folders.iter().flat_map(|folder| find(folder).logs).enumerate() {
            let bytes = beginning(&log)?;
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(bytes.len(), |feed| feed + 1);
            self.write("records", &format!("read-{index}"), &bytes[..end])?;
        }
        Ok(())
    }

    /// Datagrams in two and three pieces, in and out of order, overlapping, of both versions.
    fn fragments(&self) -> Result<()> {
        for version in [0, 1] {
            let piece = |more: u8, protocol: u8, units: u8, bytes: &[u8]| {
                [&[version | more << 1, protocol, 1, 0, units, 0, 1, bytes.len() as u8][..], bytes].concat()
            };
            let udp = [0x9c, 0x41, 0, 53, 0, 32, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            let (first, middle, last) = (piece(1, 0, 0, &udp), piece(1, 0, 2, &[7; 8]), piece(0, 0, 3, &[8; 8]));
            let overlap = piece(1, 0, 1, &[9; 16]);
            for (index, parts) in [
                [&first, &middle, &last],
                [&last, &middle, &first],
                [&first, &overlap, &last],
                [&overlap, &last, &first],
            ]
            .into_iter()
            .enumerate()
            {
                let bytes = [&[2_u8][..], parts[0], parts[1], parts[2]].concat();
                self.write("reassembly", &format!("made-{version}-{index}"), &bytes)?;
            }
        }
        Ok(())
    }

    fn models(&self) -> Result<()> {
        for (width, trees, sample) in [(1, 1, 2), (2, 3, 8), (3, 8, 32), (9, 4, 64)] {
            let file = model(width, trees, sample)?.to_bytes()?;
            let input = encode_model(&file).ok_or("the model's file is not as documented")?;
            self.write("model", &format!("columns-{width}"), &input)?;
            self.write("model", &format!("columns-{width}-file"), &file)?;
        }
        Ok(())
    }
}

/// The first bytes of a file, decompressed.
fn beginning(path: &Path) -> Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let compressed = path.extension().is_some_and(|extension| extension == "zst");
    let mut reader: Box<dyn Read> = if compressed { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) };
    let mut bytes = Vec::new();
    reader.by_ref().take(CAPTURE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn model(width: usize, trees: usize, sample: usize) -> Result<Model> {
    let mut random = Random::new(7);
    let values = (0..width * 400).map(|_| random.unit() as f32).collect();
    let matrix = Matrix::from_values(width, values).ok_or("the values fill the rows")?;
    let (rows, held_back) = matrix.view().split_at(300);
    let schema = SchemaId { name: "example".to_owned(), version: 1, hash: [7; 32] };
    let columns = (0..width).map(|column| format!("column {column}")).collect();
    let card = ModelCard { schema, columns, ..ModelCard::default() };
    let baseline = Baseline { rows, held_back, alerts: None, device_days: 14.0 };
    let settings = ForestSettings { trees, sample, ..ForestSettings::default() };
    Ok(Model::train(card, baseline, settings, 5.0, NonZeroUsize::MIN)?)
}

/// A log of every form, odd values among them.
const LOGS: [&str; 6] = [
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\t\
     id.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\thistory\t\
     orig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents   label   detailed-label\n1.5\tCab\t10.0.0.1\t40000\t\
     2001:db8::1\t443\ttcp\tssl\t2.25\t100\t900\tSF\tT\tShADadFf\t7\t500\t8\t1300\t(empty)   Malicious   C&C\n#close\t1\n\
     #separator \\x2c\n#path,open_conn\n#fields,proto,id.resp_h,id.orig_h,ts\nicmp,10.0.0.2,10.0.0.1,2e3\n",
    "{\"ts\":\"2024-04-19T00:00:01.5Z\",\"id\":{\"orig_h\":\"10.0.0.1\",\"orig_p\":8,\"resp_h\":\"10.0.0.2\",\"resp_p\":0},\
     \"proto\":\"icmp\",\"conn_state\":\"OTH\"}\n{\"_path\":\"conn\",\"ts\":1e9,\"id.orig_h\":\"fe80::1\",\"id.orig_p\":53,\
     \"id.resp_h\":\"ff02::fb\",\"id.resp_p\":53,\"proto\":\"udp\",\"duration\":0.1,\"orig_bytes\":18446744073709551615,\
     \"orig_pkts\":1,\"history\":\"D\",\"conn_state\":\"S0\",\"x\":[{\"y\":null}]}\n",
    "{\"timestamp\":\"2021-06-06T17:34:31.140759+0200\",\"event_type\":\"netflow\",\"flow_id\":7,\"src_ip\":\"10.0.0.1\",\
     \"src_port\":1,\"dest_ip\":\"10.0.0.2\",\"dest_port\":2,\"proto\":\"TCP\",\"netflow\":{\"pkts\":1,\"bytes\":60,\"start\":\
     \"2021-06-06T17:34:31.140759+0200\",\"end\":\"2021-06-06T17:34:32.140759+0200\",\"min_ttl\":63,\"max_ttl\":64},\"tcp\":\
     {\"tcp_flags\":\"1b\"}}\n{\"timestamp\":\"2021-06-06T17:34:31+02:00\",\"event_type\":\"netflow\",\"flow_id\":7,\"src_ip\":\
     \"10.0.0.2\",\"src_port\":2,\"dest_ip\":\"10.0.0.1\",\"dest_port\":1,\"proto\":\"TCP\",\"netflow\":{\"pkts\":1,\"bytes\":\
     60,\"start\":\"2021-06-06T17:34:31.140759+0200\",\"end\":\"2021-06-06T17:34:32.140759+0200\"}}\n",
    "{\"timestamp\":\"2021-06-06T17:34:31.1Z\",\"event_type\":\"flow\",\"src_ip\":\"10.0.0.1\",\"src_port\":1,\"dest_ip\":\
     \"10.0.0.2\",\"dest_port\":2,\"proto\":\"TCP\",\"vlan\":[5,6],\"flow\":{\"pkts_toserver\":3,\"pkts_toclient\":2,\
     \"bytes_toserver\":180,\"bytes_toclient\":120,\"start\":\"2021-06-06T17:34:30.1Z\",\"end\":\"2021-06-06T17:34:31.1Z\"},\
     \"tcp\":{\"tcp_flags_ts\":\"02\",\"tcp_flags_tc\":\"12\"}}\n",
    "ts,uid,id.orig_h,id.orig_p,id.resp_h,id.resp_p,proto,duration,conn_state\n1.000001,C1,10.0.0.1,1,\"10.0.0.2\",2,udp,0.5,SF\n",
    "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n1970/01/01 \
     01:00:08.156845,3554.2,tcp,10.0.2.15,0x0303,  <?>,10.0.2.2,80,SPA_SRPA,0,0,22,924,462,11,x\n1970/01/01 01:00:08,0.1,arp,\
     10.0.2.15,,  who,10.0.2.2,,CON,,,22,924,462,11,x\n",
];

/// Rules with what the shipped ones do not use: correlations, filters, modifiers, flows.
const RULES: [&str; 3] = [
    "title: Telnet\nname: telnet\nlogsource: {product: zeek, service: conn}\ndetection:\n  selection:\n    id.resp_p: 23\n    \
     id.orig_h|cidr: 10.0.0.0/8\n    history|re: '^S.*'\n    proto|contains|all: [t, p]\n  condition: 1 of sel* and not \
     none\n  none: {service|exists: true}\nlevel: high\nlapwing: {kind: telnet, confidence: 0.5, explanation: '{id.orig_h} \
     asked {id.resp_h}'}\n",
    "title: Ports\nname: ports\nlogsource: {product: lapwing, service: pair_window}\ndetection:\n  selection:\n    \
     failed_ports|gte: 10\n    protocol|startswith: [t, u]\n  condition: selection\n---\ntitle: Often\ncorrelation:\n  type: \
     event_count\n  rules: [ports]\n  group-by: [source]\n  timespan: 1m\n  condition: {gte: 2}\nlevel: critical\n",
    "title: Ports\nname: ports\nlogsource: {product: lapwing}\ndetection:\n  selection: ['a*b', '?c']\n  other:\n    - \
     source|endswith: '.1'\n    - target|fieldref: source\n  condition: all of them\n---\ntitle: Not these\nlogsource: \
     {product: lapwing}\nfilter:\n  rules: [ports]\n  selection: {source: 10.0.0.1}\n  condition: not selection\n",
];

/// Ethernet, IPv4, TCP SYN to port 80, VLAN 100 in front.
const TCP_FRAME: &[u8] = &[
    2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 100, 8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1,
    10, 0, 0, 2, 0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0,
];
