//! Every capture of the sample data gives the frames that `capinfos` counts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use lapwing_capture::{FrameBatch, Inputs, Progress, Source, expand};

/// Frames of a capture, and whether anything was wrong with it.
fn count(path: &Path) -> (u64, bool) {
    let mut inputs = Inputs::open(&[path.to_owned()]).unwrap();
    let (mut batch, mut frames) = (FrameBatch::default(), 0);
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        frames += batch.len() as u64;
        if progress == Progress::End {
            let report = inputs.reports().remove(0);
            assert_eq!(report.packets, frames);
            return (frames, !report.warnings.is_empty());
        }
    }
}

/// What `capinfos` counts in those captures that it knows.
fn capinfos(files: &[PathBuf]) -> Option<HashMap<PathBuf, u64>> {
    let mut counts = HashMap::new();
    for some in files.chunks(500) {
        let output = Command::new("capinfos").args(["-T", "-r", "-c", "-M"]).args(some).output().ok()?;
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (path, packets) = line.rsplit_once('\t').unwrap();
            counts.insert(PathBuf::from(path), packets.parse().unwrap());
        }
    }
    Some(counts)
}

#[test]
fn packet_counts_equal_those_of_capinfos() {
    let Some(data) = std::env::var_os("LAPWING_DATA").map(PathBuf::from) else {
        eprintln!("skipped: LAPWING_DATA names no folder of sample captures");
        return;
    };
    let files = expand(&["robust", "pcap", "zeek"].map(|folder| data.join(folder))).files;
    let Some(expected) = capinfos(&files) else {
        eprintln!("skipped: capinfos (Debian package wireshark-common) is not installed");
        return;
    };
    let mut compared = 0;
    for path in &files {
        let (frames, damaged) = count(path);
        match expected.get(path) {
            Some(packets) => {
                assert_eq!(frames, *packets, "{}", path.display());
                compared += 1;
            }
            // It ended with an error, or does not know the link type.
            None => println!("{}: {frames} frames, damaged: {damaged}; capinfos has no count", path.display()),
        }
    }
    println!("{compared} of {} captures compared", files.len());
    assert!(compared > 0);
}
