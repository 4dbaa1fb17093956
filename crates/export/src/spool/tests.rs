//! Claims about the spool, most of them over random histories.

use std::fs;

use proptest::prelude::*;

use super::*;

const SINKS: [&str; 2] = ["fast", "slow"];

fn limits() -> Limits {
    Limits { capacity_bytes: 1 << 20, segment_bytes: 600, held_bytes: 1 << 20, sync_interval: Duration::from_secs(60) }
}

fn open(directory: Option<&Path>, limits: Limits) -> Arc<Spool> {
    Spool::open(directory, limits, &SINKS.map(str::to_owned)).unwrap()
}

fn payload(number: u64, length: usize) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + length, u8::try_from(number % 251).unwrap());
    payload
}

fn number_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().unwrap())
}

fn read_all(spool: &Arc<Spool>, sink: &str) -> (Vec<u64>, u64) {
    let mut reader = spool.reader(sink);
    let mut numbers = Vec::new();
    let mut lost = 0;
    loop {
        let batch = reader.read(7, 300);
        lost += batch.lost;
        if batch.records.is_empty() {
            return (numbers, lost);
        }
        for (number, payload) in &batch.records {
            assert_eq!(number_of(payload), *number, "a record came under another's number");
        }
        numbers.extend(batch.records.iter().map(|(number, _)| *number));
    }
}

#[test]
fn a_new_sink_begins_with_what_comes_and_a_known_one_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(Some(folder.path()), limits());
    (0..5).for_each(|number| assert_eq!(spool.append(payload(number, 3)), number));
    spool.commit("fast", 3);
    drop(spool);
    let sinks = ["fast".to_owned(), "new".to_owned()];
    let spool = Spool::open(Some(folder.path()), limits(), &sinks).unwrap();
    assert_eq!(read_all(&spool, "fast").0, [3, 4]);
    assert_eq!(read_all(&spool, "new").0, [] as [u64; 0]);
    assert!(!folder.path().join("slow.cursor").exists());
}

#[test]
fn one_process_has_a_spool() {
    let folder = tempfile::tempdir().unwrap();
    let _first = open(Some(folder.path()), limits());
    let second = Spool::open(Some(folder.path()), limits(), &[]);
    assert!(matches!(second, Err(SpoolError::InUse { .. })));
}

#[test]
fn a_full_spool_drops_the_oldest_and_says_how_many() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(Some(folder.path()), Limits { capacity_bytes: 3_000, ..limits() });
    (0..200).for_each(|number| {
        spool.append(payload(number, 50));
    });
    let (numbers, lost) = read_all(&spool, "slow");
    assert_eq!(numbers.last(), Some(&199));
    assert_eq!(numbers.len() as u64 + lost, 200);
    assert_eq!(spool.status().dropped, lost);
    assert!(spool.status().bytes <= 3_000);
}

#[test]
fn what_everybody_has_read_leaves_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(Some(folder.path()), limits());
    (0..200).for_each(|number| {
        spool.append(payload(number, 50));
    });
    let full = spool.status().bytes;
    spool.commit("fast", 200);
    assert_eq!(spool.status().bytes, full);
    spool.commit("slow", 200);
    assert!(spool.status().bytes <= 700, "{} bytes are left", spool.status().bytes);
    assert_eq!(spool.status().dropped, 0);
}

#[test]
fn a_disk_that_refuses_is_bridged_in_memory_and_made_good() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(Some(folder.path()), Limits { segment_bytes: 200, ..limits() });
    spool.append(payload(0, 100));
    // A folder in the way of the next segment's file is refused for everyone, root included.
    let obstacle = folder.path().join(segment::file_name(1));
    fs::create_dir(&obstacle).unwrap();
    (1..6).for_each(|number| {
        spool.append(payload(number, 100));
    });
    assert!(spool.status().fault.is_some());
    assert_eq!(spool.status().held, 5);
    assert_eq!(read_all(&spool, "slow").0, [0, 1, 2, 3, 4, 5]);
    spool.commit("fast", 4);
    spool.commit("slow", 3);
    assert_eq!(spool.status().held, 3, "what all have read is not written later");

    fs::remove_dir(&obstacle).unwrap();
    spool.lock().retry_at = None;
    spool.maintain();
    assert_eq!((spool.status().held, spool.status().fault), (0, None));
    drop(spool);
    let spool = open(Some(folder.path()), limits());
    assert_eq!(read_all(&spool, "slow"), (vec![3, 4, 5], 0));
}

#[test]
fn memory_is_bounded_as_well() {
    let spool = open(None, Limits { held_bytes: 1_000, ..limits() });
    (0..100).for_each(|number| {
        spool.append(payload(number, 92));
    });
    assert!(!spool.has_room(100));
    assert_eq!(spool.status().held, 10);
    assert_eq!(read_all(&spool, "fast"), ((90..100).collect(), 90));
}

#[test]
fn a_damaged_record_in_the_middle_costs_the_rest_of_its_segment_only() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(Some(folder.path()), limits());
    (0..30).for_each(|number| {
        spool.append(payload(number, 50));
    });
    let first = folder.path().join(segment::file_name(0));
    let mut bytes = fs::read(&first).unwrap();
    bytes[20 + 66 + 30] ^= 1;
    fs::write(&first, bytes).unwrap();
    let (numbers, lost) = read_all(&spool, "fast");
    assert_eq!(numbers[0], 0);
    assert_eq!(numbers.len() as u64 + lost, 30);
    assert_eq!(numbers[1..], (1 + lost..30).collect::<Vec<u64>>());
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// A sink reads some and commits.
    Deliver(usize, usize),
    /// The process dies and starts again.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0_usize..200).prop_map(Step::Append),
        3 => (0_usize..2, 1_usize..6).prop_map(|(sink, count)| Step::Deliver(sink, count)),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Every sink sees every record once, in order, whatever the others do and however often the process dies.
    #[test]
    fn every_sink_gets_everything_in_order(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(Some(folder.path()), limits());
        let mut appended = 0;
        let mut delivered = [0_u64; 2];
        for step in steps {
            match step {
                Step::Append(length) => {
                    prop_assert_eq!(spool.append(payload(appended, length)), appended);
                    appended += 1;
                }
                Step::Deliver(sink, count) => {
                    let mut reader = spool.reader(SINKS[sink]);
                    let batch = reader.read(count, usize::MAX);
                    prop_assert_eq!(batch.lost, 0);
                    prop_assert_eq!(batch.records.len() as u64, (appended - delivered[sink]).min(count as u64));
                    for (number, payload) in &batch.records {
                        prop_assert_eq!(*number, delivered[sink]);
                        prop_assert_eq!(number_of(payload), *number);
                        delivered[sink] += 1;
                    }
                    reader.commit(batch.next);
                }
                Step::Restart => {
                    drop(spool);
                    spool = open(Some(folder.path()), limits());
                }
            }
        }
        drop(spool);
        let spool = open(Some(folder.path()), limits());
        for sink in 0..2 {
            prop_assert_eq!(read_all(&spool, SINKS[sink]), ((delivered[sink]..appended).collect(), 0));
        }
    }

    /// A power cut leaves any prefix of the last segment: the whole records of it are read, and what is appended afterwards
    /// too, under numbers that no sink has passed.
    #[test]
    fn a_file_cut_anywhere_gives_its_whole_records_and_takes_new_ones(
        lengths in proptest::collection::vec(0_usize..120, 1..40),
        cut in 0.0_f64..1.0,
        passed in 0_u64..50,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(Some(folder.path()), limits());
        for (number, length) in lengths.iter().enumerate() {
            spool.append(payload(number as u64, *length));
        }
        let appended = lengths.len() as u64;
        let passed = passed.min(appended);
        spool.commit("fast", passed);
        let (path, first) = {
            let state = spool.lock();
            let last = state.segments.back().unwrap();
            (last.path.clone(), last.first)
        };
        drop(spool);

        let whole = fs::read(&path).unwrap();
        let cut = ((whole.len() as f64) * cut) as usize;
        fs::write(&path, &whole[..cut]).unwrap();
        let mut end = 20;
        let mut kept = first;
        for length in &lengths[usize::try_from(first).unwrap()..] {
            end += 16 + length;
            if end > cut { break; }
            kept += 1;
        }

        let spool = open(Some(folder.path()), limits());
        let next = spool.append(payload(kept.max(passed), 5));
        prop_assert_eq!(next, kept.max(passed));
        let expected: Vec<u64> = (0..kept).chain([next]).collect();
        let (numbers, lost) = read_all(&spool, "slow");
        prop_assert_eq!(numbers, expected);
        prop_assert_eq!(lost, next - kept);
        let expected: Vec<u64> = (passed.min(next)..kept).chain([next]).collect();
        prop_assert_eq!(read_all(&spool, "fast").0, expected);
    }
}
