//! A source that is looked at while it is read.

mod budget;
mod tapped;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use lapwing_capture::{Filter, Frame, Timestamp};
use lapwing_detect::packets::{JudgeState, Method, PacketJudge, Pattern};

use super::ring::Ring;
use super::subscription::{Queue, lock};
use super::traffic::Traffic;
use super::{PacketPage, PacketQuery, PacketReader, PacketRecord, Subscription, Totals, TrafficSecond};
pub use tapped::Tapped;

/// What passes through a [`Tapped`] source: counts by the second, the last packets, and packets as they pass.
///
/// A handle that is cheap to clone; it outlives its sources, so that one of them can take the place of another while readers
/// hold on to it. Every frame is counted. Looked at one by one are at most [`Tap::PACKETS_PER_SECOND`] in a second of the wall clock,
/// in runs of frames that follow each other; the others are left out of lists and counted ([`Tap::left_out`]). They are judged
/// when somebody asked for it ([`Tap::judge_by`]).
#[derive(Clone, Default)]
pub struct Tap {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    traffic: Mutex<Traffic>,
    ring: Mutex<Ring>,
    judge: Mutex<Option<PacketJudge>>,
    queues: Mutex<Vec<Weak<Queue>>>,
    subscribers: Arc<AtomicUsize>,
    left_out: AtomicU64,
    /// Bytes of payload that are shown; zero shows none.
    payload: AtomicUsize,
}

impl Tap {
    /// Packets that are looked at in a second of the wall clock.
    pub const PACKETS_PER_SECOND: u32 = 2_000;

    /// Bytes of payload that can be shown: what is kept of a frame, less the usual headers.
    pub const MOST_PAYLOAD: usize = 200;

    /// What passed in each of the last seconds of capture time that are over, at most 300, oldest first. `after` is the highest
    /// [`TrafficSecond::sequence`] that is known already; 0 asks for all.
    #[must_use]
    pub fn seconds(&self, after: u64) -> Vec<TrafficSecond> {
        lock(&self.shared.traffic).seconds(after)
    }

    /// What passed since the source began, and capture time as it is known from frames and silence.
    #[must_use]
    pub fn totals(&self) -> (Totals, Option<Timestamp>) {
        lock(&self.shared.traffic).all()
    }

    /// Frames that were counted, but not looked at, because there were too many at once.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.shared.left_out.load(Ordering::Relaxed)
    }

    /// Judges the packets that are looked at by this method from now on. It learns from the packets that pass, so it says nothing
    /// at first ([`JudgeState::text`]); a change of method forgets nothing of what was learnt.
    ///
    /// # Errors
    /// [`Method::unavailable`] when the method is; nothing changes then.
    pub fn judge_by(&self, method: Method) -> Result<(), &'static str> {
        let mut judge = lock(&self.shared.judge);
        match judge.as_mut() {
            Some(judge) => judge.set_method(method),
            None => PacketJudge::new(method).map(|new| *judge = Some(new)),
        }
    }

    /// How far judging has come; `None` while nobody asked for it.
    #[must_use]
    pub fn judging(&self) -> Option<JudgeState> {
        lock(&self.shared.judge).as_ref().map(PacketJudge::state)
    }

    /// How many of the packets judged so far had each pattern, in the order of [`Pattern::ALL`].
    #[must_use]
    pub fn patterns(&self) -> Vec<(Pattern, u64)> {
        match lock(&self.shared.judge).as_ref() {
            Some(judge) => judge.patterns().collect(),
            None => Pattern::ALL.map(|pattern| (pattern, 0)).into(),
        }
    }

    /// Shows at most so many bytes of what packets carry, in pages and to subscribers; `None`, as in the beginning, shows nothing.
    pub fn show_payload(&self, most: Option<usize>) {
        self.shared.payload.store(most.unwrap_or(0).min(Self::MOST_PAYLOAD), Ordering::Relaxed);
    }

    fn payload(&self) -> Option<usize> {
        Some(self.shared.payload.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    /// The last packets that fit, newest first, of the last 1,000 that were looked at; of those before the packet of index `before`,
    /// where one is given. A filter sees the first 256 bytes of each frame. [`PacketQuery::payload`] cannot show more than
    /// [`Tap::show_payload`] allows.
    #[must_use]
    pub fn packets(&self, query: &PacketQuery, before: Option<u64>) -> PacketPage {
        let kept = lock(&self.shared.ring).copy(before.unwrap_or(u64::MAX));
        let payload = query.payload.and_then(|asked| self.payload().map(|allowed| asked.min(allowed)));
        let mut query = PacketQuery { payload, ..query.clone() };
        let mut reader = PacketReader::default();
        let mut page = PacketPage::default();
        for kept in kept.iter().rev() {
            if page.packets.len() == query.limit {
                page.next = page.packets.last().map(|last| last.index);
                break;
            }
            page.packets.extend(query.pick(kept.frame(), kept.judgement, &mut reader));
        }
        page
    }

    /// Packets from now on that `filter` takes (`None`: all), of which `capacity` wait for their reader at most.
    #[must_use]
    pub fn subscribe(&self, filter: Option<Filter>, capacity: usize) -> Subscription {
        let subscription = Subscription::new(filter, capacity, &self.shared.subscribers);
        lock(&self.shared.queues).push(Arc::downgrade(subscription.queue()));
        subscription
    }

    fn has_subscribers(&self) -> bool {
        self.shared.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Forgets what an earlier source brought, as for one that is followed without packets.
    pub fn begin_anew(&self) {
        lock(&self.shared.traffic).begin_anew();
        lock(&self.shared.ring).clear();
        let mut judge = lock(&self.shared.judge);
        *judge = judge.take().and_then(|judge| PacketJudge::new(judge.state().method).ok());
        drop(judge);
        self.shared.left_out.store(0, Ordering::Relaxed);
    }

    /// Hands a packet to whoever wants its frame.
    fn tell(&self, frame: Frame<'_>, record: PacketRecord) {
        let mut queues = lock(&self.shared.queues);
        queues.retain(|queue| queue.strong_count() > 0);
        let record = Arc::new(record);
        for queue in queues.iter().filter_map(Weak::upgrade).filter(|queue| queue.wants(frame)) {
            queue.push(Arc::clone(&record));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lapwing_capture::{FrameBatch, InputReport, LinkType, Position, Progress, Source, SourceError};
    use lapwing_feature::PacketLabel;

    use super::*;

    /// Batches of frames to port 53 and to port 443 in turn, every millisecond one.
    struct Frames {
        left: u64,
        batch: u64,
        next: u64,
    }

    impl Source for Frames {
        fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
            batch.clear();
            batch.first_number = self.next;
            for _ in 0..self.batch.min(self.left) {
                let mut data = [0; 600];
                data[12] = 8;
                data[14] = 0x45;
                data[16] = 2;
                data[23] = 17;
                data[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
                data[34] = 200;
                data[36..38].copy_from_slice(&(if self.next.is_multiple_of(2) { 53_u16 } else { 443 }).to_be_bytes());
                data[38..40].copy_from_slice(&492_u16.to_be_bytes());
                data[42..].fill(b'x');
                batch.push(Timestamp::from_micros(1_000 * self.next as i64), LinkType::ETHERNET, 600, 0, &data);
                self.next += 1;
                self.left -= 1;
            }
            Ok(if self.left > 0 { Progress::More } else { Progress::End })
        }

        fn reports(&self) -> Vec<InputReport> {
            Vec::new()
        }

        fn position(&self) -> Position {
            Position::default()
        }
    }

    fn run(tap: &Tap, frames: u64, filter: Option<&str>) -> u64 {
        let filter = filter.map(|text| Filter::new(text).unwrap());
        let mut source = Tapped::new(Frames { left: frames, batch: 100, next: 1 }, tap, filter);
        let (mut batch, mut read) = (FrameBatch::default(), 0);
        loop {
            let progress = source.read(&mut batch).unwrap();
            read += batch.len() as u64;
            if progress == Progress::End {
                return read;
            }
        }
    }

    fn indices(page: &PacketPage) -> Vec<u64> {
        page.packets.iter().map(|packet| packet.index).collect()
    }

    #[test]
    fn every_frame_is_counted_however_many_there_are() {
        let tap = Tap::default();
        assert_eq!(run(&tap, 50_000, None), 50_000);
        let (totals, now) = tap.totals();
        assert_eq!((totals.all().packets, totals.all().bytes), (50_000, 30_000_000));
        let labels: Vec<_> = totals.by_label().map(|(label, count)| (label, count.packets)).collect();
        assert_eq!(labels, [(PacketLabel::Dns, 25_000), (PacketLabel::Quic, 25_000)]);
        assert_eq!(now, Some(Timestamp::from_micros(50_000_000)));
        let seconds = tap.seconds(0);
        assert_eq!(seconds.len(), 50);
        assert!(seconds[1..].iter().all(|second| second.totals.all().packets == 1_000));
        assert_eq!(tap.seconds(49).len(), 1);
        assert!(tap.left_out() > 40_000);
    }

    #[test]
    fn the_last_packets_are_found_page_by_page_newest_first() {
        let tap = Tap::default();
        run(&tap, 1_500, None);
        let mut query =
            PacketQuery { filter: Some(Filter::new("port 53").unwrap()), limit: 300, ..PacketQuery::default() };
        let first = tap.packets(&query, None);
        assert_eq!(indices(&first), (451..=750).rev().map(|half| half * 2).collect::<Vec<_>>());
        let second = tap.packets(&query, first.next);
        assert_eq!(indices(&second), (251..=450).rev().map(|half| half * 2).collect::<Vec<_>>());
        assert_eq!((first.next, second.next), (Some(902), None));
        query.host = Some("10.0.0.3".parse().unwrap());
        assert_eq!(tap.packets(&query, None), PacketPage::default());
    }

    #[test]
    fn payload_is_shown_only_where_it_was_allowed() {
        let tap = Tap::default();
        run(&tap, 10, None);
        let query = PacketQuery { payload: Some(1_000), limit: 1, ..PacketQuery::default() };
        assert_eq!(tap.packets(&query, None).packets[0].payload, None);
        tap.show_payload(Some(4));
        assert_eq!(tap.packets(&query, None).packets[0].payload.as_deref(), Some("xxxx"));
    }

    #[test]
    fn a_subscriber_gets_what_it_wants_and_is_told_what_it_lost() {
        let tap = Tap::default();
        run(&tap, 10, None);
        let all = tap.subscribe(None, 1_000);
        let dns = tap.subscribe(Some(Filter::new("port 53").unwrap()), 20);
        run(&tap, 100, None);
        let taken = all.take(Duration::ZERO);
        assert_eq!((taken.packets.len(), taken.lost), (100, 0));
        let taken = dns.take(Duration::from_secs(1));
        assert_eq!((taken.packets.len(), taken.lost), (20, 30));
        assert!(taken.packets.iter().all(|packet| packet.dst_port == Some(53)));
        assert_eq!(taken.packets.last().unwrap().index, 100);
        drop((all, dns));
        assert!(!tap.has_subscribers());
    }

    #[test]
    fn what_a_filter_leaves_is_not_counted_but_handed_on() {
        let tap = Tap::default();
        assert_eq!(run(&tap, 100, Some("port 53")), 100);
        assert_eq!(tap.totals().0.all().packets, 50);
        assert_eq!(tap.packets(&PacketQuery::default(), None).packets.len(), 50);
    }

    #[test]
    fn another_source_begins_anew_and_numbers_of_seconds_go_on() {
        let tap = Tap::default();
        run(&tap, 5_000, None);
        let last = tap.seconds(0).last().unwrap().sequence;
        run(&tap, 3_000, None);
        assert_eq!(tap.totals().0.all().packets, 3_000);
        assert_eq!(tap.seconds(0).first().unwrap().sequence, last + 1);
    }

    #[test]
    fn packets_are_judged_when_somebody_asked_for_it() {
        let tap = Tap::default();
        run(&tap, 100, None);
        assert_eq!((tap.judging(), tap.packets(&PacketQuery::default(), None).packets[0].pattern), (None, None));
        assert!(tap.judge_by(Method::Autoencoder).is_err());
        tap.judge_by(Method::Statistical).unwrap();
        run(&tap, 1_500, None);
        let page = tap.packets(&PacketQuery { limit: 1, ..PacketQuery::default() }, None);
        assert_eq!(page.packets[0].pattern, Some(Pattern::Python));
        let python = PacketQuery { pattern: Some(Pattern::Python), limit: 2_000, ..PacketQuery::default() };
        assert_eq!(tap.packets(&python, None).packets.len(), 1_000);
        let counted: Vec<_> = tap.patterns().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Pattern::Python, 1_491)]);
        assert!(tap.judging().unwrap().is_ready());
    }
}
