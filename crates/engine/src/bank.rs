//! Every detector in its shards.

use std::collections::BTreeMap;

use lapwing_asset::Change;
use lapwing_capture::Timestamp;
use lapwing_detect::{DETECTORS, DetectConfig, Detector, Found, Partition, SHARDS};
use lapwing_protocol::Observed;

/// The detectors that share a partition: for each shard one of each.
struct Group {
    partition: Partition,
    shards: Vec<Vec<Box<dyn Detector>>>,
}

/// Every registered detector, each in as many shards as its partition has.
pub(crate) struct DetectorBank {
    groups: Vec<Group>,
}

impl DetectorBank {
    pub(crate) fn new(config: &DetectConfig) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for entry in DETECTORS {
            let first = (entry.build)(config);
            let partition = first.partition();
            let shards = if matches!(partition, Partition::Network | Partition::Link) { 1 } else { SHARDS };
            let place = groups.iter().position(|group| group.partition == partition).unwrap_or_else(|| {
                groups.push(Group { partition, shards: (0..shards).map(|_| Vec::new()).collect() });
                groups.len() - 1
            });
            let mut detectors = std::iter::once(first).chain(std::iter::repeat_with(|| (entry.build)(config)));
            for shard in &mut groups[place].shards {
                shard.extend(detectors.next());
            }
        }
        Self { groups }
    }

    /// Shows every detector what its partition lets it see, in order.
    pub(crate) fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        let mut sorted: Vec<Observed<'_>> = Vec::with_capacity(batch.len());
        let mut homes: Vec<Option<usize>> = Vec::with_capacity(batch.len());
        for Group { partition, shards } in &mut self.groups {
            homes.clear();
            homes.extend(batch.iter().map(|observed| partition.shard(&observed.fact)));
            let mut ends = [0; SHARDS];
            for home in homes.iter().flatten() {
                ends[*home] += 1;
            }
            let mut total = 0;
            for end in &mut ends {
                let count = *end;
                *end = total;
                total += count;
            }
            let Some(filler) = batch.first() else { return };
            sorted.clear();
            sorted.resize(total, *filler);
            for (observed, home) in batch.iter().zip(&homes) {
                if let Some(home) = *home {
                    sorted[ends[home]] = *observed;
                    ends[home] += 1;
                }
            }
            let mut start = 0;
            for (detectors, end) in shards.iter_mut().zip(ends) {
                if end > start {
                    detectors.iter_mut().for_each(|detector| detector.observe(&sorted[start..end], found));
                }
                start = end;
            }
        }
    }

    /// Shows what an observation made new in the inventory to the detectors that look at the whole network.
    pub(crate) fn changed(&mut self, by: &Observed<'_>, changes: &[Change], found: &mut Found) {
        let network = self.groups.iter_mut().filter(|group| group.partition == Partition::Network);
        for detector in network.flat_map(|group| &mut group.shards).flatten() {
            detector.changed(by, changes, found);
        }
    }

    /// Closes the windows that end by `now`.
    pub(crate) fn advance(&mut self, now: Timestamp, found: &mut Found) {
        for detector in self.groups.iter_mut().flat_map(|group| &mut group.shards).flatten() {
            detector.advance(now, found);
        }
    }

    /// What each detector gave up because its tables were full; those that gave up nothing are left out.
    pub(crate) fn evicted(&self) -> BTreeMap<&'static str, u64> {
        let mut evicted = BTreeMap::new();
        for detector in self.groups.iter().flat_map(|group| &group.shards).flatten() {
            let count = detector.evicted();
            if count > 0 {
                *evicted.entry(detector.info().name).or_default() += count;
            }
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use lapwing_decode::Arp;
    use lapwing_protocol::Observation;

    use super::*;

    #[test]
    fn a_detector_that_forgot_something_says_so() {
        let mut bank = DetectorBank::new(&DetectConfig::default());
        let claim = |number: u32| {
            let [_, b, c, d] = number.to_be_bytes();
            Arp {
                time: Timestamp::from_seconds(1000),
                frame: 1,
                operation: 2,
                vlan: 0,
                frame_source: [2, 0, 0, b, c, d],
                frame_destination: [0xff; 6],
                sender_mac: [2, 0, 0, b, c, d],
                sender_address: [10, b, c, d],
                target_mac: [0xff; 6],
                target_address: [10, b, c, d],
            }
        };
        for number in 0..20_000 {
            let arp = claim(number);
            let observed = Observed { time: arp.time, frame: 1, fact: Observation::Arp(&arp) };
            bank.observe(&[observed], &mut Found::default());
        }
        assert_eq!(bank.evicted().keys().copied().collect::<Vec<_>>(), ["arp"]);
    }
}
