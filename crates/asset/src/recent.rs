//! A few things, each with when it was first and last seen.

use lapwing_capture::Timestamp;

/// When something was seen, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// What.
    pub what: T,
    /// First.
    pub first: Timestamp,
    /// Last.
    pub last: Timestamp,
    /// How often.
    pub count: u64,
    /// An alert named it: it is not usual, however often it comes.
    pub accused: bool,
}

/// What was there when something new came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// How many things.
    pub known: usize,
    /// When something new was seen last.
    pub newest: Option<Timestamp>,
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
    pub fn note(&mut self, what: T, time: Timestamp) -> Option<Before> {
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.what == what) {
            seen.last = seen.last.max(time);
            seen.count += 1;
            return None;
        }
        let before = Before { known: self.seen.len(), newest: self.seen.iter().map(|seen| seen.first).max() };
        let seen = Seen { what, first: time, last: time, count: 1, accused: false };
        if self.seen.len() < MOST {
            self.seen.push(seen);
        } else if let Some(oldest) = self.seen.iter_mut().min_by_key(|seen| seen.last) {
            *oldest = seen;
        }
        Some(before)
    }

    /// Accuses `what` if it was first seen at `since` or later. It is kept, so that it does not come as something new again.
    pub fn accuse(&mut self, what: T, since: Timestamp) {
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.what == what && seen.first >= since) {
            seen.accused = true;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_for_longest_makes_room() {
        let at = Timestamp::from_seconds;
        let mut recent = Recent::<u8, 2>::default();
        assert_eq!(recent.note(1, at(1)), Some(Before { known: 0, newest: None }));
        assert_eq!(recent.note(2, at(2)), Some(Before { known: 1, newest: Some(at(1)) }));
        assert_eq!(recent.note(1, at(3)), None);
        assert_eq!(recent.note(3, at(4)), Some(Before { known: 2, newest: Some(at(2)) }));
        assert!(recent.contains(1) && !recent.contains(2));
        recent.accuse(3, at(5));
        recent.clear();
        assert!(recent.contains(3), "it was there before");
        recent.accuse(3, at(4));
        assert_eq!(recent.note(3, at(6)), None, "it was told");
        recent.clear();
        assert!(!recent.contains(3));
    }
}
