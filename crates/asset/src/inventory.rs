//! The inventory: who is there, and what is new.
//!
//! A device is known by its link-layer address where that is seen on the device's own link (ARP, neighbour discovery, what it
//! sends to groups), else by its address. Addresses change hands; the device keeps its history. Somebody enters only who
//! answers, is answered, or speaks on the link: the invented sources of a flood do not.

mod news;

use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Arp};
use lapwing_flow::{ConnState, Flow, Half};
use lapwing_protocol::{LocalNetworks, Observation, Observed, Scope};

use crate::{Change, Device, Mac, News, Prefix, Recent, Service, Volume};

const TCP: u8 = 6;
const ICMP6: u8 = 58;
/// Neighbour discovery (RFC 4861): router solicitation to redirect. Such messages never leave their link.
const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u16> = 133..=137;
/// Routers noted.
const GATEWAYS: usize = 16;
/// IPv4 addresses that one link-layer address may hold by hearsay; with more it is a router of another local network.
const HEARSAY_ADDRESSES: usize = 6;
/// Ports from which systems draw those of clients (RFC 6056 and what systems do): nobody offers a service there for long.
const EPHEMERAL: u16 = 32_768;

/// Settings of an [`Inventory`].
#[derive(Clone, Debug)]
pub struct InventorySettings {
    /// Which addresses are devices.
    pub local: LocalNetworks,
    /// For so long a network, and each device on it, is learnt before anything about it is new.
    pub learning: Duration,
    /// Devices kept; when full, who was not seen for longest goes.
    pub most_devices: usize,
}

impl Default for InventorySettings {
    fn default() -> Self {
        Self { local: LocalNetworks::default(), learning: Duration::from_secs(24 * 3_600), most_devices: 10_240 }
    }
}

/// An address that changed hands.
#[derive(Clone, Copy, Debug)]
struct Contested {
    address: Address,
    holders: [Mac; 2],
    since: Timestamp,
    turns: u32,
}

/// Every device of the local networks, as far as it was seen.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(crate) settings: InventorySettings,
    pub(crate) devices: Vec<Device>,
    pub(crate) by_mac: HashMap<Mac, u32, RandomState>,
    pub(crate) by_address: HashMap<Address, u32, RandomState>,
    /// Link-layer addresses that carry packets of hosts outside.
    pub(crate) gateways: Recent<Mac, GATEWAYS>,
    contested: Vec<Contested>,
    pub(crate) first: Option<Timestamp>,
    /// The learning was ended: what is new on the network is told.
    pub(crate) is_settled: bool,
    /// Where the search for a device to forget goes on.
    hand: usize,
    pub(crate) newest_device: Option<Timestamp>,
    evicted: u64,
}

impl Inventory {
    /// An empty one.
    #[must_use]
    pub fn new(settings: InventorySettings) -> Self {
        Self {
            settings,
            devices: Vec::new(),
            by_mac: HashMap::default(),
            by_address: HashMap::default(),
            gateways: Recent::default(),
            contested: Vec::new(),
            first: None,
            is_settled: false,
            hand: 0,
            newest_device: None,
            evicted: 0,
        }
    }

    /// Every device, in the order in which they were first seen; one that took the place of another stands in its place.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device that holds the address.
    #[must_use]
    pub fn holder(&self, address: Address) -> Option<&Device> {
        self.by_address.get(&address).map(|place| &self.devices[*place as usize])
    }

    /// Devices forgotten because there were too many.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// When the device that came last was first seen.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest_device
    }

    /// Ends the learning: a baseline was trusted traffic, and what it did not hold is new; so is what an alert named.
    pub fn settle(&mut self) {
        self.is_settled = self.first.is_some();
        for device in &mut self.devices {
            device.is_settled = true;
            device.destinations.clear();
            device.offers.clear();
        }
    }

    /// What an alert named is not usual: that `device` talks with the network of `peer`, if it first did so at `since` or later.
    pub fn unlearn(&mut self, device: Address, peer: Address, since: Timestamp) {
        if let Some(place) = self.by_address.get(&device) {
            let network = Prefix::of(peer);
            let destinations = &mut self.devices[*place as usize].destinations;
            destinations.accuse((since, Timestamp::MAX), |destination| destination == network);
        }
    }

    /// What `device` offered for the first time while it was attacked is not usual: the attack may have opened it.
    pub fn unlearn_offers(&mut self, device: Address, attack: (Timestamp, Timestamp)) {
        if let Some(place) = self.by_address.get(&device) {
            self.devices[*place as usize].offers.accuse(attack, |_| true);
        }
    }

    /// Takes in one fact; what is new goes to `changes`.
    pub fn observe(&mut self, observed: &Observed<'_>, changes: &mut Vec<Change>) {
        match observed.fact {
            Observation::Arp(arp) => self.arp(arp, changes),
            Observation::FlowProgress(flow) => self.flow(flow, observed.time, false, changes),
            fact => {
                let over = fact.finished();
                if let Some(flow) = over.or(fact.judged()) {
                    self.flow(flow, flow.last, over.is_some(), changes);
                }
            }
        }
    }

    fn is_learnt(&self, time: Timestamp) -> bool {
        self.is_settled || self.first.is_some_and(|first| since(first, time) >= self.settings.learning)
    }

    /// Whether the device was there long enough for what is new about it to be told.
    fn is_known(&self, device: &Device, time: Timestamp) -> bool {
        device.is_settled || since(device.first, time) >= self.settings.learning
    }

    fn arp(&mut self, arp: &Arp, changes: &mut Vec<Change>) {
        let address = Address::v4(arp.sender_address);
        if arp.sender_address != [0; 4]
            && self.settings.local.scope(address) == Scope::Local
            && is_unicast(arp.sender_mac)
        {
            self.claim(address, Some(arp.sender_mac), true, arp.time, changes);
        }
    }

    fn flow(&mut self, flow: &Flow, time: Timestamp, over: bool, changes: &mut Vec<Change>) {
        let local = &self.settings.local;
        let (originator, responder) = (flow.originator.address, flow.responder.address);
        let scopes = (local.scope(originator), local.scope(responder));
        let on_link =
            scopes.1 == Scope::Group || flow.protocol == ICMP6 && NEIGHBOUR_DISCOVERY.contains(&flow.originator.port);
        let answered = is_answered(flow);
        if !on_link && !answered {
            return;
        }
        if let (Scope::Local, Scope::Outside, Some(mac)) = (scopes.0, scopes.1, flow.resp.mac) {
            self.gateway(originator, mac, time, changes);
        }
        let service =
            Service { protocol: flow.protocol, port: if has_ports(flow.protocol) { flow.responder.port } else { 0 } };
        if scopes.0 == Scope::Local {
            let place = self.claim(originator, flow.orig.mac, on_link, time, changes);
            if answered {
                if over {
                    self.devices[place].count(responder, volume(&flow.orig, &flow.resp), flow.start, time);
                }
                self.devices[place].uses.note(service, time);
                if scopes.1 == Scope::Outside {
                    self.destination(place, responder, service, time, changes);
                }
            }
        }
        if scopes.1 == Scope::Local && answered {
            let place = self.claim(responder, flow.resp.mac, false, time, changes);
            if over {
                self.devices[place].count(originator, volume(&flow.resp, &flow.orig), flow.start, time);
            }
            if has_ports(flow.protocol) && flow.responder.port < EPHEMERAL {
                self.offer(place, originator, service, time, changes);
            }
        }
    }

    /// The place of the device that holds `address`. `on_link`: the device itself sent `mac` on its own link; else it is what
    /// stood in the frame, which may be a router's.
    fn claim(
        &mut self,
        address: Address,
        mac: Option<Mac>,
        on_link: bool,
        time: Timestamp,
        changes: &mut Vec<Change>,
    ) -> usize {
        self.first.get_or_insert(time);
        let holder = self.by_address.get(&address).map(|place| *place as usize);
        let mut takes = false;
        let place = match (holder, mac.filter(|mac| self.tells(*mac, address, holder, on_link))) {
            (Some(place), None) => self.rightful(place, address),
            (Some(place), mac) if self.devices[place].mac == mac => place,
            (Some(place), Some(mac)) if self.devices[place].mac.is_none() && !self.by_mac.contains_key(&mac) => {
                self.devices[place].mac = Some(mac);
                self.by_mac.insert(mac, place as u32);
                place
            }
            // A known host without a link-layer address of its own, behind one that another holds.
            (Some(place), Some(_)) if !on_link => place,
            (Some(before), Some(mac)) => {
                let place = self.of_mac(mac, address, time, changes);
                takes = self.is_held(before, address, time) && !self.devices[place].addresses.contains(address);
                self.by_address.insert(address, place as u32);
                self.hand_over(before, place, address, time, changes);
                place
            }
            (None, Some(mac)) => {
                let place = self.of_mac(mac, address, time, changes);
                self.by_address.insert(address, place as u32);
                place
            }
            (None, None) => self.enter(address, None, time, changes),
        };
        let device = &mut self.devices[place];
        device.last = device.last.max(time);
        let displaced = device.addresses.note(address, time).and_then(|before| before.displaced);
        if takes || device.addresses.is_accused(address) && !self.contested.iter().any(|it| it.is_about(address, time))
        {
            // Who has claimed it alone for a while owns it.
            device.addresses.set_accused(address, takes);
        }
        if let Some(displaced) = displaced
            && self.by_address.get(&displaced) == Some(&(place as u32))
        {
            self.by_address.remove(&displaced);
        }
        place
    }

    /// Whether the link-layer address tells something about the host. What only stood in a frame does not take an address from
    /// who was seen to hold it.
    fn tells(&self, mac: Mac, address: Address, holder: Option<usize>, on_link: bool) -> bool {
        if !on_link && holder.is_some_and(|place| self.devices[place].mac.is_some()) {
            return false;
        }
        is_unicast(mac) && (on_link || self.is_own(mac, address))
    }

    /// Whether a link-layer address that stood in a frame may be that of the host itself: not a router's.
    fn is_own(&self, mac: Mac, address: Address) -> bool {
        if self.gateways.contains(mac) {
            return false;
        }
        let Some(place) = self.by_mac.get(&mac) else { return true };
        let device = &self.devices[*place as usize];
        let others = device.addresses.iter().filter(|seen| seen.what.is_v4() && seen.what != address).count();
        !device.routes && (!address.is_v4() || others < HEARSAY_ADDRESSES)
    }

    fn of_mac(&mut self, mac: Mac, address: Address, time: Timestamp, changes: &mut Vec<Change>) -> usize {
        match self.by_mac.get(&mac) {
            Some(place) => *place as usize,
            None => self.enter(address, Some(mac), time, changes),
        }
    }

    /// A device that was not there before.
    fn enter(&mut self, address: Address, mac: Option<Mac>, time: Timestamp, changes: &mut Vec<Change>) -> usize {
        let (known, newest) = (self.devices.len(), self.newest_device.replace(time));
        let device = Device {
            routes: mac.is_some_and(|mac| self.gateways.contains(mac)),
            ..Device::new(Some(address), mac, time)
        };
        let place = if self.devices.len() < self.settings.most_devices.max(1) {
            self.devices.push(device);
            self.devices.len() - 1
        } else {
            let place = self.least_recent();
            self.forget(place);
            self.devices[place] = device;
            place
        };
        self.by_address.insert(address, place as u32);
        if let Some(mac) = mac {
            self.by_mac.insert(mac, place as u32);
        }
        // An IPv6 address without a link-layer address may be a temporary one of a device that is known.
        if self.is_learnt(time) && (mac.is_some() || address.is_v4()) {
            self.tell(place, News::Device, known, newest, time, changes);
        }
        place
    }

    /// Of a few devices in turn the one to forget: rather one that never talked with anybody, then who was not seen for longest.
    fn least_recent(&mut self) -> usize {
        const LOOKED_AT: usize = 16;
        let count = self.devices.len();
        let places = (self.hand..self.hand + LOOKED_AT).map(|place| place % count);
        self.hand = (self.hand + LOOKED_AT) % count;
        places.min_by_key(|place| (self.devices[*place].flows > 0, self.devices[*place].last)).unwrap_or(0)
    }

    fn forget(&mut self, place: usize) {
        self.evicted += 1;
        let device = &self.devices[place];
        for seen in device.addresses.iter() {
            if self.by_address.get(&seen.what) == Some(&(place as u32)) {
                self.by_address.remove(&seen.what);
            }
        }
        if let Some(mac) = device.mac {
            self.by_mac.remove(&mac);
        }
    }
}

/// Whether both sides took part: what tells a conversation from a scan, an answer that nobody asked for, an invented source.
fn is_answered(flow: &Flow) -> bool {
    let both = flow.orig.packets > 0 && flow.resp.packets > 0;
    both && (flow.protocol != TCP
        || matches!(
            flow.state,
            ConnState::Sf | ConnState::S1 | ConnState::S2 | ConnState::S3 | ConnState::Rsto | ConnState::Rstr
        ))
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132)
}

const fn is_unicast(mac: Mac) -> bool {
    mac[0] & 1 == 0 && !matches!(mac, [0, 0, 0, 0, 0, 0])
}

const fn volume(own: &Half, other: &Half) -> Volume {
    Volume { sent: own.ip_bytes, received: other.ip_bytes }
}

fn since(first: Timestamp, time: Timestamp) -> Duration {
    Duration::from_nanos(u64::try_from(time.nanos_since(first)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
