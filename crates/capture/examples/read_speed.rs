//! Reads a capture again and again and prints nanoseconds a frame: `read_speed FILE [TIMES] [FILTER]`.
#![allow(clippy::unwrap_used, reason = "an example")]

use std::path::PathBuf;
use std::time::Instant;

use lapwing_capture::{FrameBatch, Inputs, Progress, Source};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().unwrap());
    let times = arguments.next().map_or(5, |times| times.to_str().unwrap().parse().unwrap());
    let mut batch = FrameBatch::default();
    for _ in 0..times {
        let (mut frames, mut bytes, start) = (0_u64, 0_u64, Instant::now());
        let mut inputs = Inputs::open(std::slice::from_ref(&path)).unwrap();
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            frames += batch.len() as u64;
            bytes += batch.frames.last().map_or(0, |frame| u64::from(frame.captured));
            if progress == Progress::End {
                break;
            }
        }
        let nanos = start.elapsed().as_nanos() as f64;
        println!("{frames} frames, {:.1} ns a frame ({bytes})", nanos / frames as f64);
    }
}
