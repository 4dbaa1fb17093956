//! The bytes of a log that may still grow, or of one that was compressed when it was rotated.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::open::Opened;

/// Names a file as long as it exists, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|found| Self { device: found.dev(), inode: found.ino() })
    }
}

/// Reads a log at any place.
pub(super) enum Bytes {
    /// A file as it is; it may grow.
    Plain { file: File, id: FileId },
    /// A compressed one: `at` is where its reader stands, in bytes after decompression.
    Compressed { path: PathBuf, reader: Box<dyn Read + Send>, at: u64 },
}

impl Bytes {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let opened = Opened::new(file.try_clone()?)?;
        if opened.compression.is_some() {
            return Ok(Self::Compressed { path: path.to_owned(), reader: opened.reader, at: 0 });
        }
        Ok(Self::Plain { file, id: FileId { device: found.dev(), inode: found.ino() } })
    }

    /// The file, unless it is compressed: then it does not grow.
    pub(super) fn id(&self) -> Option<FileId> {
        match self {
            Self::Plain { id, .. } => Some(*id),
            Self::Compressed { .. } => None,
        }
    }

    /// How long it is now; `None` if that is not known.
    pub(super) fn len(&self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain { file, .. } => file.metadata().map(|found| Some(found.len())),
            Self::Compressed { .. } => Ok(None),
        }
    }

    /// When it was written last.
    pub(super) fn modified(&self) -> io::Result<SystemTime> {
        match self {
            Self::Plain { file, .. } => file.metadata()?.modified(),
            Self::Compressed { path, .. } => std::fs::metadata(path)?.modified(),
        }
    }

    /// Reads what lies at `offset`; 0 at the end.
    pub(super) fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Plain { file, .. } => file.read_at(into, offset),
                Self::Compressed { path, reader, at } => {
                    if offset < *at {
                        (*reader, *at) = (Opened::open(path, &Arc::default())?.reader, 0);
                    }
                    *at += io::copy(&mut reader.by_ref().take(offset - *at), &mut io::sink())?;
                    let read = if *at == offset { reader.read(into) } else { Ok(0) };
                    read.inspect(|read| *at += *read as u64)
                }
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Up to `most` bytes from `offset` on, fewer only at the end.
    pub(super) fn piece(&mut self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let (mut piece, mut have) = (vec![0; most], 0);
        while have < most {
            match self.read_at(&mut piece[have..], offset + have as u64)? {
                0 => break,
                read => have += read,
            }
        }
        piece.truncate(have);
        Ok(piece)
    }
}
