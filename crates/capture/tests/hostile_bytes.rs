//! Whatever the bytes, reading ends, stays inside its bounds, and does not depend on how the bytes arrive.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Cursor, Read};

use lapwing_capture::{FrameBatch, Inputs, Progress, Source};
use proptest::prelude::*;

/// Gives out a few bytes at a time, as a pipe may.
struct Dribble(Cursor<Vec<u8>>, usize);

impl Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = into.len().min(self.1);
        self.0.read(&mut into[..most])
    }
}

/// Time, lengths and link type of every frame, batch by batch, and the warnings.
type Seen = (Vec<Vec<(i64, u32, usize, u16)>>, Vec<String>);

/// Reads to the end; `None` when it is no capture.
fn read(reader: impl Read + Send + 'static) -> Option<Seen> {
    let mut inputs = Inputs::from_reader("hostile", reader).ok()?;
    let (mut batch, mut batches, mut next) = (FrameBatch::default(), Vec::new(), 1);
    loop {
        let progress = inputs.read(&mut batch).unwrap();
        assert!(batch.len() <= FrameBatch::FRAMES);
        assert!(batch.buffer.len() <= 4 * FrameBatch::BYTES, "{}", batch.buffer.len());
        assert_eq!(batch.first_number, next);
        next += batch.len() as u64;
        for frame in &batch.frames {
            assert!((frame.offset + frame.captured) as usize <= batch.buffer.len());
        }
        batches.push(batch.iter().map(|f| (f.time.nanos(), f.length, f.data.len(), f.link.0)).collect());
        if progress == Progress::End {
            return Some((batches, inputs.reports().remove(0).warnings));
        }
    }
}

fn le(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A pcap file with frames of these lengths.
fn pcap(lengths: &[u16]) -> Vec<u8> {
    let mut bytes = le(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1]);
    for length in lengths {
        bytes.extend(le(&[1, 2, u32::from(*length), u32::from(*length)]));
        bytes.extend(vec![0x5a; usize::from(*length)]);
    }
    bytes
}

/// A pcapng file with frames of these lengths, and blocks of other kinds between.
fn pcapng(lengths: &[u16]) -> Vec<u8> {
    let mut bytes = le(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28, 1, 20, 1, 0, 20]);
    for length in lengths {
        let padded = u32::from(*length).next_multiple_of(4);
        bytes.extend(le(&[6, padded + 32, 0, 0, 7, u32::from(*length), u32::from(*length)]));
        bytes.extend(vec![0x5a; padded as usize]);
        bytes.extend(le(&[padded + 32, 5, 12, 12]));
    }
    bytes
}

fn capture() -> impl Strategy<Value = Vec<u8>> {
    let lengths = prop::collection::vec(prop_oneof![Just(0_u16), 1_u16..200, 200_u16..9_000, Just(65_535_u16)], 0..60);
    (lengths, any::<bool>()).prop_map(|(lengths, ng)| if ng { pcapng(&lengths) } else { pcap(&lengths) })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        magic in prop::sample::select(vec![0xa1b2_c3d4_u32, 0xa1b2_3c4d, 0xa1b2_cd34, 0x1c00_01ac, 0x0a0d_0d0a, 0xfd2f_b528, 0x8b1f]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [&magic.to_le_bytes()[..], &rest].concat();
        prop_assert_eq!(read(Cursor::new(bytes.clone())), read(Dribble(Cursor::new(bytes), 1)));
    }

    #[test]
    fn damaged_captures_read_alike_however_they_arrive(
        mut bytes in capture(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        step in 1_usize..70_000,
    ) {
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes.truncate(bytes.len() - cut.index(bytes.len().min(50)));
        prop_assert_eq!(read(Cursor::new(bytes.clone())), read(Dribble(Cursor::new(bytes), step)));
    }
}

#[test]
fn blocks_without_frames_take_no_memory() {
    let mut bytes = pcapng(&[60]);
    for _ in 0..200_000 {
        bytes.extend(le(&[5, 24, 0, 0, 0, 24]));
    }
    // A custom block of 8 MiB.
    bytes.extend(le(&[0x0bad, 8 << 20]));
    bytes.extend(vec![0; (8 << 20) - 12]);
    bytes.extend(le(&[8 << 20]));
    bytes.extend(&pcapng(&[100, 200])[28..]);
    let (batches, warnings) = read(Cursor::new(bytes)).unwrap();
    assert_eq!((batches.iter().map(Vec::len).sum::<usize>(), warnings.len()), (3, 0));
}
