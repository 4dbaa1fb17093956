//! What people and their machines do all day, through every behaviour and every shipped rule: none of it may raise an alert
//! of high severity, and at most one kind of a lower one.

use std::collections::BTreeSet;

use lapwing_capture::Timestamp;
use lapwing_flow::{ConnState, Flow};
use lapwing_protocol::LocalNetworks;

use crate::signature::{self, Signatures, shipped};
use crate::testing::{Shape, at, end, flow};
use crate::{DETECTORS, DetectConfig, Found, Severity, Subject};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;

/// What a whole run raises about flows, given in any order.
fn raised(mut flows: Vec<Flow>) -> BTreeSet<(String, Severity, Subject)> {
    flows.sort_by_key(|flow| (flow.last, flow.uid));
    let (mut signatures, report) = Signatures::load(&shipped(), LocalNetworks::default());
    assert!(report.problems.is_empty());
    let mut detectors: Vec<_> = DETECTORS.iter().map(|entry| (entry.build)(&DetectConfig::default())).collect();
    let (mut found, mut second) = (Found::default(), i64::MIN);
    let mut decide = |found: &mut Found| {
        signature::order(&mut found.measurements);
        signatures.judge(&found.measurements, &mut found.detections);
        found.measurements.clear();
    };
    for flow in &flows {
        for detector in &mut detectors {
            if flow.last.seconds() > second {
                detector.advance(Timestamp::from_seconds(flow.last.seconds()), &mut found);
            }
            end(detector.as_mut(), flow, &mut found);
        }
        second = flow.last.seconds();
        decide(&mut found);
    }
    for after in [1, 61] {
        detectors.iter_mut().for_each(|one| one.advance(Timestamp::from_seconds(second + after), &mut found));
        decide(&mut found);
    }
    found.detections.iter().map(|one| (one.kind.to_string(), one.severity, one.subject)).collect()
}

#[track_caller]
fn is_silent(flows: Vec<Flow>) {
    let raised = raised(flows);
    assert!(raised.is_empty(), "{raised:?}");
}

/// At most one alert, and that a low one.
#[track_caller]
fn is_quiet(flows: Vec<Flow>) {
    let raised = raised(flows);
    let alerts: BTreeSet<_> = raised.iter().map(|(kind, _, subject)| (kind, subject)).collect();
    assert!(alerts.len() <= 1 && raised.iter().all(|(_, severity, _)| *severity <= Severity::Low), "{raised:?}");
}

/// A conversation of `sent` and `received` bytes in `messages` packets of the client, `seconds` long, begun at `start`.
fn talk(from: &str, to: &str, start: f64, seconds: f64, (messages, sent, received): (u32, u64, u64)) -> Flow {
    let mut flow = at(flow(from, to, TCP, Shape::Conversation), start);
    flow.last = Timestamp::from_nanos(flow.start.nanos() + (seconds * 1e9) as i64);
    (flow.orig.payload_packets, flow.orig.payload_bytes, flow.resp.payload_bytes) = (messages, sent, received);
    flow
}

/// An SSH session with a key and one command.
fn ssh(from: &str, to: &str, start: f64, seconds: f64) -> Flow {
    talk(from, to, start, seconds, (14, 3_746, 3_907))
}

/// A question and its answer over UDP.
fn ask(from: &str, to: &str, start: f64) -> Flow {
    at(flow(from, to, UDP, Shape::Conversation), start)
}

/// A pseudo-random number below `below` (xorshift).
fn draw(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[test]
fn configuration_management_signs_in_everywhere() {
    let mut flows = Vec::new();
    for task in 0..8_u16 {
        for host in 1..=20_u16 {
            let start = 1000.0 + f64::from(task) * 15.0 + f64::from(host) * 0.7;
            flows.push(ssh(
                &format!("10.0.0.5:{}", 40_000 + task * 20 + host),
                &format!("10.0.1.{host}:22"),
                start,
                0.6,
            ));
        }
    }
    is_silent(flows);
}

#[test]
fn configuration_management_meets_a_network_half_switched_off() {
    let mut flows = Vec::new();
    for host in 1..=40_u16 {
        let (from, to) = (format!("10.0.0.5:{}", 40_000 + host), format!("10.0.1.{host}:22"));
        let start = 1000.0 + f64::from(host) * 2.0;
        match host % 2 {
            0 => flows.push(ssh(&from, &to, start, 0.6)),
            _ => flows.push(at(flow(&from, &to, TCP, Shape::Unanswered), start)),
        }
    }
    is_silent(flows);
}

#[test]
fn a_monitor_signs_in_every_half_minute() {
    let checks = (0..120_u16)
        .map(|n| ssh(&format!("10.0.0.5:{}", 40_000 + n), "10.0.0.9:22", 1000.0 + 30.0 * f64::from(n), 3.0));
    is_silent(checks.collect());
}

#[test]
fn a_monitor_reads_banners_and_pages_and_pings() {
    let mut flows = Vec::new();
    for round in 0..30_u16 {
        for host in 1..=30_u16 {
            let start = 1000.0 + 60.0 * f64::from(round) + f64::from(host);
            let from = format!("10.0.0.5:{}", 30_000 + round * 40 + host);
            flows.push(talk(&from, &format!("10.0.1.{host}:22"), start, 0.1, (1, 21, 41)));
            flows.push(talk(&from, &format!("10.0.1.{host}:9100"), start + 0.2, 0.2, (1, 180, 60_000)));
            let shape = if host <= 3 { Shape::Unanswered } else { Shape::Conversation };
            flows.push(at(flow("10.0.0.5:8", &format!("10.0.1.{host}:0"), ICMP, shape), start));
            flows.push(ask(&from, &format!("10.0.1.{host}:161"), start + 0.4));
        }
    }
    is_silent(flows);
}

#[test]
fn mail_is_looked_for_and_pictures_are_left() {
    let mut flows = Vec::new();
    for n in 0..60_u16 {
        let start = 1000.0 + 120.0 * f64::from(n);
        flows.push(talk(&format!("10.0.0.7:{}", 40_000 + n), "198.51.100.25:110", start, 0.5, (5, 52, 130)));
        flows.push(talk(&format!("10.0.0.7:{}", 41_000 + n), "198.51.100.25:143", start + 1.3, 1.1, (7, 190, 900)));
    }
    for n in 0..200_u16 {
        let start = 1000.0 + 20.0 * f64::from(n);
        flows.push(talk(&format!("10.0.0.8:{}", 40_000 + n), "10.0.0.9:21", start, 1.5, (6, 96, 290)));
    }
    is_quiet(flows);
}

#[test]
fn a_sensor_connects_for_each_message() {
    let sensor = |n: u16| {
        talk(&format!("10.0.0.8:{}", 30_000 + n), "10.0.0.9:1883", 1000.0 + 10.0 * f64::from(n), 0.1, (3, 80, 4))
    };
    is_silent((0..400).map(sensor).collect());
}

#[test]
fn a_build_machine_fetches_hundreds_of_packages() {
    let mut state = 5;
    let fetch = |n: u16| {
        let to = format!("198.51.100.{}:443", 1 + draw(&mut state, 4));
        talk(&format!("10.0.0.5:{}", 30_000 + n), &to, 1000.0 + f64::from(n) * 0.15, 0.4, (8, 2_400, 900_000))
    };
    is_silent((0..600).map(fetch).collect());
}

#[test]
fn a_router_asks_for_names_and_time() {
    let mut state = 9;
    let mut flows = Vec::new();
    for n in 0..3_000_u16 {
        let start = 1000.0 + f64::from(n) + draw(&mut state, 1_000) as f64 / 1_000.0;
        flows.push(ask(&format!("10.0.0.1:{}", 20_000 + n), "203.0.113.53:53", start));
        flows.push(ask(&format!("10.0.0.{}:{}", 10 + n % 20, 20_000 + n), "10.0.0.1:53", start - 0.01));
        if n % 64 == 0 {
            for server in 1..=4 {
                flows.push(ask("10.0.0.1:123", &format!("203.0.113.{server}:123"), start));
            }
        }
    }
    is_silent(flows);
}

#[test]
fn a_link_talks_to_itself() {
    let mut flows = Vec::new();
    for n in 0..200_u16 {
        for host in 2..12_u16 {
            let start = 1000.0 + 30.0 * f64::from(n) + f64::from(host);
            for to in
                ["224.0.0.251:5353", "239.255.255.250:1900", "10.0.0.255:137", "255.255.255.255:67", "224.0.0.252:5355"]
            {
                flows.push(at(flow(&format!("10.0.0.{host}:{}", 5_000 + n), to, UDP, Shape::Unanswered), start));
            }
        }
    }
    is_silent(flows);
}

#[test]
fn a_browser_opens_two_hundred_connections() {
    let mut flows = Vec::new();
    for n in 0..200_u16 {
        let start = 1000.0 + f64::from(n) * 0.05;
        let (from, to) = (format!("10.0.0.5:{}", 30_000 + n), format!("198.51.100.{}:443", 1 + n % 60));
        flows.push(talk(&from, &to, start, 20.0, (12, 3_000, 200_000)));
        // A third of the hosts have an IPv6 address that is not reached.
        if n % 3 == 0 {
            let from = format!("[2001:db8::5]:{}", 30_000 + n);
            let to = format!("[2001:db8:1::{}]:443", 1 + n % 60);
            flows.push(at(flow(&from, &to, TCP, Shape::Unanswered), start));
        }
    }
    is_silent(flows);
}

#[test]
fn peers_of_a_file_sharing_network_come_and_go() {
    let mut state = 21;
    let mut flows = Vec::new();
    for n in 0..1_500_u16 {
        let (host, port) = (draw(&mut state, 200) + 1, 1_024 + draw(&mut state, 60_000));
        let shape = if draw(&mut state, 100) < 60 { Shape::Unanswered } else { Shape::Conversation };
        let (protocol, net) = if n % 3 == 0 { (TCP, n % 7) } else { (UDP, n % 11) };
        let start = 1000.0 + f64::from(n) * 0.4;
        flows.push(at(
            flow(&format!("10.0.0.5:{}", 6_881 + n % 5), &format!("198.51.{net}.{host}:{port}"), protocol, shape),
            start,
        ));
    }
    is_silent(flows);
}

#[test]
fn clouds_are_kept_alive_by_clocks() {
    let mut flows = Vec::new();
    for n in 0..240_u16 {
        for cloud in 1..=5_u16 {
            let start = 1000.0 + 30.0 * f64::from(n) + f64::from(cloud);
            let from = format!("10.0.0.5:{}", 20_000 + n * 5 + cloud);
            flows.push(talk(&from, &format!("198.51.100.{cloud}:443"), start, 0.3, (4, 600, 4_000)));
        }
    }
    is_quiet(flows);
}

#[test]
fn a_backup_leaves_in_the_first_night() {
    let mut flows = Vec::new();
    for hour in 0..12_u16 {
        let start = 3_600.0 * f64::from(hour + 1);
        flows.push(talk(
            &format!("10.0.0.5:{}", 20_000 + hour),
            "198.51.100.1:443",
            start,
            60.0,
            (200, 200_000, 900_000),
        ));
    }
    flows.push(talk("10.0.0.5:30000", "198.51.100.9:443", 46_000.0, 2_000.0, (90_000, 5_000_000_000, 20_000_000)));
    let raised = raised(flows);
    assert!(raised.len() <= 1 && raised.iter().all(|(_, severity, _)| *severity <= Severity::Medium), "{raised:?}");
}

#[test]
fn a_hub_looks_for_devices_that_are_switched_off() {
    let mut flows = Vec::new();
    for round in 0..40_u16 {
        for host in 1..=12_u16 {
            let start = 1000.0 + 15.0 * f64::from(round) + f64::from(host) * 0.1;
            let from = format!("10.0.0.5:{}", 20_000 + round * 12 + host);
            flows.push(at(flow(&from, &format!("10.0.0.{}:6668", 50 + host), TCP, Shape::Unanswered), start));
        }
    }
    is_silent(flows);
}

#[test]
fn a_recorder_watches_cameras_for_hours() {
    let mut flows = Vec::new();
    for camera in 1..=8_u16 {
        let mut stream = talk(
            &format!("10.0.0.5:{}", 20_000 + camera),
            &format!("10.0.0.{camera}:554"),
            1000.0,
            7_200.0,
            (900, 40_000, 0),
        );
        stream.resp.payload_bytes = 9_000_000_000;
        stream.state = ConnState::S1;
        flows.push(stream);
    }
    is_silent(flows);
}

#[test]
fn many_visitors_come_to_a_web_server() {
    let mut state = 33;
    let visit = |n: u16| {
        let from = format!("203.0.{}.{}:{}", n % 200, 1 + draw(&mut state, 250), 20_000 + n);
        talk(&from, "10.0.0.5:443", 1000.0 + f64::from(n) * 0.01, 0.5, (6, 1_500, 40_000))
    };
    is_silent((0..6_000).map(visit).collect());
}
