//! Everything that was named, as one stream of records.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lapwing_capture::{Position, Timestamp, size_on_disk};

use crate::file::LogFile;
use crate::open::Opened;
use crate::record::Record;
use crate::report::{LogError, LogReport};

/// Logs that are read side by side at most: each takes a buffer, and a window if it is compressed. Logs that cover the same time
/// beyond it are read after these, and their records are late.
const MOST_OPEN: usize = 32;

/// Records read from a log at once.
const AT_ONCE: usize = 512;

/// Logs as one stream: one by itself, or several merged by the times at which their connections end. A log is nearly in that
/// order, not quite: see [`Window`](crate::Window).
pub struct LogInputs {
    logs: Vec<Log>,
    /// Logs not opened yet, the one that begins last first.
    closed: Vec<(Timestamp, usize)>,
    /// Opened logs by the time of their next record.
    open: BinaryHeap<Reverse<(Timestamp, usize)>>,
    count: Arc<AtomicU64>,
    total: Option<u64>,
}

struct Log {
    path: PathBuf,
    file: Option<LogFile>,
    /// Records read and not handed out, the next one last.
    next: Vec<Record>,
    /// Kept when the file is closed.
    report: LogReport,
}

impl LogInputs {
    /// Opens logs (`-` is standard input); for folders see [`find`](crate::find).
    ///
    /// A log that cannot be read is refused: its report says why, the others are read.
    ///
    /// # Errors
    /// When no log is left: the error of the first.
    pub fn open(paths: &[PathBuf]) -> Result<Self, LogError> {
        let mut inputs = Self::empty(paths.iter().map(|path| size_on_disk(path)).sum());
        let mut first_error = None;
        for path in paths {
            match LogFile::open(path, &inputs.count) {
                Ok(file) => inputs.add(path, file, paths.len() == 1),
                Err(error) => {
                    let mut report = LogReport::new(path.clone());
                    report.refused = Some(error.to_string());
                    inputs.logs.push(Log { path: path.clone(), file: None, next: Vec::new(), report });
                    first_error = first_error.or(Some(error));
                }
            }
        }
        match first_error {
            Some(error) if inputs.is_over() && inputs.logs.iter().all(|log| log.report.kind.is_none()) => Err(error),
            _ => {
                inputs.closed.sort_unstable_by_key(|key| Reverse(*key));
                // Looking at the first records of many logs is not reading them.
                if paths.len() > 1 {
                    inputs.count.store(0, Ordering::Relaxed);
                }
                Ok(inputs)
            }
        }
    }

    /// Reads a log out of anything; `name` stands for the path in reports.
    ///
    /// # Errors
    /// When it is no log, or reading its first bytes fails.
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self, LogError> {
        let path = PathBuf::from(name);
        let opened = Opened::new(reader).map_err(|source| LogError::Open { path: path.clone(), source })?;
        let mut inputs = Self::empty(None);
        inputs.add(&path, LogFile::new(&path, opened)?, true);
        Ok(inputs)
    }

    fn empty(total: Option<u64>) -> Self {
        Self { logs: Vec::new(), closed: Vec::new(), open: BinaryHeap::new(), count: Arc::default(), total }
    }

    /// Looks when a log begins; `keep` leaves it open.
    fn add(&mut self, path: &Path, mut file: LogFile, keep: bool) {
        let mut next = Vec::new();
        let index = self.logs.len();
        let keep = keep || path.as_os_str() == "-";
        file.read(if keep { AT_ONCE } else { 1 }, &mut next);
        next.reverse();
        let begins = next.last().map(Record::time);
        let report = file.report.clone();
        match begins {
            Some(time) if keep => {
                self.open.push(Reverse((time, index)));
                self.logs.push(Log { path: path.to_owned(), file: Some(file), next, report });
            }
            begins => {
                if let Some(time) = begins {
                    self.closed.push((time, index));
                }
                self.logs.push(Log { path: path.to_owned(), file: None, next: Vec::new(), report });
            }
        }
    }

    fn is_over(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// Appends some records; returns `false` when there are no more.
    pub fn read(&mut self, records: &mut Vec<Record>) -> bool {
        self.open_what_begins();
        let Some(Reverse((_, index))) = self.open.pop() else { return false };
        // Up to here this log is the earliest.
        let until = self.open.peek().map(|Reverse((time, _))| *time);
        let closed = self.closed.last().map(|(time, _)| *time).filter(|_| self.open.len() + 1 < MOST_OPEN);
        let until = until.into_iter().chain(closed).min();
        let log = &mut self.logs[index];
        while let Some(record) = log.next.pop() {
            if until.is_some_and(|until| record.time() > until) {
                log.next.push(record);
                break;
            }
            records.push(record);
            if log.next.is_empty() {
                log.refill();
                break;
            }
        }
        match log.next.last() {
            Some(record) => self.open.push(Reverse((record.time(), index))),
            None => log.close(),
        }
        true
    }

    /// Opens the logs that begin before anything else goes on.
    fn open_what_begins(&mut self) {
        while let Some((begins, index)) = self.closed.last().copied()
            && self.open.len() < MOST_OPEN
            && self.open.peek().is_none_or(|Reverse((time, _))| begins <= *time)
        {
            self.closed.pop();
            let log = &mut self.logs[index];
            match LogFile::open(&log.path, &self.count) {
                Ok(file) => log.file = Some(file),
                Err(error) => log.report.warnings.push(error.to_string()),
            }
            log.refill();
            if let Some(record) = log.next.last() {
                self.open.push(Reverse((record.time(), index)));
            }
        }
    }

    /// What was read so far, one report a log.
    #[must_use]
    pub fn reports(&self) -> Vec<LogReport> {
        self.logs.iter().map(|log| log.file.as_ref().map_or(&log.report, |file| &file.report).clone()).collect()
    }

    /// How far reading has come, in bytes as they lie on the disk.
    #[must_use]
    pub fn position(&self) -> Position {
        let read = self.count.load(Ordering::Relaxed);
        Position { read: self.total.map_or(read, |total| read.min(total)), total: self.total }
    }
}

impl Log {
    fn refill(&mut self) {
        if let Some(file) = &mut self.file {
            file.read(AT_ONCE, &mut self.next);
            self.next.reverse();
        }
    }

    fn close(&mut self) {
        if let Some(file) = self.file.take() {
            self.report = file.report;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn log(times: &[u64]) -> String {
        let mut text = "#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\tid.resp_h\tproto\n".to_owned();
        times.iter().for_each(|time| text.push_str(&format!("{time}\t10.0.0.1\t10.0.0.2\tudp\n")));
        text
    }

    fn read_all(inputs: &mut LogInputs) -> Vec<i64> {
        let mut records = Vec::new();
        while inputs.read(&mut records) {}
        records.iter().map(|record| record.flow.start.seconds()).collect()
    }

    #[test]
    fn logs_of_one_time_are_merged() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = [&[1, 4, 7][..], &[2, 5, 8], &[3, 6, 9], &[20, 21], &[]]
            .iter()
            .enumerate()
            .map(|(index, times)| {
                let path = folder.path().join(format!("{index}.log"));
                fs::write(&path, log(times)).unwrap();
                path
            })
            .collect();
        let mut inputs = LogInputs::open(&paths).unwrap();
        assert_eq!(read_all(&mut inputs), [1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21]);
        assert_eq!(inputs.reports().iter().map(|report| report.records).collect::<Vec<_>>(), [3, 3, 3, 2, 0]);
    }

    #[test]
    fn more_logs_than_can_be_open_are_all_read() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..100)
            .map(|index| {
                let path = folder.path().join(format!("{index}.log"));
                fs::write(&path, log(&[index, index + 1_000, index + 2_000])).unwrap();
                path
            })
            .collect();
        let mut all = read_all(&mut LogInputs::open(&paths).unwrap());
        all.sort_unstable();
        assert_eq!(all.len(), 300);
    }

    #[test]
    fn compressed_logs_read_like_plain_ones_and_what_is_cut_off_is_told() {
        let text = log(&(0..5_000).collect::<Vec<_>>());
        let whole = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let mut inputs = LogInputs::from_reader("x", std::io::Cursor::new(whole.clone())).unwrap();
        assert_eq!(read_all(&mut inputs).len(), 5_000);
        let mut inputs = LogInputs::from_reader("x", std::io::Cursor::new(whole[..whole.len() - 40].to_vec())).unwrap();
        read_all(&mut inputs);
        assert!(inputs.reports()[0].warnings[0].contains("ended early"), "{:?}", inputs.reports());
        let mut inputs = LogInputs::from_reader("x", std::io::Cursor::new(text[..text.len() - 14].to_owned())).unwrap();
        assert_eq!(read_all(&mut inputs).len(), 4_999);
        assert_eq!(inputs.reports()[0].cut_off, Some(5_003));
    }

    #[test]
    fn a_wrong_line_is_told_with_file_and_number_and_costs_only_itself() {
        let text = log(&[1, 2]).replace("2\t10.0.0.1", "2\t10.0.0.x") + "3\t10.0.0.1\t10.0.0.2\tudp\n";
        let mut inputs = LogInputs::from_reader("conn.log", std::io::Cursor::new(text)).unwrap();
        assert_eq!(read_all(&mut inputs), [1, 3]);
        let report = &inputs.reports()[0];
        assert_eq!((report.records, report.malformed), (2, 1));
        assert_eq!(report.problems, ["conn.log:5: id.orig_h: '10.0.0.x' is not an address"]);
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_reason() {
        let error = LogInputs::from_reader("x", &b"hello"[..]).err().unwrap();
        assert!(error.to_string().contains("not a log of connections"), "{error}");
        let dns = b"#separator \\x09\n#path\tdns\n#fields\tts\n";
        let error = LogInputs::from_reader("dns.log", &dns[..]).err().unwrap();
        assert!(error.to_string().contains("a Zeek dns log"), "{error}");
    }
}
