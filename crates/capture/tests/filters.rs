//! Filters take the frames that tcpdump takes.
//!
//! `frames.txt` and `filters.txt` hold what tcpdump took: `capture` lines name a file, the lines below it give the count of
//! frames taken, a hash of their numbers, and the filter. `frames.pcap` is made by hand: a frame of each kind that filters
//! tell apart, and some cut short. `filters.txt` is about captures of the sample data. `examples/record_filters.rs` writes
//! both texts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lapwing_capture::{Filter, FrameBatch, Inputs, Progress, Source};

/// FNV-1a over the numbers.
fn hash(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers
        .flat_map(u64::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Numbers of the frames that each filter takes.
fn taken(capture: PathBuf, filters: &[&str]) -> Vec<Vec<u64>> {
    let mut inputs = Inputs::open(&[capture]).unwrap();
    let mut filters: Vec<Filter> = filters.iter().map(|text| Filter::new(text).unwrap()).collect();
    let (mut batch, mut places) = (FrameBatch::default(), Vec::new());
    let mut taken = vec![Vec::new(); filters.len()];
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        for (filter, taken) in filters.iter_mut().zip(&mut taken) {
            filter.select(&batch, &mut places);
            taken.extend(places.iter().map(|place| batch.first_number + u64::from(*place)));
        }
        if progress == Progress::End {
            assert!(filters.iter().all(|filter| filter.not_evaluated() == 0));
            return taken;
        }
    }
}

/// Checks every recorded result; gives their number, and that of the filters.
fn check(recorded: &str, folder: &Path) -> (usize, usize) {
    let (mut results, mut filters_seen) = (0, BTreeSet::new());
    let lines: Vec<&str> = recorded.lines().filter(|line| !line.starts_with('#')).collect();
    for of_capture in lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty()) {
        let capture = folder.join(of_capture[0].strip_prefix("capture ").unwrap());
        let expected: Vec<(u64, u64, &str)> = of_capture[1..]
            .iter()
            .map(|line| {
                let mut parts = line.splitn(3, ' ');
                let count = parts.next().unwrap().parse().unwrap();
                let hash = u64::from_str_radix(parts.next().unwrap(), 16).unwrap();
                (count, hash, parts.next().unwrap())
            })
            .collect();
        let filters: Vec<&str> = expected.iter().map(|expected| expected.2).collect();
        for (numbers, (count, expected, filter)) in taken(capture.clone(), &filters).iter().zip(&expected) {
            assert_eq!(numbers.len() as u64, *count, "{}: {filter}", capture.display());
            assert_eq!(hash(numbers.iter().copied()), *expected, "{}: {filter}", capture.display());
            filters_seen.insert(*filter);
            results += 1;
        }
    }
    (results, filters_seen.len())
}

#[test]
fn filters_take_what_tcpdump_takes_of_each_kind_of_frame() {
    let (_, filters) = check(include_str!("frames.txt"), &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    assert!(filters >= 100);
}

#[test]
fn filters_take_what_tcpdump_takes_of_real_captures() {
    let Some(data) = std::env::var_os("LAPWING_DATA").map(PathBuf::from) else {
        eprintln!("skipped: LAPWING_DATA names no folder of sample captures");
        return;
    };
    let (results, filters) = check(include_str!("filters.txt"), &data);
    println!("{results} results of {filters} filters equal tcpdump's");
    assert!(filters >= 100);
}
