//! The one table of detectors.

use lapwing_protocol::LocalNetworks;

use crate::behaviour::{
    self, ArpWatch, Beacon, BrokerSession, Exfiltration, Flood, Guessed, HorizontalScan, Login, Newcomer, Reflection,
    Reflector, ScatteredScan, SlowRequest, VerticalScan,
};
use crate::{Detector, DetectorInfo};

/// What detectors need to know of the site.
#[derive(Clone, Debug, Default)]
pub struct DetectConfig {
    /// Which addresses are devices of the watched networks.
    pub local: LocalNetworks,
}

/// A detector that can be had.
#[derive(Debug)]
pub struct DetectorEntry {
    /// Its name and purpose.
    pub info: &'static DetectorInfo,
    /// Makes one for one shard, with that shard's share of every cap.
    pub build: fn(&DetectConfig) -> Box<dyn Detector>,
}

/// Every detector, by name.
pub const DETECTORS: &[DetectorEntry] = &[
    DetectorEntry { info: &behaviour::ARP, build: |_| Box::new(ArpWatch::new()) },
    DetectorEntry { info: &behaviour::BEACON, build: |config| Box::new(Beacon::new(config.local.clone())) },
    DetectorEntry { info: &behaviour::BROKER_SESSION, build: |_| Box::new(BrokerSession) },
    DetectorEntry { info: &behaviour::EXFILTRATION, build: |config| Box::new(Exfiltration::new(config.local.clone())) },
    DetectorEntry { info: &behaviour::FLOOD, build: |config| Box::new(Flood::new(config.local.clone())) },
    DetectorEntry { info: &behaviour::GUESSED, build: |_| Box::new(Guessed::new()) },
    DetectorEntry {
        info: &behaviour::HORIZONTAL_SCAN,
        build: |config| Box::new(HorizontalScan::new(config.local.clone())),
    },
    DetectorEntry { info: &behaviour::LOGIN, build: |config| Box::new(Login::new(config.local.clone())) },
    DetectorEntry { info: &behaviour::NEWCOMER, build: |_| Box::new(Newcomer) },
    DetectorEntry { info: &behaviour::REFLECTION, build: |config| Box::new(Reflection::new(config.local.clone())) },
    DetectorEntry { info: &behaviour::REFLECTOR, build: |config| Box::new(Reflector::new(config.local.clone())) },
    DetectorEntry {
        info: &behaviour::SCATTERED_SCAN,
        build: |config| Box::new(ScatteredScan::new(config.local.clone())),
    },
    DetectorEntry { info: &behaviour::SLOW_REQUEST, build: |_| Box::new(SlowRequest::new()) },
    DetectorEntry {
        info: &behaviour::VERTICAL_SCAN,
        build: |config| Box::new(VerticalScan::new(config.local.clone())),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_each_detector_is_the_one_its_entry_names() {
        assert!(DETECTORS.is_sorted_by(|a, b| a.info.name < b.info.name));
        for entry in DETECTORS {
            assert_eq!((entry.build)(&DetectConfig::default()).info(), entry.info);
        }
    }
}
