//! One file of the spool: a header, then records that are only ever appended.
//!
//! ```text
//! header  magic "lapspool", version u32, number of the first record u64               (20 bytes)
//! record  length u32, CRC-32 of the record's number (u64) and its payload u32, payload
//! ```
//!
//! All numbers are little-endian. A record's number is that of the first plus its place, and is part of what the checksum
//! covers, so that a record cannot be mistaken for another. What follows the first record that is cut off or broken is not
//! read.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// First bytes of every segment.
const MAGIC: [u8; 8] = *b"lapspool";
/// Version of the layout above and of the records in it.
const VERSION: u32 = 1;
/// Bytes before the first record.
pub(super) const HEADER_BYTES: u64 = 20;
/// Bytes before a record's payload.
pub(super) const RECORD_HEADER_BYTES: u64 = 8;
/// The longest payload: what is longer in a file is damage, and is not allocated for.
pub(crate) const MAX_PAYLOAD: usize = 4 << 20;

/// Name of the segment that begins with this record.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.spool")
}

/// The number in a segment's name.
pub(super) fn number_in(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".spool")?;
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

/// Writes the header of a new segment.
pub(super) fn write_header(file: &mut File, first: u64) -> io::Result<()> {
    let mut header = Vec::with_capacity(20);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&first.to_le_bytes());
    file.write_all(&header)
}

/// A record as it stands in the file.
pub(super) fn frame(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(8 + payload.len());
    framed.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    framed.extend_from_slice(&checksum(number, payload).to_le_bytes());
    framed.extend_from_slice(payload);
    framed
}

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Reads a segment from its start.
pub(super) struct SegmentReader {
    file: BufReader<File>,
    first: u64,
    next: u64,
    /// Bytes up to the end of the last whole record.
    good: u64,
}

impl SegmentReader {
    /// Opens a segment; `None` when its header is not one of ours, or cut off.
    pub(super) fn open(path: &PathBuf) -> io::Result<Option<Self>> {
        let mut file = BufReader::new(File::open(path)?);
        let mut header = [0; HEADER_BYTES as usize];
        if !fill(&mut file, &mut header)? {
            return Ok(None);
        }
        let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let mut first = [0; 8];
        first.copy_from_slice(&header[12..20]);
        let first = u64::from_le_bytes(first);
        if header[..8] != MAGIC || version != VERSION || number_in(path) != Some(first) {
            return Ok(None);
        }
        Ok(Some(Self { file, first, next: first, good: HEADER_BYTES }))
    }

    /// Number of the segment's first record.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Number of the record that [`SegmentReader::read`] gives next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes up to the end of the last whole record that was read.
    pub(super) fn good_bytes(&self) -> u64 {
        self.good
    }

    /// The next record; `None` where the whole and unbroken ones end.
    pub(super) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut header = [0; RECORD_HEADER_BYTES as usize];
        if !fill(&mut self.file, &mut header)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let stated = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if length > MAX_PAYLOAD {
            return Ok(None);
        }
        let mut payload = vec![0; length];
        if !fill(&mut self.file, &mut payload)? || checksum(self.next, &payload) != stated {
            return Ok(None);
        }
        self.next += 1;
        self.good += RECORD_HEADER_BYTES + length as u64;
        Ok(Some(payload))
    }
}

/// Fills `bytes`; `false` when the file ends before.
fn fill(file: &mut BufReader<File>, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
