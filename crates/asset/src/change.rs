//! What is new about a device that was known, or on a network that was known.

use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;

use crate::{Mac, Service};

/// What is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A device that was not there before.
    Device,
    /// A network outside that the device had no answer from before.
    Destination {
        /// The host there.
        peer: Address,
        /// What it was asked for.
        service: Service,
    },
    /// A service that the device did not offer before.
    Service {
        /// Who was served.
        peer: Address,
        /// The service.
        service: Service,
    },
    /// The way outside leads over another link-layer address.
    Gateway {
        /// The one known longest.
        before: Mac,
        /// The new one.
        now: Mac,
    },
    /// Two link-layer addresses hold one address in turns.
    Conflict {
        /// The other holder.
        other: Mac,
        /// How often the address changed hands within ten minutes.
        turns: u32,
    },
}

/// Something new about one device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When: capture time.
    pub time: Timestamp,
    /// The device's address.
    pub address: Address,
    /// Its link-layer address, where it is known.
    pub mac: Option<Mac>,
    /// What is new.
    pub news: News,
    /// How long the device (for a new one: the network) was known before.
    pub known_for: Duration,
    /// How many things of this sort were known of it (of the network) before.
    pub known: usize,
    /// Share of that time in which nothing of this sort was new, 0 to 1: devices that always meet somebody new are at 0.
    pub quiet_share: f64,
}
