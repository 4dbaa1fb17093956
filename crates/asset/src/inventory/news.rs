//! What is new about a device, or on a network, once it is known.

use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;

use super::{Contested, Inventory, since};
use crate::recent::{Before, Seen};
use crate::{Change, Mac, News, Prefix, Service};

/// An address changes hands in turns within this time.
const TURNS_WITHIN: Duration = Duration::from_secs(600);
/// Addresses watched that changed hands.
const CONTESTED: usize = 64;

impl Contested {
    pub(super) fn is_about(&self, address: Address, time: Timestamp) -> bool {
        self.address == address && since(self.since, time) <= TURNS_WITHIN
    }
}

impl Inventory {
    /// Whether the device showed minutes ago that it holds the address.
    pub(super) fn is_held(&self, place: usize, address: Address, time: Timestamp) -> bool {
        let mut addresses = self.devices[place].addresses.iter();
        addresses.any(|seen| seen.what == address && since(seen.last(), time) <= TURNS_WITHIN)
    }

    /// Of two devices that take an address from each other, the one that had it first; else the one at `place`.
    pub(super) fn rightful(&self, place: usize, address: Address) -> usize {
        let takes = |place: usize| self.devices[place].addresses.is_accused(address);
        let contested = self.contested.iter().find(|contested| contested.address == address);
        let Some(contested) = contested.filter(|_| takes(place)) else { return place };
        let mut holders = contested.holders.iter().filter_map(|mac| self.by_mac.get(mac)).map(|place| *place as usize);
        holders.find(|place| !takes(*place)).unwrap_or(place)
    }

    /// Notes that `mac` carries packets of hosts outside; `device` uses it.
    pub(super) fn gateway(&mut self, device: Address, mac: Mac, time: Timestamp, changes: &mut Vec<Change>) {
        let new = self.gateways.note(mac, time);
        if let Some(place) = self.by_mac.get(&mac) {
            self.devices[*place as usize].routes = true;
        }
        let Some(place) = self.by_address.get(&device).map(|place| *place as usize) else { return };
        let before = self.devices[place].gateway.replace(mac);
        if let (Some(before), Some(Before { known, .. })) = (before, new)
            && before != mac
            && self.is_known(&self.devices[place], time)
        {
            let quiet = self.gateways.iter().filter(|seen| seen.what != mac).map(Seen::first).max();
            self.tell(place, News::Gateway { before, now: mac }, known, quiet, time, changes);
        }
    }

    pub(super) fn destination(
        &mut self,
        place: usize,
        peer: Address,
        service: Service,
        time: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let new = self.devices[place].destinations.note(Prefix::of(peer), time);
        if let Some(Before { known, newest, .. }) = new
            && self.is_known(&self.devices[place], time)
        {
            self.tell(place, News::Destination { peer, service }, known, newest, time, changes);
        }
    }

    pub(super) fn offer(
        &mut self,
        place: usize,
        peer: Address,
        service: Service,
        time: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        if let Some(Before { known, newest, .. }) = self.devices[place].offers.note(service, time)
            && self.is_known(&self.devices[place], time)
        {
            self.tell(place, News::Service { peer, service }, known, newest, time, changes);
        }
    }

    pub(super) fn tell(
        &self,
        place: usize,
        news: News,
        known: usize,
        newest: Option<Timestamp>,
        time: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let device = &self.devices[place];
        let first = if news == News::Device { self.first.unwrap_or(time) } else { device.first };
        let known_for = since(first, time);
        let quiet = newest.map_or(known_for, |newest| since(newest.max(first), time));
        let quiet_share = quiet.as_secs_f64() / known_for.as_secs_f64().max(1e-9);
        let Some(address) = device.address() else { return };
        changes.push(Change {
            time,
            address,
            mac: device.mac,
            news,
            known_for,
            known,
            quiet_share: quiet_share.min(1.0),
        });
    }

    /// `address` went from one device to another: told where they take it from each other in turns.
    pub(super) fn hand_over(
        &mut self,
        before: usize,
        place: usize,
        address: Address,
        time: Timestamp,
        changes: &mut Vec<Change>,
    ) {
        let (Some(from), Some(to)) = (self.devices[before].mac, self.devices[place].mac) else { return };
        let holders = if from < to { [from, to] } else { [to, from] };
        self.contested.retain(|contested| since(contested.since, time) <= TURNS_WITHIN);
        let known =
            self.contested.iter_mut().find(|contested| contested.address == address && contested.holders == holders);
        let Some(contested) = known else {
            if self.contested.len() < CONTESTED {
                self.contested.push(Contested { address, holders, since: time, turns: 1 });
            }
            return;
        };
        contested.turns += 1;
        let turns = contested.turns;
        // From the third turn on, and when the number has doubled.
        if turns >= 3 && (turns == 3 || turns.is_power_of_two()) && self.is_learnt(time) {
            self.tell(place, News::Conflict { other: from, turns }, 2, None, time, changes);
            // Not whatever address the device is known by.
            if let Some(change) = changes.last_mut().filter(|change| matches!(change.news, News::Conflict { .. })) {
                change.address = address;
            }
        }
    }
}
