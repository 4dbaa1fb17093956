//! A path under which a log is written, whatever file that is at the moment.

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
    /// What was said last of why it cannot be read.
    trouble: Option<String>,
    told_problems: usize,
    told_warnings: usize,
}

impl Place {
    pub(super) fn new(path: PathBuf, archive: Archive) -> Self {
        Self {
            report: LogReport::new(path.clone()),
            path,
            archive,
            was_there: false,
            live: None,
            retired: Vec::new(),
            backlog: VecDeque::new(),
            trouble: None,
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
        let same = FileId::of(path).ok().zip(FileId::of(&self.path).ok()).is_some_and(|(one, other)| one == other);
        same || self.holds(head)
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
        (self.live, self.was_there) = (Some(tail), true);
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
            Ok(None) => tell(FollowEvent::Missing { path: path.to_owned(), offset: position.offset }),
            Err(error) => tell(FollowEvent::Unreadable { path: path.to_owned(), reason: error.to_string() }),
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
        let id = match FileId::of(&self.path) {
            Ok(id) => id,
            // Rotated, and its successor is not there yet, or not there at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.tell_trouble(&error, tell);
                return None;
            }
        };
        if self.live.as_ref().and_then(Tail::id) == Some(id) || known.contains(&id) {
            return None;
        }
        match Tail::open(&self.path) {
            Ok(tail) if tail.id() == Some(id) => {
                known.insert(id);
                (self.trouble, self.was_there) = (None, true);
                match self.live.replace(tail) {
                    Some(mut old) => {
                        tell(FollowEvent::Rotated { path: self.path.clone() });
                        old.quiet = 0;
                        // Truncated, written to and renamed since the last look.
                        if old.was_replaced().unwrap_or(false) {
                            tell(FollowEvent::Truncated { path: self.path.clone() });
                            old.begin_anew(&mut Vec::new());
                        }
                        let since = old.modified();
                        self.retired.push(old);
                        return since.ok();
                    }
                    None => tell(FollowEvent::Opened { path: self.path.clone(), offset: 0 }),
                }
            }
            Ok(tail) if tail.id().is_none() => {
                self.tell_trouble(&io::Error::other("it is compressed, and so does not grow"), tell);
            }
            // It changed while we looked: the next look tells.
            Ok(_) => {}
            Err(error) => self.tell_trouble(&error, tell),
        }
        None
    }

    fn tell_trouble(&mut self, error: &io::Error, tell: &mut dyn FnMut(FollowEvent)) {
        let reason = error.to_string();
        if self.trouble.as_ref() != Some(&reason) {
            tell(FollowEvent::Unreadable { path: self.path.clone(), reason: reason.clone() });
            self.trouble = Some(reason);
        }
    }

    fn read_live(&mut self, most: usize, records: &mut Vec<Record>, tell: &mut dyn FnMut(FollowEvent)) -> bool {
        let Some(tail) = &mut self.live else { return false };
        match tail.read(most, records, &mut self.report) {
            Ok(Read::More) => true,
            Ok(Read::End { grew }) => {
                if grew {
                    self.trouble = None;
                }
                false
            }
            Ok(Read::Truncated) => {
                tell(FollowEvent::Truncated { path: self.path.clone() });
                tail.begin_anew(records);
                true
            }
            Err(error) => {
                self.tell_trouble(&error, tell);
                false
            }
        }
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
