//! Records in the order of time.
//!
//! A log is written when its sensor forgets a connection: seconds after a close, minutes after silence, and whenever a sensor is
//! stopped. So records wait in a window, and the earliest leave it first. What comes after later ones have left is used all
//! the same, and counted.

use lapwing_capture::Timestamp;

use crate::Record;

/// Records that wait: about 17 MB. Zeek's longest usual delay of five minutes holds as many records at a hundred a second.
const WAITING: usize = 1 << 15;

/// Puts records in the order of the times at which their connections end.
#[derive(Debug)]
pub struct Window {
    waiting: usize,
    records: Vec<Record>,
    /// Time and place of each record.
    order: Vec<(Timestamp, u32)>,
    left: Timestamp,
    late: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(WAITING)
    }
}

impl Window {
    /// Holds back at least `waiting` records and at most twice as many.
    #[must_use]
    pub fn new(waiting: usize) -> Self {
        let waiting = waiting.clamp(1, 1 << 24);
        Self { waiting, records: Vec::new(), order: Vec::new(), left: Timestamp::MIN, late: 0 }
    }

    /// Takes records in, and hands those that have waited enough to `each`.
    pub fn push(&mut self, records: &mut Vec<Record>, each: &mut dyn FnMut(&mut Record)) {
        for record in records.drain(..) {
            self.late += u64::from(record.time() < self.left);
            self.records.push(record);
            if self.records.len() >= 2 * self.waiting {
                self.release(self.waiting, each);
            }
        }
    }

    /// Hands out everything that ended by `time`: no record of an earlier end is expected.
    pub fn release_until(&mut self, time: Timestamp, each: &mut dyn FnMut(&mut Record)) {
        let count = self.records.iter().filter(|record| record.time() <= time).count();
        self.release(count, each);
        self.left = self.left.max(time);
    }

    /// Hands out what is left.
    pub fn finish(&mut self, each: &mut dyn FnMut(&mut Record)) {
        self.release(self.records.len(), each);
    }

    /// Records that came after later ones had left.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Records that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no record waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn release(&mut self, count: usize, each: &mut dyn FnMut(&mut Record)) {
        if count == 0 {
            return;
        }
        self.order.clear();
        self.order.extend(self.records.iter().map(Record::time).zip(0_u32..));
        // Places make it stable: what came first leaves first.
        self.order.sort_unstable();
        let (leaving, staying) = self.order.split_at(count);
        for (time, place) in leaving {
            self.left = self.left.max(*time);
            each(&mut self.records[*place as usize]);
        }
        let kept: Vec<Record> = {
            let mut stays = vec![false; self.records.len()];
            staying.iter().for_each(|(_, place)| stays[*place as usize] = true);
            let mut stays = stays.into_iter();
            self.records.retain(|_| stays.next().unwrap_or(false));
            std::mem::take(&mut self.records)
        };
        self.records = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapwing_flow::Flow;
    use lapwing_protocol::Facts;
    use proptest::prelude::*;

    fn record(seconds: i64, uid: u64) -> Record {
        let flow = Flow { last: Timestamp::from_seconds(seconds), uid, ..Flow::default() };
        Record { flow, facts: Facts::NONE, open: false, label: None }
    }

    fn through(times: &[i64], waiting: usize) -> (Vec<(i64, u64)>, u64) {
        let (mut window, mut out) = (Window::new(waiting), Vec::new());
        let mut each = |record: &mut Record| out.push((record.flow.last.seconds(), record.flow.uid));
        for (time, uid) in times.iter().zip(0..) {
            window.push(&mut vec![record(*time, uid)], &mut each);
        }
        window.finish(&mut each);
        (out, window.late())
    }

    #[test]
    fn what_comes_too_late_is_used_and_counted() {
        let (out, late) = through(&[10, 20, 30, 40, 5, 50, 60], 1);
        assert_eq!(out.len(), 7);
        assert_eq!(late, 1);
    }

    #[test]
    fn everything_up_to_a_moment_leaves_when_asked() {
        let (mut window, mut out) = (Window::new(100), Vec::new());
        window.push(&mut vec![record(3, 0), record(1, 1), record(2, 2)], &mut |_| {});
        window.release_until(Timestamp::from_seconds(2), &mut |record| out.push(record.flow.uid));
        assert_eq!((out, window.len()), (vec![1, 2], 1));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_small_disorder_is_undone(times in proptest::collection::vec(0_i64..20, 0..200), waiting in 1_usize..50) {
            // Each is at most 20 places from where it belongs.
            let times: Vec<i64> = times.iter().zip(0..).map(|(jitter, place): (&i64, i64)| place + jitter).collect();
            let (out, late) = through(&times, waiting);
            prop_assert_eq!(out.len(), times.len());
            if waiting >= 20 {
                prop_assert!(out.is_sorted());
                prop_assert_eq!(late, 0);
            }
        }
    }
}
