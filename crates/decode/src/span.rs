//! A piece of a frame.

/// A piece of a frame: what was captured of it, where that lies in the batch's buffer, and how long it was on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    /// The captured bytes.
    pub(crate) bytes: &'a [u8],
    /// Where they start in the buffer.
    pub(crate) offset: u32,
    /// Bytes on the wire, as far as the layers above said; never fewer than `bytes` holds.
    pub(crate) length: u32,
}

impl<'a> Span<'a> {
    /// What lies behind the first `count` bytes.
    pub(crate) fn skip(self, count: usize) -> Self {
        let count = count.min(self.bytes.len());
        Self {
            bytes: self.bytes.get(count..).unwrap_or_default(),
            offset: self.offset.saturating_add(count as u32),
            length: self.length - count as u32,
        }
    }

    /// What lies behind a header of `length` bytes on the wire, of which the last may not have been captured.
    pub(crate) fn behind(self, length: usize) -> Self {
        Self { length: self.length.saturating_sub(length as u32), ..self.skip(length) }
    }

    /// The first `length` bytes: what a length field says belongs to the layer, without padding and trailers.
    pub(crate) fn limit(self, length: u32) -> Self {
        let captured = self.bytes.get(..length as usize).unwrap_or(self.bytes);
        Self { bytes: captured, offset: self.offset, length: self.length.min(length) }
    }

    /// Whether the snap length cut it.
    pub(crate) fn is_cut(self) -> bool {
        self.length as usize > self.bytes.len()
    }

    /// `N` bytes from `at` on, if they were captured.
    pub(crate) fn array<const N: usize>(self, at: usize) -> Option<&'a [u8; N]> {
        self.bytes.get(at..)?.first_chunk()
    }

    /// The byte at `at`.
    pub(crate) fn u8(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The big-endian number at `at`.
    pub(crate) fn u16(self, at: usize) -> Option<u16> {
        self.array(at).map(|bytes| u16::from_be_bytes(*bytes))
    }
}
