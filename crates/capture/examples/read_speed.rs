//! Reads a capture again and again and prints nanoseconds of CPU time a frame: `read_speed FILE [TIMES] [FILTER]`.
#![allow(clippy::unwrap_used, reason = "an example")]

use std::path::PathBuf;

use lapwing_capture::{Filter, FrameBatch, Inputs, Progress, Source};

/// Nanoseconds that this process has run, system calls included.
fn cpu_nanos() -> u64 {
    let times = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    times.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().unwrap());
    let times = arguments.next().map_or(5, |times| times.to_str().unwrap().parse().unwrap());
    let mut filter = arguments.next().map(|text| Filter::new(text.to_str().unwrap()).unwrap());
    let (mut batch, mut taken) = (FrameBatch::default(), Vec::new());
    for _ in 0..times {
        let (mut frames, mut chosen, start) = (0, 0, cpu_nanos());
        let mut inputs = Inputs::open(std::slice::from_ref(&path)).unwrap();
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            frames += batch.len();
            if let Some(filter) = &mut filter {
                filter.select(&batch, &mut taken);
                chosen += taken.len();
            }
            if progress == Progress::End {
                break;
            }
        }
        let nanos = (cpu_nanos() - start) as f64;
        println!("{frames} frames, {chosen} taken, {:.1} ns a frame", nanos / frames as f64);
    }
}
