//! Flows against the `conn.log` that Zeek publishes for its own test captures.
//!
//! Reads the folder `zeek` of the one named by `LAPWING_DATA` and skips with a word when it is unset. Timestamps are masked
//! in those logs, so rows are matched by five-tuple and order.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use lapwing_flow::{Checksums, EndReason, Flow, FlowConfig};
use support::{Row, data_folder, flows_of, zeek_rows};

/// Rows that may differ over all captures.
const MOST_DIFFERENCES: usize = 2;

#[test]
fn records_are_zeeks() {
    let Some(folder) = data_folder("zeek") else { return };
    let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
    let manifest: Vec<serde_json::Value> = serde_json::from_slice(&manifest).unwrap();
    let (mut rows, mut captures, mut differences) = (0, 0, Vec::new());
    for capture in &manifest {
        let has_log = capture["logs"].as_array().unwrap().iter().any(|log| log == "conn");
        if !has_log {
            continue;
        }
        let name = capture["folder"].as_str().unwrap();
        let checksums = if capture["ignore_checksums"] == true { Checksums::Ignore } else { Checksums::Verify };
        let expected = zeek_rows(&folder.join(name));
        rows += expected.len();
        captures += 1;
        differences.extend(compare(name, &folder.join(name), &expected, checksums));
    }
    for difference in &differences {
        eprintln!("{difference}");
    }
    eprintln!("{captures} captures, {rows} rows, {} differences", differences.len());
    assert!(differences.len() <= MOST_DIFFERENCES);
}

fn compare(name: &str, folder: &Path, expected: &[Row], checksums: Checksums) -> Vec<String> {
    let config = FlowConfig { checksums, ..FlowConfig::default() };
    let mut found: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (flow, _) in flows_of(folder, &config) {
        let row = Row::of(&flow);
        found.entry(row.ends.clone()).or_default().push(row);
    }
    let mut differences = Vec::new();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for row in expected {
        let place = taken.entry(&row.ends).or_default();
        let ours = found.get(&row.ends).and_then(|rows| rows.get(*place));
        *place += 1;
        if let Some(ours) = ours
            && !ours.agrees_in_size(row)
        {
            eprintln!("{name}: IP bytes differ: {} zeek {row}\n    ours {ours}", row.ends);
        }
        if ours.is_none_or(|ours| !ours.agrees(row)) {
            differences.push(format!(
                "{name}: {} zeek {row}\n    ours {}",
                row.ends,
                ours.map_or("none".into(), Row::to_string)
            ));
        }
    }
    for (ends, rows) in &found {
        let taken = taken.get(ends.as_str()).copied().unwrap_or_default();
        for row in rows.iter().skip(taken) {
            eprintln!("{name}: not in Zeek's log: {ends} {row}");
        }
    }
    differences
}

/// Every capture that Zeek tests with and publishes no log of: nothing may break, every flow must end.
#[test]
fn robust_captures_end_every_flow() {
    let Some(folder) = data_folder("robust/zeek") else { return };
    let mut flows: Vec<(Flow, EndReason)> = Vec::new();
    for path in support::files_below(&folder) {
        for checksums in [Checksums::Ignore, Checksums::Verify] {
            let config = FlowConfig { checksums, packet_series: true, payload_entropy: true, ..FlowConfig::default() };
            flows.extend(support::flows_of_file(&path, &config));
        }
    }
    eprintln!("{} flows", flows.len());
}
