//! Frames out of a fuzzer's bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 2 | little-endian: the link type in the low 10 bits; above it, how many times 8 bytes the snap length cut off |
//! | 1 | time since the frame before, see [`GAPS`] |
//! | 2 | bytes that follow, little-endian; what the input has, if it has fewer |
//! | | the frame |

use lapwing_capture::{FrameBatch, LinkType, Timestamp};

/// Nanoseconds between two frames, one of which a byte chooses: within a burst, at every timeout of the flow table, back.
const GAPS: [i64; 16] = [
    0,
    1,
    1_000,
    1_000_000,
    100_000_000,
    999_999_999,
    1_000_000_000,
    5_000_000_000,
    6_000_000_000,
    60_000_000_000,
    61_000_000_000,
    301_000_000_000,
    4_000_000_000_000,
    -1_000,
    -2_000_000_000,
    i64::MAX / 2,
];

/// When the first frame was captured, if its gap is zero.
const START: i64 = 1_700_000_000_000_000_000;

/// Bytes before the first frame in the batch's buffer, so that offsets count from somewhere.
const PADDING: usize = 61;

/// Most frames that one input gives.
const MOST: usize = 256;

/// Frames, in a batch that is reused from input to input.
#[derive(Default)]
pub struct Frames {
    /// The frames.
    pub batch: FrameBatch,
    now: i64,
}

impl Frames {
    /// Takes the frames of `data`, in the form of this module.
    pub fn fill(&mut self, mut data: &[u8]) {
        self.begin();
        while let [link_low, link_high, gap, length_low, length_high, rest @ ..] = data {
            let length = usize::from(u16::from_le_bytes([*length_low, *length_high])).min(rest.len());
            let (frame, behind) = rest.split_at(length);
            self.push(u16::from_le_bytes([*link_low, *link_high]), *gap, frame);
            data = behind;
            if self.batch.len() > MOST {
                break;
            }
        }
    }

    /// Forgets what was there.
    pub fn begin(&mut self) {
        self.batch.clear();
        self.batch.first_number = 0;
        self.now = START;
        self.batch.push(Timestamp::from_nanos(START), LinkType(u16::MAX), 0, 0, &[0xa5; PADDING]);
    }

    /// Appends a frame; `link` holds the link type and the bytes cut off as in an input.
    pub fn push(&mut self, link: u16, gap: u8, frame: &[u8]) {
        let length = frame.len() as u32 + 8 * u32::from(link >> 10);
        self.now = self.now.saturating_add(GAPS[usize::from(gap) % GAPS.len()]);
        self.batch.push(Timestamp::from_nanos(self.now), LinkType(link & 0x3ff), length, 0, frame);
    }
}

/// An input of the `decode` target: the link type and one frame.
#[must_use]
pub fn encode_frame(link: u16, frame: &[u8]) -> Vec<u8> {
    [&(link & 0x3ff).to_le_bytes(), frame].concat()
}

/// An input for [`Frames::fill`] out of times, link types and frames.
#[must_use]
pub fn encode_frames<'a>(frames: impl IntoIterator<Item = (Timestamp, LinkType, &'a [u8])>) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), None);
    for (time, link, frame) in frames {
        let gap = before.map_or(0, |before| time.nanos_since(before));
        before = Some(time);
        let nearest = (0..GAPS.len()).min_by_key(|index| GAPS[*index].abs_diff(gap)).unwrap_or(0);
        bytes.extend((link.0 & 0x3ff).to_le_bytes());
        bytes.push(nearest as u8);
        bytes.extend((frame.len() as u16).to_le_bytes());
        bytes.extend(&frame[..usize::from(frame.len() as u16)]);
    }
    bytes
}
