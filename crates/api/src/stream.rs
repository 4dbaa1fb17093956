//! What is told to everybody who listens, numbered, and kept for those who come back.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use serde_json::Value;
use tokio::sync::broadcast::{self, Receiver, Sender};

use crate::clock::now;

/// Updates that are kept for those who come back.
const KEPT: usize = 300;

/// Bytes of them: alerts make some large.
const MOST_KEPT: usize = 8 << 20;

/// Updates that wait for one client at most; what comes then pushes out the oldest.
const QUEUE: usize = 32;

/// One message to everybody, with its place among them.
#[derive(Clone)]
pub(crate) struct Update {
    sequence: u64,
    pub(crate) text: Utf8Bytes,
}

/// Updates for those who come back, the latest, oldest first.
struct Kept {
    updates: VecDeque<Update>,
    bytes: usize,
    /// The number of the latest, kept or not.
    last: u64,
}

impl Kept {
    fn push(&mut self, update: Update) {
        self.last = update.sequence;
        self.bytes += update.text.len();
        self.updates.push_back(update);
        while self.updates.len() > KEPT || self.bytes > MOST_KEPT {
            let Some(gone) = self.updates.pop_front() else { break };
            self.bytes -= gone.text.len();
        }
    }
}

/// What is sent to everybody.
pub(crate) struct Stream {
    sender: Sender<Update>,
    kept: Mutex<Kept>,
}

impl Default for Stream {
    fn default() -> Self {
        // Higher than any number of an earlier life of the server, so that nobody goes on where nothing was.
        let first = u64::try_from(now().micros()).unwrap_or_default();
        let kept = Kept { updates: VecDeque::new(), bytes: 0, last: first };
        Self { sender: broadcast::channel(QUEUE).0, kept: Mutex::new(kept) }
    }
}

impl Stream {
    /// Sends `message` to everybody, under the next number.
    pub(crate) fn tell(&self, mut message: Value) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = kept.last + 1;
        message["sequence"] = sequence.into();
        let update = Update { sequence, text: message.to_string().into() };
        kept.push(update.clone());
        // Nobody may listen.
        let _ = self.sender.send(update);
    }

    /// How many listen.
    pub(crate) fn clients(&self) -> usize {
        self.sender.receiver_count()
    }

    /// What comes from now on, the last number before it, and what came after `since`, if all of that is still there.
    pub(crate) fn join(&self, since: Option<u64>) -> (Receiver<Update>, u64, Option<Vec<Update>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.sender.subscribe();
        let last = kept.last;
        let missed = since.filter(|since| *since <= last).and_then(|since| {
            let is_whole = since == last || kept.updates.front().is_some_and(|first| first.sequence <= since + 1);
            is_whole.then(|| kept.updates.iter().filter(|update| update.sequence > since).cloned().collect())
        });
        (receiver, last, missed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_comes_back_gets_what_came_in_the_meantime_or_is_told_of_a_gap() {
        let stream = Stream::default();
        let first = stream.join(None).1;
        (0..KEPT + 10).for_each(|_| stream.tell(json!({})));
        let last = first + (KEPT + 10) as u64;
        let missed = |since| stream.join(Some(since)).2.map(|missed| missed.len());
        assert_eq!(missed(last), Some(0));
        assert_eq!(missed(last - 5), Some(5));
        assert_eq!(missed(first + 10), Some(KEPT));
        assert_eq!(missed(first + 9), None);
        assert_eq!(missed(last + 1), None, "from another life of the server");
        assert!(stream.join(None).2.is_none());
    }

    #[test]
    fn an_update_too_large_to_be_kept_is_a_gap_and_numbers_go_on() {
        let stream = Stream::default();
        let first = stream.join(None).1;
        stream.tell(json!({ "text": "x".repeat(MOST_KEPT) }));
        stream.tell(json!({}));
        assert_eq!(stream.join(None).1, first + 2);
        assert!(stream.join(Some(first)).2.is_none());
        assert_eq!(stream.join(Some(first + 1)).2.map(|missed| missed.len()), Some(1));
    }
}
