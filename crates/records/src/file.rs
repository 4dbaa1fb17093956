//! One log, from its first line to its last.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::lines::{LONGEST_LINE, Lines};
use crate::open::Opened;
use crate::recognise::{Recognised, recognise, syntax};
use crate::record::{LineProblem, Record};
use crate::report::{LogError, LogReport};
use crate::syntax::{Syntax, Taken};

/// A log that is read line by line. A line that cannot be read is counted and told, and costs nothing but itself.
pub(crate) struct LogFile {
    lines: Lines<Box<dyn Read + Send>>,
    syntax: Box<dyn Syntax>,
    pub(crate) report: LogReport,
    over: bool,
}

impl LogFile {
    pub(crate) fn open(path: &Path, count: &Arc<AtomicU64>) -> Result<Self, LogError> {
        let opened = Opened::open(path, count).map_err(|source| LogError::Open { path: path.to_owned(), source })?;
        Self::new(path, opened)
    }

    pub(crate) fn new(path: &Path, opened: Opened) -> Result<Self, LogError> {
        let kind = match recognise(&opened.head) {
            Recognised::Log(kind) => kind,
            Recognised::OtherLog(what) => return Err(LogError::OtherLog { path: path.to_owned(), what }),
            Recognised::Nothing => return Err(LogError::NotALog { path: path.to_owned() }),
        };
        let mut report = LogReport::new(PathBuf::from(path));
        (report.kind, report.compression) = (Some(kind), opened.compression);
        let syntax = syntax(kind, &opened.head, path);
        Ok(Self { lines: Lines::new(opened.reader), syntax, report, over: false })
    }

    /// Appends up to about `most` records; returns whether the log is over.
    pub(crate) fn read(&mut self, most: usize, out: &mut Vec<Record>) -> bool {
        let from = out.len();
        while !self.over && out.len() - from < most {
            self.line(out);
        }
        for record in &out[from..] {
            let (start, end) = (record.flow.start, record.time());
            self.report.first = Some(self.report.first.map_or(start, |first| first.min(start)));
            self.report.last = Some(self.report.last.map_or(end, |last| last.max(end)));
        }
        self.over
    }

    fn line(&mut self, out: &mut Vec<Record>) {
        let line = match self.lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => {
                self.over = true;
                self.syntax.flush(out);
                return;
            }
            Err(error) => {
                let path = self.report.path.display();
                let warning = format!("{path}: reading failed or ended early: {error}; what was read before is kept");
                self.report.warnings.push(warning);
                return;
            }
        };
        let taken = if line.too_long {
            Err(LineProblem::TooLong { limit: LONGEST_LINE })
        } else {
            self.syntax.line(line.bytes, out)
        };
        match taken {
            Ok(Taken::Record) => self.report.records += 1,
            Ok(Taken::Other) => self.report.other += 1,
            Ok(Taken::Nothing) => {}
            Err(_) if !line.whole && !line.too_long => {
                let number = line.number;
                self.report.cut_off = Some(number);
                let path = self.report.path.display();
                self.report.warnings.push(format!("{path}: line {number} is cut off; what was read before is kept"));
            }
            Err(problem) => {
                self.report.malformed += 1;
                if self.report.problems.len() < LogReport::PROBLEMS {
                    self.report.problems.push(format!("{}:{}: {problem}", self.report.path.display(), line.number));
                }
            }
        }
    }
}
