//! Logs that were rotated while nobody read: renamed beside the live one, or compressed into an archive.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::bytes::Bytes;
use super::positions::HEAD;
use crate::recognise::{Recognised, recognise};

/// Files that are looked into at most, the latest.
const MOST: usize = 512;

/// Folders within folders: `logs/2026-11-21/`.
const DEEPEST: usize = 2;

/// How long before the last write of the positions a log may have been written last and still hold lines that were not read: compressing
/// keeps the time of the last line.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// A log that was rotated.
pub(super) struct Rotated {
    pub(super) path: PathBuf,
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    pub(super) modified: SystemTime,
    pub(super) compressed: bool,
}

/// What an archive holds.
#[derive(Default)]
pub(super) struct Found {
    /// Logs of connections.
    pub(super) rotated: Vec<Rotated>,
    /// Files that cannot be read, why, and when they were written last.
    pub(super) unreadable: Vec<(PathBuf, io::Error, SystemTime)>,
}

/// Where rotated logs may lie, and how their names begin.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    pub(super) folders: Vec<PathBuf>,
    pub(super) prefix: String,
}

impl Archive {
    /// Logs of connections written later than a day before `since`, the earliest first; a plain one before its compressed copy.
    pub(super) fn look(&self, since: SystemTime) -> Found {
        let since = since.checked_sub(BEFORE).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut files = Vec::new();
        for folder in &self.folders {
            self.walk(folder, DEEPEST, since, &mut files);
        }
        files.sort_unstable();
        files.dedup();
        let surplus = files.len().saturating_sub(MOST);
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        for (modified, path) in files.drain(surplus..) {
            match open(modified, &path) {
                Ok(rotated) => found.extend(rotated),
                Err(error) => unreadable.push((path, error, modified)),
            }
        }
        found.sort_by_key(|rotated| (rotated.modified, rotated.compressed));
        let mut unique: Vec<Rotated> = Vec::new();
        // Whoever compresses removes the original afterwards, so both may be there.
        found.sort_by_key(|rotated| rotated.compressed);
        for rotated in found {
            if !unique.iter().any(|known| known.head == rotated.head) {
                unique.push(rotated);
            }
        }
        unique.sort_by(|left, right| (left.modified, &left.path).cmp(&(right.modified, &right.path)));
        Found { rotated: unique, unreadable }
    }

    fn walk(&self, folder: &Path, deep: usize, since: SystemTime, files: &mut Vec<(SystemTime, PathBuf)>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() && deep > 0 {
                self.walk(&entry.path(), deep - 1, since, files);
            } else if found.is_file()
                && entry.file_name().to_string_lossy().starts_with(&self.prefix)
                && let Ok(modified) = found.modified()
                && modified >= since
            {
                files.push((modified, entry.path()));
            }
        }
    }
}

fn open(modified: SystemTime, path: &Path) -> io::Result<Option<Rotated>> {
    let mut bytes = Bytes::open(path)?;
    let head = bytes.piece(0, crate::recognise::HEAD)?;
    let Recognised::Log(_) = recognise(&head) else { return Ok(None) };
    let (compressed, path) = (bytes.id().is_none(), path.to_owned());
    Ok(Some(Rotated { path, head: head[..head.len().min(HEAD)].to_vec(), modified, compressed }))
}
