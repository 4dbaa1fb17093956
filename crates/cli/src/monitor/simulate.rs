//! A simulated home instead of an interface, for trying things out.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use lapwing_capture::{Pace, Paced};
use lapwing_experiment::{Attacks, Simulated, Simulation};

use super::{Monitor, Prepared};
use crate::Outcome;
use crate::input::Input;
use crate::store::now;

/// Whether to simulate, and how.
#[derive(Args)]
pub(super) struct Simulate {
    /// Watch a simulated home instead of an interface: a dozen devices, and an attack every few minutes; all alerts say that they are
    /// simulated
    #[arg(long, conflicts_with_all = ["interface", "zeek", "eve", "buffer", "rings", "no_promiscuous"])]
    simulate: bool,
    /// Simulate the traffic that this number names [default: another one each time]
    #[arg(long, value_name = "N", requires = "simulate")]
    seed: Option<u64>,
    /// Simulate so many times as fast as time passes; max is as fast as possible
    #[arg(long, value_name = "N", requires = "simulate", default_value = "1")]
    speed: Pace,
}

impl Simulate {
    pub(super) fn is_asked(&self) -> bool {
        self.simulate
    }

    /// What never was stays out of the store of the settings, in which devices and alerts are real; --store names another one.
    pub(super) fn keep_apart(&self, input: &mut Input) {
        if self.simulate && input.settings.store.place.take().is_some() {
            eprintln!(
                "lapwing: nothing is kept in the store of the settings: the traffic is simulated; --store keeps it"
            );
        }
    }
}

/// A home that begins now, and goes on for ever.
pub(crate) fn home(seed: u64, speed: Pace, stop: Arc<AtomicBool>) -> Paced<Simulated> {
    let simulated = Simulated::new(&Simulation { seed, start: now(), length: None, attacks: Attacks::NowAndThen });
    // Its traffic never stops for long.
    Paced::new(simulated, speed, stop, |_| {})
}

/// Another home each time.
pub(crate) fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(since.subsec_nanos()) ^ since.as_secs()
}

impl Monitor {
    pub(super) fn run_simulation(&self, input: &Input, prepared: Prepared) -> Result<Outcome> {
        let seed = self.simulate.seed.unwrap_or_else(any_seed);
        let source = home(seed, self.simulate.speed, Arc::clone(&prepared.stop));
        let begun = format!("watching a simulated home, seed {seed}; nothing of it is real");
        self.watch_frames(input, prepared, source, &Arc::default(), &begun)
    }
}
