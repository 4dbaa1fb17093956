//! Frames in, a classic pcap file out.

use std::io::{self, Write};

use thiserror::Error;

use crate::framing::MAXIMUM_FRAME;
use crate::{Frame, LinkType};

/// Unit of the capture times in a written file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Microseconds, which every program reads.
    #[default]
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// Why a frame was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The system refused.
    #[error("writing the capture failed: {0}")]
    Io(#[from] io::Error),
    /// A pcap file holds frames of one link type.
    #[error("the frame has link type {found}, the file was begun with {expected}; write it to a file of its own")]
    LinkType {
        /// That of the frame.
        found: u16,
        /// That of the file.
        expected: u16,
    },
}

/// Writes a classic pcap file, little-endian, of one link type.
pub struct PcapWriter<W> {
    inner: W,
    link: LinkType,
    resolution: Resolution,
    written: u64,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header. Frames are small: `inner` should be buffered.
    ///
    /// # Errors
    /// When `inner` fails.
    pub fn new(mut inner: W, link: LinkType, resolution: Resolution) -> io::Result<Self> {
        let magic = match resolution {
            Resolution::Microseconds => 0xa1b2_c3d4,
            Resolution::Nanoseconds => 0xa1b2_3c4d_u32,
        };
        // Version 2.4; the two unused fields are zero.
        let header = [magic, 0x0004_0002, 0, 0, MAXIMUM_FRAME, u32::from(link.0)].map(u32::to_le_bytes);
        inner.write_all(header.as_flattened())?;
        Ok(Self { inner, link, resolution, written: header.as_flattened().len() as u64 })
    }

    /// Appends a frame. A time before 1970 or after 2106, which the format cannot hold, becomes the nearest it can.
    ///
    /// # Errors
    /// [`WriteError::LinkType`] when the frame is of another link type than the file, or when writing fails.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), WriteError> {
        if frame.link != self.link {
            return Err(WriteError::LinkType { found: frame.link.0, expected: self.link.0 });
        }
        let seconds = frame.time.seconds().clamp(0, i64::from(u32::MAX)) as u32;
        let nanos = frame.time.nanos().rem_euclid(1_000_000_000) as u32;
        let fraction = match self.resolution {
            Resolution::Microseconds => nanos / 1_000,
            Resolution::Nanoseconds => nanos,
        };
        let header = [seconds, fraction, frame.data.len() as u32, frame.length].map(u32::to_le_bytes);
        self.inner.write_all(header.as_flattened())?;
        self.inner.write_all(frame.data)?;
        self.written += (header.as_flattened().len() + frame.data.len()) as u64;
        Ok(())
    }

    /// Bytes written so far, headers included.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Hands what is gathered to the system.
    ///
    /// # Errors
    /// When that fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }

    /// Flushes and gives the inner writer back.
    ///
    /// # Errors
    /// When flushing fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.inner.flush()?;
        Ok(self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameBatch, Inputs, Source, Timestamp};

    fn round_trip(resolution: Resolution, nanos: i64) -> Timestamp {
        let mut written = FrameBatch::default();
        written.push(Timestamp::from_nanos(nanos), LinkType::RAW, 1_500, 0, b"some bytes");
        let mut writer = PcapWriter::new(Vec::new(), LinkType::RAW, resolution).unwrap();
        writer.write(&written.iter().next().unwrap()).unwrap();
        assert_eq!(writer.written(), 24 + 16 + 10);
        let bytes = writer.finish().unwrap();
        let (mut inputs, mut read) = (Inputs::from_reader("x", io::Cursor::new(bytes)).unwrap(), FrameBatch::default());
        inputs.read(&mut read).unwrap();
        let frame = read.iter().next().unwrap();
        assert_eq!((frame.link, frame.length, frame.data), (LinkType::RAW, 1_500, &b"some bytes"[..]));
        frame.time
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(round_trip(Resolution::Nanoseconds, 1_123_456_789), Timestamp::from_nanos(1_123_456_789));
        assert_eq!(round_trip(Resolution::Microseconds, 1_123_456_789), Timestamp::from_nanos(1_123_456_000));
    }

    #[test]
    fn frame_of_another_link_type_is_refused() {
        let mut batch = FrameBatch::default();
        batch.push(Timestamp::default(), LinkType::ETHERNET, 1, 0, b"x");
        let mut writer = PcapWriter::new(Vec::new(), LinkType::RAW, Resolution::default()).unwrap();
        assert!(matches!(writer.write(&batch.iter().next().unwrap()), Err(WriteError::LinkType { found: 1, .. })));
    }
}
