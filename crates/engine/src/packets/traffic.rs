//! Packets and bytes, second by second.

use std::collections::VecDeque;

use lapwing_capture::Timestamp;
use lapwing_feature::PacketLabel;

use crate::clock::Clock;

const LABELS: usize = PacketLabel::ALL.len();

/// Packets, and their bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// What passed, by label; every frame is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    labels: [Count; LABELS],
    /// Packets of those looked at that are anomalous.
    pub anomalies: u64,
}

impl Totals {
    /// All packets.
    #[must_use]
    pub fn all(&self) -> Count {
        let mut all = Count::default();
        self.labels.iter().for_each(|count| all.add(*count));
        all
    }

    /// The labels that occurred.
    pub fn by_label(&self) -> impl Iterator<Item = (PacketLabel, Count)> + '_ {
        PacketLabel::ALL.into_iter().zip(self.labels).filter(|(_, count)| count.packets > 0)
    }

    #[inline]
    pub(super) fn count(&mut self, label: PacketLabel, bytes: u32) {
        let count = &mut self.labels[label as usize];
        count.packets += 1;
        count.bytes += u64::from(bytes);
    }

    fn add(&mut self, other: &Self) {
        self.anomalies += other.anomalies;
        for (count, more) in self.labels.iter_mut().zip(other.labels) {
            count.add(more);
        }
    }
}

/// What passed within one second of capture time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficSecond {
    /// Counts the seconds, over all sources, from 1.
    pub sequence: u64,
    /// When it began.
    pub time: Timestamp,
    /// What passed.
    pub totals: Totals,
}

/// The last seconds.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    clock: Clock,
    /// Those that are over, oldest first.
    over: VecDeque<TrafficSecond>,
    sequence: u64,
    now: Option<Timestamp>,
    current: Totals,
    all: Totals,
}

impl Traffic {
    /// Seconds that are kept.
    pub(super) const SECONDS: usize = 300;

    /// Another source: what passed is forgotten, the numbers go on.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { sequence: self.sequence, ..Self::default() };
    }

    /// Whether a frame of that time, or silence until then, belongs to the current second: most do.
    #[inline]
    pub(super) fn is_now(&self, time: Timestamp) -> bool {
        self.now.is_some_and(|now| (0..1_000_000_000).contains(&time.nanos_since(now)))
    }

    /// Moves on to the time of a frame, if it is to be believed.
    pub(super) fn observe(&mut self, time: Timestamp) {
        self.clock.observe(time);
        self.follow();
    }

    /// Moves on, though no frame came.
    pub(super) fn pass(&mut self, time: Timestamp) {
        self.clock.pass(time);
        self.follow();
    }

    /// Adds to the current second.
    pub(super) fn add(&mut self, more: &Totals) {
        self.current.add(more);
        self.all.add(more);
    }

    /// Those that are over, with a higher number than `after`; oldest first.
    pub(super) fn seconds(&self, after: u64) -> Vec<TrafficSecond> {
        let from = self.over.partition_point(|second| second.sequence <= after);
        self.over.range(from..).copied().collect()
    }

    /// All that passed, and capture time.
    pub(super) fn all(&self) -> (Totals, Option<Timestamp>) {
        (self.all, self.clock.now())
    }

    fn follow(&mut self) {
        let Some(second) = self.clock.now().map(crate::clock::whole_second) else { return };
        let Some(now) = self.now.replace(second) else { return };
        if second < now {
            // The first frames' time was broken.
            self.over.clear();
        }
        let mut ended = now;
        // What is further back than is kept would be pushed out again.
        let passed = (second.seconds() - now.seconds()).min(Self::SECONDS as i64 + 1);
        for _ in 0..passed {
            self.sequence += 1;
            let totals = std::mem::take(&mut self.current);
            self.over.push_back(TrafficSecond { sequence: self.sequence, time: ended, totals });
            if self.over.len() > Self::SECONDS {
                self.over.pop_front();
            }
            ended = Timestamp::from_seconds((ended.seconds() + 1).max(second.seconds() - Self::SECONDS as i64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(traffic: &mut Traffic, second: i64) {
        let mut more = Totals::default();
        more.count(PacketLabel::Dns, 100);
        traffic.observe(Timestamp::from_nanos(second * 1_000_000_000 + 7));
        traffic.add(&more);
    }

    fn seen(traffic: &Traffic, after: u64) -> Vec<(u64, i64, u64)> {
        let seconds = traffic.seconds(after).into_iter();
        seconds.map(|second| (second.sequence, second.time.seconds(), second.totals.all().packets)).collect()
    }

    #[test]
    fn seconds_come_when_they_are_over_silent_ones_too() {
        let mut traffic = Traffic::default();
        [1_000, 1_000, 1_001, 1_003].into_iter().for_each(|second| frame(&mut traffic, second));
        assert_eq!(seen(&traffic, 0), [(1, 1_000, 2), (2, 1_001, 1), (3, 1_002, 0)]);
        traffic.pass(Timestamp::from_seconds(1_004));
        assert_eq!(seen(&traffic, 3), [(4, 1_003, 1)]);
        assert_eq!(traffic.all().0.all(), Count { packets: 4, bytes: 400 });
        let labels: Vec<_> = traffic.all().0.by_label().collect();
        assert_eq!(labels, [(PacketLabel::Dns, Count { packets: 4, bytes: 400 })]);
    }

    #[test]
    fn late_frames_count_as_now_and_broken_times_as_nothing_new() {
        let mut traffic = Traffic::default();
        [1_000, 1_001, 990, 900_000_000, 1_001, 1_002].into_iter().for_each(|second| frame(&mut traffic, second));
        assert_eq!(seen(&traffic, 0), [(1, 1_000, 1), (2, 1_001, 4)]);
    }

    #[test]
    fn a_long_silence_leaves_the_last_three_hundred_seconds() {
        let mut traffic = Traffic::default();
        frame(&mut traffic, 1_000);
        frame(&mut traffic, 51_000);
        let kept = seen(&traffic, 0);
        assert_eq!(kept.len(), Traffic::SECONDS);
        assert_eq!((kept[0].1, kept[299].1), (50_700, 50_999));
        assert!(kept.iter().all(|(_, _, packets)| *packets == 0));
        traffic.begin_anew();
        frame(&mut traffic, 5);
        frame(&mut traffic, 6);
        assert_eq!(seen(&traffic, 0), [(kept[299].0 + 1, 5, 1)]);
    }
}
