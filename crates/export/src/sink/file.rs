//! Lines in a file, rotated.
//!
//! A batch is written and synced before it counts as delivered. Half a line, left by a full disk or a crash, is cut off
//! before the next batch, which brings it again whole. The file is opened anew when it was moved away, so that `logrotate`
//! needs neither a signal nor `copytruncate`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Form, Outcome, Settings, Sink};
use crate::Delivery;

/// Lines in a file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The file; its folder must exist.
    pub path: PathBuf,
    /// What a line is: `json` (the alert) or `eve` (a Suricata EVE record).
    #[serde(default)]
    pub form: Form,
    /// Begin a new file before this one is larger, in MiB. Default: no limit.
    #[serde(default)]
    pub rotate_megabytes: Option<NonZeroU32>,
    /// Begin a new file with each full interval of this many seconds since 1970 (86400: at midnight UTC). Default: never.
    #[serde(default)]
    pub rotate_seconds: Option<NonZeroU32>,
    /// Begin a new file after this many lines. Default: no limit.
    #[serde(default)]
    pub rotate_lines: Option<NonZeroU64>,
    /// Old files that are kept, as `PATH.1` (the newest) to `PATH.N`.
    #[serde(default = "a_week")]
    pub keep: NonZeroU32,
}

fn a_week() -> NonZeroU32 {
    NonZeroU32::new(7).expect("not zero")
}

/// Bytes at a file's end that are searched for the end of its last whole line.
const LONGEST_LINE: u64 = 4 << 20;

struct Lines {
    config: FileConfig,
    open: Option<Open>,
}

struct Open {
    file: File,
    device: u64,
    inode: u64,
    bytes: u64,
    lines: u64,
    written: SystemTime,
}

impl Settings for FileConfig {
    fn sort(&self) -> &'static str {
        "file"
    }

    fn build(&self, _context: &Context) -> Result<Box<dyn Sink>, String> {
        // Looked at, not made: settings are checked by building what they describe.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(format!("{}: there is no folder {}; make it first", self.path.display(), folder.display()));
        }
        match OpenOptions::new().append(true).open(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", self.path.display())),
            _ => Ok(Box::new(Lines { config: self.clone(), open: None })),
        }
    }

    fn wants_eve(&self) -> bool {
        self.form == Form::Eve
    }
}

impl Sink for Lines {
    fn deliver(&mut self, batch: &[Delivery]) -> Outcome {
        match batch.iter().try_for_each(|delivery| self.write(delivery)).and_then(|()| self.sync()) {
            Ok(()) => Outcome::Delivered,
            Err(error) => {
                self.open = None;
                Outcome::retry(format!("{}: {error}", self.config.path.display()))
            }
        }
    }

    fn target(&self) -> String {
        self.config.path.display().to_string()
    }
}

impl Lines {
    fn write(&mut self, delivery: &Delivery) -> io::Result<()> {
        let mut line = self.config.form.of(delivery).as_bytes().to_vec();
        line.push(b'\n');
        self.reopen_if_moved();
        self.open()?;
        if self.is_due(line.len() as u64, SystemTime::now()) {
            self.rotate()?;
            self.open()?;
        }
        let open = self.open.as_mut().expect("just opened");
        if let Err(error) = open.file.write_all(&line) {
            // Cut half a line off; if that fails too, opening the file again does it.
            let _ignored = open.file.set_len(open.bytes);
            return Err(error);
        }
        open.bytes += line.len() as u64;
        open.lines += 1;
        open.written = SystemTime::now();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }

    fn reopen_if_moved(&mut self) {
        let Some(open) = &mut self.open else { return };
        match fs::metadata(&self.config.path) {
            // Somebody truncated it: we append at its end wherever that is, but must not cut at the old one.
            Ok(there) if (there.dev(), there.ino()) == (open.device, open.inode) => open.bytes = there.len(),
            _ => self.open = None,
        }
    }

    fn open(&mut self) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&self.config.path)?;
        cut_half_line(&mut file)?;
        let metadata = file.metadata()?;
        let lines = if self.config.rotate_lines.is_some() { count_lines(&self.config.path)? } else { 0 };
        self.open = Some(Open {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            lines,
            written: metadata.modified().unwrap_or(UNIX_EPOCH),
            file,
        });
        Ok(())
    }

    /// Whether what is there belongs into another file than what comes now.
    fn is_due(&self, more: u64, now: SystemTime) -> bool {
        let Some(open) = self.open.as_ref().filter(|open| open.bytes > 0) else { return false };
        let config = &self.config;
        let interval = |time: SystemTime, seconds: NonZeroU32| {
            time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / u64::from(seconds.get())
        };
        config.rotate_megabytes.is_some_and(|limit| open.bytes + more > u64::from(limit.get()) << 20)
            || config.rotate_lines.is_some_and(|limit| open.lines >= limit.get())
            || config.rotate_seconds.is_some_and(|seconds| interval(now, seconds) > interval(open.written, seconds))
    }

    /// `PATH.N` goes, `PATH.1` becomes `PATH.2`, `PATH` becomes `PATH.1`.
    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        self.open = None;
        for age in (1..self.config.keep.get()).rev() {
            rename_if_there(&self.aged(age), &self.aged(age + 1))?;
        }
        rename_if_there(&self.config.path, &self.aged(1))
    }

    fn aged(&self, age: u32) -> PathBuf {
        let mut name = self.config.path.clone().into_os_string();
        name.push(format!(".{age}"));
        PathBuf::from(name)
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Cuts off what stands behind the last end of a line.
fn cut_half_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST_LINE);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut tail)?;
    if tail.last().is_none_or(|&byte| byte == b'\n') {
        return Ok(());
    }
    match tail.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => file.set_len(start + end as u64 + 1),
        None if start == 0 => file.set_len(0),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "is no file of lines: its end is one line over 4 MiB")),
    }
}

fn count_lines(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = [0; 64 * 1024];
    let mut lines = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(lines);
        }
        lines += buffer[..read].iter().filter(|&&byte| byte == b'\n').count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deliveries, delivery};
    use super::*;

    fn config(path: &Path, more: &str) -> FileConfig {
        serde_json::from_str(&format!(r#"{{"path": "{}"{more}}}"#, path.display())).unwrap()
    }

    fn build(config: &FileConfig) -> Result<Box<dyn Sink>, String> {
        config.build(&Context { sensor: String::new() })
    }

    fn lines(path: &Path) -> usize {
        fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }

    #[test]
    fn each_delivery_is_a_line_of_json_or_eve() {
        let folder = tempfile::tempdir().unwrap();
        for (form, key) in [("json", "id"), ("eve", "event_type")] {
            let path = folder.path().join(form);
            let mut sink = build(&config(&path, &format!(r#", "form": "{form}""#))).unwrap();
            assert_eq!(sink.deliver(&deliveries(3)), Outcome::Delivered);
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                assert!(serde_json::from_str::<serde_json::Value>(line).unwrap()[key].is_string());
            }
            assert_eq!(text.lines().count(), 3);
        }
    }

    #[test]
    fn a_file_that_was_moved_away_or_truncated_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut sink = build(&config(&path, "")).unwrap();
        sink.deliver(&deliveries(2));
        fs::rename(&path, folder.path().join("moved")).unwrap();
        sink.deliver(&deliveries(3));
        assert_eq!((lines(&folder.path().join("moved")), lines(&path)), (2, 3));
        File::create(&path).unwrap();
        sink.deliver(&deliveries(1));
        assert_eq!(lines(&path), 1);
        fs::remove_file(&path).unwrap();
        sink.deliver(&deliveries(1));
        assert_eq!(lines(&path), 1);
    }

    #[test]
    fn files_are_rotated_by_lines_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut sink = build(&config(&path, r#", "rotate_lines": 2, "keep": 2"#)).unwrap();
        sink.deliver(&deliveries(3));
        drop(sink);
        let mut sink = build(&config(&path, r#", "rotate_lines": 2, "keep": 2"#)).unwrap();
        sink.deliver(&deliveries(6));
        let counts: Vec<usize> =
            ["", ".1", ".2", ".3"].iter().map(|end| lines(Path::new(&format!("{}{end}", path.display())))).collect();
        assert_eq!(counts, [1, 2, 2, 0]);
    }

    #[test]
    fn files_are_rotated_by_size_and_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut sink =
            Lines { config: config(&path, r#", "rotate_megabytes": 1, "rotate_seconds": 3600"#), open: None };
        sink.write(&delivery(0)).unwrap();
        let open = sink.open.as_mut().unwrap();
        open.written = UNIX_EPOCH + Duration::from_secs(3_599);
        assert!(!sink.is_due(1, UNIX_EPOCH + Duration::from_secs(3_599)));
        assert!(sink.is_due(1, UNIX_EPOCH + Duration::from_secs(3_600)));
        assert!(sink.is_due(1 << 20, UNIX_EPOCH + Duration::from_secs(3_599)));
    }

    #[test]
    fn half_a_line_is_cut_off_before_the_next_batch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "{\"whole\":1}\n{\"half").unwrap();
        let mut sink = build(&config(&path, "")).unwrap();
        sink.deliver(&deliveries(1));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\"whole\":1}\n{\"id\":\"00\""), "{text}");
        assert!(text.ends_with("}\n"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("there").join("alerts.jsonl");
        assert!(build(&config(&path, "")).is_err());
        fs::create_dir(folder.path().join("there")).unwrap();
        let mut sink = build(&config(&path, "")).unwrap();
        fs::remove_dir_all(folder.path().join("there")).unwrap();
        assert!(matches!(sink.deliver(&deliveries(1)), Outcome::Retry { .. }));
        fs::create_dir(folder.path().join("there")).unwrap();
        assert_eq!(sink.deliver(&deliveries(1)), Outcome::Delivered);
        assert_eq!(lines(&path), 1);
    }
}
