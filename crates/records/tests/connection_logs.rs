//! The connection logs that `LAPWING_DATA` names, other people's: every row is a record, whatever is odd about the log.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use lapwing_decode::Address;
use lapwing_records::{LogInputs, LogKind, LogReport, Record, find};

/// The folder of logs that `LAPWING_DATA` names.
fn data() -> Option<PathBuf> {
    let folder =
        std::env::var_os("LAPWING_DATA").map(|data| PathBuf::from(data).join("connlog")).filter(|path| path.is_dir());
    if folder.is_none() {
        eprintln!("skipped: LAPWING_DATA names no folder with connlog/");
    }
    folder
}

fn all(mut inputs: LogInputs) -> (Vec<Record>, Vec<LogReport>) {
    let mut records = Vec::new();
    while inputs.read(&mut records) {}
    let reports = inputs.reports();
    (records, reports)
}

fn read(log: &Path) -> (Vec<Record>, LogReport) {
    let (records, mut reports) = all(LogInputs::open(&[log.to_owned()]).unwrap());
    (records, reports.remove(0))
}

fn read_text(text: &[u8]) -> (Vec<Record>, LogReport) {
    let (records, mut reports) = all(LogInputs::from_reader("conn.log", Cursor::new(text.to_vec())).unwrap());
    (records, reports.remove(0))
}

fn text(log: &Path) -> Vec<u8> {
    let bytes = fs::read(log).unwrap();
    if bytes.starts_with(b"\x28\xb5\x2f\xfd") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes }
}

/// Lines that hold something other than Zeek's header, or the names of columns.
fn rows(text: &[u8], kind: LogKind) -> u64 {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#').count() as u64;
    lines - u64::from(matches!(kind, LogKind::Csv | LogKind::Argus))
}

/// The type of an event of EVE, the protocol of a row of Argus: what tells of no connection says so there.
fn tells_of_a_connection(line: &[u8], kind: LogKind) -> bool {
    let has = |words: &[u8]| line.windows(words.len()).any(|window| window == words);
    match kind {
        LogKind::Eve => has(br#""event_type":"flow""#) || has(br#""event_type":"netflow""#),
        LogKind::Argus => {
            let protocol = line.split(|byte| *byte == b',' || *byte == b'\t').nth(2).unwrap_or_default();
            ![&b"arp"[..], b"llc", b"man"].contains(&protocol)
        }
        _ => true,
    }
}

#[test]
fn every_row_of_every_log_is_a_record() {
    let Some(folder) = data() else { return };
    let found = find(&folder);
    let mut wrong = Vec::new();
    for log in &found.logs {
        let ((records, report), text) = (read(log), text(log));
        let kind = report.kind.unwrap();
        let told = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#');
        let expected = told.skip(usize::from(matches!(kind, LogKind::Csv | LogKind::Argus)));
        let expected = expected.filter(|line| tells_of_a_connection(line, kind)).count() as u64;
        let counted = (report.records, report.records + report.other, report.malformed);
        if counted != (expected, rows(&text, kind), 0) {
            wrong.push(format!("{}: {expected} of {} rows: {counted:?}", log.display(), rows(&text, kind)));
        }
        // Two halves of EVE's make one.
        if kind != LogKind::Eve && records.len() as u64 != report.records {
            wrong.push(format!("{}: {} records came", log.display(), records.len()));
        }
    }
    assert!(found.logs.len() >= 20, "{}", found.logs.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What nobody takes for a log of connections is called none.
    let others = found.other_logs.iter().filter(|(path, _)| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("conn.") || name.contains("open_conn") || name.contains("binetflow")
    });
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&(PathBuf, String)>::new());
}

#[test]
fn logs_read_side_by_side_give_every_record_of_each() {
    let Some(folder) = data() else { return };
    let logs = find(&folder).logs;
    let alone: u64 = logs.iter().map(|log| read(log).1.records).sum();
    let (_, reports) = all(LogInputs::open(&logs).unwrap());
    assert_eq!(reports.iter().map(|report| report.records).sum::<u64>(), alone);
}

#[test]
fn a_damaged_line_is_told_with_file_and_line_and_costs_nothing_but_itself() {
    let Some(folder) = data() else { return };
    for log in find(&folder).logs {
        let text = text(&log);
        let (whole, report) = read_text(&text);
        let kind = report.kind.unwrap();
        // Not the first rows of EVE, where one half of a flow would lose the other.
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let is_row = |line: &&[u8]| !line.is_empty() && line[0] != b'#' && tells_of_a_connection(line, kind);
        let Some(place) = lines.iter().rposition(is_row) else { continue };
        if kind == LogKind::Eve || place < 2 {
            continue;
        }
        lines[place] = b"\x00\xff\tdamaged";
        let (records, damaged) = read_text(&lines.join(&b'\n'));
        // A last line without its end counts as cut off.
        let told = damaged.malformed + u64::from(damaged.cut_off.is_some());
        assert_eq!((records.len() + 1, told), (whole.len(), 1), "{}: {:?}", log.display(), damaged.problems);
        let line = format!("{}", place + 1);
        let told = damaged
            .problems
            .iter()
            .chain(&damaged.warnings)
            .any(|what| what.starts_with("conn.log") && what.contains(&line));
        assert!(told, "{}: {:?} {:?}", log.display(), damaged.problems, damaged.warnings);
    }
}

/// Of RITA's: a log that Zeek had not closed, and one that something cut.
#[test]
fn a_log_cut_at_any_byte_gives_every_row_before_the_cut() {
    let Some(folder) = data() else { return };
    for log in ["rita-open_conns/closed/conn.log.zst", "rita-json_with_all_fields/conn.log.zst"] {
        let text = text(&folder.join(log));
        let end = text.iter().rposition(|byte| !byte.is_ascii_whitespace()).unwrap() + 1;
        let last = text[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let before = text[..last].iter().rev().skip(1).position(|byte| *byte == b'\n').unwrap();
        for cut in (last - 1 - before..end).step_by(7) {
            let kind = read_text(&text).1.kind.unwrap();
            let whole = rows(&text[..text[..cut].iter().rposition(|byte| *byte == b'\n').unwrap() + 1], kind);
            let (records, report) = read_text(&text[..cut]);
            assert_eq!(report.malformed, 0, "{log} cut at {cut}: {:?}", report.problems);
            // What is left of the last row may make a row by itself, when only its end is missing.
            assert!((whole..=whole + 1).contains(&(records.len() as u64)), "{log} cut at {cut}: {}", records.len());
        }
    }
}

#[test]
fn a_compressed_log_that_is_cut_gives_what_came_before_and_says_so() {
    let Some(folder) = data() else { return };
    let bytes = fs::read(folder.join("rita-missing-host/2024-04-19/conn.log.zst")).unwrap();
    let (records, report) = read_text(&bytes[..bytes.len() / 2]);
    assert!(records.len() > 1_000, "{}", records.len());
    assert_eq!((report.records, report.malformed), (records.len() as u64, 0), "{:?}", report.problems);
    assert!(report.warnings.iter().any(|what| what.contains("ended early")), "{:?}", report.warnings);
}

#[test]
fn a_log_with_a_field_that_zeek_does_not_have_is_read_by_names() {
    let Some(folder) = data() else { return };
    // Its first column is `_node_name`.
    let (records, report) = read(&folder.join("rita-missing-host/2024-04-19/conn.log.zst"));
    assert_eq!((report.records, report.malformed), (31_367, 0));
    let first = &records.iter().find(|record| record.flow.start.micros() == 1_713_484_795_943_239).unwrap().flow;
    assert_eq!(
        (first.originator.address, first.originator.port, first.responder.port),
        (Address::v4([167, 94, 138, 145]), 25_320, 6_008)
    );
}

/// The folder has an http.log of which rows lack the host: nothing of it matters to connections.
#[test]
fn a_log_beside_logs_with_missing_values_is_read_alone() {
    let Some(folder) = data() else { return };
    let found = find(&folder.join("rita-missing-host"));
    let names = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(found.logs.iter().map(names).collect::<Vec<_>>(), ["conn.log.zst", "open_conn.log.zst"]);
    assert_eq!(found.other_logs.len(), 4);
}

#[test]
fn connections_that_go_on_are_told_from_those_that_ended() {
    let Some(folder) = data() else { return };
    for (log, open) in [
        // Known by their #path, whatever they are called.
        ("rita-open_sni/open_conn.17_32_32-18_00_00.log.zst", 12),
        ("rita-open_sni/open_conn.18_00_00-19_00_00.log.zst", 12),
        ("rita-missing-host/2024-04-19/open_conn.log.zst", 24),
        // Known by their name: they call themselves conn, or nothing at all.
        ("rita-open_conns/open/open_conn.log.zst", 59),
        ("rita-json_with_all_fields/open_conn.log.zst", 59),
        ("rita-open_conns/closed/conn.log.zst", 0),
        ("rita-json_with_all_fields/conn.log.zst", 0),
    ] {
        let (records, _) = read(&folder.join(log));
        assert_eq!(records.iter().filter(|record| record.open).count(), open, "{log}");
        assert!(open == 0 || records.len() == open, "{log}");
    }
    let renamed = text(&folder.join("rita-open_sni/open_conn.17_32_32-18_00_00.log.zst"));
    assert!(read_text(&renamed).0.iter().all(|record| record.open));
}
