//! A path under which a log is written, whatever file that is at the moment.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FollowEvent;
use super::bytes::FileId;
use super::positions::{HEAD, Position, Positions};
use super::rotated::Archive;
use super::tail::{Read, Tail};
use crate::record::Record;
use crate::report::LogReport;

/// Looks without anything new after which a log that was renamed away is over: Suricata goes on writing to it until it is told
/// to reopen, at four looks a second a minute.
const QUIET: u32 = 240;

/// Logs that were renamed away and are still read, at most.
const MOST_RETIRED: usize = 4;

/// A log's path, the file that is there now, and those that were.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) archive: Archive,
    pub(super) report: LogReport,
    pub(super) was_there: bool,
    live: Option<Tail>,
    /// Renamed away, and read until they are quiet.
    retired: Vec<Tail>,
    /// Rotated before this run began, and read first, one after the other.
    backlog: VecDeque<Tail>,
    /// Why what is at the path cannot be opened, and why the file that was opened last cannot be read; said already.
    barred: Option<String>,
    broken: Option<String>,
    told_problems: usize,
    told_warnings: usize,
}

impl Place {
    pub(super) fn new(path: PathBuf, archive: Archive) -> Self {
        Self {
            report: LogReport { there: false, ..LogReport::new(path.clone()) },
            path,
            archive,
            was_there: false,
            live: None,
            retired: Vec::new(),
            backlog: VecDeque::new(),
            barred: None,
            broken: None,
            told_problems: 0,
            told_warnings: 0,
        }
    }

    /// Files that are being read.
    pub(super) fn ids(&self) -> impl Iterator<Item = FileId> {
        self.tails().filter_map(Tail::id)
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether one of the files that are being read begins so.
    pub(super) fn reads(&self, head: &[u8]) -> bool {
        self.tails().any(|tail| tail.begins(head))
    }

    /// Reads a rotated log from its beginning, before those that are here.
    pub(super) fn read_first(&mut self, rotated: Tail) {
        self.backlog.push_back(rotated);
    }

    /// Counts a rotated log that cannot be read, and tells why.
    pub(super) fn lose(&mut self, path: PathBuf, reason: String, tell: &mut dyn FnMut(FollowEvent)) {
        self.report.lost_files += 1;
        tell(FollowEvent::Unreadable { path, reason });
    }

    fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.backlog.iter().chain(&self.retired).chain(&self.live)
    }

    pub(super) fn taken(&self) -> u64 {
        self.tails().map(|tail| tail.taken).sum()
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.tails().filter_map(|tail| Some(Position { path: self.path.clone(), ..tail.position()? })).collect()
    }

    /// Whether a position of that path is one of this place's.
    pub(super) fn owns(&self, path: &Path) -> bool {
        path == self.path
    }

    /// Whether the file that is here now begins so.
    pub(super) fn holds(&self, head: &[u8]) -> bool {
        fs::File::open(&self.path)
            .and_then(|file| {
                let mut mine = Vec::new();
                io::Read::read_to_end(&mut io::Read::take(file, HEAD as u64), &mut mine)?;
                Ok(mine == head)
            })
            .unwrap_or(false)
    }

    /// Whether that file is the one that is here now.
    pub(super) fn is_live(&self, path: &Path, head: &[u8]) -> bool {
        self.is_at(path) || self.holds(head)
    }

    /// Whether that is the file that is here now, readable or not.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        FileId::of(path).ok().zip(FileId::of(&self.path).ok()).is_some_and(|(one, other)| one == other)
    }

    /// Goes on with the file that is here now, if it is the one that `position` tells of.
    pub(super) fn resume_live(&mut self, position: &Position, tell: &mut impl FnMut(FollowEvent)) -> bool {
        if self.live.is_some() {
            return false;
        }
        let Ok(Some(tail)) = Tail::resume(&self.path, position) else { return false };
        // A compressed file is no log that grows.
        if tail.id().is_none() {
            return false;
        }
        tell(FollowEvent::Opened { path: self.path.clone(), offset: position.offset });
        (self.live, self.was_there, self.report.there) = (Some(tail), true, true);
        true
    }

    /// Goes on with a file that was rotated in between.
    pub(super) fn resume_rotated(&mut self, path: &Path, position: &Position, tell: &mut impl FnMut(FollowEvent)) {
        match Tail::resume(path, position) {
            Ok(Some(tail)) => {
                tell(FollowEvent::Opened { path: path.to_owned(), offset: position.offset });
                self.was_there = true;
                self.backlog.push_back(tail);
            }
            Ok(None) => {
                self.report.lost_files += 1;
                tell(FollowEvent::Missing { path: path.to_owned(), offset: position.offset });
            }
            Err(error) => self.lose(path.to_owned(), error.to_string(), tell),
        }
    }

    /// Appends what was written since; returns whether there is more already.
    pub(super) fn poll(
        &mut self,
        most: usize,
        records: &mut Vec<Record>,
        positions: &mut Positions,
        tell: &mut dyn FnMut(FollowEvent),
    ) -> bool {
        let more = if self.backlog.is_empty() {
            self.read_retired(most, records, positions, tell) | self.read_live(most, records, tell)
        } else {
            self.read_backlog(most, records, positions, tell);
            true
        };
        for what in self.report.problems.iter().skip(self.told_problems) {
            tell(FollowEvent::Problem { what: what.clone() });
        }
        for what in self.report.warnings.iter().skip(self.told_warnings) {
            tell(FollowEvent::Problem { what: what.clone() });
        }
        (self.told_problems, self.told_warnings) = (self.report.problems.len(), self.report.warnings.len());
        more
    }

    /// Looks what the logs begin with, for those of which nothing was read too.
    pub(super) fn learn_heads(&mut self) {
        for tail in self.backlog.iter_mut().chain(&mut self.retired).chain(&mut self.live) {
            // What cannot be read now is told when it is read.
            let _ = tail.learn_head();
        }
    }

    /// Takes what waits for another line.
    pub(super) fn flush(&mut self, records: &mut Vec<Record>) {
        self.backlog.iter_mut().chain(&mut self.retired).chain(&mut self.live).for_each(|tail| tail.flush(records));
    }

    /// Looks which file is here now; returns when the one that was here before was written last, if it is another one.
    pub(super) fn look(
        &mut self,
        known: &mut HashSet<FileId>,
        tell: &mut dyn FnMut(FollowEvent),
    ) -> Option<SystemTime> {
        let mut since = None;
        let barred = match FileId::of(&self.path) {
            Ok(id) if self.live.as_ref().and_then(Tail::id) == Some(id) || known.contains(&id) => {
                self.report.there |= self.was_there;
                None
            }
            Ok(id) => match Tail::open(&self.path) {
                Ok(tail) if tail.id() == Some(id) => {
                    known.insert(id);
                    since = self.begin(tail, tell);
                    None
                }
                Ok(tail) if tail.id().is_none() => Some("it is compressed, and so does not grow".to_owned()),
                // It changed while we looked: the next look tells.
                Ok(_) => return None,
                Err(error) => Some(error.to_string()),
            },
            // Rotated, and its successor is not there yet, or not there at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.report.there = false;
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let told = std::mem::replace(&mut self.barred, barred);
        self.tell_change(told.as_ref(), self.barred.as_ref(), tell);
        self.note_refusal();
        since
    }

    /// Goes on with the file that is here now.
    fn begin(&mut self, tail: Tail, tell: &mut dyn FnMut(FollowEvent)) -> Option<SystemTime> {
        (self.broken, self.was_there, self.report.there) = (None, true, true);
        let Some(mut old) = self.live.replace(tail) else {
            tell(FollowEvent::Opened { path: self.path.clone(), offset: 0 });
            return None;
        };
        tell(FollowEvent::Rotated { path: self.path.clone() });
        old.quiet = 0;
        // Truncated, written to and renamed since the last look.
        if old.was_replaced().unwrap_or(false) {
            tell(FollowEvent::Truncated { path: self.path.clone() });
            old.begin_anew(&mut Vec::new());
        }
        let since = old.modified();
        self.retired.push(old);
        since.ok()
    }

    fn tell_change(&self, told: Option<&String>, reason: Option<&String>, tell: &mut dyn FnMut(FollowEvent)) {
        if let Some(reason) = reason.filter(|_| told != reason) {
            tell(FollowEvent::Unreadable { path: self.path.clone(), reason: reason.clone() });
        }
    }

    /// Says in the report what keeps it from being read.
    fn note_refusal(&mut self) {
        let broken = self.broken.as_ref().filter(|_| self.report.there);
        self.report.refused = self.barred.as_ref().or(broken).cloned();
    }

    fn read_live(&mut self, most: usize, records: &mut Vec<Record>, tell: &mut dyn FnMut(FollowEvent)) -> bool {
        let Some(tail) = &mut self.live else { return false };
        let (more, broken) = match tail.read(most, records, &mut self.report) {
            Ok(Read::More) => (true, None),
            Ok(Read::End { .. }) => (false, tail.refusal().map(Cow::into_owned)),
            Ok(Read::Truncated) => {
                tell(FollowEvent::Truncated { path: self.path.clone() });
                tail.begin_anew(records);
                (true, None)
            }
            Err(error) => (false, Some(error.to_string())),
        };
        // What it is instead was told where that was found out.
        let is_told = tail.is_refused();
        let told = std::mem::replace(&mut self.broken, broken);
        if !is_told {
            self.tell_change(told.as_ref(), self.broken.as_ref(), tell);
        }
        self.note_refusal();
        more
    }

    fn read_retired(
        &mut self,
        most: usize,
        records: &mut Vec<Record>,
        positions: &mut Positions,
        tell: &mut dyn FnMut(FollowEvent),
    ) -> bool {
        let (mut more, mut over) = (false, Vec::new());
        let surplus = self.retired.len().saturating_sub(MOST_RETIRED);
        for (place, tail) in self.retired.iter_mut().enumerate() {
            match tail.read(most, records, &mut self.report) {
                Ok(Read::More) => more = true,
                Ok(Read::End { .. }) if tail.quiet < QUIET && place >= surplus => {}
                Ok(Read::End { .. }) => over.push(place),
                Ok(Read::Truncated) => {
                    tell(FollowEvent::Truncated { path: tail.path.clone() });
                    tail.begin_anew(records);
                    more = true;
                }
                Err(error) => {
                    self.report.lost_files += 1;
                    let (path, reason) = (tail.path.clone(), error.to_string());
                    tell(FollowEvent::Unreadable { path, reason });
                    over.push(place);
                }
            }
        }
        for place in over.into_iter().rev() {
            end(self.retired.remove(place), records, &mut self.report, positions);
        }
        more
    }

    fn read_backlog(
        &mut self,
        most: usize,
        records: &mut Vec<Record>,
        positions: &mut Positions,
        tell: &mut dyn FnMut(FollowEvent),
    ) {
        let Some(tail) = self.backlog.front_mut() else { return };
        let over = match tail.read(most, records, &mut self.report) {
            Ok(Read::More) => false,
            Ok(Read::End { .. }) => true,
            Ok(Read::Truncated) => {
                tail.begin_anew(records);
                false
            }
            Err(error) => {
                self.report.lost_files += 1;
                tell(FollowEvent::Unreadable { path: tail.path.clone(), reason: error.to_string() });
                true
            }
        };
        if over && let Some(tail) = self.backlog.pop_front() {
            // A plain one may still be written to.
            if tail.id().is_some() && self.retired.len() < MOST_RETIRED {
                self.retired.push(tail);
            } else {
                end(tail, records, &mut self.report, positions);
            }
        }
    }
}

/// Nothing will be written to it any more.
fn end(mut tail: Tail, records: &mut Vec<Record>, report: &mut LogReport, positions: &mut Positions) {
    tail.take_rest(records, report);
    if let Some(head) = tail.head() {
        positions.finish(head);
    }
}
