//! Where a sink stands in the spool, kept in a file of two slots that are written in turn.
//!
//! A slot is the number of the next record to deliver (u64) and its CRC-32 (u32), little-endian. Whatever happens while one
//! slot is written, the other still holds the place before: at worst a batch is delivered twice, never skipped.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const SLOT_BYTES: u64 = 12;

/// The kept place of one sink.
pub(super) struct Cursor {
    file: File,
    slot: u64,
}

/// Name of a sink's cursor file.
pub(super) fn path_of(directory: &Path, sink: &str) -> PathBuf {
    directory.join(format!("{sink}.cursor"))
}

impl Cursor {
    /// Opens a sink's cursor: the place it holds, `None` when the sink is new. A file without a valid slot stands at 0: better
    /// everything twice than something never.
    pub(super) fn open(directory: &Path, sink: &str) -> io::Result<(Self, Option<u64>)> {
        let path = path_of(directory, sink);
        let known = path.exists();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let slots = [read_slot(&file, 0), read_slot(&file, 1)];
        let place = slots.into_iter().flatten().max();
        let slot = u64::from(slots[1] < slots[0]);
        Ok((Self { file, slot }, known.then_some(place.unwrap_or(0))))
    }

    /// Keeps a place. Not synced: after a power cut a batch may be delivered again.
    pub(super) fn write(&mut self, place: u64) -> io::Result<()> {
        let mut slot = [0; SLOT_BYTES as usize];
        slot[..8].copy_from_slice(&place.to_le_bytes());
        slot[8..].copy_from_slice(&crc32fast::hash(&place.to_le_bytes()).to_le_bytes());
        self.file.write_all_at(&slot, self.slot * SLOT_BYTES)?;
        self.slot = 1 - self.slot;
        Ok(())
    }
}

fn read_slot(file: &File, slot: u64) -> Option<u64> {
    let mut bytes = [0; SLOT_BYTES as usize];
    file.read_exact_at(&mut bytes, slot * SLOT_BYTES).ok()?;
    let (place, stated) = bytes.split_at(8);
    (crc32fast::hash(place).to_le_bytes() == stated).then(|| u64::from_le_bytes(place.try_into().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_sink_has_no_place_and_a_known_one_its_last() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cursor, place) = Cursor::open(folder.path(), "siem").unwrap();
        assert_eq!(place, None);
        for place in [3, 9, 12] {
            cursor.write(place).unwrap();
            assert_eq!(Cursor::open(folder.path(), "siem").unwrap().1, Some(place));
        }
    }

    #[test]
    fn a_slot_that_was_being_written_leaves_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (mut cursor, _) = Cursor::open(folder.path(), "siem").unwrap();
        cursor.write(7).unwrap();
        cursor.write(8).unwrap();
        cursor.file.write_all_at(&[0xff; 5], SLOT_BYTES).unwrap();
        assert_eq!(Cursor::open(folder.path(), "siem").unwrap().1, Some(7));
        cursor.file.write_all_at(&[0xff; 5], 0).unwrap();
        assert_eq!(Cursor::open(folder.path(), "siem").unwrap().1, Some(0));
    }
}
