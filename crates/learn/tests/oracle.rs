//! The isolation forest finds what scikit-learn's finds: `oracle/isolation_forest.py` says what is compared, and how.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{collections::BTreeSet, num::NonZeroUsize, path::PathBuf};

use lapwing_learn::{ForestSettings, IsolationForest, Matrix, metrics};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How far the mean ROC-AUC may lie from scikit-learn's.
const TOLERANCE: f64 = 0.005;

/// Rows and whether each is malicious.
struct Table {
    rows: Matrix,
    malicious: Vec<bool>,
}

#[test]
fn synthetic_rows_are_told_apart_as_by_scikit_learn() {
    let mut table = Table { rows: Matrix::new(8), malicious: Vec::new() };
    for row in 0..4_000u64 {
        let malicious = matches!(row % 10, 3 | 4) && row % 20 < 10;
        let values = table.rows.push_zeros();
        for (column, value) in (0..).zip(values) {
            let parts = [0, 1, 2, 3].map(|part| (mix(4 * (8 * row + column) + part) >> 40) as f64);
            let wide = malicious && (row / 10 + column) % 8 < 3;
            let sum = if wide { 5.0 * parts[0] - 25_165_824.0 } else { parts.iter().sum::<f64>() / 2.0 };
            *value = (sum / 16_777_216.0) as f32;
        }
        table.malicious.push(malicious);
    }
    agrees("synthetic", &table);
}

#[test]
fn nsl_kdd_is_told_apart_as_by_scikit_learn() {
    let Some(cells) = read("csv/nsl-kdd/KDDTrain+_20Percent.txt.zst") else { return };
    let malicious = cells.iter().map(|row| row[41] != "normal").collect();
    agrees("nsl-kdd", &encoded(&cells, malicious, 0..41, &[1, 2, 3]));
}

#[test]
fn iot23_without_the_port_is_told_apart_as_by_scikit_learn() {
    let Some(mut cells) = read("csv/iot23-multi-sample/train.csv.zst") else { return };
    cells.remove(0);
    let malicious = cells.iter().map(|row| row[14] != "0").collect();
    agrees("iot23-multi-sample", &encoded(&cells, malicious, 1..14, &[1, 2, 6]));
}

fn agrees(name: &str, table: &Table) {
    let oracle: Value = serde_json::from_str(include_str!("../../../oracle/isolation_forest.json")).unwrap();
    let expected = &oracle["tables"][name];
    let (mut learnt, mut scored) = (Matrix::new(table.rows.width()), Matrix::new(table.rows.width()));
    let mut truth = Vec::new();
    for (index, (row, &malicious)) in table.rows.view().iter().zip(&table.malicious).enumerate() {
        if index % 2 == 1 {
            scored.push(row);
            truth.push(malicious);
        } else if !malicious {
            learnt.push(row);
        }
    }
    assert_eq!(digest(&learnt), expected["sha256_learnt"], "{name}: both sides learn the same rows");
    assert_eq!(digest(&scored), expected["sha256_scored"], "{name}: both sides score the same rows");

    let seeds = oracle["seeds"].as_array().unwrap();
    let (mut roc_auc, mut average_precision) = (0.0, 0.0);
    for seed in seeds {
        let settings = ForestSettings { seed: seed.as_u64().unwrap(), ..ForestSettings::default() };
        let forest = IsolationForest::train(learnt.view(), settings, NonZeroUsize::MIN).unwrap();
        let mut scores = Vec::new();
        assert_eq!(forest.score_into(scored.view(), &mut scores), Ok(0));
        roc_auc += metrics::roc_auc(&scores, &truth).unwrap() / seeds.len() as f64;
        average_precision += metrics::pr_auc(&scores, &truth).unwrap() / seeds.len() as f64;
    }
    let theirs = expected["roc_auc"].as_f64().unwrap();
    println!("{name}: ROC-AUC {roc_auc:.4}, scikit-learn {theirs:.4}");
    println!("{name}: average precision {average_precision:.4}, scikit-learn {}", expected["average_precision"]);
    assert!((roc_auc - theirs).abs() <= TOLERANCE, "{name}: ROC-AUC {roc_auc:.4}, scikit-learn {theirs:.4}");
}

/// Numbers as they are, the `symbolic` columns as one column per text among the rows learnt from.
fn encoded(cells: &[Vec<String>], malicious: Vec<bool>, columns: std::ops::Range<usize>, symbolic: &[usize]) -> Table {
    let classes = |column: usize| {
        let learnt = cells.iter().zip(&malicious).step_by(2).filter(|(_, malicious)| !**malicious);
        learnt.map(|(row, _)| row[column].clone()).collect::<BTreeSet<_>>()
    };
    let classes: Vec<_> = columns.clone().map(|column| symbolic.contains(&column).then(|| classes(column))).collect();
    let width = classes.iter().map(|classes| classes.as_ref().map_or(1, BTreeSet::len)).sum();
    let mut values = Vec::new();
    for row in cells {
        for (column, classes) in columns.clone().zip(&classes) {
            match classes {
                Some(classes) => values.extend(classes.iter().map(|class| f32::from(*class == row[column]))),
                None => values.push(row[column].parse::<f64>().unwrap() as f32),
            }
        }
    }
    Table { rows: Matrix::from_values(width, values).unwrap(), malicious }
}

/// The cells of a table of the folder that `LAPWING_DATA` names.
fn read(path: &str) -> Option<Vec<Vec<String>>> {
    let Some(folder) = std::env::var_os("LAPWING_DATA") else {
        eprintln!("skipped: LAPWING_DATA is not set");
        return None;
    };
    let path = PathBuf::from(folder).join(path);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = String::from_utf8(zstd::decode_all(file).unwrap()).unwrap();
    Some(
        text.lines().filter(|line| !line.is_empty()).map(|line| line.split(',').map(str::to_owned).collect()).collect(),
    )
}

fn digest(rows: &Matrix) -> String {
    let bytes: Vec<u8> = rows.view().iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The output function of SplitMix64 as a hash.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
