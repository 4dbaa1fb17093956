//! The flows of an hour that is not over: a file that is only ever appended to, so that what was written before a kill is
//! there after it.
//!
//! Header: magic, number of columns, their names. Then records: length and CRC-32 of the row's bytes, the row. A last record
//! that is cut off or damaged ends the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::{CONN_FIELDS, FieldValue, LocalNetworks};

use super::row::{Cell, FlowRow, column};
use crate::StoreError;

const MAGIC: &[u8; 4] = b"LWJ1";

/// Longer than any row: a length beyond it is damage.
const MAX_ROW: usize = 1 << 16;

/// A journal that is being written. Its lock tells other programs that somebody does.
pub(crate) struct Journal {
    path: PathBuf,
    stem: String,
    file: File,
    rows: u64,
    length: u64,
    /// Bytes of the header.
    first: u64,
    buffer: Vec<u8>,
}

impl Journal {
    pub(crate) fn create(folder: &Path, stem: &str) -> Result<Self, StoreError> {
        let path = &folder.join(format!("{stem}.journal"));
        let refused = |error: &io::Error| StoreError::file(path, error);
        let file =
            OpenOptions::new().create_new(true).read(true).write(true).open(path).map_err(|error| refused(&error))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => refused(&error),
            TryLockError::WouldBlock => refused(&io::Error::other("another program has just made the same file")),
        })?;
        let mut journal =
            Self { path: path.clone(), stem: stem.to_owned(), file, rows: 0, length: 0, first: 0, buffer: Vec::new() };
        journal.buffer.extend_from_slice(MAGIC);
        journal.buffer.push(u8::try_from(CONN_FIELDS.len()).expect("there are fewer than 256 columns"));
        for field in CONN_FIELDS {
            journal.buffer.push(u8::try_from(field.name.len()).expect("names are short"));
            journal.buffer.extend_from_slice(field.name.as_bytes());
        }
        journal.write_buffer()?;
        journal.first = journal.length;
        Ok(journal)
    }

    /// Appends flows, all or none.
    pub(crate) fn append(&mut self, flows: &[Flow], local: &LocalNetworks) -> Result<(), StoreError> {
        self.buffer.clear();
        for flow in flows {
            let head = self.buffer.len();
            self.buffer.extend_from_slice(&[0; 8]);
            for field in CONN_FIELDS {
                encode((field.get)(flow, local), &mut self.buffer);
            }
            let row = &self.buffer[head + 8..];
            let (length, checksum) = (u32::try_from(row.len()).expect("rows are short"), crc32fast::hash(row));
            self.buffer[head..head + 4].copy_from_slice(&length.to_le_bytes());
            self.buffer[head + 4..head + 8].copy_from_slice(&checksum.to_le_bytes());
        }
        self.write_buffer()?;
        self.rows += flows.len() as u64;
        Ok(())
    }

    /// Takes back what was appended since it had that length and so many rows.
    pub(crate) fn rewind(&mut self, length: u64, rows: u64) -> Result<(), StoreError> {
        let rewound = self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        rewound.map_err(|error| StoreError::file(&self.path, &error))?;
        (self.length, self.rows) = (length, rows);
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), StoreError> {
        if let Err(error) = self.file.write_all(&self.buffer) {
            // A part of it may have been written: what comes next must not stand behind half a row.
            self.rewind(self.length, self.rows)?;
            return Err(StoreError::file(&self.path, &error));
        }
        self.length += self.buffer.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| StoreError::file(&self.path, &error))
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn stem(&self) -> &str {
        &self.stem
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes it had when it was made.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }
}

/// A journal that somebody left behind; `None` if its writer is still there.
pub(crate) fn abandoned(path: &Path) -> Result<Option<File>, StoreError> {
    let refused = |error: &io::Error| StoreError::file(path, error);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| refused(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(refused(&error)),
    }
}

/// How a journal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last row.
    Whole,
    /// In the middle of a row.
    Cut,
}

/// Hands every whole row to `each`.
///
/// # Errors
/// When the file cannot be read, is no journal, or `each` fails.
pub(crate) fn read(
    path: &Path,
    file: &File,
    each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
) -> Result<End, StoreError> {
    let mut input = BufReader::with_capacity(1 << 16, file);
    input.seek(SeekFrom::Start(0)).map_err(|error| StoreError::file(path, &error))?;
    let columns = match header(&mut input) {
        Ok(columns) => columns,
        // Its writer was killed before it had written anything.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(End::Cut),
        Err(error) => return Err(StoreError::file(path, &error)),
    };
    let mut bytes = Vec::new();
    loop {
        if input.fill_buf().map_err(|error| StoreError::file(path, &error))?.is_empty() {
            return Ok(End::Whole);
        }
        let Some(row) = record(&mut input, &mut bytes, &columns) else { return Ok(End::Cut) };
        each(row)?;
    }
}

/// Where each column of the file stands in this program's rows.
fn header(input: &mut impl Read) -> io::Result<Vec<Option<usize>>> {
    let mut head = [0; 5];
    input.read_exact(&mut head)?;
    if head[..4] != *MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no journal of flows"));
    }
    let mut columns = Vec::new();
    for _ in 0..head[4] {
        let mut length = [0];
        input.read_exact(&mut length)?;
        let mut name = vec![0; usize::from(length[0])];
        input.read_exact(&mut name)?;
        columns.push(column(&String::from_utf8_lossy(&name)));
    }
    Ok(columns)
}

/// The next row; `None` if it is not all there.
fn record(input: &mut impl Read, bytes: &mut Vec<u8>, columns: &[Option<usize>]) -> Option<FlowRow> {
    let (mut length, mut checksum) = ([0; 4], [0; 4]);
    input.read_exact(&mut length).ok()?;
    input.read_exact(&mut checksum).ok()?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_ROW {
        return None;
    }
    bytes.resize(length, 0);
    input.read_exact(bytes).ok()?;
    if crc32fast::hash(bytes) != u32::from_le_bytes(checksum) {
        return None;
    }
    let mut rest = bytes.as_slice();
    let mut row = FlowRow::unset();
    for column in columns {
        let cell = decode(&mut rest)?;
        if let Some(column) = column {
            row.set(*column, cell);
        }
    }
    Some(row)
}

fn encode(value: FieldValue<'_>, out: &mut Vec<u8>) {
    let mut fixed = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(bytes);
    };
    match value {
        FieldValue::Unset => fixed(0, &[]),
        FieldValue::Time(time) => fixed(1, &time.micros().to_le_bytes()),
        FieldValue::Interval(interval) => {
            fixed(2, &i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).to_le_bytes());
        }
        FieldValue::Count(count) => match u8::try_from(count) {
            Ok(small) => fixed(8, &[small]),
            Err(_) => fixed(3, &count.to_le_bytes()),
        },
        FieldValue::Port(port) => fixed(4, &port.to_le_bytes()),
        FieldValue::Bool(value) => fixed(5, &[u8::from(value)]),
        FieldValue::Address(address) => fixed(6, &address.0),
        FieldValue::Uid(uid) => text(&uid.text(), out),
        FieldValue::Text(word) => text(word.as_bytes(), out),
        FieldValue::CommunityId(_) | FieldValue::Mac(_) => text(Cell::from(value).text().as_bytes(), out),
    }
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(1 << 10)];
    out.push(7);
    out.extend_from_slice(&u16::try_from(bytes.len()).expect("it was just cut").to_le_bytes());
    out.extend_from_slice(bytes);
}

fn decode(rest: &mut &[u8]) -> Option<Cell> {
    let (&tag, tail) = rest.split_first()?;
    *rest = tail;
    Some(match tag {
        0 => Cell::Unset,
        1 => Cell::Time(Timestamp::from_micros(i64::from_le_bytes(take(rest)?))),
        2 => Cell::Interval(i64::from_le_bytes(take(rest)?)),
        3 => Cell::Count(u64::from_le_bytes(take(rest)?)),
        4 => Cell::Port(u16::from_le_bytes(take(rest)?)),
        5 => Cell::Bool(take::<1>(rest)?[0] != 0),
        6 => Cell::Address(IpAddr::V6(Ipv6Addr::from(take::<16>(rest)?)).to_canonical()),
        7 => {
            let length = usize::from(u16::from_le_bytes(take(rest)?));
            let (text, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Cell::Text(String::from_utf8_lossy(text).into_owned())
        }
        8 => Cell::Count(u64::from(take::<1>(rest)?[0])),
        _ => return None,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::flow;
    use super::*;

    fn rows(path: &Path) -> (Vec<FlowRow>, End) {
        let mut rows = Vec::new();
        let end = read(path, &File::open(path).unwrap(), &mut |row| {
            rows.push(row);
            Ok(())
        });
        (rows, end.unwrap())
    }

    #[test]
    fn flows_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.journal");
        let local = LocalNetworks::default();
        let flows: Vec<Flow> = (0..9).map(|uid| flow(uid, 2, 1_000)).collect();
        let mut journal = Journal::create(folder.path(), "j").unwrap();
        flows.chunks(2).for_each(|flows| journal.append(flows, &local).unwrap());
        let expected: Vec<FlowRow> = flows.iter().map(|flow| FlowRow::new(flow, &local)).collect();
        assert_eq!(rows(&path), (expected, End::Whole));
    }

    #[test]
    fn a_journal_that_was_cut_off_anywhere_gives_its_whole_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.journal");
        let mut journal = Journal::create(folder.path(), "j").unwrap();
        let head = journal.length();
        journal.append(&[flow(1, 2, 1_000)], &LocalNetworks::default()).unwrap();
        let one = journal.length();
        journal.append(&[flow(2, 2, 1_000)], &LocalNetworks::default()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let kept = usize::from(length as u64 >= one);
            assert_eq!(rows(&path).0.len(), kept, "{length}");
            assert!(length as u64 == one || length as u64 == head || rows(&path).1 == End::Cut, "{length}");
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert_eq!(rows(&path).1, End::Cut);
    }

    #[test]
    fn a_journal_is_abandoned_when_its_writer_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.journal");
        let journal = Journal::create(folder.path(), "j").unwrap();
        assert!(abandoned(&path).unwrap().is_none());
        drop(journal);
        assert!(abandoned(&path).unwrap().is_some());
    }
}
