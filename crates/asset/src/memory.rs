//! What has to be kept of a device so that a later run goes on as if nothing had happened.

use std::net::IpAddr;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;
use serde::{Deserialize, Serialize};

use crate::recent::Kept;
use crate::{Device, Inventory, Mac, Peer, Prefix, Recent, Service, Volume};

/// A device with all that its inventory knows of it, in a form that can be written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    mac: Option<Mac>,
    addresses: Vec<Kept<IpAddr>>,
    /// In nanoseconds since 1970, as all times here.
    first: i64,
    last: i64,
    /// Protocol and port.
    offers: Vec<Kept<(u8, u16)>>,
    uses: Vec<Kept<(u8, u16)>>,
    destinations: Vec<Kept<[u8; 12]>>,
    /// Address, bytes sent and received, flows, end of the last.
    peers: Vec<(IpAddr, u64, u64, u64, i64)>,
    /// Bytes sent and received by hour of the day.
    hours: Vec<(u64, u64)>,
    flows: u64,
    routes: bool,
    /// Who carries its packets outside.
    gateway: Option<Kept<Mac>>,
    is_settled: bool,
}

impl Memory {
    /// `gateway` as the inventory knows it.
    pub(crate) fn of(device: &Device, gateway: Option<Kept<Mac>>) -> Self {
        let service = |service: Service| (service.protocol, service.port);
        let peers = device
            .peers
            .iter()
            .map(|peer| (peer.address.ip(), peer.volume.sent, peer.volume.received, peer.flows, peer.last.nanos()));
        Self {
            mac: device.mac,
            addresses: device.addresses.kept(Address::ip),
            first: device.first.nanos(),
            last: device.last.nanos(),
            offers: device.offers.kept(service),
            uses: device.uses.kept(service),
            destinations: device.destinations.kept(|prefix| prefix.0),
            peers: peers.collect(),
            hours: device.hours.iter().map(|hour| (hour.sent, hour.received)).collect(),
            flows: device.flows,
            routes: device.routes,
            gateway,
            is_settled: device.is_settled,
        }
    }

    /// The device, and who carries its packets outside.
    pub(crate) fn device(self) -> (Device, Option<Kept<Mac>>) {
        let service = |(protocol, port)| Service { protocol, port };
        let peer = |(address, sent, received, flows, last)| Peer {
            address: Address::from(address),
            volume: Volume { sent, received },
            flows,
            last: Timestamp::from_nanos(last),
        };
        let mut device = Device {
            addresses: Recent::recall(self.addresses, Address::from),
            last: Timestamp::from_nanos(self.last),
            offers: Recent::recall(self.offers, service),
            uses: Recent::recall(self.uses, service),
            destinations: Recent::recall(self.destinations, Prefix),
            peers: self.peers.into_iter().take(crate::device::PEERS).map(peer).collect(),
            flows: self.flows,
            routes: self.routes,
            gateway: self.gateway.as_ref().map(|gateway| gateway.0),
            is_settled: self.is_settled,
            ..Device::new(None, self.mac, Timestamp::from_nanos(self.first))
        };
        for (hour, (sent, received)) in device.hours.iter_mut().zip(self.hours) {
            *hour = Volume { sent, received };
        }
        (device, self.gateway)
    }
}

impl Device {
    /// Takes in what another run knew of the same device; what counted more flows counts.
    fn join(&mut self, other: Self) {
        self.mac = self.mac.or(other.mac);
        self.addresses.join(&other.addresses);
        self.offers.join(&other.offers);
        self.uses.join(&other.uses);
        self.destinations.join(&other.destinations);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.routes |= other.routes;
        self.gateway = self.gateway.or(other.gateway);
        self.is_settled |= other.is_settled;
        if other.flows > self.flows {
            (self.flows, self.hours, self.peers) = (other.flows, other.hours, other.peers);
        }
    }
}

impl Inventory {
    /// What has to be kept of one of its devices.
    #[must_use]
    pub fn memory(&self, device: &Device) -> Memory {
        let gateway =
            device.gateway.and_then(|mac| self.gateways.kept(|mac| mac).into_iter().find(|seen| seen.0 == mac));
        Memory::of(device, gateway)
    }

    /// Goes on with the devices of an earlier run, those seen last first: nothing of what was known of them is new, and the
    /// time in which they were learnt counts. Those beyond the room are not taken.
    pub fn recall(&mut self, memories: impl IntoIterator<Item = Memory>) {
        for memory in memories {
            let (device, gateway) = memory.device();
            self.gateways.join(&Recent::recall(gateway, |mac| mac));
            self.first = Some(self.first.map_or(device.first, |first| first.min(device.first)));
            self.newest_device = self.newest_device.max(Some(device.first));
            self.is_settled |= device.is_settled;
            let place = match self.place_of(&device) {
                Some(place) => {
                    self.devices[place].join(device);
                    place
                }
                None if self.devices.len() < self.settings.most_devices => {
                    self.devices.push(device);
                    self.devices.len() - 1
                }
                None => continue,
            };
            if let Some(mac) = self.devices[place].mac {
                self.by_mac.insert(mac, place as u32);
            }
            for seen in self.devices[place].addresses.iter() {
                // Who was seen with it last has it.
                self.by_address.entry(seen.what).or_insert(place as u32);
            }
        }
    }

    /// Where the same device stands: by its link-layer address, else by an address that no other link-layer address holds.
    fn place_of(&self, device: &Device) -> Option<usize> {
        if let Some(place) = device.mac.and_then(|mac| self.by_mac.get(&mac)) {
            return Some(*place as usize);
        }
        let places = device.addresses.iter().filter_map(|seen| self.by_address.get(&seen.what));
        places.map(|place| *place as usize).find(|place| device.mac.is_none() || self.devices[*place].mac.is_none())
    }
}

#[cfg(test)]
mod tests {
    use lapwing_decode::Arp;
    use lapwing_protocol::{Observation, Observed};

    use super::*;
    use crate::{Change, InventorySettings, News};

    const DAY: i64 = 86_400;

    fn claim(inventory: &mut Inventory, host: u8, seconds: i64) -> Vec<Change> {
        let arp = Arp {
            time: Timestamp::from_seconds(seconds),
            frame: 1,
            operation: 2,
            vlan: 0,
            frame_source: [0xb8, 0x27, 0xeb, 0, 0, host],
            frame_destination: [0xff; 6],
            sender_mac: [0xb8, 0x27, 0xeb, 0, 0, host],
            sender_address: [192, 168, 0, host],
            target_mac: [0; 6],
            target_address: [192, 168, 0, 254],
        };
        let mut changes = Vec::new();
        inventory.observe(&Observed { time: arp.time, frame: 1, fact: Observation::Arp(&arp) }, &mut changes);
        changes
    }

    /// What was kept of an inventory, read back as the store does.
    fn kept(inventory: &Inventory) -> Vec<Memory> {
        let memories = inventory.devices().iter().rev().map(|device| inventory.memory(device));
        memories.map(|memory| serde_json::from_str(&serde_json::to_string(&memory).unwrap()).unwrap()).collect()
    }

    #[test]
    fn an_inventory_goes_on_where_an_earlier_one_ended() {
        let mut before = Inventory::new(InventorySettings::default());
        claim(&mut before, 1, 0);
        claim(&mut before, 2, 60);
        let mut after = Inventory::new(InventorySettings::default());
        after.recall(kept(&before));
        assert_eq!(kept(&after).len(), 2);
        assert!(claim(&mut after, 1, 2 * DAY).is_empty(), "it is known");
        let news = claim(&mut after, 3, 2 * DAY);
        assert_eq!(news.len(), 1, "the day of learning was before the restart");
        assert_eq!((news[0].news, news[0].known, news[0].known_for.as_secs()), (News::Device, 2, 2 * DAY as u64));
        let mut third = Inventory::new(InventorySettings::default());
        third.recall(kept(&after));
        assert!(claim(&mut third, 3, 3 * DAY).is_empty(), "it was told before");
    }

    #[test]
    fn what_a_baseline_and_an_earlier_run_know_is_joined() {
        let mut before = Inventory::new(InventorySettings::default());
        claim(&mut before, 1, 0);
        claim(&mut before, 2, 60);
        let mut baseline = Inventory::new(InventorySettings::default());
        claim(&mut baseline, 1, DAY);
        baseline.settle();
        baseline.recall(kept(&before));
        assert_eq!(baseline.devices().len(), 2);
        assert_eq!(baseline.devices()[0].first, Timestamp::from_seconds(0));
        assert!(claim(&mut baseline, 2, DAY + 1).is_empty());
        assert_eq!(claim(&mut baseline, 3, DAY + 1).len(), 1, "a baseline ends the learning");
    }

    #[test]
    fn an_address_belongs_to_who_was_seen_with_it_last() {
        let mut before = Inventory::new(InventorySettings::default());
        claim(&mut before, 1, 0);
        let mut memories = kept(&before);
        memories[0].mac = Some([0xb8, 0x27, 0xeb, 0, 0, 9]);
        memories.extend(kept(&before));
        let mut after = Inventory::new(InventorySettings::default());
        after.recall(memories);
        let holder = after.holder(Address::v4([192, 168, 0, 1])).unwrap();
        assert_eq!((after.devices().len(), holder.mac), (2, Some([0xb8, 0x27, 0xeb, 0, 0, 9])));
    }
}
