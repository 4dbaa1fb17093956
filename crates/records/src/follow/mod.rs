//! Logs that grow: what was written since is read, over rotation, truncation and restarts.
//!
//! [`Followed`] looks at each log's path again and again. A file that was renamed away is read to its end beside its successor; one
//! that became shorter is read anew; a line without its end waits. Whoever uses the records says when they were dealt with
//! ([`Followed::acknowledge`]): that position is kept in a state folder, and the next run goes on there, with what was rotated in
//! between too. A log is known by its first bytes, wherever it was moved and however it was compressed.

mod bytes;
mod place;
mod positions;
mod rotated;
mod search;
mod tail;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lapwing_capture::Timestamp;

use crate::folder::ZEEK_FOLDERS;
use crate::record::Record;
use crate::report::LogReport;
use bytes::FileId;
use place::Place;
use positions::{Kept, Positions};
use rotated::Archive;
use search::{catch_up, go_on, leave_alone};

/// Records read from one log before the others get their turn.
const AT_ONCE: usize = 4_096;

/// Names of the logs of connections that Zeek is writing.
const ZEEK_LOGS: [&str; 2] = ["conn.log", "open_conn.log"];

/// How long a connection may be over before a log tells of it: Zeek's `udp_inactivity_timeout`, and some seconds.
const UNWRITTEN: Duration = Duration::from_secs(65);

/// What to follow.
#[derive(Clone, Debug, Default)]
pub struct FollowConfig {
    /// Folders that Zeek writes to: its `logs` with `current` in it, or the one that holds `conn.log`; or such a file.
    pub zeek: Vec<PathBuf>,
    /// Logs of Suricata's.
    pub eve: Vec<PathBuf>,
    /// Where positions are kept; without it every run begins with what the logs hold.
    pub state: Option<PathBuf>,
}

impl FollowConfig {
    /// The folders that Zeek writes to where it was installed as usual, those that are there.
    #[must_use]
    pub fn usual_zeek() -> Vec<PathBuf> {
        ZEEK_FOLDERS.iter().map(PathBuf::from).filter(|folder| folder.is_dir()).collect()
    }
}

/// Something that happened to a log. Each is told once, not each time it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEvent {
    /// It is there, and read from `offset` on.
    Opened {
        /// The log.
        path: PathBuf,
        /// Bytes that an earlier run dealt with.
        offset: u64,
    },
    /// It was renamed or removed, and another one took its place.
    Rotated {
        /// The log.
        path: PathBuf,
    },
    /// It became shorter, or begins otherwise: it is read anew.
    Truncated {
        /// The log.
        path: PathBuf,
    },
    /// It cannot be read now; it is tried again.
    Unreadable {
        /// The log.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A log that an earlier run had begun is nowhere to be found: if it went on after `offset`, that is lost.
    Missing {
        /// Where it was.
        path: PathBuf,
        /// How far it was read.
        offset: u64,
    },
    /// Something in it is wrong; see [`LogReport::problems`] and [`LogReport::warnings`].
    Problem {
        /// With file, line and reason.
        what: String,
    },
    /// The positions cannot be written now: a restart would repeat what was read since they were.
    NotKept {
        /// Why.
        reason: String,
    },
}

/// Why logs cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The state folder cannot be used.
    #[error("{}: the positions cannot be kept: {source}; name another folder or mend the permissions", path.display())]
    State {
        /// The file in it.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The positions cannot be understood.
    #[error("{}: no positions that this build reads: {reason}; remove the file to begin anew", path.display())]
    Positions {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing was named, and nothing found.
    #[error("no folder of Zeek's was found where it is usual ({}); name it", ZEEK_FOLDERS.join(", "))]
    NothingToFollow,
}

/// Logs that are followed.
pub struct Followed {
    places: Vec<Place>,
    kept: Option<Kept>,
    positions: Positions,
    not_kept: bool,
    tell: Box<dyn FnMut(FollowEvent) + Send>,
}

impl Followed {
    /// Finds where earlier runs ended. Logs that are not there yet are waited for.
    ///
    /// What was rotated before the first run is left alone; what was rotated between two runs is read first.
    ///
    /// # Errors
    /// When nothing is named, or the positions of an earlier run cannot be read.
    pub fn open(
        config: &FollowConfig,
        mut tell: impl FnMut(FollowEvent) + Send + 'static,
    ) -> Result<Self, FollowError> {
        let mut places: Vec<Place> = config.zeek.iter().flat_map(|folder| zeek(folder)).collect();
        places.extend(config.eve.iter().map(|file| Place::new(file.clone(), beside(file))));
        if places.is_empty() {
            return Err(FollowError::NothingToFollow);
        }
        let (kept, found) = match &config.state {
            Some(folder) => Kept::open(folder).map(|(kept, found)| (Some(kept), found))?,
            None => (None, None),
        };
        let mut positions = Positions::default();
        match found {
            Some((found, written)) => {
                positions = found;
                go_on(&mut places, &mut positions, written, &mut tell);
            }
            // They are not wanted by a later run either.
            None if kept.is_some() => leave_alone(&places, &mut positions),
            None => {}
        }
        let mut followed = Self { places, kept, positions, not_kept: false, tell: Box::new(tell) };
        followed.look();
        Ok(followed)
    }

    /// Appends records that were written since the last look, some thousands at most; returns whether there is more already.
    pub fn poll(&mut self, records: &mut Vec<Record>) -> bool {
        let mut more = false;
        let mut known: HashSet<FileId> = self.places.iter().flat_map(Place::ids).collect();
        for index in 0..self.places.len() {
            // What was rotated is read first, and what came since is looked for afterwards.
            if !self.places[index].has_backlog() {
                self.look_at(index, &mut known);
            }
            more |= self.places[index].poll(AT_ONCE, records, &mut self.positions, &mut self.tell);
        }
        more
    }

    /// Takes what waits for another line or for its end, because the run is over: a line without its end stays for the next run.
    pub fn finish(&mut self, records: &mut Vec<Record>) {
        self.places.iter_mut().for_each(|place| place.flush(records));
    }

    /// Notes that all records handed out so far were dealt with: no run hands them out again.
    pub fn acknowledge(&mut self) {
        // A log that came since the last look is none that the next run has to search for.
        self.look();
        let Some(kept) = &mut self.kept else { return };
        // What an earlier run followed and this one does not stays as it was.
        let mine = |path: &Path| self.places.iter().any(|place| place.owns(path));
        self.positions.logs.retain(|position| !mine(&position.path));
        self.positions.logs.extend(self.places.iter().flat_map(Place::positions));
        match kept.write(&self.positions) {
            Ok(()) => self.not_kept = false,
            Err(error) if !self.not_kept => {
                self.not_kept = true;
                (self.tell)(FollowEvent::NotKept { reason: error.to_string() });
            }
            Err(_) => {}
        }
    }

    /// How far capture time has come though nothing was written, whole seconds: a minute behind the wall clock, for so long a
    /// sensor keeps a connection that fell silent.
    #[must_use]
    pub fn reached(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_seconds(Timestamp::default().plus(now.saturating_sub(UNWRITTEN)).seconds())
    }

    /// Bytes that were read, for whoever shows how far it has come.
    #[must_use]
    pub fn position(&self) -> lapwing_capture::Position {
        let read = self.places.iter().map(Place::taken).sum();
        lapwing_capture::Position { read, total: None }
    }

    fn look(&mut self) {
        let mut known: HashSet<FileId> = self.places.iter().flat_map(Place::ids).collect();
        for index in 0..self.places.len() {
            self.look_at(index, &mut known);
            self.places[index].learn_heads();
        }
    }

    fn look_at(&mut self, index: usize, known: &mut HashSet<FileId>) {
        if let Some(since) = self.places[index].look(known, &mut self.tell) {
            catch_up(&mut self.places, index, since, known, &self.positions, &mut self.tell);
        }
    }

    /// What was read so far by this run and what could not be, one report a log: of those that were there, or that something is
    /// wrong with; where there is none of these, of all that are waited for.
    #[must_use]
    pub fn reports(&self) -> Vec<LogReport> {
        let matters = |place: &&Place| place.was_there || place.report.refused.is_some() || place.report.lost_files > 0;
        let none = self.places.iter().all(|place| !matters(&place));
        let told = self.places.iter().filter(|place| none || matters(place));
        told.map(|place| place.report.clone()).collect()
    }

    /// The folders in which logs are looked for, those to which they are moved among them.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for place in &self.places {
            folders.extend(place.archive.folders.iter().cloned());
            folders.extend(place.path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)));
            let Some(folder) = place.path.parent() else { continue };
            folders.push(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() });
            // Where `logs/current` leads, also while it is not there.
            if folder.file_name().is_some_and(|name| name == "current") {
                let around = folder.parent().and_then(Path::parent).map(|around| around.join("spool"));
                folders.extend(around.filter(|spool| spool.is_dir()));
            }
        }
        folders.sort();
        folders.dedup();
        folders
    }

    /// The paths that are looked at.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.places.iter().map(|place| place.path.as_path())
    }
}

/// The logs that Zeek writes in a folder, and where it puts them afterwards.
fn zeek(folder: &Path) -> Vec<Place> {
    if folder.is_file() || folder.extension().is_some_and(|extension| extension == "log") {
        return vec![Place::new(folder.to_owned(), beside(folder))];
    }
    // `logs/current` leads to a spool folder; archives lie in `logs`.
    let archives = match folder.file_name() {
        Some(name) if name == "current" => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    let mut places = Vec::new();
    for folder in [folder.join("current"), folder.to_owned()] {
        for name in ZEEK_LOGS {
            let mut folders = vec![archives.to_owned()];
            folders.extend(folder.canonicalize());
            let prefix = name.trim_end_matches(".log").to_owned();
            places.push(Place::new(folder.join(name), Archive { folders, prefix }));
        }
    }
    places
}

/// `eve.json.1`, `eve.json-20261121.gz`, `eve-2026.json`.
fn beside(file: &Path) -> Archive {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Archive { folders: vec![folder.to_owned()], prefix }
}
