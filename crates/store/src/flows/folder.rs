//! The folder of flows: `HOUR-NUMBER.journal` while flows of that hour still come, `HOUR-NUMBER.parquet` afterwards.
//!
//! A segment takes its name when it is whole, and only then its journal goes. Where both are there, the segment counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use lapwing_alert::{from_rfc3339, rfc3339};
use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::LocalNetworks;

use super::journal::{self, Journal};
use super::segment::{ReadError, SegmentWriter, damaged};
use super::segment_reader::Segment;
use super::{FlowLog, FlowQuery, FlowRow, MOST_UIDS, Mark, UidText};
use crate::known::hour_of;
use crate::{Page, StoreError};

/// Hours that are written at once: flows of an hour may come late, from logs above all.
const OPEN_HOURS: usize = 4;

/// Segments that are made at once; beyond it whoever appends waits.
const SEALING: usize = 2;

/// Bytes of a journal before it becomes a segment though its hour is not over: about 60,000 flows. A question reads a journal
/// from its beginning, and a capture that is read in a minute has its segments made while it is read, not after.
const LONGEST_JOURNAL: u64 = 16 << 20;

const HOUR: i64 = 3_600;

/// Flows in files.
pub(crate) struct FlowFolder {
    folder: PathBuf,
    longest: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<i64, Journal>,
    sealing: Vec<JoinHandle<Result<(), StoreError>>>,
    /// The first segment that could not be made since somebody asked.
    problem: Option<StoreError>,
}

/// A journal whose writer is gone; nobody else takes it up while this lives.
pub(crate) struct Abandoned {
    pub(crate) stem: String,
    path: PathBuf,
    file: File,
    has_segment: bool,
}

impl Abandoned {
    /// Hands its rows to `each`; none if they are in a segment already.
    pub(crate) fn read(&self, each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>) -> Result<(), StoreError> {
        if self.has_segment {
            return Ok(());
        }
        journal::read(&self.path, &self.file, each).map(drop)
    }

    /// Removes it: there is nothing in it, or nothing that a segment does not have.
    pub(crate) fn remove(self) -> Result<(), StoreError> {
        remove(&self.path)
    }

    /// Puts it aside under a name that nothing reads: it is damaged, and must not keep the store from opening.
    pub(crate) fn put_aside(self) -> Result<(), StoreError> {
        let aside = self.path.with_extension("damaged");
        fs::rename(&self.path, &aside).map_err(|error| StoreError::file(aside, &error))
    }

    /// Makes a segment of it.
    pub(crate) fn seal(self) -> Result<(), StoreError> {
        if !self.has_segment {
            seal(&self.path, &self.file)?;
        }
        remove(&self.path)
    }
}

impl FlowFolder {
    /// Opens or makes the folder. Journals grow to a 32nd of `bytes`, the room for everything, at most.
    pub(crate) fn open(folder: &Path, bytes: Option<u64>) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| StoreError::file(folder, &error))?;
        let longest = bytes.map_or(LONGEST_JOURNAL, |bytes| (bytes / 32).clamp(1 << 16, LONGEST_JOURNAL));
        Ok(Self { folder: folder.to_owned(), longest, state: Mutex::default() })
    }

    /// The journals that a program left behind when it was killed, and the names of all that there are.
    pub(crate) fn abandoned(&self) -> Result<(Vec<Abandoned>, Vec<String>), StoreError> {
        let (mut abandoned, mut stems) = (Vec::new(), Vec::new());
        for (stem, kept) in self.list()?.into_values().flatten() {
            if !kept.journal {
                continue;
            }
            let path = self.path(&stem, "journal");
            if let Some(file) = journal::abandoned(&path)? {
                abandoned.push(Abandoned { stem: stem.clone(), path, file, has_segment: kept.segment });
            }
            stems.push(stem);
        }
        Ok((abandoned, stems))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, stem: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{ending}"))
    }

    /// What there is of each hour.
    fn list(&self) -> Result<BTreeMap<i64, BTreeMap<String, Kept>>, StoreError> {
        let refused = |error: io::Error| StoreError::file(&self.folder, &error);
        let mut hours: BTreeMap<i64, BTreeMap<String, Kept>> = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).map_err(refused)? {
            let name = entry.map_err(refused)?.file_name();
            let Some((stem, ending)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Some(hour) = stem.get(..13).and_then(hour_named) else { continue };
            let kept = hours.entry(hour).or_default().entry(stem.to_owned()).or_default();
            match ending {
                "journal" => kept.journal = true,
                "parquet" => kept.segment = true,
                _ => {}
            }
        }
        Ok(hours)
    }

    fn create(&self, hour: i64) -> Result<Journal, StoreError> {
        let taken = self.list()?.remove(&hour).unwrap_or_default();
        let number = |stem: &String| stem.get(14..).and_then(|number| number.parse::<u32>().ok());
        let next = taken.keys().filter_map(number).max().map_or(0, |last| last + 1);
        // Another program may take the same number in the meantime.
        let mut attempts = (next..next + 8).map(|number| Journal::create(&self.folder, &stem(hour, number)));
        attempts.find(Result::is_ok).unwrap_or_else(|| Journal::create(&self.folder, &stem(hour, next + 8)))
    }

    fn append_to(&self, state: &mut State, hour: i64, flows: &[Flow], local: &LocalNetworks) -> Result<(), StoreError> {
        if !state.open.contains_key(&hour) {
            if state.open.len() >= OPEN_HOURS
                && let Some((_, earliest)) = state.open.pop_first()
            {
                state.seal(earliest);
            }
            state.open.insert(hour, self.create(hour)?);
        }
        let journal = state.open.get_mut(&hour).expect("it was just put there");
        journal.append(flows, local)
    }

    /// Hands the rows of an hour that are asked for to `each`, of every part at most the `most` that ended last.
    fn read_hour(
        &self,
        stems: &BTreeMap<String, Kept>,
        query: &FlowQuery,
        most: usize,
        each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (stem, kept) in stems {
            let segment = self.path(stem, "parquet");
            if !kept.segment && kept.journal {
                let path = self.path(stem, "journal");
                match File::open(&path) {
                    Ok(file) => {
                        let mut only = |row: FlowRow| if query.matches(&row) { each(row) } else { Ok(()) };
                        journal::read(&path, &file, &mut only)?;
                        continue;
                    }
                    // It has just become a segment.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && segment.exists() => {}
                    Err(error) => return Err(StoreError::file(path, &error)),
                }
            } else if !kept.segment {
                continue;
            }
            match Segment::open(&segment, query) {
                Ok(read) => read.read(most, each).map_err(|error| error.of(&segment))?,
                // Retention was faster.
                Err(_) if !segment.exists() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remove_segment(&self, stem: &str) -> Result<u64, StoreError> {
        let path = self.path(stem, "parquet");
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        remove(&path)?;
        Ok(bytes)
    }
}

impl FlowLog for FlowFolder {
    fn append(&self, flows: &[Flow], local: &LocalNetworks) -> Result<Vec<Mark>, StoreError> {
        let mut state = self.state();
        let before: Vec<(i64, u64, u64)> =
            state.open.iter().map(|(hour, journal)| (*hour, journal.length(), journal.rows())).collect();
        for flows in flows.chunk_by(|one, other| hour_of(one.last) == hour_of(other.last)) {
            if let Err(error) = self.append_to(&mut state, hour_of(flows[0].last), flows, local) {
                // All or none: what was appended of this call goes again, where its journal is still open.
                for (hour, journal) in &mut state.open {
                    let known = before.iter().find(|(known, ..)| known == hour);
                    let (length, rows) = known.map_or((journal.first(), 0), |(_, length, rows)| (*length, *rows));
                    journal.rewind(length, rows)?;
                }
                return Err(error);
            }
        }
        let marks = state.open.values().map(|journal| Mark { stem: journal.stem().to_owned(), rows: journal.rows() });
        let marks = marks.collect();
        let full: Vec<i64> =
            state.open.iter().filter(|(_, journal)| journal.length() >= self.longest).map(|(hour, _)| *hour).collect();
        for hour in full {
            if let Some(journal) = state.open.remove(&hour) {
                state.seal(journal);
            }
        }
        Ok(marks)
    }

    fn find(&self, query: &FlowQuery) -> Result<Page<FlowRow>, StoreError> {
        query.check()?;
        let most = query.most();
        let mut found: Vec<FlowRow> = Vec::new();
        for (hour, stems) in self.list()?.into_iter().rev() {
            if query.time.from.is_some_and(|from| from >= Timestamp::from_seconds((hour + 1) * HOUR)) {
                break;
            }
            if query.after.as_ref().is_some_and(|cursor| hour > hour_of(cursor.time)) {
                continue;
            }
            self.read_hour(&stems, query, most, &mut |row| {
                found.push(row);
                if found.len() >= most.saturating_mul(2).max(1 << 12) {
                    newest(&mut found, most);
                }
                Ok(())
            })?;
            newest(&mut found, most);
            // What ended in an earlier hour ended earlier.
            if found.len() >= most {
                break;
            }
        }
        Ok(query.page(found))
    }

    fn uids(&self, hour: i64) -> Result<Vec<UidText>, StoreError> {
        let (stems, mut uids) = (self.list()?.remove(&hour).unwrap_or_default(), Vec::new());
        self.read_hour(&stems, &FlowQuery::default(), MOST_UIDS, &mut |row| {
            if uids.len() < MOST_UIDS {
                uids.extend(UidText::try_from(row.cell("uid").text().as_bytes()));
            }
            Ok(())
        })?;
        Ok(uids)
    }

    fn for_each(
        &self,
        query: &FlowQuery,
        each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (hour, stems) in self.list()? {
            if query.time.from.is_none_or(|from| from < Timestamp::from_seconds((hour + 1) * HOUR)) {
                self.read_hour(&stems, query, usize::MAX, each)?;
            }
        }
        Ok(())
    }

    fn expire(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let over = |hour: &i64| Timestamp::from_seconds((hour + 1) * HOUR) <= moment;
        let hours = self.list()?;
        let old = hours.iter().filter(|(hour, _)| over(hour)).flat_map(|(_, stems)| stems);
        old.filter(|(_, kept)| kept.segment).map(|(stem, _)| self.remove_segment(stem)).sum()
    }

    fn expire_one(&self) -> Result<u64, StoreError> {
        let hours = self.list()?;
        let earliest = hours.values().flatten().find(|(_, kept)| kept.segment);
        earliest.map_or(Ok(0), |(stem, _)| self.remove_segment(stem))
    }

    fn size(&self) -> Result<u64, StoreError> {
        let refused = |error: io::Error| StoreError::file(&self.folder, &error);
        let files = fs::read_dir(&self.folder).map_err(refused)?;
        // What is removed in the meantime takes nothing.
        Ok(files.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len()).sum())
    }

    fn settle(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        for journal in std::mem::take(&mut state.open).into_values() {
            state.seal(journal);
        }
        state.join(0);
        state.problem.take().map_or(Ok(()), Err)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.open.values().try_for_each(Journal::sync)?;
        state.problem.take().map_or(Ok(()), Err)
    }
}

impl Drop for FlowFolder {
    fn drop(&mut self) {
        // What cannot be finished now is by whoever opens the store next.
        let _ = self.settle();
    }
}

impl State {
    /// Makes a segment of a journal, beside whatever else is done. Where it fails, the journal stays and is tried again when
    /// the store is opened.
    fn seal(&mut self, journal: Journal) {
        self.join(SEALING - 1);
        if journal.rows() == 0 {
            self.note(remove(journal.path()));
            return;
        }
        self.sealing.push(thread::spawn(move || {
            seal(journal.path(), journal.file())?;
            remove(journal.path())
        }));
    }

    /// Waits until no more than so many segments are being made.
    fn join(&mut self, most: usize) {
        while self.sealing.len() > most {
            let panicked = || StoreError::Database("a segment of flows was not finished".to_owned());
            let done = self.sealing.remove(0).join().unwrap_or_else(|_| Err(panicked()));
            self.note(done);
        }
    }

    fn note(&mut self, done: Result<(), StoreError>) {
        self.problem = self.problem.take().or(done.err());
    }
}

/// What there is of a part of an hour.
#[derive(Clone, Copy, Default)]
struct Kept {
    journal: bool,
    segment: bool,
}

/// Keeps the `most` that ended last, those first.
fn newest(found: &mut Vec<FlowRow>, most: usize) {
    found.sort_by_cached_key(|row| (std::cmp::Reverse(row.span().1), row.cell("uid").text()));
    found.truncate(most);
}

/// Makes a segment of a journal: whole and on the disk before it takes its name.
fn seal(path: &Path, file: &File) -> Result<(), StoreError> {
    let segment = path.with_extension("parquet");
    let partial = path.with_extension("partial");
    let written = || -> Result<(), StoreError> {
        let refused = |error: io::Error| StoreError::file(&partial, &error);
        let told = |error: parquet::errors::ParquetError| ReadError::from(error).of(&partial);
        let mut writer = SegmentWriter::new(File::create(&partial).map_err(refused)?).map_err(told)?;
        journal::read(path, file, &mut |row| writer.push(row).map_err(|error| damaged(&partial, &error)))?;
        writer.close().map_err(told)?.sync_all().map_err(refused)?;
        fs::rename(&partial, &segment).map_err(refused)?;
        let folder = segment.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::file(folder, &error))
    };
    written().inspect_err(|_| {
        // The error that is told matters more.
        let _ = fs::remove_file(&partial);
    })
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::file(path, &error)),
        _ => Ok(()),
    }
}

/// `2026-11-21T08-0000`
fn stem(hour: i64, number: u32) -> String {
    format!("{}-{number:04}", &rfc3339(Timestamp::from_seconds(hour * HOUR))[..13])
}

fn hour_named(text: &str) -> Option<i64> {
    from_rfc3339(&format!("{text}:00:00Z")).map(hour_of)
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::flow;
    use super::*;

    fn folder() -> (tempfile::TempDir, FlowFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = FlowFolder::open(place.path(), None).unwrap();
        (place, folder)
    }

    fn uids(folder: &FlowFolder, query: &FlowQuery) -> Vec<String> {
        folder.find(query).unwrap().items.iter().map(|row| row.cell("uid").text()).collect()
    }

    fn names(folder: &FlowFolder) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&folder.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn journals_become_segments_and_say_the_same() {
        let (_place, folder) = folder();
        let local = LocalNetworks::default();
        let flows: Vec<Flow> = (0..50).map(|uid| flow(uid, uid as u8, 1_000 * uid as i64)).collect();
        folder.append(&flows, &local).unwrap();
        let all = FlowQuery::default();
        let before = folder.find(&all).unwrap().items;
        folder.settle().unwrap();
        assert!(names(&folder).iter().all(|name| name.ends_with(".parquet")), "{:?}", names(&folder));
        assert_eq!(folder.find(&all).unwrap().items, before);
        let expected: Vec<FlowRow> = flows.iter().rev().map(|flow| FlowRow::new(flow, &local)).collect();
        assert_eq!(before, expected);
    }

    #[test]
    fn a_late_flow_finds_its_hour_though_that_is_over() {
        let (_place, folder) = folder();
        let local = LocalNetworks::default();
        for seconds in [0, 40_000, 80_000, 120_000, 160_000, 200_000, 1] {
            folder.append(&[flow(seconds, 1, seconds as i64)], &local).unwrap();
        }
        folder.settle().unwrap();
        assert_eq!(names(&folder).iter().filter(|name| name.starts_with("1970-01-01T00-")).count(), 2);
        assert_eq!(uids(&folder, &FlowQuery { limit: Some(2), ..FlowQuery::default() }).len(), 2);
        let until = FlowQuery {
            time: crate::TimeRange { from: None, until: Some(Timestamp::from_seconds(2)) },
            ..FlowQuery::default()
        };
        assert_eq!(uids(&folder, &until).len(), 2);
    }

    #[test]
    fn what_a_killed_program_left_is_recovered_once() {
        let (place, folder) = folder();
        let local = LocalNetworks::default();
        folder.append(&[flow(1, 1, 10), flow(2, 1, 20)], &local).unwrap();
        // As after a kill: the lock is gone, the files stay.
        std::mem::take(&mut folder.state().open);
        let other = FlowFolder::open(place.path(), None).unwrap();
        let (abandoned, stems) = other.abandoned().unwrap();
        assert_eq!(stems, ["1970-01-01T00-0000"]);
        assert!(folder.abandoned().unwrap().0.is_empty(), "only one takes it up");
        let mut seen = 0;
        for journal in abandoned {
            journal
                .read(&mut |_| {
                    seen += 1;
                    Ok(())
                })
                .unwrap();
            journal.seal().unwrap();
        }
        assert_eq!(seen, 2);
        assert!(other.abandoned().unwrap().0.is_empty());
        assert_eq!(names(&other), ["1970-01-01T00-0000.parquet"]);
        assert_eq!(uids(&other, &FlowQuery::default()).len(), 2);
    }

    #[test]
    fn the_earliest_hour_goes_first() {
        let (_place, folder) = folder();
        let local = LocalNetworks::default();
        folder.append(&[flow(1, 1, 10), flow(2, 1, 4_000), flow(3, 1, 8_000)], &local).unwrap();
        folder.settle().unwrap();
        assert!(folder.expire_one().unwrap() > 0);
        assert_eq!(uids(&folder, &FlowQuery::default()).len(), 2);
        assert!(folder.expire(Timestamp::from_seconds(7_200)).unwrap() > 0);
        assert_eq!(uids(&folder, &FlowQuery::default()).len(), 1);
        assert_eq!(folder.expire(Timestamp::from_seconds(7_200)).unwrap(), 0);
    }

    #[test]
    fn single_flows_are_found_by_their_ends() {
        let (_place, folder) = folder();
        let local = LocalNetworks::default();
        let flows: Vec<Flow> = (0..40_000).map(|uid| flow(uid, (uid / 4_000) as u8, uid as i64 / 100)).collect();
        folder.append(&flows, &local).unwrap();
        folder.settle().unwrap();
        let device = |text: &str| FlowQuery { device: text.parse().ok(), ..FlowQuery::default() };
        assert_eq!(uids(&folder, &device("192.168.0.7")).len(), 4_000);
        assert_eq!(uids(&folder, &device("192.168.0.77")).len(), 0);
        assert_eq!(uids(&folder, &device("198.51.100.7")).len(), 40_000);
        let both = FlowQuery { peer: "192.168.0.9".parse().ok(), port: Some(443), ..device("198.51.100.7") };
        assert_eq!(uids(&folder, &both).len(), 4_000);
        assert_eq!(uids(&folder, &FlowQuery { port: Some(80), ..device("198.51.100.7") }).len(), 0);
        let uid = uids(&folder, &FlowQuery { limit: Some(1), ..FlowQuery::default() }).remove(0);
        assert_eq!(uids(&folder, &FlowQuery { uid: Some(uid), ..FlowQuery::default() }).len(), 1);
    }
}
