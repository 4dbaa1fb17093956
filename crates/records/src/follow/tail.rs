//! One log, from where reading stands to what was written last.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::bytes::{Bytes, FileId};
use super::positions::{self, Head, Position};
use crate::lines::LONGEST_LINE;
use crate::recognise::{HEAD, LogKind, Recognised, recognise, syntax};
use crate::record::{LineProblem, Record};
use crate::report::{LogError, LogReport};
use crate::syntax::{Syntax, Taken};

/// Bytes read at once.
const CHUNK: usize = 1 << 17;

/// Chunks read before others get their turn: lines that are no records cost time too.
const MOST_CHUNKS: u32 = 64;

/// Looks at a log whose last lines wait for another one (EVE's halves) after which they are taken as they are.
const MOST_WAITING: u32 = 4;

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// There is more.
    More,
    /// Everything was read; whether there was something.
    End { grew: bool },
    /// The file is shorter than it was, or begins otherwise.
    Truncated,
}

/// A log that is read as it grows.
pub(super) struct Tail {
    pub(super) path: PathBuf,
    bytes: Bytes,
    syntax: Option<Box<dyn Syntax>>,
    /// Bytes that were read and are no whole line yet; they lie at `taken`.
    buffer: Vec<u8>,
    /// Bytes and lines that were taken, and up to which of them no line waits for another.
    pub(super) taken: u64,
    line: u64,
    settled: (u64, u64),
    /// Where the header in force begins, and where the header lines began that are being read.
    header: u64,
    header_lines: Option<u64>,
    /// Whether a line was taken that is no header.
    has_rows: bool,
    /// A line is longer than any record; its bytes are passed over.
    passing: bool,
    /// Looks since lines began to wait.
    waiting: u32,
    head: Vec<u8>,
    /// What it is, where an earlier run had begun it.
    kind: Option<LogKind>,
    /// Why it is no log of connections: nothing is read from it.
    refused: Option<String>,
    /// Looks since something was written.
    pub(super) quiet: u32,
}

impl Tail {
    /// Reads from the beginning.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(path, Bytes::open(path)?))
    }

    fn new(path: &Path, bytes: Bytes) -> Self {
        Self {
            path: path.to_owned(),
            bytes,
            syntax: None,
            buffer: Vec::new(),
            taken: 0,
            line: 0,
            settled: (0, 0),
            header: 0,
            header_lines: None,
            has_rows: false,
            passing: false,
            waiting: 0,
            head: Vec::new(),
            kind: None,
            refused: None,
            quiet: 0,
        }
    }

    /// Goes on where `position` says; `None` when the file is another one.
    pub(super) fn resume(path: &Path, position: &Position) -> io::Result<Option<Self>> {
        let mut tail = Self::open(path)?;
        let head = tail.bytes.piece(0, HEAD)?;
        let is_shorter = tail.bytes.len()?.is_some_and(|len| len < position.offset);
        if !position.head.is_of(&head) || is_shorter {
            return Ok(None);
        }
        let Recognised::Log(kind) = recognise(&head) else { return Ok(None) };
        // What earlier lines told of the log is told again: the header, and whether it has histories, or events of both kinds.
        let mut syntax = syntax(kind, &head, path);
        let mut known = Vec::new();
        let before = &head[..head.len().min(usize::try_from(position.offset).unwrap_or(usize::MAX))];
        for line in whole_lines(before) {
            // Whatever is wrong with it was said.
            let _ = syntax.line(line, &mut known);
            known.clear();
        }
        if position.header > 0 && position.header < position.offset {
            let header = tail.bytes.piece(position.header, HEAD)?;
            for line in whole_lines(&header).take_while(|line| line.first() == Some(&b'#')) {
                let _ = syntax.line(line, &mut known);
            }
        }
        syntax.flush(&mut known);
        tail.syntax = Some(syntax);
        tail.kind = Some(kind);
        (tail.taken, tail.line, tail.header) = (position.offset, position.line, position.header);
        (tail.settled, tail.has_rows) = ((tail.taken, tail.line), position.offset > 0);
        tail.head = head[..head.len().min(positions::HEAD)].to_vec();
        Ok(Some(tail))
    }

    /// When it was written last.
    pub(super) fn modified(&self) -> io::Result<SystemTime> {
        self.bytes.modified()
    }

    pub(super) fn id(&self) -> Option<FileId> {
        self.bytes.id()
    }

    /// How far it was read; `None` of an empty log.
    pub(super) fn position(&self) -> Option<Position> {
        let (offset, line) = self.settled;
        let (path, header) = (self.path.clone(), self.header.min(offset));
        (!self.head.is_empty()).then(|| Position { path, offset, line, header, head: Head::of(&self.head) })
    }

    /// Whether it begins as a file does whose first bytes are `head`.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        !self.head.is_empty() && head.starts_with(&self.head)
    }

    /// What it begins with, if it is more than a header that others may have too.
    pub(super) fn head(&self) -> Option<Head> {
        (self.has_rows && !self.head.is_empty()).then(|| Head::of(&self.head))
    }

    /// Appends what whole lines tell, up to about `most` records.
    pub(super) fn read(&mut self, most: usize, out: &mut Vec<Record>, report: &mut LogReport) -> io::Result<Read> {
        report.kind = report.kind.or(self.kind);
        if self.was_replaced()? {
            return Ok(Read::Truncated);
        }
        let (from, mut grew, mut chunks) = (out.len(), false, 0);
        loop {
            self.take_lines(out, report, from + most);
            if out.len() >= from + most || chunks == MOST_CHUNKS {
                self.learn_head()?;
                return Ok(Read::More);
            }
            if !self.fill()? {
                break;
            }
            (grew, chunks) = (true, chunks + 1);
        }
        self.quiet = if grew { 0 } else { self.quiet.saturating_add(1) };
        let waits = self.syntax.as_ref().is_some_and(|syntax| syntax.is_waiting());
        self.waiting = if waits { self.waiting + 1 } else { 0 };
        if self.waiting > MOST_WAITING {
            self.flush(out);
        }
        self.note_settled();
        self.learn_head()?;
        Ok(Read::End { grew })
    }

    /// Takes lines that wait for another one as they are.
    pub(super) fn flush(&mut self, out: &mut Vec<Record>) {
        if let Some(syntax) = &mut self.syntax {
            syntax.flush(out);
        }
        self.waiting = 0;
        self.note_settled();
    }

    /// Reads the same file from its beginning.
    pub(super) fn begin_anew(&mut self, out: &mut Vec<Record>) {
        self.flush(out);
        let Self { syntax, buffer, head, .. } = self;
        (*syntax, self.taken, self.line, self.settled, self.header) = (None, 0, 0, (0, 0), 0);
        buffer.clear();
        head.clear();
        (self.header_lines, self.has_rows, self.passing, self.refused) = (None, false, false, None);
    }

    /// Takes the last line though nothing ended it: the log is over.
    pub(super) fn take_rest(&mut self, out: &mut Vec<Record>, report: &mut LogReport) {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() && !self.passing && self.refused.is_none() && self.syntax.is_some() {
            self.take(&rest, out, report);
            self.taken += rest.len() as u64;
        }
        self.flush(out);
    }

    fn note_settled(&mut self) {
        let between = !self.passing && self.header_lines.is_none();
        if between && self.syntax.as_ref().is_none_or(|syntax| !syntax.is_waiting()) {
            self.settled = (self.taken, self.line);
        }
    }

    /// Whether the file became shorter than what was read, or begins with other bytes: what was written anew may be as long as what
    /// was there.
    pub(super) fn was_replaced(&mut self) -> io::Result<bool> {
        let Some(len) = self.bytes.len()? else { return Ok(false) };
        let read = self.taken + self.buffer.len() as u64;
        if len < read {
            return Ok(true);
        }
        Ok(!self.head.is_empty() && self.bytes.piece(0, self.head.len())? != self.head)
    }

    /// Whether it turned out to be another log.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Why nothing is read from it though it can be opened: it is another log, or its first lines are none that are understood, and
    /// no others have come for some looks.
    pub(super) fn refusal(&self) -> Option<Cow<'_, str>> {
        let is_odd = self.syntax.is_none() && self.quiet >= MOST_WAITING && self.buffer.contains(&b'\n');
        match &self.refused {
            Some(reason) => Some(reason.into()),
            None => is_odd.then(|| "no line of it is understood: neither Zeek's conn.log nor Suricata's EVE".into()),
        }
    }

    /// Looks what it begins with, read or not.
    pub(super) fn learn_head(&mut self) -> io::Result<()> {
        if self.head.len() < positions::HEAD {
            let head = self.bytes.piece(0, positions::HEAD)?;
            // Else it was replaced, which the next reading finds out.
            if head.starts_with(&self.head) && head.len() as u64 >= self.taken.min(positions::HEAD as u64) {
                self.head = head;
            }
        }
        Ok(())
    }

    /// Reads on; whether there was something.
    fn fill(&mut self) -> io::Result<bool> {
        let have = self.buffer.len();
        self.buffer.resize(have + CHUNK, 0);
        let read = self.bytes.read_at(&mut self.buffer[have..], self.taken + have as u64);
        self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
        let read = read?;
        if self.refused.is_some() {
            self.taken += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(read > 0)
    }

    /// Takes the whole lines of the buffer until there are `until` records; what is left moves to the front.
    fn take_lines(&mut self, out: &mut Vec<Record>, report: &mut LogReport, until: usize) {
        if self.syntax.is_none() && !self.recognise(report) {
            return;
        }
        let (buffer, mut start) = (std::mem::take(&mut self.buffer), 0);
        while out.len() < until
            && let Some(feed) = memchr::memchr(b'\n', &buffer[start..])
        {
            let line = &buffer[start..start + feed];
            if std::mem::take(&mut self.passing) || line.len() > LONGEST_LINE {
                self.line += 1;
                self.has_rows = true;
                note(Err(LineProblem::TooLong { limit: LONGEST_LINE }), self.line, report);
            } else {
                self.take(line, out, report);
            }
            start += feed + 1;
            self.taken += feed as u64 + 1;
            self.note_settled();
        }
        self.buffer = buffer;
        self.buffer.drain(..start);
        if self.buffer.len() > LONGEST_LINE && memchr::memchr(b'\n', &self.buffer).is_none() {
            self.taken += self.buffer.len() as u64;
            self.buffer.clear();
            self.passing = true;
        }
        if self.buffer.capacity() > 4 * CHUNK && self.buffer.len() < CHUNK {
            self.buffer.shrink_to(CHUNK);
        }
    }

    fn take(&mut self, line: &[u8], out: &mut Vec<Record>, report: &mut LogReport) {
        let Some(syntax) = &mut self.syntax else { return };
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.first() == Some(&b'#') {
            let began = *self.header_lines.get_or_insert(self.taken);
            if line.starts_with(b"#fields") {
                self.header = began;
            }
        } else {
            (self.header_lines, self.has_rows) = (None, true);
        }
        let from = out.len();
        note(syntax.line(line, out), self.line, report);
        for record in &out[from..] {
            let (start, end) = (record.flow.start, record.time());
            report.first = Some(report.first.map_or(start, |first| first.min(start)));
            report.last = Some(report.last.map_or(end, |last| last.max(end)));
        }
    }

    /// Finds out what the log is, once enough of it was written; whether that is known.
    fn recognise(&mut self, report: &mut LogReport) -> bool {
        if self.refused.is_some() {
            return false;
        }
        let whole = memchr::memrchr(b'\n', &self.buffer).map_or(0, |feed| feed + 1);
        let error = match recognise(&self.buffer[..whole.min(HEAD)]) {
            Recognised::Log(kind) => {
                report.kind = Some(kind);
                self.syntax = Some(syntax(kind, &self.buffer[..whole.min(HEAD)], &self.path));
                return true;
            }
            Recognised::OtherLog(what) => LogError::OtherLog { path: self.path.clone(), what },
            Recognised::Nothing if self.buffer.len() < HEAD => return false,
            Recognised::Nothing => LogError::NotALog { path: self.path.clone() },
        };
        if report.warnings.len() < LogReport::PROBLEMS {
            report.warnings.push(error.to_string());
        }
        self.refused = Some(error.to_string());
        self.taken += self.buffer.len() as u64;
        self.buffer.clear();
        false
    }
}

/// Counts what became of a line.
fn note(taken: Result<Taken, LineProblem>, line: u64, report: &mut LogReport) {
    match taken {
        Ok(Taken::Record) => report.records += 1,
        Ok(Taken::Other) => report.other += 1,
        Ok(Taken::Nothing) => {}
        Err(problem) => {
            report.malformed += 1;
            if report.problems.len() < LogReport::PROBLEMS {
                report.problems.push(format!("{}:{line}: {problem}", report.path.display()));
            }
        }
    }
}

fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = memchr::memrchr(b'\n', bytes).map_or(0, |feed| feed);
    bytes[..whole].split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
