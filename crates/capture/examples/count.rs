//! Counts the frames of captures, one line a file: `path|packets|seconds|warnings`.
#![allow(clippy::unwrap_used, reason = "an example")]

use std::path::PathBuf;

use lapwing_capture::{FrameBatch, Inputs, Progress, Source};

fn main() {
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let mut inputs = match Inputs::open(std::slice::from_ref(&path)) {
            Ok(inputs) => inputs,
            Err(error) => {
                println!("{}|refused||{error}", path.display());
                continue;
            }
        };
        let (mut batch, mut frames) = (FrameBatch::default(), 0);
        let error = loop {
            match inputs.read(&mut batch) {
                Ok(progress) => {
                    frames += batch.len();
                    if progress == Progress::End {
                        break String::new();
                    }
                }
                Err(error) => break error.to_string(),
            }
        };
        let report = &inputs.reports()[0];
        assert_eq!(frames as u64, report.packets);
        println!("{}|{frames}|{error}|{}", path.display(), report.warnings.join("; "));
    }
}
