//! A home that is not there.

mod agenda;
mod attack;
mod exchange;
mod habit;
mod home;
mod routine;
mod session;
mod truth;
mod wire;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lapwing_capture::{FrameBatch, InputReport, LinkType, Position, Progress, Source, SourceError, Timestamp};

pub use agenda::Attacks;
pub use attack::AttackKind;
pub use truth::{Attack, Truth};

use world::World;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Names the traffic: the same seed, start and attacks give the same frames.
    pub seed: u64,
    /// Capture time when it begins.
    pub start: Timestamp,
    /// How long it goes on; `None`: until nobody reads any more.
    pub length: Option<Duration>,
    /// Which attacks there are, and when.
    pub attacks: Attacks,
}

/// The frames of a simulated home, as its switch would see them.
///
/// Its memory is bounded: conversations are made up piece by piece, as they are read.
pub struct Simulated {
    world: World,
    end: Timestamp,
    next_number: u64,
    report: InputReport,
}

impl Simulated {
    /// What reports call it.
    pub const NAME: &'static str = "simulation";

    /// The home as it is when `simulation` begins.
    #[must_use]
    pub fn new(simulation: &Simulation) -> Self {
        let mut world = World::new(simulation.seed, simulation.start);
        routine::move_in(&mut world);
        agenda::plan(&mut world, &simulation.attacks);
        let end = simulation.length.map_or(Timestamp::MAX, |length| simulation.start.plus(length));
        Self { world, end, next_number: 1, report: InputReport::new(PathBuf::from(Self::NAME)) }
    }

    /// Which attacks there were so far; can be read while the source is in use elsewhere.
    #[must_use]
    pub fn truth(&self) -> Arc<Truth> {
        Arc::clone(&self.world.truth)
    }
}

impl Source for Simulated {
    fn read(&mut self, batch: &mut FrameBatch) -> Result<Progress, SourceError> {
        batch.clear();
        batch.first_number = self.next_number;
        let mut bytes = 0;
        let mut progress = Progress::More;
        while batch.len() < FrameBatch::FRAMES && bytes < FrameBatch::BYTES {
            let Some((time, frame)) = self.world.next_frame().filter(|(time, _)| *time < self.end) else {
                progress = Progress::End;
                break;
            };
            batch.push(time, LinkType::ETHERNET, frame.len() as u32, 0, &frame);
            bytes += frame.len();
        }
        self.next_number += batch.len() as u64;
        self.report.count(&batch.frames);
        Ok(progress)
    }

    fn reports(&self) -> Vec<InputReport> {
        vec![self.report.clone()]
    }

    fn position(&self) -> Position {
        Position { read: self.report.bytes, total: None }
    }
}

#[cfg(test)]
mod tests {
    use lapwing_decode::{DecodeOptions, Decoder, PacketBatch};

    use super::*;

    fn simulated(seed: u64, minutes: u64, attacks: Attacks) -> Simulated {
        Simulated::new(&Simulation {
            seed,
            start: Timestamp::from_seconds(1_700_000_000),
            length: Some(Duration::from_secs(minutes * 60)),
            attacks,
        })
    }

    fn frames(mut source: Simulated) -> Vec<(Timestamp, Vec<u8>)> {
        let (mut batch, mut frames) = (FrameBatch::default(), Vec::new());
        loop {
            let progress = source.read(&mut batch).unwrap();
            frames.extend(batch.iter().map(|frame| (frame.time, frame.data.to_vec())));
            if progress == Progress::End {
                return frames;
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_frames_and_another_others() {
        let one = frames(simulated(1, 5, Attacks::NowAndThen));
        assert_eq!(one, frames(simulated(1, 5, Attacks::NowAndThen)));
        assert_ne!(one, frames(simulated(2, 5, Attacks::NowAndThen)));
    }

    #[test]
    fn frames_are_whole_in_order_and_their_checksums_are_right() {
        for attacks in [Attacks::None, Attacks::NowAndThen] {
            let frames = frames(simulated(3, 20, attacks));
            assert!(frames.len() > 5_000 && frames.is_sorted_by_key(|(time, _)| *time), "{}", frames.len());
            let (mut batch, mut packets) = (FrameBatch::default(), PacketBatch::default());
            for (time, data) in &frames {
                batch.push(*time, LinkType::ETHERNET, data.len() as u32, 0, data);
            }
            let decoder = Decoder::new(DecodeOptions::default());
            batch.iter().for_each(|frame| decoder.decode(frame, &mut packets));
            assert_eq!((packets.counts.bad_checksums, &packets.counts.undecoded), (0, &Default::default()));
            assert!(packets.arps.len() > 5);
        }
    }

    #[test]
    fn the_first_attack_begins_soon_and_the_next_ones_follow() {
        let start = Timestamp::from_seconds(1_700_000_000);
        for seed in 0..5 {
            let source = simulated(seed, 60, Attacks::NowAndThen);
            let truth = source.truth();
            frames(source);
            let attacks = truth.attacks();
            assert!((20..=30).contains(&(attacks[0].from.nanos_since(start) / 1_000_000_000)), "{attacks:?}");
            assert!(attacks.len() > 8, "{}", attacks.len());
            for pair in attacks.windows(2) {
                let pause = pair[1].from.seconds_since(pair[0].until.unwrap());
                assert!((59.0..=181.0).contains(&pause), "{pair:?}");
            }
        }
    }

    #[test]
    fn a_home_has_a_dozen_devices_that_all_say_something() {
        let mut speakers = std::collections::BTreeSet::new();
        for (_, frame) in frames(simulated(4, 30, Attacks::None)) {
            if frame[12..14] == [8, 0] && frame[26..29] == [192, 168, 77] {
                speakers.insert(frame[29]);
            }
        }
        assert!((12..=16).contains(&speakers.len()), "{speakers:?}");
    }
}
