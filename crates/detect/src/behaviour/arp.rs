//! Who claims which address on the link.
//!
//! # What it sees
//! Per link-layer address, over five minutes: how many IPv4 addresses it claimed, how many replies it sent that nobody had
//! asked for, how many addresses it took that another held a moment ago, how often such an address went back and forth, and
//! how many addresses it asked for. Per address that many claim, how many: their link-layer addresses are forged, and none is
//! measured by itself for it. Emits service `arp`.
//!
//! # Why it matters
//! Whoever answers for the gateway reads and changes everything a device sends (ATT&CK T1557.002); whoever asks for every
//! address of the link looks for prey (T1018).
//!
//! # False positives
//! Not counted as claims: probes (RFC 5227, sender 0.0.0.0). Announcements are no unasked replies, nor are answers for an
//! address that the device is known under. An address that DHCP
//! gives to another device changes hands once; so does one of a failover pair. A router that answers for others (proxy ARP)
//! claims many, but is asked. A gateway asks for many addresses when somebody outside scans the network.
//!
//! # References
//! RFC 826, RFC 5227; arpwatch (flip-flops); Slips' ARP module (unsolicited replies, scans).

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Arp};
use lapwing_protocol::{Fact, Need, Observation, Observed};

use super::second;
use super::sweep::Sweep;
use crate::distinct::Distinct;
use crate::evidence::Steps;
use crate::table::Table;
use crate::{Detector, DetectorInfo, Found, Measurement, Partition, Subject, Value};

pub(crate) const INFO: DetectorInfo = DetectorInfo {
    name: "arp",
    summary: "addresses claimed, contested and asked for on the link",
    services: &["arp"],
    needs: &[Need::all(Fact::Arp)],
};

/// Addresses whose holder is remembered: 8,192 × 64 bytes.
const ADDRESSES: usize = 8_192;
/// Devices watched: 2,048 × at most 1.5 kB.
const DEVICES: usize = 2_048;

/// Claims, conflicts and questions count this long, in seconds.
const WINDOW: u32 = 300;
const MINUTE: u32 = 60;

/// Claimants of one address from which on none of them is measured by itself: a pair that takes turns and a spoofer
/// are three.
const CROWD: u32 = 4;

/// Addresses asked for within a minute from which on it is worth a rule's look.
const ASKED_FLOOR: u32 = 20;

/// A reply this many seconds after a question was asked for.
const ANSWER_TIME: u32 = 5;

/// See the module.
#[derive(Debug)]
pub struct ArpWatch {
    holders: Table<(u16, [u8; 4]), Holder>,
    devices: Table<(u16, [u8; 6]), Device>,
    sweep: Sweep,
}

/// What is known of an address.
#[derive(Debug, Default)]
struct Holder {
    mac: Option<[u8; 6]>,
    claimed: u32,
    asked: Option<u32>,
    changes: u32,
    changed: u32,
    /// Who holds it by ordinary means: asks everybody under this name, or answered when asked, uncontested.
    own: Option<[u8; 6]>,
    /// Present while it is contested.
    crowd: Option<Box<Crowd>>,
}

/// Those who claim one contested address.
#[derive(Debug, Default)]
struct Crowd {
    claimants: Distinct,
    changes: u32,
    first: Timestamp,
    last: Timestamp,
    steps: Steps,
}

#[derive(Debug, Default)]
struct Device {
    addresses: Distinct,
    unasked: u32,
    conflicts: u32,
    back_and_forth: u32,
    asked: Distinct,
    /// When it first claimed what it may not.
    first: Option<Timestamp>,
    last: Timestamp,
    claim_steps: Steps,
    unasked_steps: Steps,
    conflict_steps: Steps,
    asked_steps: Steps,
    contested: Vec<Address>,
    /// The address that it last called itself.
    address: Address,
    /// The address that it lawfully holds, as far as known.
    known_as: Option<Address>,
}

impl ArpWatch {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { holders: Table::new(ADDRESSES), devices: Table::new(DEVICES), sweep: Sweep::new() }
    }

    fn look(&mut self, arp: &Arp, found: &mut Found) {
        let now = second(arp.time);
        let is_request = arp.operation == 1;
        if !is_request && arp.operation != 2 || arp.sender_mac == [0; 6] {
            return;
        }
        let is_announcement = arp.sender_address == arp.target_address;
        let mut news = News::default();
        if is_request && !is_announcement {
            self.holders.entry((arp.vlan, arp.target_address)).asked = Some(now);
        }
        if arp.sender_address != [0; 4] {
            news = self.claim(arp, now);
            found.measurements.extend(self.crowd(arp, now));
        }
        // Who sent the frame answers for it, whatever name it wrote into the packet: tools that restore the truth after a spoof
        // write the victim's.
        let key = (arp.vlan, if arp.frame_source == [0; 6] { arp.sender_mac } else { arp.frame_source });
        let device = self.devices.entry(key);
        device.take(arp, now, &news);
        self.sweep.stir_if(device.asked.count(now, MINUTE) >= ASKED_FLOOR);
        if device.due(now) {
            found.measurements.push(device.measurement(key.1, now, arp.time));
        }
    }

    /// What there is to say of the address that the sender claims, where many do.
    fn crowd(&mut self, arp: &Arp, now: u32) -> Option<Measurement> {
        let crowd = self.holders.get_mut(&(arp.vlan, arp.sender_address))?.crowd.as_mut()?;
        let claimants = crowd.claimants.count(now, WINDOW);
        let address = Address::v4(arp.sender_address);
        (crowd.last == arp.time && crowd.steps.reached(claimants, CROWD)).then(|| Measurement {
            time: arp.time,
            service: "arp",
            detector: INFO.name,
            subject: Subject::Victim(address),
            peers: Vec::new(),
            first: crowd.first,
            last: arp.time,
            evidence: Vec::new(),
            fields: vec![
                ("mac", Value::Mac(arp.sender_mac)),
                ("address", Value::Address(address)),
                ("claimants", Value::Count(u64::from(claimants))),
                ("turns", Value::Count(u64::from(crowd.changes))),
            ],
        })
    }

    /// Notes that the sender holds its address, and what that changes.
    fn claim(&mut self, arp: &Arp, now: u32) -> News {
        let holder = self.holders.entry((arp.vlan, arp.sender_address));
        let mut news = News::default();
        // Whoever takes back what is lawfully its own takes nothing from anybody.
        let is_own = holder.own == Some(arp.sender_mac);
        let other = holder.mac.is_some_and(|mac| mac != arp.sender_mac) && !is_own;
        let is_fresh = now.saturating_sub(holder.claimed) <= WINDOW;
        if other && is_fresh {
            if now.saturating_sub(holder.changed) > WINDOW {
                (holder.changes, holder.crowd) = (0, None);
            }
            holder.changes = holder.changes.saturating_add(1);
            holder.changed = now;
            let before = holder.mac.map(mac_thing);
            let crowd = holder.crowd.get_or_insert_with(|| Box::new(Crowd { first: arp.time, ..Crowd::default() }));
            for claimant in before.into_iter().chain([mac_thing(arp.sender_mac)]) {
                crowd.claimants.insert(claimant, now, WINDOW);
            }
            (crowd.changes, crowd.last) = (holder.changes, arp.time);
            if crowd.claimants.count(now, WINDOW) < CROWD {
                news.conflict = true;
                news.changes = holder.changes;
            }
        }
        holder.mac = Some(arp.sender_mac);
        holder.claimed = now;
        let is_reply = arp.operation == 2;
        // One question excuses one answer.
        let asked = if is_reply { holder.asked.take() } else { None };
        let was_asked = asked.is_some_and(|asked| now.saturating_sub(asked) <= ANSWER_TIME);
        let is_to_all = arp.frame_destination[0] & 1 == 1;
        if is_to_all || is_reply && was_asked {
            // While an address is contested it stays with whom it was known before.
            let is_contested = now.saturating_sub(holder.changed) <= WINDOW;
            if holder.own.is_none() || !is_contested {
                holder.own = Some(arp.sender_mac);
            }
        } else if is_reply && arp.sender_address != arp.target_address {
            // Caches are refreshed one to one, where a capture may miss the question: its own address a device may repeat.
            let is_crowded = holder.crowd.as_ref().is_some_and(|crowd| crowd.claimants.count(now, WINDOW) >= CROWD);
            news.unasked = !is_own && !is_crowded;
        }
        news.own = holder.own == Some(arp.sender_mac);
        news
    }
}

/// A link-layer address as a thing to count.
fn mac_thing([a, b, c, d, e, f]: [u8; 6]) -> u32 {
    u32::from_be_bytes([c, d, e, f]) ^ u32::from(u16::from_be_bytes([a, b])).wrapping_mul(0x9e37_79b9)
}

impl Default for ArpWatch {
    fn default() -> Self {
        Self::new()
    }
}

/// What one packet said that matters.
#[derive(Debug, Default)]
struct News {
    unasked: bool,
    conflict: bool,
    changes: u32,
    /// The sender lawfully holds the address it names.
    own: bool,
}

impl Device {
    fn take(&mut self, arp: &Arp, now: u32, news: &News) {
        if now.saturating_sub(second(self.last)) > WINDOW {
            *self = Self { known_as: self.known_as, ..Self::default() };
        }
        self.last = arp.time;
        if arp.sender_address != [0; 4] {
            self.addresses.insert(u32::from_be_bytes(arp.sender_address), now, WINDOW);
        }
        if arp.operation == 1 && arp.sender_address != arp.target_address {
            self.asked.insert(u32::from_be_bytes(arp.target_address), now, MINUTE);
        }
        self.unasked = self.unasked.saturating_add(u32::from(news.unasked));
        self.conflicts = self.conflicts.saturating_add(u32::from(news.conflict));
        self.back_and_forth = self.back_and_forth.max(news.changes);
        let address = Address::v4(arp.sender_address);
        self.address = address;
        if news.own {
            self.known_as = Some(address);
        }
        if news.unasked || news.conflict {
            self.first.get_or_insert(arp.time);
        }
        if (news.unasked || news.conflict) && self.contested.len() < 8 && !self.contested.contains(&address) {
            self.contested.push(address);
        }
    }

    fn due(&mut self, now: u32) -> bool {
        let addresses = self.claim_steps.reached(self.addresses.count(now, WINDOW), 2);
        let unasked = self.unasked_steps.reached(self.unasked, 1);
        let conflicts = self.conflict_steps.reached(self.conflicts, 1);
        let asked = self.asked_steps.reached(self.asked.count(now, MINUTE), ASKED_FLOOR);
        (addresses && self.unasked + self.conflicts > 0) || unasked || conflicts || asked
    }

    fn measurement(&self, mac: [u8; 6], now: u32, time: Timestamp) -> Measurement {
        let count = |value: u32| Value::Count(u64::from(value));
        // What it asked for lately, or claimed wrongly before.
        let asked = self.asked.since(now, MINUTE).filter(|_| self.asked.count(now, MINUTE) >= ASKED_FLOOR);
        let asked = asked.map(|second| Timestamp::from_seconds(i64::from(second)));
        let first = self.first.into_iter().chain(asked).min().unwrap_or(self.last);
        let mut peers = self.contested.clone();
        peers.sort_unstable();
        let contested = peers.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
        Measurement {
            time,
            service: "arp",
            detector: INFO.name,
            subject: Subject::Device(mac),
            peers,
            first,
            last: self.last,
            evidence: Vec::new(),
            fields: vec![
                ("mac", Value::Mac(mac)),
                (
                    "known_as",
                    Value::Text(
                        self.known_as.map_or_else(|| "address unknown".into(), |own| own.ip().to_string().into()),
                    ),
                ),
                ("address", Value::Address(self.address)),
                ("contested", Value::Text(contested.into())),
                ("claimed_addresses", count(self.addresses.count(now, WINDOW))),
                ("unasked_replies", count(self.unasked)),
                ("conflicts", count(self.conflicts)),
                ("back_and_forth", count(self.back_and_forth)),
                ("asked_addresses_minute", count(self.asked.count(now, MINUTE))),
                ("asked_addresses", count(self.asked.count(now, WINDOW))),
            ],
        }
    }
}

impl Detector for ArpWatch {
    fn info(&self) -> &'static DetectorInfo {
        &INFO
    }

    fn partition(&self) -> Partition {
        Partition::Link
    }

    fn observe(&mut self, batch: &[Observed<'_>], found: &mut Found) {
        for observed in batch {
            if let Observation::Arp(arp) = observed.fact {
                self.look(arp, found);
            }
        }
    }

    fn advance(&mut self, now: Timestamp, found: &mut Found) {
        if !self.sweep.is_due(now) {
            return;
        }
        for (&(_, mac), device) in self.devices.iter_mut() {
            let last = second(device.last);
            if device.asked_steps.unreported(device.asked.count(last, MINUTE), ASKED_FLOOR) {
                found.measurements.push(device.measurement(mac, last, now));
            }
        }
    }

    fn evicted(&self) -> u64 {
        self.holders.evicted() + self.devices.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROADCAST: [u8; 6] = [0xff; 6];

    fn arp(seconds: i64, operation: u16, mac: u8, sender: u8, target: u8, to: [u8; 6]) -> Arp {
        Arp {
            time: Timestamp::from_seconds(seconds),
            frame: 1,
            operation,
            vlan: 0,
            frame_source: [2, 0, 0, 0, 0, mac],
            frame_destination: to,
            sender_mac: [2, 0, 0, 0, 0, mac],
            sender_address: if sender == 0 { [0; 4] } else { [192, 168, 0, sender] },
            target_mac: to,
            target_address: [192, 168, 0, target],
        }
    }

    fn run(packets: &[Arp]) -> Found {
        let (mut watch, mut found) = (ArpWatch::new(), Found::default());
        packets.iter().for_each(|packet| watch.look(packet, &mut found));
        found
    }

    fn last(found: &Found, name: &str) -> u64 {
        match found.measurements.last().and_then(|measurement| measurement.get(name)) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        }
    }

    #[test]
    fn asking_and_answering_measures_nothing() {
        let mut packets = Vec::new();
        for host in 2..12 {
            packets.push(arp(1000 + i64::from(host), 1, host, host, 1, BROADCAST));
            packets.push(arp(1000 + i64::from(host), 2, 1, 1, host, [2, 0, 0, 0, 0, host]));
        }
        assert!(run(&packets).measurements.is_empty());
    }

    #[test]
    fn a_spoofer_answers_unasked_for_an_address_besides_its_own() {
        let mut packets = vec![arp(1000, 1, 9, 9, 5, BROADCAST)];
        packets.extend((0..5).map(|step| arp(1010 + 2 * step, 2, 9, 1, 5, [2, 0, 0, 0, 0, 5])));
        let found = run(&packets);
        assert_eq!(last(&found, "claimed_addresses"), 2);
        assert!(last(&found, "unasked_replies") >= 4);
        assert_eq!(found.measurements[0].subject, Subject::Device([2, 0, 0, 0, 0, 9]));
    }

    #[test]
    fn a_device_may_repeat_its_own_address() {
        let packets = [
            arp(1000, 1, 9, 7, 1, BROADCAST),
            arp(1010, 1, 9, 9, 1, BROADCAST),
            arp(1100, 2, 9, 9, 5, [2, 0, 0, 0, 0, 5]),
        ];
        assert!(run(&packets).measurements.is_empty());
    }

    #[test]
    fn a_contested_address_goes_back_and_forth() {
        let packets: Vec<_> =
            (0..8).map(|step| arp(1000 + i64::from(step), 1, 1 + step % 2, 1, 1, BROADCAST)).collect();
        assert!(last(&run(&packets), "back_and_forth") >= 3);
    }

    #[test]
    fn an_address_that_dhcp_gave_to_another_changes_hands_without_a_word() {
        let found = run(&[
            arp(1000, 1, 7, 7, 1, BROADCAST),
            arp(5000, 1, 8, 0, 7, BROADCAST),
            arp(5001, 1, 8, 7, 7, BROADCAST),
        ]);
        assert!(found.measurements.is_empty());
    }

    #[test]
    fn many_claimants_of_one_address_are_one_matter() {
        let packets: Vec<_> = (0..200)
            .map(|step| arp(1000 + i64::from(step) / 10, 1 + u16::from(step % 2), step, 1, 7, BROADCAST))
            .collect();
        let found = run(&packets);
        let about_address = |found: &&Measurement| found.subject == Subject::Victim(Address::v4([192, 168, 0, 1]));
        let told = found.measurements.iter().rfind(about_address).unwrap();
        assert!(matches!(told.get("claimants"), Some(Value::Count(100..))));
        assert!(found.measurements.len() - found.measurements.iter().filter(about_address).count() < CROWD as usize);
    }

    #[test]
    fn a_sweep_begins_when_the_addresses_were_asked_for() {
        let mut packets = vec![arp(900, 1, 9, 9, 1, BROADCAST)];
        packets.extend((10..60).map(|host| arp(1100, 1, 9, 9, host, BROADCAST)));
        let found = run(&packets);
        assert_eq!(found.measurements.last().unwrap().first, Timestamp::from_seconds(1100));
    }
}
