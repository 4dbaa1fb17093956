//! Attacks, as they look on the home's link.

use std::net::Ipv4Addr;
use std::time::Duration;

use lapwing_capture::Timestamp;

use super::exchange::tls;
use super::home::{Home, Service, outside};
use super::session::{Session, Side};
use super::truth::Attack;
use super::wire::{Host, SYN, Segment, arp, tcp};
use super::world::World;

/// What can happen to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttackKind {
    /// A stranger in the network tries the ports of the laptop.
    PortScan,
    /// Somebody outside guesses passwords of the hub's SSH.
    SshGuessing,
    /// A plug that was taken over guesses passwords of a camera's Telnet.
    TelnetGuessing,
    /// A stranger in the network floods the hub with SYNs.
    SynFlood,
    /// A plug that was taken over asks its master for orders.
    Beacon,
    /// Somebody carries out what lies on the storage.
    Exfiltration,
    /// A stranger in the network draws the laptop's traffic to himself.
    ArpSpoofing,
}

impl AttackKind {
    /// Every attack.
    pub const ALL: [Self; 7] = [
        Self::PortScan,
        Self::ArpSpoofing,
        Self::SynFlood,
        Self::SshGuessing,
        Self::TelnetGuessing,
        Self::Exfiltration,
        Self::Beacon,
    ];

    /// The first so many of them are noticed within seconds.
    pub(super) const QUICK: usize = 3;

    /// The kind of alert that it should raise.
    #[must_use]
    pub const fn alert(self) -> &'static str {
        match self {
            Self::PortScan => "port-scan",
            Self::SshGuessing | Self::TelnetGuessing => "brute-force",
            Self::SynFlood => "syn-flood",
            Self::Beacon => "beacon",
            Self::Exfiltration => "exfiltration",
            Self::ArpSpoofing => "arp-spoofing",
        }
    }

    /// Who attacks whom.
    const fn ends(self) -> (Host, Host) {
        match self {
            Self::PortScan | Self::ArpSpoofing => (Home::STRANGER, Home::LAPTOP),
            Self::SshGuessing => (outside([203, 0, 113, 77]), Home::HUB),
            Self::TelnetGuessing => (Home::PLUGS[1], Home::YARD_CAMERA),
            Self::SynFlood => (Home::STRANGER, Home::HUB),
            Self::Beacon => (Home::PLUGS[2], MASTER.host),
            Self::Exfiltration => (Home::STORAGE, RECEIVER.host),
        }
    }

    /// How long it goes on at most.
    const fn takes(self) -> Duration {
        Duration::from_secs(match self {
            Self::PortScan => 6,
            Self::SshGuessing => 60,
            Self::TelnetGuessing => 75,
            Self::SynFlood => 6,
            Self::Beacon => 180,
            Self::Exfiltration => 40,
            Self::ArpSpoofing => 45,
        })
    }
}

const MASTER: Service = Service { name: "orders.example", host: outside([203, 0, 113, 99]), port: 443 };
const RECEIVER: Service = Service { name: "drop.example", host: outside([203, 0, 113, 150]), port: 443 };

/// Begins an attack, and says until when it goes on.
pub(super) fn begin(world: &mut World, now: Timestamp, kind: AttackKind) -> Timestamp {
    let (attacker, target) = kind.ends();
    let until = now.plus(kind.takes());
    let addresses = (attacker.address, target.address);
    world.truth.begin(Attack { kind, attacker: addresses.0, target: addresses.1, from: now, until: None });
    match kind {
        AttackKind::PortScan => port_scan(world, now, attacker, target),
        AttackKind::SshGuessing => ssh_guessing(world, now, attacker, target),
        AttackKind::TelnetGuessing => telnet_guessing(world, now, attacker, target),
        AttackKind::SynFlood => syn_flood(world, now, attacker, target),
        AttackKind::Beacon => beacon(world, now, attacker),
        AttackKind::Exfiltration => exfiltration(world, now, attacker),
        AttackKind::ArpSpoofing => arp_spoofing(world, now, attacker, target),
    }
    world.begin(until, move |world: &mut World, now: Timestamp| {
        world.truth.end(kind, now);
        None
    });
    until
}

/// Three hundred ports, fifty a second; all but two refuse.
fn port_scan(world: &mut World, now: Timestamp, attacker: Host, target: Host) {
    let mut port = 0;
    world.begin(now, move |world: &mut World, mut now: Timestamp| {
        for _ in 0..50 {
            port += 1;
            let (client, server) = ((attacker, world.port()), (target, port));
            let delay = Duration::from_micros(300);
            if matches!(port, 22 | 139) {
                Session::open(world, now, client, server, delay).close(world, Side::Client);
            } else {
                Session::refused(world, now, client, server, delay);
            }
            now = now.plus(Duration::from_millis(18));
        }
        (port < 300).then(|| now.plus(Duration::from_millis(20)))
    });
}

/// Thirty connections, each refused after one password.
fn ssh_guessing(world: &mut World, now: Timestamp, attacker: Host, target: Host) {
    let mut left = 30;
    world.begin(now, move |world: &mut World, now: Timestamp| {
        let client = (attacker, world.port());
        let mut session = Session::open(world, now, client, (target, 22), Duration::from_millis(14));
        session.say(world, Side::Server, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
        session.wait(Duration::from_millis(15));
        session.say(world, Side::Client, b"SSH-2.0-libssh_0.9.6\r\n");
        for (asked, answered) in [(980, 1_080), (48, 520), (16, 52), (68, 52), (148, 52)] {
            session.say_random(world, Side::Client, asked);
            session.wait(session.delay() * 2);
            session.say_random(world, Side::Server, answered);
            session.wait(session.delay());
        }
        session.close(world, Side::Server);
        left -= 1;
        (left > 0).then(|| now.plus(world.between(1.2, 2.0)))
    });
}

/// Thirty connections; the camera hangs up after a wrong password, always with the same words.
fn telnet_guessing(world: &mut World, now: Timestamp, attacker: Host, target: Host) {
    const WORDS: [(&[u8], &[u8]); 6] = [
        (b"root\r\n", b"xc3511\r\n"),
        (b"root\r\n", b"vizxv\r\n"),
        (b"root\r\n", b"admin\r\n"),
        (b"admin\r\n", b"admin\r\n"),
        (b"root\r\n", b"888888\r\n"),
        (b"root\r\n", b"default\r\n"),
    ];
    let mut left = 30;
    world.begin(now, move |world: &mut World, now: Timestamp| {
        let client = (attacker, world.port());
        let mut session = Session::open(world, now, client, (target, 23), Duration::from_millis(1));
        let (name, password) = WORDS[left % WORDS.len()];
        session.say(world, Side::Server, b"\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03camera login: ");
        session.wait(Duration::from_millis(20));
        session.ask(world, name, Duration::from_millis(5), b"Password: ");
        session.ask(world, password, Duration::from_millis(700), b"\r\nLogin incorrect\r\n");
        session.close(world, Side::Server);
        left -= 1;
        (left > 0).then(|| now.plus(world.between(1.8, 2.4)))
    });
}

/// Five thousand SYNs in five seconds to the hub's web server, from ports that change; it answers those it has room for, and nobody
/// completes a connection.
fn syn_flood(world: &mut World, now: Timestamp, attacker: Host, target: Host) {
    let mut left = 5_000;
    world.begin(now, move |world: &mut World, mut now: Timestamp| {
        for _ in 0..100 {
            let from = (attacker, 1_024 + world.random.below(64_000) as u16);
            let opening = Segment { flags: SYN, sequence: world.random.next_u64() as u32, acknowledgment: 0 };
            let frame = tcp(from, (target, 80), world.identification(), opening, &[]);
            world.pass(now, frame);
            now = now.plus(Duration::from_micros(1_000));
        }
        left -= 100;
        (left > 0).then_some(now)
    });
}

/// Thirty-two short requests, five seconds apart with a jitter of a fifth.
fn beacon(world: &mut World, now: Timestamp, attacker: Host) {
    let mut left = 32;
    world.begin(now, move |world: &mut World, now: Timestamp| {
        let mut session = tls(world, now, attacker, &MASTER);
        session.say_record(world, Side::Client, 200);
        session.wait(Duration::from_millis(30));
        session.say_record(world, Side::Server, 96);
        session.close(world, Side::Client);
        left -= 1;
        (left > 0).then(|| now.plus(world.between(4.0, 6.0)))
    });
}

/// Sixty megabytes in one connection, at two megabytes a second.
fn exfiltration(world: &mut World, now: Timestamp, attacker: Host) {
    const PIECE: usize = 100_000;
    let mut left = 600;
    let mut open: Option<Session> = None;
    world.begin(now, move |world: &mut World, now: Timestamp| {
        let mut session = open.take().unwrap_or_else(|| tls(world, now, attacker, &RECEIVER));
        session.now = session.now.max(now);
        session.say_record(world, Side::Client, PIECE);
        left -= 1;
        if left == 0 {
            session.close(world, Side::Client);
            return None;
        }
        open = Some(session);
        Some(now.plus(Duration::from_millis(50)))
    });
}

/// Tells the laptop to be the router and the router to be the laptop, every two seconds.
fn arp_spoofing(world: &mut World, now: Timestamp, attacker: Host, target: Host) {
    let mut left = 20;
    world.begin(now, move |world: &mut World, now: Timestamp| {
        let claims = |world: &mut World, claimed: Ipv4Addr, told: Host| {
            world.pass(now, arp(2, attacker.mac, claimed, (told.mac, told.address)));
        };
        claims(world, Home::GATEWAY.address, target);
        claims(world, target.address, Home::GATEWAY);
        left -= 1;
        (left > 0).then(|| now.plus(Duration::from_secs(2)))
    });
}
