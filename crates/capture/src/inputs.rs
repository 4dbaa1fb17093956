//! Everything that was named on the command line, as one source.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file::CaptureFile;
use crate::folder::refused;
use crate::merge::Merge;
use crate::stream::Stream;
use crate::{FrameBatch, InputReport, Position, Progress, Source, SourceError};

/// Capture files as one source: one by itself, or several merged into one timeline by capture time.
///
/// A damaged file gives the frames before the damage, and its report says so; the other files are read on.
pub struct Inputs {
    reading: Reading,
    next_number: u64,
    count: Arc<AtomicU64>,
    total: Option<u64>,
}

enum Reading {
    /// The usual case: frames stay where they were read.
    One(Box<CaptureFile>),
    Several(Merge),
}

impl Inputs {
    /// The most files that can be read at once: frames name theirs by 16 bits.
    pub const LIMIT: usize = u16::MAX as usize;

    /// Opens files (`-` is standard input); for folders see [`expand`](crate::expand).
    ///
    /// An input that is no capture, or cannot be opened, is refused: its report says why, the others are read.
    ///
    /// # Errors
    /// When nothing was named, too much was, or no input is left: the error of the first.
    pub fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        if paths.len() > Self::LIMIT {
            return Err(SourceError::TooManyInputs { count: paths.len(), limit: Self::LIMIT });
        }
        let count = Arc::default();
        let total = paths.iter().map(|path| size_on_disk(path)).sum();
        let reading = match paths {
            [] => return Err(SourceError::NoInput),
            [path] => Reading::One(Box::new(CaptureFile::open(path, 0, &count)?)),
            several => Reading::Several(open_several(several, &count)?),
        };
        Ok(Self { reading, next_number: 1, count, total })
    }

    /// Reads a capture out of anything; `name` stands for the path in reports.
    ///
    /// # Errors
    /// When it is no capture, or reading its first bytes fails.
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let path = PathBuf::from(name);
        let stream = Stream::new(reader).map_err(|source| SourceError::Open { path: path.clone(), source })?;
        let reading = Reading::One(Box::new(CaptureFile::new(stream, path, 0)?));
        Ok(Self { reading, next_number: 1, count: Arc::default(), total: None })
    }
}

impl Source for Inputs {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        batch.first_number = self.next_number;
        let progress = match &mut self.reading {
            Reading::One(file) => file.read(batch),
            Reading::Several(merge) => merge.read(batch),
        };
        self.next_number += batch.len() as u64;
        match progress {
            // The report has it as a warning.
            Err(SourceError::Damaged { .. }) => Ok(Progress::End),
            progress => progress,
        }
    }

    fn reports(&self) -> Vec<InputReport> {
        match &self.reading {
            Reading::One(file) => vec![file.report.clone()],
            Reading::Several(merge) => merge.reports(),
        }
    }

    fn position(&self) -> Position {
        let read = self.count.load(Ordering::Relaxed);
        // Files that were opened twice are counted twice.
        Position { read: self.total.map_or(read, |total| read.min(total)), total: self.total }
    }
}

fn open_several(paths: &[PathBuf], count: &Arc<AtomicU64>) -> Result<Merge, SourceError> {
    let mut merge = Merge::new(Arc::clone(count));
    let (mut opened, mut first_error) = (false, None);
    for (input, path) in (0..=u16::MAX).zip(paths) {
        match CaptureFile::open(path, input, count) {
            Ok(file) => {
                merge.add(file);
                opened = true;
            }
            Err(error) => {
                merge.add_refused(refused(path, &error));
                first_error = first_error.or(Some(error));
            }
        }
    }
    match first_error {
        Some(error) if !opened => Err(error),
        _ => Ok(merge),
    }
}

/// Bytes of an input on the disk; `None` for standard input (`-`) and pipes, none of what is not there.
#[must_use]
pub fn size_on_disk(path: &Path) -> Option<u64> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Some(found.len()),
        // It will be refused, and nothing read of it.
        Err(_) if path.as_os_str() != "-" => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::{Compression, Format, LinkType, Timestamp};

    /// A little-endian microsecond capture of `frames` frames of `size` bytes.
    fn pcap(frames: u32, size: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1] {
            bytes.extend(u32::to_le_bytes(word));
        }
        for frame in 0..frames {
            for word in [1_000 + frame, 7, size, size + 1] {
                bytes.extend(u32::to_le_bytes(word));
            }
            bytes.extend(std::iter::repeat_n(frame as u8, size as usize));
        }
        bytes
    }

    /// Number, time, lengths and first byte of every frame.
    type Seen = (u64, i64, u32, usize, Option<u8>);

    fn read_all(inputs: &mut Inputs) -> (Vec<Seen>, Vec<usize>) {
        let (mut batch, mut seen, mut sizes) = (FrameBatch::default(), Vec::new(), Vec::new());
        loop {
            let progress = inputs.read(&mut batch).unwrap();
            sizes.push(batch.len());
            seen.extend(batch.iter().map(|frame| {
                (frame.number, frame.time.micros(), frame.length, frame.data.len(), frame.data.first().copied())
            }));
            if progress == Progress::End {
                return (seen, sizes);
            }
        }
    }

    /// Gives out a few bytes at a time, as a pipe may.
    struct Dribble(std::io::Cursor<Vec<u8>>, usize);

    impl Read for Dribble {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let most = into.len().min(self.1);
            self.0.read(&mut into[..most])
        }
    }

    #[test]
    fn every_frame_comes_out_once_with_its_number() {
        let mut inputs = Inputs::from_reader("x", std::io::Cursor::new(pcap(3_000, 100))).unwrap();
        let (seen, _) = read_all(&mut inputs);
        assert_eq!(seen.len(), 3_000);
        for (index, frame) in seen.iter().enumerate() {
            let expected = (index as u64 + 1, (1_000 + index as i64) * 1_000_000 + 7, 101, 100, Some(index as u8));
            assert_eq!(*frame, expected);
        }
        let report = &inputs.reports()[0];
        assert_eq!((report.packets, report.bytes, report.captured_bytes), (3_000, 303_000, 300_000));
        assert_eq!(report.last, Some(Timestamp::from_micros(3_999_000_007)));
        assert_eq!((report.format, &report.link_types[..]), (Some(Format::Pcap), &[LinkType::ETHERNET][..]));
    }

    #[test]
    fn batches_are_the_same_however_the_bytes_arrive() {
        let bytes = pcap(5_000, 333);
        let whole = read_all(&mut Inputs::from_reader("x", std::io::Cursor::new(bytes.clone())).unwrap());
        for step in [1, 1_000, 4_097] {
            let slow = Dribble(std::io::Cursor::new(bytes.clone()), step);
            assert_eq!(whole, read_all(&mut Inputs::from_reader("x", slow).unwrap()));
        }
    }

    #[test]
    fn compressed_captures_read_like_plain_ones() {
        let bytes = pcap(2_000, 60);
        let plain = read_all(&mut Inputs::from_reader("x", std::io::Cursor::new(bytes.clone())).unwrap());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes).unwrap();
        let zstd = zstd::encode_all(&bytes[..], 1).unwrap();
        for (compressed, kind) in [(gzip.finish().unwrap(), Compression::Gzip), (zstd, Compression::Zstd)] {
            let mut inputs = Inputs::from_reader("x", std::io::Cursor::new(compressed)).unwrap();
            assert_eq!(plain, read_all(&mut inputs));
            assert_eq!(inputs.reports()[0].compression, Some(kind));
        }
    }

    #[test]
    fn cut_off_record_is_reported_and_the_frames_before_it_kept() {
        let mut bytes = pcap(10, 60);
        bytes.truncate(bytes.len() - 1);
        let mut inputs = Inputs::from_reader("cut.pcap", std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(read_all(&mut inputs).0.len(), 9);
        let report = &inputs.reports()[0];
        assert_eq!(report.truncated_at, Some(24 + 9 * 76));
        assert!(report.warnings[0].starts_with("cut.pcap: cut off in the record at byte 708"), "{:?}", report.warnings);
    }

    #[test]
    fn damaged_record_ends_the_file_and_keeps_what_was_before() {
        let mut bytes = pcap(10, 60);
        bytes[24 + 5 * 76 + 8..][..4].copy_from_slice(&0x0100_0000_u32.to_le_bytes());
        let mut inputs = Inputs::from_reader("x", std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(read_all(&mut inputs).0.len(), 5);
        assert_eq!(inputs.reports()[0].truncated_at, Some(404));
        assert!(inputs.reports()[0].warnings[0].contains("byte 404"), "{:?}", inputs.reports()[0].warnings);
    }

    #[test]
    fn compressed_capture_that_ends_early_gives_what_is_there() {
        let whole = zstd::encode_all(&pcap(2_000, 1_000)[..], 1).unwrap();
        let cut = whole[..whole.len() / 2].to_vec();
        let mut inputs = Inputs::from_reader("x", std::io::Cursor::new(cut)).unwrap();
        let frames = read_all(&mut inputs).0.len();
        let report = &inputs.reports()[0];
        assert!(frames < 2_000 && report.truncated_at.is_some(), "{report:?}");
        assert!(report.warnings[0].contains("the compressed data are damaged or end early"), "{report:?}");
    }

    #[test]
    fn zstd_window_that_takes_too_much_memory_is_refused() {
        // A frame header that asks for 64 MiB.
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 0, 0, 0];
        let error = Inputs::from_reader("x", std::io::Cursor::new(header.to_vec())).err().unwrap();
        assert!(error.to_string().contains("a window of 64 MiB, at most 32 MiB"), "{error}");
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let error = Inputs::from_reader("x", std::io::Cursor::new(b"hello world".to_vec())).err().unwrap();
        assert!(error.is_not_a_capture());
        assert!(error.to_string().contains("68 65 6c 6c"), "{error}");
    }
}
