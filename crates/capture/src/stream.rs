//! The bytes of an input, decompressed, whatever it is.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::Compression;

/// Largest window that a zstd file may ask for, as a power of two: what `zstd --ultra -20` writes. Larger ones (`-22`,
/// `--long`) would take more memory than the rest of the program together.
const ZSTD_WINDOW_LOG: u32 = 25;

/// Bytes that are read from a compressed file at once.
const COMPRESSED_CHUNK: usize = 32 * 1024;

/// Bytes that tell what a file is.
pub(crate) const MAGIC: usize = 4;

/// An opened input.
pub(crate) struct Stream {
    inner: Box<dyn Read + Send>,
    /// First bytes of an uncompressed input, read to tell what it is and to be given out again.
    pub head: Vec<u8>,
    pub compression: Option<Compression>,
}

impl Stream {
    /// Opens a file, or standard input for `-`. Bytes read from the disk are added to `count`.
    pub(crate) fn open(path: &Path, count: &Arc<AtomicU64>) -> io::Result<Self> {
        let count = Arc::clone(count);
        if path.as_os_str() == "-" {
            return Self::new(Counted { inner: io::stdin(), count });
        }
        Self::new(Counted { inner: File::open(path)?, count })
    }

    /// Looks at the first bytes of `inner` and puts the decompressor they ask for in front.
    pub(crate) fn new(mut inner: impl Read + Send + 'static) -> io::Result<Self> {
        let mut head = Vec::with_capacity(MAGIC);
        inner.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
        let compression = compression(&head);
        let (inner, head): (Box<dyn Read + Send>, _) = match compression {
            None => (Box::new(inner), head),
            Some(Compression::Gzip) => (Box::new(MultiGzDecoder::new(buffered(head, inner))), Vec::new()),
            Some(Compression::Zstd) => {
                let mut decoder = zstd::Decoder::with_buffer(buffered(head, inner))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                (Box::new(decoder), Vec::new())
            }
        };
        Ok(Self { inner, head, compression })
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

/// What the first bytes of a file say it is compressed with.
pub(crate) fn compression(head: &[u8]) -> Option<Compression> {
    match *head {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // A skippable frame (RFC 8878 section 3.1.2), as parallel compressors put first.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

fn buffered<R: Read>(head: Vec<u8>, inner: R) -> BufReader<Chain<Cursor<Vec<u8>>, R>> {
    BufReader::with_capacity(COMPRESSED_CHUNK, Cursor::new(head).chain(inner))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
