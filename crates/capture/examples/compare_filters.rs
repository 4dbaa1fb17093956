//! Compares filters with tcpdump's: `compare_filters EXPRESSIONS CAPTURE…`, one expression a line.
//!
//! Every capture is decompressed to a temporary file, filtered by `tcpdump -r … -w …` and by us, and the frames compared.
#![allow(clippy::unwrap_used, reason = "an example")]

use std::path::{Path, PathBuf};
use std::process::Command;

use lapwing_capture::{Filter, FrameBatch, Inputs, PcapWriter, Progress, Resolution, Source};

type Seen = (i64, u32, Vec<u8>);

fn frames(path: &Path) -> Vec<(u16, Seen)> {
    let mut inputs = Inputs::open(&[path.to_owned()]).unwrap();
    let (mut batch, mut all) = (FrameBatch::default(), Vec::new());
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        all.extend(batch.iter().map(|f| (f.link.0, (f.time.micros(), f.length, f.data.to_vec()))));
        if progress == Progress::End {
            return all;
        }
    }
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let expressions = std::fs::read_to_string(arguments.next().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (plain, output) = (folder.path().join("plain.pcap"), folder.path().join("out.pcap"));
    let (mut compared, mut differ, mut refused, mut matched) = (0, 0, 0, 0);
    for path in arguments.map(PathBuf::from) {
        let Ok(mut inputs) = Inputs::open(std::slice::from_ref(&path)) else { continue };
        let mut batch = FrameBatch::default();
        inputs.read(&mut batch).unwrap();
        let Some(link) = batch.frames.first().map(|f| f.link) else { continue };
        // A plain copy, of one link type.
        let mut inputs = Inputs::open(std::slice::from_ref(&path)).unwrap();
        let file = std::io::BufWriter::new(std::fs::File::create(&plain).unwrap());
        let mut writer = PcapWriter::new(file, link, Resolution::Microseconds).unwrap();
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            for frame in batch.iter() {
                let _ = writer.write(&frame);
            }
            if progress == Progress::End {
                break;
            }
        }
        writer.finish().unwrap();
        let all = frames(&plain);
        for expression in expressions.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let run =
                Command::new("tcpdump").arg("-r").arg(&plain).arg("-w").arg(&output).arg(expression).output().unwrap();
            let theirs = run.status.success().then(|| frames(&output));
            let compiled = Filter::new(expression).and_then(|filter| filter.compile(link));
            match (theirs, compiled) {
                (Some(theirs), Ok(program)) => {
                    compared += 1;
                    let ours: Vec<_> =
                        all.iter().filter(|(_, (_, length, data))| program.matches(data, *length)).collect();
                    matched += theirs.len();
                    if ours.iter().map(|f| &f.1).ne(theirs.iter().map(|f| &f.1)) {
                        differ += 1;
                        println!(
                            "DIFFER {} | {expression} | theirs {} ours {}",
                            path.display(),
                            theirs.len(),
                            ours.len()
                        );
                    }
                }
                (Some(theirs), Err(error)) => {
                    refused += 1;
                    println!("REFUSED {} link {} | {error} | theirs {}", path.display(), link.0, theirs.len());
                }
                (None, Ok(_)) => println!(
                    "THEY REFUSE {} link {} | {expression} | {}",
                    path.display(),
                    link.0,
                    String::from_utf8_lossy(&run.stderr).lines().last().unwrap_or_default()
                ),
                (None, Err(_)) => {}
            }
        }
    }
    println!("{compared} compared, {differ} differ, {refused} refused by us, {matched} frames matched");
}
