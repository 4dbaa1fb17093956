//! Records which frames tcpdump takes: reads the expectations on standard input (see `tests/filters.rs`; count and hash may
//! be anything, `0 0` will do) and writes them anew: `LAPWING_DATA=… record_filters < old > new`.
#![allow(clippy::unwrap_used, reason = "an example")]

use std::fs::File;
use std::io::{BufRead, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;

use lapwing_capture::{FrameBatch, Inputs, PcapWriter, Progress, Resolution, Source};

/// What tells a frame from others.
type Seen = (i64, u32, Vec<u8>);

fn frames(path: &Path) -> Vec<Seen> {
    let mut inputs = Inputs::open(&[path.to_owned()]).unwrap();
    let (mut batch, mut all) = (FrameBatch::default(), Vec::new());
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        all.extend(batch.iter().map(|frame| (frame.time.micros(), frame.length, frame.data.to_vec())));
        if progress == Progress::End {
            return all;
        }
    }
}

/// A copy that tcpdump can read whatever the original is compressed with.
fn plain_copy(from: &Path, to: &Path) {
    let mut inputs = Inputs::open(&[from.to_owned()]).unwrap();
    let (mut batch, mut writer) = (FrameBatch::default(), None);
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        for frame in batch.iter() {
            let writer = writer.get_or_insert_with(|| {
                let file = BufWriter::new(File::create(to).unwrap());
                PcapWriter::new(file, frame.link, Resolution::Microseconds).unwrap()
            });
            writer.write(&frame).unwrap();
        }
        if progress == Progress::End {
            writer.unwrap().finish().unwrap();
            return;
        }
    }
}

/// Numbers of the frames of `all` that are in `taken`, which holds them in the same order. Equal frames are taken or left
/// together, so the first that fits is the right one.
fn numbers(all: &[Seen], taken: &[Seen]) -> Vec<u64> {
    let mut taken = taken.iter().peekable();
    let numbers =
        (1..).zip(all).filter(|(_, frame)| taken.next_if_eq(frame).is_some()).map(|(number, _)| number).collect();
    assert_eq!(taken.next(), None);
    numbers
}

/// FNV-1a over the numbers.
fn hash(numbers: &[u64]) -> u64 {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn main() {
    let data = PathBuf::from(std::env::var_os("LAPWING_DATA").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (plain, output) = (folder.path().join("plain.pcap"), folder.path().join("taken.pcap"));
    let mut all = Vec::new();
    for line in std::io::stdin().lock().lines().map(Result::unwrap) {
        if line.is_empty() || line.starts_with('#') {
            println!("{line}");
        } else if let Some(capture) = line.strip_prefix("capture ") {
            println!("{line}");
            plain_copy(&data.join(capture), &plain);
            all = frames(&plain);
        } else {
            let filter = line.splitn(3, ' ').nth(2).unwrap();
            let files = ["-r".as_ref(), plain.as_os_str(), "-w".as_ref(), output.as_os_str()];
            let run = Command::new("tcpdump").args(files).arg(filter).output().unwrap();
            assert!(run.status.success(), "{filter}: {}", String::from_utf8_lossy(&run.stderr));
            let numbers = numbers(&all, &frames(&output));
            println!("{} {:016x} {filter}", numbers.len(), hash(&numbers));
        }
    }
}
