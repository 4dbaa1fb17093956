//! Ten animals: what the last packets of a host look like, at a glance.

use lapwing_feature::WindowMeasures;
use serde::{Deserialize, Serialize};

/// What the last packets of a host look like. A label for lists and cards, and no alert: the detectors have thresholds of their
/// own and say who did what.
///
/// The first in the order of [`Pattern::ALL`] that fits is taken, what is told by more circumstances before what is told by
/// fewer. Names and pictures are those of `traffic-monitor`; what was changed of its rules, and why, is in docs/patterns.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Pattern {
    /// A slow scan.
    Turtle,
    /// A port scan.
    Shark,
    /// A SYN scan or flood.
    Eagle,
    /// Fast small packets.
    Parrot,
    /// Silence, then a burst.
    Crocodile,
    /// Many targets.
    Bee,
    /// Large packets, slowly.
    Elephant,
    /// Unusual ports.
    Bat,
    /// A steady stream of equal packets.
    Python,
    /// Many protocols.
    Chameleon,
    /// None of these.
    Normal,
}

impl Pattern {
    /// Every pattern, the one that is tried first first; [`Pattern::Normal`] is what is left.
    pub const ALL: [Self; 11] = [
        Self::Turtle,
        Self::Shark,
        Self::Eagle,
        Self::Parrot,
        Self::Crocodile,
        Self::Bee,
        Self::Elephant,
        Self::Bat,
        Self::Python,
        Self::Chameleon,
        Self::Normal,
    ];

    /// Packets that a window holds at least: fewer look like anything.
    pub const LEAST_PACKETS: usize = 10;

    /// What a window looks like; `None` while it holds too few packets.
    #[must_use]
    pub fn of(window: &WindowMeasures) -> Option<Self> {
        if window.packets < Self::LEAST_PACKETS {
            return None;
        }
        let fitting = Self::ALL.into_iter().find(|pattern| pattern.fits(window));
        Some(fitting.unwrap_or(Self::Normal))
    }

    /// Whether its own rule holds, whatever else fits.
    fn fits(self, window: &WindowMeasures) -> bool {
        match self {
            Self::Turtle => window.packet_rate < 5.0 && window.asked_ports > 10,
            Self::Shark => window.asked_ports > 20 && window.avg_size < 100.0,
            Self::Eagle => window.syn_ratio > 0.8 && window.packet_rate > 30.0,
            Self::Parrot => window.packet_rate > 50.0 && window.avg_size < 200.0,
            Self::Crocodile => window.burst_ratio > 5.0 && window.silence_duration > 300.0,
            Self::Bee => window.asked_dsts > 15,
            Self::Elephant => window.avg_size > 1_000.0 && window.packet_rate < 10.0,
            Self::Bat => window.asked_uncommon_ratio > 0.6,
            Self::Python => window.packet_rate > 20.0 && window.std_size < 50.0,
            Self::Chameleon => window.labels >= 6 && window.commonest_label < 0.4,
            Self::Normal => true,
        }
    }

    /// As it is named in the API and in addresses.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Turtle => "turtle",
            Self::Shark => "shark",
            Self::Eagle => "eagle",
            Self::Parrot => "parrot",
            Self::Crocodile => "crocodile",
            Self::Bee => "bee",
            Self::Elephant => "elephant",
            Self::Bat => "bat",
            Self::Python => "python",
            Self::Chameleon => "chameleon",
            Self::Normal => "normal",
        }
    }

    /// The pattern of that key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.key() == key)
    }

    /// Its picture.
    #[must_use]
    pub const fn emoji(self) -> &'static str {
        match self {
            Self::Turtle => "🐢",
            Self::Shark => "🦈",
            Self::Eagle => "🦅",
            Self::Parrot => "🦜",
            Self::Crocodile => "🐊",
            Self::Bee => "🐝",
            Self::Elephant => "🐘",
            Self::Bat => "🦇",
            Self::Python => "🐍",
            Self::Chameleon => "🦎",
            Self::Normal => "🐱",
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turtle => "Slow turtle",
            Self::Shark => "Cruising shark",
            Self::Eagle => "Diving eagle",
            Self::Parrot => "Chatty parrot",
            Self::Crocodile => "Lurking crocodile",
            Self::Bee => "Busy bee",
            Self::Elephant => "Heavy elephant",
            Self::Bat => "Night bat",
            Self::Python => "Coiling python",
            Self::Chameleon => "Chameleon",
            Self::Normal => "Normal traffic",
        }
    }

    /// What it looks like, and what that may be.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Turtle => "fewer than 5 packets a second to more than 10 ports, as a slow scan",
            Self::Shark => "small packets to more than 20 ports, as a port scan",
            Self::Eagle => "over 30 packets a second, four in five of them opening connections, as a SYN scan or flood",
            Self::Parrot => "over 50 small packets a second, as a flood or a fast scan",
            Self::Crocodile => "a burst after more than five minutes of silence",
            Self::Bee => "more than 15 destinations, as something that spreads",
            Self::Elephant => "nearly full packets, fewer than 10 a second, as data taken out slowly",
            Self::Bat => "most packets to ports above 10,000, where few services are",
            Self::Python => "over 20 packets a second, all of about one size, as a stream or a remote control",
            Self::Chameleon => "six or more protocols and none of them in front, as something that tries its way out",
            Self::Normal => "none of the other patterns",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> WindowMeasures {
        WindowMeasures {
            packets: 100,
            packet_rate: 15.0,
            avg_size: 400.0,
            std_size: 300.0,
            ..WindowMeasures::default()
        }
    }

    #[test]
    fn every_pattern_can_be_reached_and_has_a_key_and_a_picture_of_its_own() {
        let usual = window();
        let windows = [
            (Pattern::Turtle, WindowMeasures { packet_rate: 1.0, asked_ports: 11, ..usual }),
            (
                Pattern::Shark,
                WindowMeasures { packet_rate: 1_000.0, asked_ports: 90, avg_size: 60.0, syn_ratio: 1.0, ..usual },
            ),
            (Pattern::Eagle, WindowMeasures { packet_rate: 1_000.0, avg_size: 60.0, syn_ratio: 1.0, ..usual }),
            (Pattern::Parrot, WindowMeasures { packet_rate: 60.0, avg_size: 90.0, ..usual }),
            (Pattern::Crocodile, WindowMeasures { burst_ratio: 6.0, silence_duration: 301.0, ..usual }),
            (Pattern::Bee, WindowMeasures { asked_dsts: 16, ..usual }),
            (Pattern::Elephant, WindowMeasures { packet_rate: 9.0, avg_size: 1_400.0, ..usual }),
            (Pattern::Bat, WindowMeasures { asked_uncommon_ratio: 0.7, ..usual }),
            (Pattern::Python, WindowMeasures { packet_rate: 21.0, std_size: 10.0, ..usual }),
            (Pattern::Chameleon, WindowMeasures { labels: 6, commonest_label: 0.3, ..usual }),
            (Pattern::Normal, usual),
        ];
        for (expected, window) in windows {
            assert_eq!(Pattern::of(&window), Some(expected));
            assert_eq!(Pattern::from_key(expected.key()), Some(expected));
            assert_eq!(serde_json::to_value(expected).unwrap(), expected.key());
        }
        let pictures: std::collections::BTreeSet<_> = Pattern::ALL.map(Pattern::emoji).into();
        assert_eq!(pictures.len(), Pattern::ALL.len());
    }

    #[test]
    fn fewer_than_ten_packets_look_like_nothing() {
        let few = WindowMeasures { packets: 9, packet_rate: 1_000.0, ..window() };
        assert_eq!(Pattern::of(&few), None);
    }
}
