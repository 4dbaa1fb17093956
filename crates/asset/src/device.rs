//! One device, and what is usual for it.

use lapwing_capture::Timestamp;
use lapwing_decode::Address;

use crate::recent::Seen;
use crate::{Recent, is_random, vendor};

/// A link-layer address.
pub type Mac = [u8; 6];

/// Addresses kept of one device: a dual-stack host with temporary addresses has some ten at a time (RFC 8981).
pub(crate) const ADDRESSES: usize = 10;
/// Services kept that a device offers, and that it uses.
const SERVICES: usize = 16;
/// Networks outside kept that a device had answers from.
const DESTINATIONS: usize = 32;
/// Peers kept by volume.
pub(crate) const PEERS: usize = 16;

/// A transport protocol and the port of the side that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// IP protocol number.
    pub protocol: u8,
    /// Port; ICMP: zero.
    pub port: u16,
}

/// The network of a destination: /24 of IPv4, /48 of IPv6, for services move between neighbouring addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(pub(crate) [u8; 12]);

impl Prefix {
    /// The network that `address` lies in.
    #[must_use]
    pub fn of(address: Address) -> Self {
        let mut bytes = [0; 12];
        if address.is_v4() {
            bytes[8..11].copy_from_slice(&address.0[12..15]);
            bytes[11] = 4;
        } else {
            bytes[..6].copy_from_slice(&address.0[..6]);
            bytes[11] = 6;
        }
        Self(bytes)
    }
}

/// Bytes of IP packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// By the device.
    pub sent: u64,
    /// To the device.
    pub received: u64,
}

/// A host that a device talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: Address,
    /// Bytes between the two. Of a peer that came after the list was full, at most.
    pub volume: Volume,
    /// Flows between the two.
    pub flows: u64,
    /// End of the latest.
    pub last: Timestamp,
}

/// One device of the local networks.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its link-layer address, where it was seen on its own link.
    pub mac: Option<Mac>,
    /// Its addresses; those are accused that it took from a device which held them until then.
    pub addresses: Recent<Address, ADDRESSES>,
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
    /// What it offers: services on which it answered.
    pub offers: Recent<Service, SERVICES>,
    /// What it uses: services that answered it.
    pub uses: Recent<Service, SERVICES>,
    /// Networks outside that it had answers from.
    pub destinations: Recent<Prefix, DESTINATIONS>,
    /// Whom it talks to most, by volume.
    pub peers: Vec<Peer>,
    /// Volume by hour of the day, UTC.
    pub hours: [Volume; 24],
    /// Flows that ended.
    pub flows: u64,
    /// Packets of others come from its link-layer address: it is a router.
    pub routes: bool,
    /// Who carries its packets outside.
    pub(crate) gateway: Option<Mac>,
    /// What it does is learnt.
    pub(crate) is_settled: bool,
}

impl Device {
    pub(crate) fn new(address: Option<Address>, mac: Option<Mac>, time: Timestamp) -> Self {
        let mut device = Self {
            mac,
            addresses: Recent::default(),
            first: time,
            last: time,
            offers: Recent::default(),
            uses: Recent::default(),
            destinations: Recent::default(),
            peers: Vec::new(),
            hours: [Volume::default(); 24],
            flows: 0,
            routes: false,
            gateway: None,
            is_settled: false,
        };
        if let Some(address) = address {
            device.addresses.note(address, time);
        }
        device
    }

    /// The address of its own that it used last; IPv4 before IPv6, for that is how people know it.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        let order = |seen: &&Seen<Address>| (!seen.accused, seen.what.is_v4(), seen.last());
        self.addresses.iter().max_by_key(order).map(|seen| seen.what)
    }

    /// Its addresses without those that it took from another device; these where it has no others.
    pub fn own_addresses(&self) -> impl Iterator<Item = Address> {
        let takes_all = self.addresses.iter().all(|seen| seen.accused);
        self.addresses.iter().filter(move |seen| takes_all || !seen.accused).map(|seen| seen.what)
    }

    /// Who made it, if its link-layer address says.
    #[must_use]
    pub fn vendor(&self) -> Option<&'static str> {
        self.mac.and_then(vendor)
    }

    /// Whether its link-layer address is drawn at random, so that it may come back under another.
    #[must_use]
    pub fn has_random_mac(&self) -> bool {
        self.mac.is_some_and(is_random)
    }

    /// Volume of all hours.
    #[must_use]
    pub fn volume(&self) -> Volume {
        self.hours.iter().fold(Volume::default(), |sum, hour| Volume {
            sent: sum.sent + hour.sent,
            received: sum.received + hour.received,
        })
    }

    /// Counts a flow that ended.
    pub(crate) fn count(&mut self, peer: Address, volume: Volume, start: Timestamp, last: Timestamp) {
        self.flows += 1;
        let hour = &mut self.hours[start.seconds().div_euclid(3_600).rem_euclid(24) as usize];
        hour.sent += volume.sent;
        hour.received += volume.received;
        if let Some(known) = self.peers.iter_mut().find(|known| known.address == peer) {
            known.volume.sent += volume.sent;
            known.volume.received += volume.received;
            known.flows += 1;
            known.last = known.last.max(last);
            return;
        }
        let mut newcomer = Peer { address: peer, volume, flows: 1, last };
        if self.peers.len() < PEERS {
            if self.peers.len() == self.peers.capacity() {
                self.peers.reserve_exact((self.peers.len() / 2 + 1).min(PEERS - self.peers.len()));
            }
            self.peers.push(newcomer);
        } else if let Some(least) = self.peers.iter_mut().min_by_key(|known| known.volume.sent + known.volume.received)
        {
            // The newcomer inherits what the least had, so that who comes often stays (Metwally et al. 2005, Space-Saving).
            newcomer.volume.sent += least.volume.sent;
            newcomer.volume.received += least.volume.received;
            *least = newcomer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Address {
        Address::v4([10, 0, 0, last])
    }

    #[test]
    fn who_talks_most_stays_among_the_peers() {
        let mut device = Device::new(Some(address(1)), None, Timestamp::from_seconds(0));
        for round in 0..100 {
            device.count(
                address(2),
                Volume { sent: 1_000, received: 0 },
                Timestamp::from_seconds(round),
                Timestamp::from_seconds(round),
            );
            device.count(
                address(100 + round as u8),
                Volume { sent: 1, received: 1 },
                Timestamp::from_seconds(round),
                Timestamp::from_seconds(round),
            );
        }
        assert_eq!(device.peers.len(), PEERS);
        let busiest = device.peers.iter().max_by_key(|peer| peer.volume.sent).unwrap();
        assert_eq!((busiest.address, busiest.volume.sent), (address(2), 100_000));
        assert_eq!(device.volume(), Volume { sent: 100_100, received: 100 });
    }

    #[test]
    fn hours_are_those_of_the_day() {
        let mut device = Device::new(None, None, Timestamp::from_seconds(0));
        for seconds in [3_600 * 5 + 1, 86_400 + 3_600 * 5, -3_600] {
            let time = Timestamp::from_seconds(seconds);
            device.count(address(2), Volume { sent: 1, received: 0 }, time, time);
        }
        assert_eq!((device.hours[5].sent, device.hours[23].sent), (2, 1));
    }

    #[test]
    fn neighbouring_servers_share_a_prefix() {
        assert_eq!(Prefix::of(Address::v4([198, 51, 100, 1])), Prefix::of(Address::v4([198, 51, 100, 200])));
        assert_ne!(Prefix::of(Address::v4([198, 51, 100, 1])), Prefix::of(Address::v4([198, 51, 101, 1])));
        let long = |text: &str| Prefix::of(Address::from(text.parse::<std::net::IpAddr>().unwrap()));
        assert_eq!(long("2001:db8:1::1"), long("2001:db8:1:2::9"));
        assert_ne!(long("2001:db8:1::1"), long("2001:db8:2::1"));
    }
}
