//! Bytes in, lines out: bounded, numbered, whatever the bytes are.

use std::io::{self, Read};

/// Bytes of a line at most: an EVE record may hold a payload or a certificate chain, a connection takes some hundred.
pub(crate) const LONGEST_LINE: usize = 1 << 20;

/// Bytes read at once.
const CHUNK: usize = 1 << 17;

/// Cuts what a reader gives into lines.
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Unread bytes lie between these.
    start: usize,
    end: usize,
    /// Number of the line that is handed out next, from 1.
    next: u64,
    /// The line under way is longer than [`LONGEST_LINE`]; its bytes are passed over.
    passing: bool,
    over: bool,
}

/// One line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) number: u64,
    /// Whether a line feed ended it; the last line of a file may have none.
    pub(crate) whole: bool,
    /// Longer than [`LONGEST_LINE`]: its bytes are not there.
    pub(crate) too_long: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; CHUNK], start: 0, end: 0, next: 1, passing: false, over: false }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(feed) = memchr::memchr(b'\n', &unread[searched..]) {
                let length = searched + feed;
                let from = self.start;
                self.start += length + 1;
                return Ok(Some(self.line(from, length, true)));
            }
            searched = unread.len();
            if self.over {
                if unread.is_empty() && !self.passing {
                    return Ok(None);
                }
                let from = self.start;
                self.start = self.end;
                return Ok(Some(self.line(from, searched, false)));
            }
            if searched >= LONGEST_LINE {
                (self.passing, self.start, searched) = (true, self.end, 0);
            }
            self.fill()?;
        }
    }

    fn line(&mut self, from: usize, length: usize, whole: bool) -> Line<'_> {
        let number = self.next;
        self.next += 1;
        let too_long = std::mem::take(&mut self.passing) || length > LONGEST_LINE;
        let bytes = &self.buffer[from..from + length];
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Line { bytes: if too_long { &[] } else { bytes }, number, whole, too_long }
    }

    /// Reads on behind the unread bytes, which move to the front if there is no room.
    fn fill(&mut self) -> io::Result<()> {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.over = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.over = true;
                    return Err(error);
                }
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives out a few bytes at a time, as a pipe may.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(self.1);
            self.0.read(&mut into[..most])
        }
    }

    fn all(bytes: &[u8], step: usize) -> Vec<(Vec<u8>, u64, bool, bool)> {
        let (mut lines, mut all) = (Lines::new(Dribble(bytes, step)), Vec::new());
        while let Some(line) = lines.next().unwrap() {
            all.push((line.bytes.to_vec(), line.number, line.whole, line.too_long));
        }
        all
    }

    #[test]
    fn a_last_line_without_its_end_is_told_apart() {
        let lines = all(b"a\r\n\nb", 1);
        assert_eq!(
            lines,
            [(b"a".to_vec(), 1, true, false), (vec![], 2, true, false), (b"b".to_vec(), 3, false, false)]
        );
    }

    #[test]
    fn an_endless_line_is_passed_over_in_bounded_memory() {
        let mut bytes = vec![b'x'; 5 * LONGEST_LINE];
        bytes.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(&bytes[..]);
        let line = lines.next().unwrap().unwrap();
        assert!(line.too_long && line.bytes.is_empty());
        assert_eq!(lines.next().unwrap().unwrap().bytes, b"next");
        assert!(lines.buffer.len() <= 4 * LONGEST_LINE, "{}", lines.buffer.len());
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole_however_the_bytes_arrive(text in "[ab\n\r]{0,60}", step in 1_usize..7) {
            let expected: Vec<Vec<u8>> = text.split_inclusive('\n').map(|line| {
                let line = line.strip_suffix('\n').unwrap_or(line);
                line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec()
            }).collect();
            let lines: Vec<Vec<u8>> = all(text.as_bytes(), step).into_iter().map(|(bytes, ..)| bytes).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
