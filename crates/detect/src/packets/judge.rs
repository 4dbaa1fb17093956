//! Looks at packets in the company of those that their senders sent before.

use lapwing_decode::Address;
use lapwing_feature::{PacketFacts, PacketWindow, WindowMeasures};
use serde::Serialize;

use super::grove::Grove;
use super::habit::Habit;
use super::{Judgement, Method, Pattern};
use crate::table::Table;

/// Hosts whose windows are kept, some 6 kB each; who was idle longest is forgotten.
const HOSTS: usize = 2_048;

/// Of a host's windows every tenth is learnt: neighbours share all but one packet.
const LEARN_EVERY: u8 = 10;

/// Says of packets, in the order in which they come, what the last ones of their sender look like ([`Pattern`]) and how unusual
/// they are ([`Method`]).
///
/// All methods learn all the time, so that one can take the place of another at any moment. The same packets give the same
/// judgements.
pub struct PacketJudge {
    method: Method,
    hosts: Table<Address, Host>,
    grove: Grove,
    /// Rises when packets were left out: windows from before it tell nothing of now.
    epoch: u32,
    /// The most that a host has learnt.
    habit_learnt: u32,
    counts: [u64; Pattern::ALL.len()],
}

#[derive(Default)]
struct Host {
    window: PacketWindow,
    epoch: u32,
    since_learnt: u8,
    habit: Habit,
    measures: WindowMeasures,
    length: u32,
}

/// How far a judge has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JudgeState {
    /// What it judges by.
    pub method: Method,
    /// Windows learnt, as far as they are needed; for [`Method::Statistical`], which learns each host by itself, those of the host
    /// that it knows best.
    pub learnt: u32,
    /// Windows that are needed before anything is said.
    pub needed: u32,
    /// Hosts forgotten because there were too many.
    pub hosts_evicted: u64,
}

impl JudgeState {
    /// Whether it has learnt enough to say something.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.learnt >= self.needed
    }

    /// In words: `ready`, or `learning 17 of 100 windows`.
    #[must_use]
    pub fn text(&self) -> String {
        if self.is_ready() {
            return "ready".to_owned();
        }
        format!("learning {} of {} windows", self.learnt, self.needed)
    }
}

impl PacketJudge {
    /// A judge that has seen nothing.
    ///
    /// # Errors
    /// [`Method::unavailable`] when the method is.
    pub fn new(method: Method) -> Result<Self, &'static str> {
        let mut judge = Self {
            method: Method::default(),
            hosts: Table::new(HOSTS),
            grove: Grove::default(),
            epoch: 0,
            habit_learnt: 0,
            counts: [0; Pattern::ALL.len()],
        };
        judge.set_method(method)?;
        Ok(judge)
    }

    /// Judges by another method from now on; what was learnt stays.
    ///
    /// # Errors
    /// [`Method::unavailable`] when the method is; nothing changes then.
    pub fn set_method(&mut self, method: Method) -> Result<(), &'static str> {
        method.unavailable().map_or(Ok(()), Err)?;
        self.method = method;
        Ok(())
    }

    /// Packets were left out: windows begin anew, for rates and gaps across it would be wrong.
    pub fn left_out(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Takes in the next packet and judges it.
    pub fn judge(&mut self, packet: &PacketFacts) -> Judgement {
        self.take_in(packet);
        let judgement = self.judgement(packet.source);
        self.count(judgement);
        judgement
    }

    /// Takes in the next packet, of which nobody wants to know anything.
    pub fn take_in(&mut self, packet: &PacketFacts) {
        let epoch = self.epoch;
        let host = self.hosts.entry(packet.source);
        if host.epoch != epoch {
            host.window = PacketWindow::default();
            (host.epoch, host.since_learnt) = (epoch, 0);
        }
        host.window.push(packet);
        host.measures = host.window.measures();
        host.length = packet.length;
        host.since_learnt += 1;
        if host.since_learnt < LEARN_EVERY {
            return;
        }
        host.since_learnt = 0;
        let is_a_scan = matches!(
            Pattern::of(&host.measures),
            None | Some(Pattern::Turtle | Pattern::Shark | Pattern::Eagle | Pattern::Bee)
        );
        if !is_a_scan {
            host.habit.learn(&host.measures);
            self.habit_learnt = self.habit_learnt.max(host.habit.learnt());
            self.grove.learn(host.length, &host.measures);
        }
    }

    fn judgement(&mut self, source: Address) -> Judgement {
        let Some(host) = self.hosts.get_mut(&source) else { return Judgement::default() };
        let pattern = Pattern::of(&host.measures);
        if pattern.is_none() {
            return Judgement::default();
        }
        let scored = match self.method {
            Method::Statistical => host.habit.deviation(&host.measures).map(|deviation| {
                let is_anomaly = deviation > Habit::DEVIATIONS;
                (deviation / (deviation + Habit::DEVIATIONS), is_anomaly)
            }),
            Method::IsolationForest => self.grove.score(host.length, &host.measures),
            Method::Autoencoder => None,
        };
        Judgement {
            pattern,
            score: scored.map(|(score, _)| score),
            is_anomaly: scored.is_some_and(|(_, is_anomaly)| is_anomaly),
        }
    }

    fn count(&mut self, judgement: Judgement) {
        if let Some(pattern) = judgement.pattern {
            self.counts[pattern as usize] += 1;
        }
    }

    /// How many of the packets judged so far had each pattern, in the order of [`Pattern::ALL`].
    pub fn patterns(&self) -> impl Iterator<Item = (Pattern, u64)> + '_ {
        Pattern::ALL.into_iter().zip(self.counts)
    }

    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> JudgeState {
        let (learnt, needed) = match self.method {
            Method::Statistical => (self.habit_learnt, Habit::WINDOWS),
            Method::IsolationForest => (self.grove.learnt() as u32, Grove::WINDOWS as u32),
            Method::Autoencoder => (0, 1),
        };
        JudgeState { method: self.method, learnt, needed, hosts_evicted: self.hosts.evicted() }
    }
}

#[cfg(test)]
mod tests {
    use lapwing_capture::Timestamp;
    use lapwing_feature::PacketLabel;

    use super::*;

    /// A packet of 10.0.0.`host` at that millisecond.
    fn packet(host: u8, milliseconds: u64, destination: u8, ports: (u16, u16), length: u32) -> PacketFacts {
        PacketFacts {
            time: Timestamp::from_micros(milliseconds as i64 * 1_000),
            source: Address::v4([10, 0, 0, host]),
            destination: Address::v4([10, 1, 0, destination]),
            length,
            label: PacketLabel::of(6, ports.0, ports.1),
            ports: Some(ports),
            syn: false,
            ack: true,
        }
    }

    /// A camera's even stream, with a little variety.
    fn stream(packets: std::ops::Range<u64>) -> impl Iterator<Item = PacketFacts> {
        packets.map(|n| packet(1, n * 100 + n * n % 37, 1, (40_000, 443), 700 + (n * n % 61) as u32 * 10))
    }

    /// A scan by the same host: small packets to all ports of all hosts.
    fn scan(from: u64) -> impl Iterator<Item = PacketFacts> {
        (0..100).map(move |n| PacketFacts {
            syn: true,
            ack: false,
            ..packet(1, from + n, n as u8, (40_000, n as u16), 60)
        })
    }

    fn judged(judge: &mut PacketJudge, packets: impl Iterator<Item = PacketFacts>) -> Vec<Judgement> {
        packets.map(|packet| judge.judge(&packet)).collect()
    }

    #[test]
    fn both_methods_are_silent_while_they_learn_then_find_a_scan_and_little_else() {
        for method in [Method::Statistical, Method::IsolationForest] {
            let mut judge = PacketJudge::new(method).unwrap();
            let needed = u64::from(judge.state().needed) * u64::from(LEARN_EVERY);
            let learning = judged(&mut judge, stream(0..needed - 1));
            assert!(learning.iter().all(|judgement| judgement.score.is_none() && !judgement.is_anomaly));
            assert_eq!(judge.state().text(), format!("learning {} of {} windows", needed / 10 - 1, needed / 10));
            let usual = judged(&mut judge, stream(needed - 1..needed + 5_000));
            assert!(judge.state().is_ready(), "{:?}", judge.state());
            let wrong = usual.iter().filter(|judgement| judgement.is_anomaly).count();
            assert!(wrong < 250, "{method:?}: {wrong} of 5000");
            let found = judged(&mut judge, scan((needed + 5_000) * 100));
            assert!(
                found[60..].iter().all(|judgement| judgement.is_anomaly && judgement.score.unwrap() >= 0.5),
                "{method:?}"
            );
            assert_eq!(found[99].pattern, Some(Pattern::Shark));
        }
    }

    #[test]
    fn the_method_can_change_at_any_moment_but_not_to_one_that_is_not_there() {
        let mut judge = PacketJudge::new(Method::Statistical).unwrap();
        judged(&mut judge, stream(0..5_000));
        judge.set_method(Method::IsolationForest).unwrap();
        assert!(judge.state().is_ready());
        assert!(judge.set_method(Method::Autoencoder).unwrap_err().contains("no autoencoder"));
        assert_eq!(judge.state().method, Method::IsolationForest);
        assert!(PacketJudge::new(Method::Autoencoder).is_err());
    }

    #[test]
    fn the_same_packets_give_the_same_judgements() {
        let all = || stream(0..6_000).chain(scan(600_000));
        let run = |method| judged(&mut PacketJudge::new(method).unwrap(), all());
        for method in [Method::Statistical, Method::IsolationForest] {
            assert_eq!(run(method), run(method));
        }
    }

    #[test]
    fn windows_do_not_reach_over_packets_that_were_left_out() {
        let mut judge = PacketJudge::new(Method::Statistical).unwrap();
        judged(&mut judge, stream(0..50));
        judge.left_out();
        let after = judged(&mut judge, stream(50..60));
        assert!(after[..9].iter().all(|judgement| judgement.pattern.is_none()));
        assert!(after[9].pattern.is_some());
        assert_eq!(judge.patterns().map(|(_, count)| count).sum::<u64>(), 41 + 1);
    }

    #[test]
    fn a_flood_of_hosts_is_forgotten_and_counted() {
        let mut judge = PacketJudge::new(Method::Statistical).unwrap();
        for n in 0..10_000_u32 {
            let source = Address::v4(n.to_be_bytes());
            judge.judge(&PacketFacts { source, ..packet(1, u64::from(n), 1, (5, 6), 60) });
        }
        assert_eq!(judge.state().hosts_evicted, 10_000 - HOSTS as u64);
    }
}
