//! How far logs were read, kept in a file that is always whole: the next run goes on there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FollowError;

/// The file in the state folder.
const NAME: &str = "positions.json";

/// The form that this build writes and reads.
const VERSION: u32 = 1;

/// Bytes at the start of a log that name it, wherever it is moved and however it is compressed: Zeek's header, which says when the
/// log was opened, and rows behind it.
pub(super) const HEAD: usize = 4_096;

/// Logs read to their end that are remembered, so that they are not taken for new ones when they turn up in an archive: a
/// fortnight of hourly ones.
const MOST_FINISHED: usize = 512;

/// What a log begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Bytes that are hashed, at most [`HEAD`].
    bytes: usize,
    sha256: String,
}

impl Head {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEAD)];
        let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes: bytes.len(), sha256 }
    }

    /// Whether a log that begins with `bytes` is this one.
    pub(super) fn is_of(&self, bytes: &[u8]) -> bool {
        self.bytes > 0 && self.bytes <= HEAD && bytes.get(..self.bytes).is_some_and(|bytes| Self::of(bytes) == *self)
    }
}

/// How far a log was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Where it was found; it may have been moved since.
    pub(super) path: PathBuf,
    /// Bytes of lines that were dealt with, after decompression.
    pub(super) offset: u64,
    /// Lines in them.
    pub(super) line: u64,
    /// Where the header begins that holds at `offset`.
    pub(super) header: u64,
    pub(super) head: Head,
}

/// Everything that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Positions {
    version: u32,
    /// Logs that may go on.
    pub(super) logs: Vec<Position>,
    /// Logs that were read to their end, the latest last.
    pub(super) finished: Vec<Head>,
}

impl Default for Positions {
    fn default() -> Self {
        Self { version: VERSION, logs: Vec::new(), finished: Vec::new() }
    }
}

impl Positions {
    pub(super) fn finish(&mut self, head: Head) {
        if !self.finished.contains(&head) {
            self.finished.push(head);
        }
        let surplus = self.finished.len().saturating_sub(MOST_FINISHED);
        self.finished.drain(..surplus);
    }
}

/// The state folder.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    written: Option<Positions>,
}

impl Kept {
    /// Opens a folder, made if it is not there; returns what is kept in it, and when that was written.
    pub(super) fn open(folder: &Path) -> Result<(Self, Option<(Positions, SystemTime)>), FollowError> {
        let path = folder.join(NAME);
        let failed = |source| FollowError::State { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let kept = match fs::read(&path) {
            Ok(bytes) => {
                let positions: Positions = serde_json::from_slice(&bytes)
                    .map_err(|error| FollowError::Positions { path: path.clone(), reason: error.to_string() })?;
                if positions.version != VERSION {
                    let reason = format!("version {}, and this build reads {VERSION}", positions.version);
                    return Err(FollowError::Positions { path, reason });
                }
                let when = fs::metadata(&path).and_then(|found| found.modified()).map_err(failed)?;
                Some((positions, when))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        Ok((Self { folder: folder.to_owned(), written: None }, kept))
    }

    /// Writes positions if they changed: whole or not at all, whenever the process or the machine dies.
    pub(super) fn write(&mut self, positions: &Positions) -> Result<(), FollowError> {
        if self.written.as_ref() == Some(positions) {
            return Ok(());
        }
        let (path, partial) = (self.folder.join(NAME), self.folder.join(format!("{NAME}.partial")));
        let write = || -> io::Result<()> {
            let mut file = File::create(&partial)?;
            file.write_all(&serde_json::to_vec(positions)?)?;
            file.sync_data()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| FollowError::State { path: path.clone(), source })?;
        self.written = Some(positions.clone());
        Ok(())
    }
}
