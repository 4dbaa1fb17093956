//! The bytes of an input, decompressed, whatever it is.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::Compression;

/// Largest window that a zstd file may ask for, as a power of two: what `zstd --ultra -20` writes. Larger ones (`-22`,
/// `--long`) would take more memory than the rest of the program together.
const ZSTD_WINDOW_LOG: u32 = 25;

/// The same in bytes.
pub(crate) const ZSTD_WINDOW: u64 = 1 << ZSTD_WINDOW_LOG;

/// Bytes that are read from a compressed file at once.
const COMPRESSED_CHUNK: usize = 32 * 1024;

/// Bytes at the start of a file that tell how it is compressed, and with zstd how large a window it needs: the longest
/// frame header (RFC 8878 section 3.1.1.1).
const HEAD: usize = 18;

/// Memory that decompressing gzip takes: the window of RFC 1951 and the tables.
const GZIP_MEMORY: u64 = 64 * 1024;
/// Memory that decompressing zstd takes besides the window: blocks of 128 KiB coming in and going out, and tables.
const ZSTD_MEMORY: u64 = 512 * 1024;
/// Window that is assumed where the start of the file does not tell: what the highest usual level asks for.
const ZSTD_UNKNOWN_WINDOW: u64 = 8 * 1024 * 1024;

/// An opened input.
pub(crate) struct Stream {
    inner: Box<dyn Read + Send>,
    /// First bytes of an uncompressed input, read to tell what it is and to be given out again.
    pub head: Vec<u8>,
    pub compression: Option<Compression>,
    /// Bytes of memory that decompressing takes.
    pub memory: u64,
    /// Bytes of the window that a zstd file asks for, as far as its start tells.
    pub window: Option<u64>,
}

impl Stream {
    /// Opens a file, or standard input for `-`. Bytes read from the disk are added to `count`.
    pub(crate) fn open(path: &Path, count: &Arc<AtomicU64>) -> io::Result<Self> {
        let count = Arc::clone(count);
        if is_standard_input(path) {
            return Self::new(Counted::new(io::stdin(), count));
        }
        Self::new(Counted::new(File::open(path)?, count))
    }

    /// Opens a file at `offset`, counted after decompression: a compressed file is decompressed up to there again.
    pub(crate) fn open_at(path: &Path, offset: u64, count: &Arc<AtomicU64>) -> io::Result<Self> {
        let mut stream = Self::open(path, count)?;
        if stream.compression.is_none() {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            stream.head.clear();
            stream.inner = Box::new(Counted::new(file, Arc::clone(count)));
        } else {
            io::copy(&mut stream.inner.by_ref().take(offset), &mut io::sink())?;
        }
        Ok(stream)
    }

    /// Looks at the first bytes of `inner` and puts the decompressor they ask for in front.
    pub(crate) fn new(mut inner: impl Read + Send + 'static) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD);
        inner.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let compression = compression(&head);
        let window = zstd_window(&head);
        let memory = match compression {
            None => 0,
            Some(Compression::Gzip) => GZIP_MEMORY,
            Some(Compression::Zstd) => ZSTD_MEMORY + window.unwrap_or(ZSTD_UNKNOWN_WINDOW),
        };
        let (inner, head): (Box<dyn Read + Send>, _) = match compression {
            None => (Box::new(inner), head),
            Some(Compression::Gzip) => (Box::new(MultiGzDecoder::new(buffered(head, inner))), Vec::new()),
            Some(Compression::Zstd) => {
                let mut decoder = zstd::Decoder::with_buffer(buffered(head, inner))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                (Box::new(decoder), Vec::new())
            }
        };
        Ok(Self { inner, head, compression, memory, window })
    }

    /// Reads once, trying again when a signal interrupted.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// Whether a path stands for standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What the first bytes of a file say it is compressed with.
fn compression(head: &[u8]) -> Option<Compression> {
    match *head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // A skippable frame (RFC 8878 section 3.1.2), as parallel compressors put first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// The window that a zstd frame asks for (RFC 8878 section 3.1.1.1), when these bytes begin one.
fn zstd_window(head: &[u8]) -> Option<u64> {
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor, rest @ ..] = head else { return None };
    if descriptor & 0x20 == 0 {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: the window is as large as the content.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = rest.get(dictionary..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*size.first()?),
        1 => u64::from(u16::from_le_bytes(*size.first_chunk()?)) + 256,
        2 => u64::from(u32::from_le_bytes(*size.first_chunk()?)),
        _ => u64::from_le_bytes(*size.first_chunk()?),
    })
}

fn buffered<R: Read>(head: Vec<u8>, inner: R) -> BufReader<Chain<Cursor<Vec<u8>>, R>> {
    BufReader::with_capacity(COMPRESSED_CHUNK, Cursor::new(head).chain(inner))
}

/// A reader that adds the bytes it gives to a count, which a progress bar looks at from elsewhere.
#[derive(Debug)]
pub struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    /// Counts what is read from `inner`.
    pub const fn new(inner: R, count: Arc<AtomicU64>) -> Self {
        Self { inner, count }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_header_tells_the_window() {
        let content = vec![7; 3_000_000];
        let small = zstd::encode_all(&content[..10_000], 1).unwrap();
        assert_eq!(zstd_window(&small[..HEAD]), Some(512 * 1024)); // streamed: the size is not known at the start
        let single = zstd::bulk::compress(&content[..10_000], 1).unwrap();
        assert_eq!(zstd_window(&single[..HEAD]), Some(10_000));
        assert_eq!(zstd_window(b"\x28\xb5"), None);
    }
}
