//! The packets an alert rests on, cut out of the capture in a second reading.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapwing_alert::Alert;
use lapwing_capture::{
    Frame, FrameBatch, Inputs, LinkType, PcapWriter, Progress, Resolution, Source, SourceError, Timestamp, WriteError,
};
use lapwing_decode::{Address, DecodeOptions, Decoder, PacketBatch};
use lapwing_detect::Subject;
use lapwing_flow::Endpoint;

use crate::Control;

/// Alerts that get a file, the most severe ones: each keeps one open.
const MOST_FILES: usize = 256;

/// Frames kept for one alert: enough to see what happened, small enough to send.
const MOST_FRAMES: u64 = 1_000;

/// Why evidence could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The folder or a file in it cannot be written.
    #[error("{}: cannot be written; check the folder's permissions and free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A capture could not be written.
    #[error("{}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: WriteError,
    },
    /// The input could not be read a second time.
    #[error(transparent)]
    Read(#[from] SourceError),
}

/// How much earlier and later than an alert says its frames may be: it says microseconds.
const SLACK: Duration = Duration::from_millis(1);

/// How much later in a capture than its time a frame may stand: what comes after that is not waited for.
const DISORDER: Duration = Duration::from_secs(60);

/// Both ends of a flow in either order, and its protocol.
type FlowKey = (Endpoint, Endpoint, u8);

/// Which alerts want which frames.
struct Wanted {
    /// By flow: the alert, and the frames between which the flow was.
    flows: HashMap<FlowKey, Vec<(usize, u64, u64)>>,
    /// By link-layer address: the alert, and the times between which its ARP packets count.
    devices: HashMap<[u8; 6], Vec<(usize, Timestamp, Timestamp)>>,
    /// By address: the same for alerts that rest on no flow.
    hosts: HashMap<Address, Vec<(usize, Timestamp, Timestamp)>>,
}

/// The file of one alert, opened at its first frame.
struct Cut {
    path: PathBuf,
    writer: Option<PcapWriter<BufWriter<File>>>,
    link: Option<LinkType>,
    last_frame: u64,
    frames: u64,
}

/// Reads `inputs` again and writes `DIR/KIND-ID.pcap` for every alert that names flows or a device: the first
/// thousand frames of its evidence. Frames of another link type than the first are left out: a pcap file has one. Returns how
/// many alerts got no file because there are more than 256.
///
/// # Errors
/// When the folder cannot be written or the inputs not be read.
pub fn write_evidence(inputs: &[PathBuf], alerts: &[Alert], directory: &Path) -> Result<usize, EvidenceError> {
    fs::create_dir_all(directory).map_err(|source| EvidenceError::Write { path: directory.to_owned(), source })?;
    let mut chosen: Vec<&Alert> = alerts.iter().collect();
    chosen.sort_by_key(|alert| std::cmp::Reverse(alert.severity));
    chosen.truncate(MOST_FILES);
    let wanted = Wanted::by(&chosen);
    let mut cuts: Vec<Cut> = chosen
        .iter()
        .map(|alert| directory.join(format!("{}-{}.pcap", file_name(&alert.kind), alert.id)))
        .map(|path| Cut { path, writer: None, link: None, last_frame: 0, frames: 0 })
        .collect();
    let mut source = Inputs::open(inputs)?;
    let decoder = Decoder::new(DecodeOptions { checksums: false });
    let (mut batch, mut packets) = (FrameBatch::default(), PacketBatch::default());
    loop {
        let progress = source.read(&mut batch)?;
        for frame in batch.iter() {
            packets.clear();
            decoder.decode(frame, &mut packets);
            wanted.each(&packets, frame.number, |alert| cuts[alert].take(&frame))?;
        }
        if progress == Progress::End {
            break;
        }
    }
    for Cut { path, writer, .. } in cuts {
        if let Some(writer) = writer {
            writer.finish().map_err(|source| EvidenceError::Write { path, source })?;
        }
    }
    Ok(alerts.len() - chosen.len())
}

/// Writes to `file` the frames that an alert rests on which was read back from where it was kept: the first thousand of its flows (of
/// one without flows: the ARP of its device) while it lasted. Returns how many there were; without any there is no file. When
/// `control` is stopped it ends with those it has.
///
/// # Errors
/// When the file cannot be written or the inputs not be read.
pub fn cut_evidence(inputs: &[PathBuf], alert: &Alert, file: &Path, control: &Control) -> Result<u64, EvidenceError> {
    let wanted = Wanted::by_record(alert);
    let (first, last) = (alert.first_seen.minus(SLACK), alert.last_seen.plus(SLACK));
    let mut cut = Cut { path: file.to_owned(), writer: None, link: None, last_frame: 0, frames: 0 };
    let mut source = Inputs::open(inputs)?;
    let decoder = Decoder::new(DecodeOptions { checksums: false });
    let (mut batch, mut packets) = (FrameBatch::default(), PacketBatch::default());
    loop {
        let progress = source.read(&mut batch)?;
        for frame in batch.iter().filter(|frame| (first..=last).contains(&frame.time)) {
            packets.clear();
            decoder.decode(frame, &mut packets);
            wanted.each(&packets, frame.number, |_| cut.take(&frame))?;
        }
        let is_past = batch.iter().next().is_some_and(|frame| frame.time > last.plus(DISORDER));
        if progress == Progress::End || cut.frames == MOST_FRAMES || is_past || control.stopped() {
            break;
        }
    }
    let frames = cut.frames;
    if let Some(writer) = cut.writer {
        writer.finish().map_err(|source| EvidenceError::Write { path: file.to_owned(), source })?;
    }
    Ok(frames)
}

impl Wanted {
    /// What an alert that was read back names.
    fn by_record(alert: &Alert) -> Self {
        let mut wanted = Self { flows: HashMap::new(), devices: HashMap::new(), hosts: HashMap::new() };
        for (originator, responder, protocol) in alert.evidence.iter().filter_map(lapwing_alert::Evidence::ends) {
            let frames = (0, 0, u64::MAX);
            wanted.flows.entry(key(originator, responder, protocol)).or_default().push(frames);
        }
        let span = (0, alert.first_seen.minus(SLACK), alert.last_seen.plus(SLACK));
        if let Some(mac) = mac(&alert.device) {
            wanted.devices.entry(mac).or_default().push(span);
        } else if let (true, Ok(host)) = (wanted.flows.is_empty(), alert.device.parse::<IpAddr>()) {
            wanted.hosts.entry(host.into()).or_default().push(span);
        }
        wanted
    }

    fn by(alerts: &[&Alert]) -> Self {
        let mut wanted = Self { flows: HashMap::new(), devices: HashMap::new(), hosts: HashMap::new() };
        for (place, alert) in alerts.iter().enumerate() {
            for flow in &alert.flows {
                let key = key(flow.originator, flow.responder, flow.protocol);
                wanted.flows.entry(key).or_default().push((place, flow.first_frame, flow.last_frame));
            }
            let span = (place, alert.first_seen, alert.last_seen);
            match alert.subject {
                Subject::Device(mac) => wanted.devices.entry(mac).or_default().push(span),
                Subject::Host(host) if alert.flows.is_empty() => wanted.hosts.entry(host).or_default().push(span),
                _ => {}
            }
        }
        wanted
    }

    fn each(
        &self,
        packets: &PacketBatch,
        frame: u64,
        mut take: impl FnMut(usize) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        for packet in &packets.packets {
            let end = |address: Address, port: u16| Endpoint { address, port };
            let source = end(packet.source, packet.source_port);
            let destination = end(packet.destination, packet.destination_port);
            let wanting = self.flows.get(&key(source, destination, packet.protocol));
            for &(alert, first, last) in wanting.into_iter().flatten() {
                if (first..=last).contains(&frame) {
                    take(alert)?;
                }
            }
        }
        for arp in &packets.arps {
            let devices = [arp.frame_source, arp.sender_mac].map(|mac| self.devices.get(&mac));
            let host = self.hosts.get(&Address::v4(arp.sender_address));
            for &(alert, first, last) in devices.into_iter().chain([host]).flatten().flatten() {
                if (first..=last).contains(&arp.time) {
                    take(alert)?;
                }
            }
        }
        Ok(())
    }
}

impl Cut {
    fn take(&mut self, frame: &Frame<'_>) -> Result<(), EvidenceError> {
        if self.frames == MOST_FRAMES
            || self.last_frame == frame.number
            || *self.link.get_or_insert(frame.link) != frame.link
        {
            return Ok(());
        }
        self.last_frame = frame.number;
        self.frames += 1;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let fail = |source| EvidenceError::Write { path: self.path.clone(), source };
                let file = BufWriter::new(create(&self.path).map_err(fail)?);
                none.insert(PcapWriter::new(file, frame.link, Resolution::Nanoseconds).map_err(fail)?)
            }
        };
        writer.write(frame).map_err(|source| EvidenceError::Capture { path: self.path.clone(), source })
    }
}

/// A link-layer address, as devices are called that have no other.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next().filter(|part| part.len() == 2)?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

fn key(one: Endpoint, other: Endpoint, protocol: u8) -> FlowKey {
    (one.min(other), one.max(other), protocol)
}

/// A new file in the place of one of an earlier run; a link in its place is not followed.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::create_new(path),
    }
}

/// A kind comes from a rule file, so it may hold anything; a file name holds letters, digits and hyphens.
fn file_name(kind: &str) -> String {
    kind.chars().take(64).map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use lapwing_capture::FrameBatch;

    use super::*;

    /// How many of `count` frames with `size` bytes each a file gets.
    fn frames_cut(count: u64, size: usize) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.pcap");
        let mut cut = Cut { path: path.clone(), writer: None, link: None, last_frame: 0, frames: 0 };
        let mut batch = FrameBatch { first_number: 1, ..FrameBatch::default() };
        for second in 0..count {
            let time = Timestamp::from_seconds(second as i64);
            batch.push(time, LinkType::ETHERNET, size as u32, 0, &vec![7; size]);
        }
        batch.iter().for_each(|frame| cut.take(&frame).unwrap());
        cut.writer.unwrap().finish().unwrap();
        let mut inputs = Inputs::open(&[path]).unwrap();
        let mut frames = 0;
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            frames += batch.len();
            if progress == Progress::End {
                return frames;
            }
        }
    }

    #[test]
    fn a_file_takes_a_thousand_frames_whatever_their_size() {
        assert_eq!(frames_cut(600, 400), 600);
        assert_eq!(frames_cut(1_200, 60), 1_000);
    }
}
