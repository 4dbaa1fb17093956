//! The bytes of a log, decompressed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flate2::bufread::MultiGzDecoder;
use lapwing_capture::{Compression, Counted};

use crate::recognise::{HEAD, Recognised, recognise};

/// Largest window that a zstd file may ask for, as a power of two: what `zstd --ultra -20` writes.
const ZSTD_WINDOW_LOG: u32 = 25;

/// Bytes read from a compressed file at once.
const COMPRESSED_CHUNK: usize = 32 * 1024;

/// An opened input: its first bytes, and all of them.
pub(crate) struct Opened {
    pub(crate) head: Vec<u8>,
    /// Gives the head again, then the rest.
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) compression: Option<Compression>,
}

impl Opened {
    /// Opens a file, or standard input for `-`; bytes read are added to `count`.
    pub(crate) fn open(path: &Path, count: &Arc<AtomicU64>) -> io::Result<Self> {
        let count = Arc::clone(count);
        if path.as_os_str() == "-" {
            return Self::new(Counted::new(io::stdin(), count));
        }
        Self::new(Counted::new(File::open(path)?, count))
    }

    /// Looks at the first bytes and puts the decompressor they ask for in front.
    pub(crate) fn new(mut inner: impl Read + Send + 'static) -> io::Result<Self> {
        let mut magic = Vec::with_capacity(4);
        inner.by_ref().take(4).read_to_end(&mut magic)?;
        let compression = match *magic {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Compression::Zstd),
            _ => None,
        };
        let whole = Cursor::new(magic).chain(inner);
        let mut reader: Box<dyn Read + Send> = match compression {
            None => Box::new(whole),
            Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(BufReader::with_capacity(COMPRESSED_CHUNK, whole))),
            Some(Compression::Zstd) => {
                let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(COMPRESSED_CHUNK, whole))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        };
        let mut head = Vec::new();
        // A file that is damaged early still shows what comes before the damage.
        if let Err(error) = reader.by_ref().take(HEAD as u64).read_to_end(&mut head)
            && head.is_empty()
        {
            return Err(error);
        }
        let reader = Box::new(Cursor::new(head.clone()).chain(reader));
        Ok(Self { head, reader, compression })
    }
}

/// Looks at what a pipe begins with, and gives it back whole.
///
/// # Errors
/// When reading its first bytes fails.
pub fn peek(mut reader: Box<dyn Read + Send>) -> io::Result<(Recognised, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    reader.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let recognised =
        Opened::new(Cursor::new(head.clone())).map_or(Recognised::Nothing, |opened| recognise(&opened.head));
    Ok((recognised, Box::new(Cursor::new(head).chain(reader))))
}
