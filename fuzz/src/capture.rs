//! Reading a capture, whole and in drops.

use std::io::{Cursor, Read};

use lapwing_capture::{FrameBatch, Inputs, Progress, Source};

/// Gives out a few bytes at a time, as a pipe may.
pub(crate) struct Dribble(pub(crate) Cursor<Vec<u8>>, pub(crate) usize);

impl Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

/// Time, bytes on the wire, bytes captured and link type of a frame.
type Seen = (i64, u32, usize, u16);

/// Reads a capture to its end at once and `step` bytes at a time: both must give the same frames, batch by batch, and no
/// more bytes than the file has.
pub fn read_both_ways(bytes: &[u8], step: usize) {
    let whole = read(Cursor::new(bytes.to_vec()), bytes.len());
    let dribbled = read(Dribble(Cursor::new(bytes.to_vec()), step.max(1)), bytes.len());
    assert_eq!(whole, dribbled);
}

fn read(reader: impl Read + Send + 'static, size: usize) -> Option<(Vec<Vec<Seen>>, Vec<String>)> {
    let mut inputs = Inputs::from_reader("hostile", reader).ok()?;
    let (mut batch, mut batches, mut next, mut captured) = (FrameBatch::default(), Vec::new(), 1, 0);
    loop {
        let progress = inputs.read(&mut batch).expect("memory does not fail to read");
        assert!(batch.len() <= FrameBatch::FRAMES);
        assert!(batch.buffer.len() <= 4 * FrameBatch::BYTES);
        assert_eq!(batch.first_number, next);
        next += batch.len() as u64;
        assert!(batch.frames.iter().all(|frame| (frame.offset + frame.captured) as usize <= batch.buffer.len()));
        captured += batch.iter().map(|frame| frame.data.len()).sum::<usize>();
        batches.push(batch.iter().map(|f| (f.time.nanos(), f.length, f.data.len(), f.link.0)).collect());
        if progress == Progress::End {
            break;
        }
    }
    assert!(captured <= size);
    let report = inputs.reports().remove(0);
    assert_eq!((report.packets, report.captured_bytes), (next - 1, captured as u64));
    Some((batches, report.warnings))
}
