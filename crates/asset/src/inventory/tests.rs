use lapwing_flow::Endpoint;
use proptest::prelude::*;

use super::*;

const ROUTER: Mac = [2, 0, 0, 0, 0, 1];
const CAMERA: Mac = [2, 0, 0, 0, 0, 22];
const GUEST: Mac = [2, 0, 0, 0, 0, 66];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn inside(last: u8) -> Address {
    Address::v4([192, 168, 0, last])
}

fn outside(third: u8) -> Address {
    Address::v4([203, 0, third, 9])
}

/// An answered flow of UDP.
fn flow(from: (Address, Mac), to: (Address, Mac), port: u16, seconds: i64) -> Flow {
    let half = |mac, bytes| Half { packets: 2, ip_bytes: bytes, mac: Some(mac), ..Half::default() };
    Flow {
        originator: Endpoint { address: from.0, port: 40_000 },
        responder: Endpoint { address: to.0, port },
        protocol: 17,
        start: at(seconds),
        last: at(seconds),
        orig: half(from.1, 100),
        resp: half(to.1, 1_000),
        ..Flow::default()
    }
}

fn arp(address: u8, mac: Mac, seconds: i64) -> Arp {
    Arp {
        time: at(seconds),
        frame: 1,
        operation: 2,
        vlan: 0,
        frame_source: mac,
        frame_destination: [255; 6],
        sender_mac: mac,
        sender_address: [192, 168, 0, address],
        target_mac: [0; 6],
        target_address: [192, 168, 0, 1],
    }
}

fn ended(inventory: &mut Inventory, flow: &Flow) -> Vec<News> {
    let mut changes = Vec::new();
    let observed = Observed { time: flow.last, frame: 1, fact: Observation::FlowEnded(flow) };
    inventory.observe(&observed, &mut changes);
    changes.into_iter().map(|change| change.news).collect()
}

fn said(inventory: &mut Inventory, arp: &Arp) -> Vec<News> {
    let mut changes = Vec::new();
    inventory.observe(&Observed { time: arp.time, frame: 1, fact: Observation::Arp(arp) }, &mut changes);
    changes.into_iter().map(|change| change.news).collect()
}

/// A home with a router and a camera that asks its cloud, learnt.
fn home() -> Inventory {
    let mut inventory = Inventory::new(InventorySettings::default());
    said(&mut inventory, &arp(1, ROUTER, 0));
    said(&mut inventory, &arp(22, CAMERA, 1));
    assert!(ended(&mut inventory, &flow((inside(22), CAMERA), (outside(1), ROUTER), 443, 10)).is_empty());
    inventory.settle();
    inventory
}

#[test]
fn a_device_keeps_its_history_under_a_new_address() {
    let mut inventory = home();
    assert!(said(&mut inventory, &arp(23, CAMERA, 100)).is_empty(), "a new address is no new device");
    assert_eq!(inventory.devices().len(), 2);
    let camera = inventory.holder(inside(23)).unwrap();
    assert_eq!((camera.flows, camera.addresses.len(), camera.mac), (1, 2, Some(CAMERA)));
    assert_eq!(camera.volume(), Volume { sent: 100, received: 1_000 });
}

#[test]
fn what_was_not_in_the_baseline_is_new() {
    let mut inventory = home();
    assert_eq!(said(&mut inventory, &arp(66, GUEST, 100)), [News::Device]);
    let usual = flow((inside(22), CAMERA), (outside(1), ROUTER), 443, 110);
    assert!(ended(&mut inventory, &usual).is_empty());
    let elsewhere = flow((inside(22), CAMERA), (outside(2), ROUTER), 6667, 120);
    let service = Service { protocol: 17, port: 6667 };
    assert_eq!(ended(&mut inventory, &elsewhere), [News::Destination { peer: outside(2), service }]);
    assert!(ended(&mut inventory, &elsewhere).is_empty(), "told once");
    let served = flow((inside(66), GUEST), (inside(22), CAMERA), 23, 130);
    let service = Service { protocol: 17, port: 23 };
    assert_eq!(ended(&mut inventory, &served), [News::Service { peer: inside(66), service }]);
    let of_the_guest = flow((inside(66), GUEST), (outside(3), ROUTER), 443, 140);
    assert!(ended(&mut inventory, &of_the_guest).is_empty(), "what a new device does is not known yet");
}

#[test]
fn another_way_outside_is_told_once() {
    let mut inventory = home();
    let detour = flow((inside(22), CAMERA), (outside(1), GUEST), 443, 100);
    assert_eq!(ended(&mut inventory, &detour), [News::Gateway { before: ROUTER, now: GUEST }]);
    assert!(ended(&mut inventory, &detour).is_empty());
}

#[test]
fn what_an_alert_named_is_not_learnt() {
    let mut inventory = home();
    let stolen = flow((inside(22), CAMERA), (outside(9), ROUTER), 443, 100);
    assert_eq!(ended(&mut inventory, &stolen).len(), 1);
    inventory.unlearn(inside(22), outside(9), at(50));
    assert!(ended(&mut inventory, &stolen).is_empty(), "it was told, and is told by the alert");
    inventory.settle();
    assert_eq!(ended(&mut inventory, &stolen).len(), 1, "a baseline without it: it is as new as before");
    inventory.unlearn(inside(22), outside(1), at(50));
    inventory.settle();
    let usual = flow((inside(22), CAMERA), (outside(1), ROUTER), 443, 110);
    assert!(ended(&mut inventory, &usual).is_empty(), "what was usual before stays so");
}

#[test]
fn nothing_is_new_while_learning() {
    let mut inventory = Inventory::new(InventorySettings::default());
    for minute in 0..60_u8 {
        let seconds = i64::from(minute) * 60;
        assert!(said(&mut inventory, &arp(100 + minute, [2, 0, 0, 0, 1, minute], seconds)).is_empty());
    }
    let day = 24 * 3_600;
    assert_eq!(said(&mut inventory, &arp(3, GUEST, day + 1)), [News::Device]);
}

#[test]
fn one_address_held_in_turns_is_a_conflict() {
    let mut inventory = home();
    let mut told = Vec::new();
    for turn in 0..8 {
        let mac = if turn % 2 == 0 { CAMERA } else { GUEST };
        told.extend(said(&mut inventory, &arp(22, mac, 100 + turn)));
    }
    let turns: Vec<u32> = told
        .iter()
        .filter_map(|news| if let News::Conflict { turns, .. } = news { Some(*turns) } else { None })
        .collect();
    assert_eq!(turns, [3, 4]);
    let mut moved = home();
    said(&mut moved, &arp(22, GUEST, 100));
    assert!(said(&mut moved, &arp(22, GUEST, 200)).is_empty(), "an address may move to another device");
}

#[test]
fn who_takes_addresses_is_known_by_its_own_and_their_owner_keeps_what_it_does() {
    let mut inventory = home();
    said(&mut inventory, &arp(66, GUEST, 90));
    for turn in 0..8 {
        let mac = if turn % 2 == 0 { GUEST } else { CAMERA };
        said(&mut inventory, &arp(22, mac, 100 + turn));
    }
    said(&mut inventory, &arp(22, GUEST, 110));
    ended(&mut inventory, &flow((inside(22), GUEST), (outside(1), ROUTER), 443, 111));
    let of = |inventory: &Inventory, mac: Mac| {
        let device = inventory.devices().iter().find(|device| device.mac == Some(mac)).unwrap();
        (device.address(), device.own_addresses().collect::<Vec<_>>(), device.flows)
    };
    assert_eq!(of(&inventory, GUEST), (Some(inside(66)), vec![inside(66)], 0));
    assert_eq!(of(&inventory, CAMERA), (Some(inside(22)), vec![inside(22)], 2));
    // Nobody else claims it for a while.
    said(&mut inventory, &arp(22, GUEST, 1_000));
    assert_eq!(of(&inventory, GUEST).1, [inside(66), inside(22)]);
}

#[test]
fn hosts_behind_a_router_are_not_the_router() {
    let mut inventory = Inventory::new(InventorySettings::default());
    said(&mut inventory, &arp(1, ROUTER, 0));
    ended(&mut inventory, &flow((inside(22), CAMERA), (outside(1), ROUTER), 443, 1));
    for last in 1..30 {
        let remote = Address::v4([10, 9, 0, last]);
        ended(&mut inventory, &flow((remote, ROUTER), (inside(22), CAMERA), 554, 10));
    }
    let router = inventory.holder(inside(1)).unwrap();
    assert!(router.routes && router.addresses.len() == 1);
    assert!(inventory.holder(Address::v4([10, 9, 0, 7])).unwrap().mac.is_none());
}

#[test]
fn invented_sources_do_not_enter() {
    let mut inventory = home();
    for last in 0..200 {
        let mut syn = flow((Address::v4([10, 1, 1, last]), ROUTER), (inside(22), CAMERA), 80, 100);
        syn.protocol = TCP;
        syn.state = ConnState::S1;
        syn.resp.packets = 0;
        assert!(ended(&mut inventory, &syn).is_empty());
        syn.resp.packets = 1;
        syn.state = ConnState::Sh;
        assert!(ended(&mut inventory, &syn).is_empty());
    }
    assert_eq!(inventory.devices().len(), 2);
}

#[test]
fn a_full_inventory_keeps_who_talks() {
    let settings = InventorySettings { most_devices: 16, ..InventorySettings::default() };
    let mut inventory = Inventory::new(settings);
    said(&mut inventory, &arp(22, CAMERA, 0));
    ended(&mut inventory, &flow((inside(22), CAMERA), (outside(1), ROUTER), 443, 1));
    for number in 0..1_000_u32 {
        let [.., c, d] = number.to_be_bytes();
        said(&mut inventory, &arp(100, [2, 7, 7, 7, c, d], 10 + i64::from(number)));
    }
    assert_eq!((inventory.devices().len(), inventory.evicted()), (16, 985));
    assert_eq!(inventory.holder(inside(22)).unwrap().flows, 1);
}

#[test]
fn a_service_that_an_attack_opened_is_not_learnt_and_others_are() {
    let mut inventory = home();
    for (port, seconds) in [(554, 100), (23, 200), (80, 300)] {
        ended(&mut inventory, &flow((inside(66), GUEST), (inside(22), CAMERA), port, seconds));
    }
    inventory.unlearn_offers(inside(22), (at(150), at(250)));
    inventory.unlearn(inside(22), inside(66), at(0));
    inventory.settle();
    let mut news = |port| ended(&mut inventory, &flow((inside(66), GUEST), (inside(22), CAMERA), port, 400)).len();
    assert_eq!([554, 23, 80].map(&mut news), [0, 1, 0]);
}

#[test]
fn who_claims_every_address_holds_a_few() {
    let mut inventory = home();
    for address in 30..=254 {
        said(&mut inventory, &arp(address, GUEST, 100 + i64::from(address)));
    }
    assert!(inventory.by_address.len() <= 3 * crate::device::ADDRESSES, "{}", inventory.by_address.len());
}

proptest! {
    /// Whoever says what: the maps and the list agree, and the cap holds.
    #[test]
    fn addresses_lead_to_who_holds_them(steps in prop::collection::vec((0_u8..40, 0_u8..6, 0_u8..4, 0_i64..2_000), 0..300)) {
        let mut inventory = Inventory::new(InventorySettings { most_devices: 4, ..InventorySettings::default() });
        for (address, mac, how, seconds) in steps {
            let mac = [2, 0, 0, 0, 0, mac];
            match how {
                0 => { said(&mut inventory, &arp(address, mac, seconds)); }
                1 => { ended(&mut inventory, &flow((inside(address), mac), (outside(address), ROUTER), 443, seconds)); }
                2 => { ended(&mut inventory, &flow((inside(address), mac), (inside(address ^ 1), mac), 80, seconds)); }
                _ => inventory.settle(),
            }
            prop_assert!(inventory.devices().len() <= 4);
            for (address, place) in &inventory.by_address {
                prop_assert!(inventory.devices[*place as usize].addresses.contains(*address), "{address:?}");
            }
            for (mac, place) in &inventory.by_mac {
                prop_assert_eq!(inventory.devices[*place as usize].mac, Some(*mac));
            }
        }
    }
}
