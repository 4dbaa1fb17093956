//! Finds the logs that were rotated while nobody looked, and tells those that are known from those that are not.

use std::collections::HashSet;
use std::time::SystemTime;

use super::FollowEvent;
use super::bytes::FileId;
use super::place::Place;
use super::positions::{Head, Position, Positions};
use super::rotated::Rotated;
use super::tail::Tail;

/// Remembers what was rotated before the first run: a later one does not want it either.
pub(super) fn leave_alone(places: &[Place], positions: &mut Positions) {
    for place in places {
        for Rotated { path, head, .. } in place.archive.look(SystemTime::now()).rotated {
            let is_live = places.iter().any(|place| place.is_live(&path, &head));
            // A header alone may be that of a log to come.
            let has_rows = head.split_inclusive(|byte| *byte == b'\n').any(|line| line.first() != Some(&b'#'));
            if !is_live && has_rows {
                positions.finish(Head::of(&head));
            }
        }
    }
}

/// Finds the logs of an earlier run, and those that came and went after it was `written`.
pub(super) fn go_on(
    places: &mut [Place],
    positions: &mut Positions,
    written: SystemTime,
    tell: &mut (impl FnMut(FollowEvent) + Send),
) {
    let mut open = std::mem::take(&mut positions.logs);
    for place in places.iter_mut() {
        open.retain(|position| !place.owns(&position.path) || !place.resume_live(position, tell));
    }
    let mut known: Vec<Head> = positions.finished.clone();
    let mut lost = HashSet::new();
    for index in 0..places.len() {
        let found = places[index].archive.look(written);
        for (path, error, modified) in found.unreadable {
            // What is live is told where that is looked at, and several places share an archive.
            let is_live = places.iter().any(|place| place.is_at(&path));
            if modified >= written && !is_live && lost.insert(path.clone()) {
                places[index].lose(path, error.to_string(), tell);
            }
        }
        for Rotated { path, head, modified, .. } in found.rotated {
            let is_live = places.iter().any(|place| place.is_live(&path, &head));
            if is_live || known.iter().any(|known| known.is_of(&head)) {
                continue;
            }
            known.push(Head::of(&head));
            if let Some(found) = open.iter().position(|position| position.head.is_of(&head)) {
                let position = open.remove(found);
                let owner = places.iter().position(|place| place.owns(&position.path)).unwrap_or(index);
                places[owner].resume_rotated(&path, &position, tell);
            } else if modified >= written {
                let position = Position { path: path.clone(), offset: 0, line: 0, header: 0, head: Head::of(&head) };
                places[index].resume_rotated(&path, &position, tell);
            }
        }
    }
    open.retain(|position| {
        let owner = places.iter_mut().find(|place| place.owns(&position.path));
        let missing = owner.is_some();
        if let Some(owner) = owner {
            owner.report.lost_files += 1;
            tell(FollowEvent::Missing { path: position.path.clone(), offset: position.offset });
        }
        !missing
    });
    positions.logs = open;
}

/// Finds logs of the place at `index` that came and went between two looks, `since` the last one was written: whoever was stopped
/// for a while missed them.
///
/// Several places share an archive (`logs/current` and `logs`), so each is asked whether it reads what is found: a compressed log is
/// known by its beginning alone.
pub(super) fn catch_up(
    places: &mut [Place],
    index: usize,
    since: SystemTime,
    known: &mut HashSet<FileId>,
    positions: &Positions,
    tell: &mut dyn FnMut(FollowEvent),
) {
    places.iter_mut().for_each(Place::learn_heads);
    let found = places[index].archive.look(since);
    for (path, error, modified) in found.unreadable {
        let is_known = FileId::of(&path).is_ok_and(|id| known.contains(&id));
        if modified >= since && !is_known && !places.iter().any(|place| place.is_at(&path)) {
            places[index].lose(path, error.to_string(), tell);
        }
    }
    for Rotated { path, head, modified, .. } in found.rotated {
        let is_known = FileId::of(&path).is_ok_and(|id| known.contains(&id))
            || places.iter().any(|place| place.reads(&head))
            || positions.finished.iter().any(|finished| finished.is_of(&head));
        if modified < since || is_known {
            continue;
        }
        match Tail::open(&path) {
            Ok(tail) => {
                known.extend(tail.id());
                places[index].read_first(tail);
            }
            Err(error) => places[index].lose(path, error.to_string(), tell),
        }
    }
}
