//! What devices do all day.

use std::net::Ipv4Addr;
use std::time::Duration;

use lapwing_capture::Timestamp;

use super::exchange::{announce, mqtt, mqtt_connect, mqtt_publish, time, tls, who_has};
use super::home::{CAMERA_CLOUD, FILMS, Home, SPEAKER_CLOUD, Service, TIME, WEB};
use super::session::{Session, Side};
use super::wire::Host;
use super::world::World;

const MDNS: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
const SSDP: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 255, 255, 250), 1900);

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;

/// Sends pictures to its cloud, three pieces a second, in connections of some twenty minutes.
pub(super) fn camera(world: &mut World, start: Timestamp, camera: Host) {
    let mut open: Option<(Session, Timestamp)> = None;
    world.begin(start.plus(Duration::from_millis(300)), move |world: &mut World, now: Timestamp| {
        let (mut session, until) = match open.take() {
            Some(open) => open,
            None => (tls(world, now, camera, &CAMERA_CLOUD), now.plus(world.between(15.0 * MINUTE, 25.0 * MINUTE))),
        };
        session.now = session.now.max(now);
        if now >= until {
            session.close(world, Side::Client);
            return Some(now.plus(world.between(1.0, 3.0)));
        }
        for _ in 0..3 {
            let size = world.number(600, 1_100);
            session.say_record(world, Side::Client, size);
            session.wait(world.between(0.2, 0.3));
        }
        session.say_record(world, Side::Server, 60);
        open = Some((session, until));
        Some(now.plus(world.between(0.95, 1.15)))
    });
}

/// Sends a clip of ten seconds or so whenever something moves.
pub(super) fn clips(world: &mut World, start: Timestamp, camera: Host) {
    let mut open: Option<(Session, usize)> = None;
    let first = start.plus(world.between(20.0, 5.0 * MINUTE));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        let (mut session, left) = match open.take() {
            Some(open) => open,
            None => (tls(world, now, camera, &CAMERA_CLOUD), world.number(6, 15)),
        };
        session.now = session.now.max(now);
        for _ in 0..6 {
            let size = world.number(1_000, 8_000);
            session.say_record(world, Side::Client, size);
            session.wait(world.between(0.05, 0.12));
        }
        session.say_record(world, Side::Server, 90);
        if left > 0 {
            open = Some((session, left - 1));
            return Some(now.plus(Duration::from_secs(1)));
        }
        session.close(world, Side::Client);
        Some(now.plus(world.between(2.0 * MINUTE, 20.0 * MINUTE)))
    });
}

/// Says to the home's broker what it uses, on one connection for hours.
pub(super) fn plug(world: &mut World, start: Timestamp, plug: Host, number: usize) {
    let mut open: Option<(Session, usize)> = None;
    let first = start.plus(world.between(0.5, 20.0));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        let (mut session, left) = match open.take() {
            Some(open) => open,
            None => (mqtt_connect(world, now, plug, &format!("plug-{number}")), world.number(200, 600)),
        };
        session.now = session.now.max(now);
        if left == 0 {
            session.say(world, Side::Client, &mqtt(0xe0, &[]));
            session.close(world, Side::Client);
            return Some(now.plus(world.between(2.0, 10.0)));
        }
        if world.number(0, 3) == 0 {
            session.ask(world, &mqtt(0xc0, &[]), Duration::from_millis(1), &mqtt(0xd0, &[]));
        } else {
            let watts = world.number(3, 90);
            mqtt_publish(world, &mut session, &format!("home/plug-{number}/power"), &format!("{{\"watts\":{watts}}}"));
        }
        open = Some((session, left - 1));
        Some(now.plus(world.between(15.0, 45.0)))
    });
}

/// Asks its cloud by the clock, as programs do that know no better.
pub(super) fn polls(world: &mut World, start: Timestamp, device: Host, cloud: Service, seconds: u64) {
    let first = start.plus(world.between(5.0, 60.0));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        let mut session = tls(world, now, device, &cloud);
        session.say_record(world, Side::Client, 420);
        session.wait(Duration::from_millis(40));
        session.say_record(world, Side::Server, 310);
        session.close(world, Side::Client);
        Some(now.plus(Duration::from_secs(seconds) + world.between(0.0, 0.4)))
    });
}

/// Announces itself, and answers questions that it sends to its cloud.
pub(super) fn speaker(world: &mut World, start: Timestamp) {
    const NAME: &[u8] =
        b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x05_cast\x04_tcp\x05local\0\0\x0c\0\x01\0\0\x11\x94\0\x0a\x07speaker\xc0\x0c";
    announces(world, start, Home::SPEAKER, MDNS, NAME);
    let first = start.plus(world.between(8.0, 40.0));
    world.begin(first, |world: &mut World, now: Timestamp| {
        let mut session = tls(world, now, Home::SPEAKER, &SPEAKER_CLOUD);
        for _ in 0..world.number(2, 6) {
            let (spoken, answer) = (world.number(2_000, 9_000), world.number(4_000, 30_000));
            session.say_record(world, Side::Client, spoken);
            session.wait(world.between(0.2, 0.6));
            session.say_record(world, Side::Server, answer);
            session.wait(world.between(0.3, 1.0));
        }
        session.close(world, Side::Server);
        Some(now.plus(world.between(3.0 * MINUTE, 25.0 * MINUTE)))
    });
}

/// Announces itself, and shows films now and then.
pub(super) fn television(world: &mut World, start: Timestamp) {
    const NOTIFY: &[u8] = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n\
        NT: upnp:rootdevice\r\nNTS: ssdp:alive\r\nUSN: uuid:4d4d4d4d::upnp:rootdevice\r\n\r\n";
    announces(world, start, Home::TELEVISION, SSDP, NOTIFY);
    let mut open: Option<(Session, usize)> = None;
    let first = start.plus(world.between(3.0, 30.0));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        let (mut session, left) = match open.take() {
            Some(open) => open,
            None => (tls(world, now, Home::TELEVISION, &FILMS), world.number(8, 40)),
        };
        session.now = session.now.max(now);
        session.say_record(world, Side::Client, 380);
        session.wait(Duration::from_millis(30));
        let size = world.number(40_000, 180_000);
        session.say_record(world, Side::Server, size);
        if left > 0 {
            open = Some((session, left - 1));
            return Some(now.plus(world.between(3.0, 7.0)));
        }
        session.close(world, Side::Client);
        Some(now.plus(world.between(0.4 * HOUR, 4.0 * HOUR)))
    });
}

/// Looks at pages: some servers each, some requests to each.
pub(super) fn browsing(world: &mut World, start: Timestamp, device: Host, pause: f64) {
    let first = start.plus(world.between(1.0, 15.0));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        for _ in 0..world.number(1, 4) {
            let service = WEB[world.random.below(WEB.len())];
            let begins = now.plus(world.between(0.0, 1.5));
            let mut session = tls(world, begins, device, &service);
            for _ in 0..world.number(1, 6) {
                let (asked, got) = (world.number(300, 1_500), world.number(600, 60_000));
                session.say_record(world, Side::Client, asked);
                session.wait(session.delay() + world.between(0.01, 0.08));
                session.say_record(world, Side::Server, got);
                session.wait(world.between(0.02, 0.9));
            }
            session.close(world, Side::Client);
        }
        // Long pauses are rarer than short ones, as with people.
        let patience = -(1.0 - world.random.unit()).ln();
        Some(now.plus(Duration::from_secs_f64((5.0 + pause * patience).min(20.0 * MINUTE))))
    });
}

/// Takes in what the laptop saves.
pub(super) fn storage(world: &mut World, start: Timestamp) {
    let first = start.plus(world.between(2.0 * MINUTE, 15.0 * MINUTE));
    world.begin(first, |world: &mut World, now: Timestamp| {
        let client = (Home::LAPTOP, world.port());
        let mut session = Session::open(world, now, client, (Home::STORAGE, 445), Duration::from_micros(400));
        for _ in 0..world.number(3, 10) {
            let size = world.number(2_000, 60_000);
            session.say_random(world, Side::Client, size);
            session.wait(Duration::from_millis(3));
            session.say_random(world, Side::Server, 120);
            session.wait(world.between(0.05, 0.5));
        }
        session.close(world, Side::Client);
        Some(now.plus(world.between(10.0 * MINUTE, 50.0 * MINUTE)))
    });
}

/// Shows its pages to the phone.
pub(super) fn hub(world: &mut World, start: Timestamp) {
    const ASKED: &[u8] = b"GET /api/states HTTP/1.1\r\nHost: hub.home\r\nAccept: application/json\r\n\r\n";
    let first = start.plus(world.between(10.0, 90.0));
    world.begin(first, |world: &mut World, now: Timestamp| {
        let client = (Home::PHONE, world.port());
        let mut session = Session::open(world, now, client, (Home::HUB, 80), Duration::from_micros(1_500));
        let states = world.number(400, 3_000);
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {states}\r\n\r\n");
        answer.extend(std::iter::repeat_n(' ', states));
        session.ask(world, ASKED, Duration::from_millis(8), answer.as_bytes());
        session.close(world, Side::Client);
        Some(now.plus(world.between(1.0 * MINUTE, 15.0 * MINUTE)))
    });
}

/// Asks for the time every twenty minutes or so.
pub(super) fn keeps_time(world: &mut World, start: Timestamp, device: Host) {
    let first = start.plus(world.between(2.0, 10.0 * MINUTE));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        time(world, now, device, TIME);
        Some(now.plus(world.between(15.0 * MINUTE, 35.0 * MINUTE)))
    });
}

/// Asks where the router is, as its table of neighbours grows old, and the router asks for it.
pub(super) fn asks_for_neighbours(world: &mut World, start: Timestamp, device: Host) {
    let first = start.plus(world.between(0.1, 30.0));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        who_has(world, now, device, Home::GATEWAY);
        let answered = now.plus(world.between(1.0, 20.0));
        who_has(world, answered, Home::GATEWAY, device);
        Some(now.plus(world.between(40.0, 8.0 * MINUTE)))
    });
}

/// Says every few minutes that it is there.
fn announces(world: &mut World, start: Timestamp, device: Host, group: (Ipv4Addr, u16), payload: &'static [u8]) {
    let first = start.plus(world.between(1.0, 60.0));
    world.begin(first, move |world: &mut World, now: Timestamp| {
        announce(world, now, device, group, payload);
        Some(now.plus(world.between(2.0 * MINUTE, 15.0 * MINUTE)))
    });
}
