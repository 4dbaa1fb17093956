//! The source that is to be watched next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::open::Opened;

/// Room for one source that waits for the one before to end; a newer one takes its place.
#[derive(Default)]
pub(super) struct Next {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Option<(u64, Opened)>,
    /// How many there were: the last one's number.
    count: u64,
    /// Ends the source that was taken last.
    stop: Arc<AtomicBool>,
    over: bool,
}

impl Next {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is watched, and puts another in line; returns its number.
    pub(super) fn put(&self, opened: Opened) -> u64 {
        let mut state = self.lock();
        state.count += 1;
        let number = state.count;
        state.waiting = Some((number, opened));
        state.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
        number
    }

    /// Takes the source of that number back; returns whether it was still waiting.
    pub(super) fn take_back(&self, number: u64) -> bool {
        self.lock().waiting.take_if(|(waiting, _)| *waiting == number).is_some()
    }

    /// Waits for a source, and takes it with its number; `None` once everything is to end.
    pub(super) fn take(&self) -> Option<(u64, Opened)> {
        let idle = |state: &mut State| state.waiting.is_none() && !state.over;
        let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let taken = state.waiting.take().filter(|_| !state.over)?;
        state.stop = Arc::clone(&taken.1.stop);
        Some(taken)
    }

    /// Ends what is watched, and has nothing taken any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        state.waiting = None;
        state.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use lapwing_api::SourceStatus;
    use lapwing_capture::Pace;

    use super::super::open::Frames;
    use super::*;
    use crate::monitor::simulate;

    fn opened(name: &str) -> Opened {
        let stop = Arc::new(AtomicBool::new(false));
        let source = simulate::home(1, Pace::OWN, Arc::clone(&stop));
        let pace = source.status();
        let status = SourceStatus { names: vec![name.to_owned()], ..SourceStatus::default() };
        Opened { frames: Frames::Replay(Box::new(source), pace), status, stop, filter: None, captures: Vec::new() }
    }

    #[test]
    fn the_newest_is_watched_and_what_was_taken_back_is_not() {
        let next = Next::default();
        let first = next.put(opened("first"));
        let (number, watched) = next.take().unwrap();
        assert_eq!((number, watched.status.names[0].as_str()), (first, "first"));
        assert!(!next.take_back(first), "it is watched already");
        let late = next.put(opened("late"));
        assert!(watched.stop.load(Ordering::Relaxed), "it makes room");
        assert!(next.take_back(late) && !next.take_back(late));
        next.put(opened("older"));
        let newer = next.put(opened("newer"));
        let (number, watched) = next.take().unwrap();
        assert_eq!((number, watched.status.names[0].as_str()), (newer, "newer"));
        next.end();
        assert!(watched.stop.load(Ordering::Relaxed) && next.take().is_none());
    }
}
