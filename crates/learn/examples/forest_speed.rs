//! CPU seconds that the isolation forest takes to fit and to score a table made by formula, on one thread.
//!
//! `benches/forest.py` makes the same table, runs this beside scikit-learn and prints the ratios.

use std::{fs, num::NonZeroUsize};

use lapwing_learn::{ForestSettings, IsolationForest, Rows};

fn main() {
    let rows: usize = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let width: usize = std::env::args().nth(2).and_then(|width| width.parse().ok()).unwrap_or(14);
    let values: Vec<f32> = (0..(rows * width) as u64).map(|index| value(index, width as u64)).collect();
    let Some(table) = Rows::new(width, &values) else { return eprintln!("the width must not be zero") };

    let mut scores = Vec::with_capacity(rows);
    let started = cpu_seconds();
    // The kernel's count moves in steps of some milliseconds.
    for seed in 1..FITS {
        let settings = ForestSettings { seed, ..ForestSettings::default() };
        std::hint::black_box(IsolationForest::train(table, settings, NonZeroUsize::MIN).is_ok());
    }
    let forest = match IsolationForest::train(table, ForestSettings::default(), NonZeroUsize::MIN) {
        Ok(forest) => forest,
        Err(error) => return eprintln!("{error}"),
    };
    let fitted = cpu_seconds();
    if let Err(error) = forest.score_into(table, &mut scores) {
        return eprintln!("{error}");
    }
    let scored = cpu_seconds();
    let mean = scores.iter().map(|&score| f64::from(score)).sum::<f64>() / rows as f64;
    println!("fit {:.6} score {:.6} mean {mean:.6}", (fitted - started) / FITS as f64, scored - fitted);
}

const FITS: u64 = 10;

/// Three clusters of skewed columns: a sum of four uniform numbers, cubed, shifted by cluster and column.
fn value(index: u64, width: u64) -> f32 {
    let (row, column) = (index / width, index % width);
    let sum: u64 = (0..4).map(|part| mix(4 * index + part) >> 40).sum();
    let spread = sum as f64 / f64::from(1u32 << 24);
    let cluster = mix(!row) % 3;
    (spread * spread * spread + (cluster * (column % 3)) as f64 * 4.0) as f32
}

/// The output function of SplitMix64 as a hash.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Time this thread spent on a processor, as Linux counts it.
fn cpu_seconds() -> f64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    statistics.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
