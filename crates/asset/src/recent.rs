//! A few things, each with when it was first and last seen.

use lapwing_capture::Timestamp;
use serde::{Deserialize, Serialize};

/// When something was seen, and how often. Times are whole seconds: there are many of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// What.
    pub what: T,
    first: u32,
    last: u32,
    /// How often, as far as 32 bits count.
    pub count: u32,
    /// An alert named it: it is not usual, however often it comes.
    pub accused: bool,
}

impl<T> Seen<T> {
    /// When it was first seen, in whole seconds.
    #[must_use]
    pub fn first(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.first))
    }

    /// When it was last seen, in whole seconds.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.last))
    }
}

/// A [`Seen`] as it is kept: what, first, last, count, accused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept<T>(pub(crate) T, u32, u32, u32, bool);

/// What was there when something new came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before<T> {
    /// How many things.
    pub known: usize,
    /// When something new was seen last.
    pub newest: Option<Timestamp>,
    /// What made room for it.
    pub displaced: Option<T>,
}

/// At most `MOST` things; a newcomer takes the place of the one not seen for longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent<T, const MOST: usize> {
    seen: Vec<Seen<T>>,
}

impl<T, const MOST: usize> Default for Recent<T, MOST> {
    fn default() -> Self {
        Self { seen: Vec::new() }
    }
}

impl<T: PartialEq + Copy, const MOST: usize> Recent<T, MOST> {
    /// Notes that `what` was seen; if it is new, tells what was there before it.
    pub fn note(&mut self, what: T, time: Timestamp) -> Option<Before<T>> {
        let second = whole(time);
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.what == what) {
            seen.last = seen.last.max(second);
            seen.count = seen.count.saturating_add(1);
            return None;
        }
        let newest = self.seen.iter().map(|seen| seen.first).max();
        let mut before = Before {
            known: self.seen.len(),
            newest: newest.map(|second| Timestamp::from_seconds(i64::from(second))),
            displaced: None,
        };
        let seen = Seen { what, first: second, last: second, count: 1, accused: false };
        if self.seen.len() < MOST {
            if self.seen.len() == self.seen.capacity() {
                self.seen.reserve_exact((self.seen.len() / 2 + 1).min(MOST - self.seen.len()));
            }
            self.seen.push(seen);
        } else if let Some(oldest) = self.seen.iter_mut().min_by_key(|seen| seen.last) {
            before.displaced = Some(std::mem::replace(oldest, seen).what);
        }
        Some(before)
    }

    /// Accuses what `which` picks of the things first seen in the seconds from `first` to `last`. They are kept, so that they do
    /// not come as something new again.
    pub fn accuse(&mut self, (first, last): (Timestamp, Timestamp), which: impl Fn(T) -> bool) {
        let seconds = whole(first)..=whole(last);
        for seen in self.seen.iter_mut().filter(|seen| seconds.contains(&seen.first) && which(seen.what)) {
            seen.accused = true;
        }
    }

    /// Accuses one thing, or takes that back.
    pub(crate) fn set_accused(&mut self, what: T, accused: bool) {
        for seen in self.seen.iter_mut().filter(|seen| seen.what == what) {
            seen.accused = accused;
        }
    }

    /// Whether it was seen and is accused.
    pub(crate) fn is_accused(&self, what: T) -> bool {
        self.seen.iter().any(|seen| seen.what == what && seen.accused)
    }

    /// Forgets what was accused.
    pub fn clear(&mut self) {
        self.seen.retain(|seen| !seen.accused);
    }

    /// Whether it was seen and not forgotten.
    pub fn contains(&self, what: T) -> bool {
        self.seen.iter().any(|seen| seen.what == what)
    }

    /// What was seen, in the order in which it came.
    pub fn iter(&self) -> impl Iterator<Item = &Seen<T>> {
        self.seen.iter()
    }

    /// What was seen, each thing as `written`, so that it can be kept.
    pub(crate) fn kept<K>(&self, written: impl Fn(T) -> K) -> Vec<Kept<K>> {
        self.seen.iter().map(|seen| Kept(written(seen.what), seen.first, seen.last, seen.count, seen.accused)).collect()
    }

    /// What was kept.
    pub(crate) fn recall<K>(kept: impl IntoIterator<Item = Kept<K>>, read: impl Fn(K) -> T) -> Self {
        let seen = |Kept(what, first, last, count, accused)| Seen { what: read(what), first, last, count, accused };
        Self { seen: kept.into_iter().take(MOST).map(seen).collect() }
    }

    /// Adds what another one saw and this one did not, as far as there is room.
    pub(crate) fn join(&mut self, other: &Self) {
        for seen in &other.seen {
            if self.seen.len() < MOST && !self.contains(seen.what) {
                self.seen.push(*seen);
            }
        }
    }

    /// How many things.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

/// Seconds since 1970 as far as 32 bits reach.
fn whole(time: Timestamp) -> u32 {
    u32::try_from(time.seconds().max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_for_longest_makes_room() {
        let at = Timestamp::from_seconds;
        let mut recent = Recent::<u8, 2>::default();
        assert_eq!(recent.note(1, at(1)), Some(Before { known: 0, newest: None, displaced: None }));
        assert_eq!(recent.note(2, at(2)), Some(Before { known: 1, newest: Some(at(1)), displaced: None }));
        assert_eq!(recent.note(1, at(3)), None);
        assert_eq!(recent.note(3, at(4)), Some(Before { known: 2, newest: Some(at(2)), displaced: Some(2) }));
        assert!(recent.contains(1) && !recent.contains(2));
        recent.accuse((at(5), at(9)), |thing| thing == 3);
        recent.accuse((at(1), at(3)), |thing| thing == 3);
        recent.clear();
        assert!(recent.contains(3), "it came at another time");
        recent.accuse((at(4), at(9)), |thing| thing == 3);
        assert_eq!(recent.note(3, at(6)), None, "it was told");
        recent.clear();
        assert!(!recent.contains(3));
    }
}
