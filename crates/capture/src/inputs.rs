//! Everything that was named on the command line, as one source.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file::CaptureFile;
use crate::stream::Stream;
use crate::{FrameBatch, InputReport, Position, Progress, Source, SourceError};

/// Capture files as one source.
pub struct Inputs {
    files: Vec<CaptureFile>,
    current: usize,
    /// A failure of the disk, told when all else was read.
    failed: Option<SourceError>,
    refused: Vec<InputReport>,
    next_number: u64,
    count: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Inputs {
    /// Opens files (`-` is standard input).
    ///
    /// An input that is no capture, or cannot be opened, is refused: its report says why, the others are read.
    ///
    /// # Errors
    /// When nothing was named, or no input is left: the error of the first.
    pub fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        let count = Arc::new(AtomicU64::new(0));
        let mut inputs = Self::empty(&count);
        let mut first_error = None;
        for (input, path) in (0..=u16::MAX).zip(paths) {
            match CaptureFile::open(path, input, &count) {
                Ok(file) => {
                    let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
                    inputs.total = inputs.total.zip(size).map(|(total, size)| total + size);
                    inputs.files.push(file);
                }
                Err(error) => {
                    let mut report = InputReport::new(path.clone());
                    report.refused = Some(error.to_string());
                    inputs.refused.push(report);
                    first_error = first_error.or(Some(error));
                }
            }
        }
        if inputs.files.is_empty() { Err(first_error.unwrap_or(SourceError::NoInput)) } else { Ok(inputs) }
    }

    /// Reads a capture out of anything; `name` stands for the path in reports.
    ///
    /// # Errors
    /// When it is no capture, or reading its first bytes fails.
    pub fn from_reader(name: &str, reader: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let path = PathBuf::from(name);
        let stream = Stream::new(reader).map_err(|source| SourceError::Open { path: path.clone(), source })?;
        let mut inputs = Self::empty(&Arc::default());
        inputs.total = None;
        inputs.files.push(CaptureFile::new(stream, path, 0)?);
        Ok(inputs)
    }

    fn empty(count: &Arc<AtomicU64>) -> Self {
        Self {
            files: Vec::new(),
            current: 0,
            failed: None,
            refused: Vec::new(),
            next_number: 1,
            count: Arc::clone(count),
            total: Some(0),
        }
    }
}

impl Source for Inputs {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        batch.first_number = self.next_number;
        while let Some(file) = self.files.get_mut(self.current) {
            let progress = file.read(batch);
            self.next_number += batch.len() as u64;
            match progress {
                Ok(Progress::More) => return Ok(Progress::More),
                Ok(Progress::End) => {}
                // The report has it as a warning.
                Err(SourceError::Damaged { .. }) => {}
                Err(error) => self.failed = self.failed.take().or(Some(error)),
            }
            self.current += 1;
            if !batch.is_empty() {
                return Ok(Progress::More);
            }
        }
        self.failed.take().map_or(Ok(Progress::End), Err)
    }

    fn reports(&self) -> Vec<InputReport> {
        self.files.iter().map(|file| file.report.clone()).chain(self.refused.iter().cloned()).collect()
    }

    fn position(&self) -> Position {
        Position { read: self.count.load(Ordering::Relaxed), total: self.total }
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
        assert!(inputs.reports()[0].warnings[0].contains("byte 404"), "{:?}", inputs.reports()[0].warnings);
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let error = Inputs::from_reader("x", std::io::Cursor::new(b"hello world".to_vec())).err().unwrap();
        assert!(error.is_not_a_capture());
        assert!(error.to_string().contains("68 65 6c 6c"), "{error}");
    }
}
