//! What is known of the interfaces while they are listened to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Something that happened to an interface, or to the clock.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveEvent {
    /// It went down or away; it is looked for until it is back.
    Gone {
        /// The interface.
        interface: String,
        /// The system's words.
        reason: String,
    },
    /// It is back.
    Back {
        /// The interface.
        interface: String,
        /// How long it was not heard.
        outage: Duration,
    },
    /// The kernel had no room for frames, since this was said last.
    Dropped {
        /// The interface.
        interface: String,
        /// Frames lost.
        dropped: u64,
        /// Frames that came, the lost ones included.
        received: u64,
    },
    /// It is up, and nothing comes.
    Silent {
        /// The interface.
        interface: String,
        /// For so long.
        silence: Duration,
    },
    /// After a silence, frames come again.
    Heard {
        /// The interface.
        interface: String,
    },
    /// Somebody set the system's clock. Capture time goes on evenly; what stands for a minute is followed, a step ahead at
    /// once, one back by going a tenth slower.
    ClockSet {
        /// How far ahead; negative when it was set back.
        seconds: f64,
    },
    /// Capture time has gone ahead to the system's clock, as it was set.
    ClockFollowed,
}

/// How one interface stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Its name.
    pub interface: String,
    /// Whether it is there and switched on.
    pub up: bool,
    /// Nothing has come for long.
    pub silent: bool,
    /// Frames read.
    pub packets: u64,
    /// Bytes they had on the wire.
    pub bytes: u64,
    /// Frames that the kernel had no room for.
    pub dropped: u64,
    /// Times it went away.
    pub outages: u64,
    /// How long it was away, in all.
    pub downtime: Duration,
}

/// How all interfaces stand, renewed every second; for status lines and for judging what was missed.
#[derive(Debug, Default)]
pub struct LiveStatus {
    interfaces: Mutex<Vec<InterfaceStatus>>,
    clock_steps: AtomicU64,
}

impl LiveStatus {
    pub(super) fn new(names: &[String]) -> Self {
        let status =
            |name: &String| InterfaceStatus { interface: name.clone(), up: true, ..InterfaceStatus::default() };
        Self { interfaces: Mutex::new(names.iter().map(status).collect()), clock_steps: AtomicU64::new(0) }
    }

    pub(super) fn count_clock_step(&self) {
        self.clock_steps.fetch_add(1, Ordering::Relaxed);
    }

    /// How often somebody set the system's clock, by a second or more.
    #[must_use]
    pub fn clock_steps(&self) -> u64 {
        self.clock_steps.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, interfaces: impl Iterator<Item = InterfaceStatus>) {
        let mut known = self.interfaces.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
        known.extend(interfaces);
    }

    /// Each interface, in the order in which they were named.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.interfaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
