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
        for Rotated { path, head, .. } in place.archive.look(SystemTime::now()) {
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
    for index in 0..places.len() {
        for Rotated { path, head, modified, .. } in places[index].archive.look(written) {
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
        let missing = places.iter().any(|place| place.owns(&position.path));
        if missing {
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
) {
    places.iter_mut().for_each(Place::learn_heads);
    for Rotated { path, head, modified, .. } in places[index].archive.look(since) {
        let is_known = FileId::of(&path).is_ok_and(|id| known.contains(&id))
            || places.iter().any(|place| place.reads(&head))
            || positions.finished.iter().any(|finished| finished.is_of(&head));
        if modified < since || is_known {
            continue;
        }
        if let Ok(tail) = Tail::open(&path) {
            known.extend(tail.id());
            places[index].read_first(tail);
        }
    }
}
