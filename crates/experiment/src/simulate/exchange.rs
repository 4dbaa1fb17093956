//! Usual exchanges: names, time, TLS, MQTT, ARP.

use std::net::Ipv4Addr;
use std::time::Duration;

use lapwing_capture::Timestamp;

use super::home::{self, Home};
use super::session::{Session, Side};
use super::wire::{End, Host, arp, udp};
use super::world::World;

/// The home's router answers questions about names within so long.
const RESOLVER: Duration = Duration::from_millis(12);

/// Asks the router for the address of a name and gets it.
pub(super) fn resolve(world: &mut World, now: Timestamp, client: Host, name: &str, address: Ipv4Addr) -> Timestamp {
    let id = world.random.next_u64() as u16;
    let mut question = Vec::new();
    question.extend(id.to_be_bytes());
    question.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let mut answer = question.clone();
    (answer[2], answer[3], answer[7]) = (0x81, 0x80, 1);
    answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 0x2c, 0, 4]);
    answer.extend(address.octets());
    let ends = ((client, world.port()), (Home::GATEWAY, 53));
    let took = RESOLVER + world.between(0.0, 0.02);
    exchange(world, now, ends, &question, took, &answer);
    now.plus(took)
}

/// Asks a server for the time (RFC 5905).
pub(super) fn time(world: &mut World, now: Timestamp, client: Host, server: Host) {
    let mut question = vec![0x23, 0, 6, 0xec];
    question.resize(48, 0);
    let mut answer = vec![0x24, 2, 6, 0xe9];
    answer.extend(world.bytes(44));
    let ends = ((client, world.port()), (server, 123));
    let took = world.between(0.015, 0.03);
    exchange(world, now, ends, &question, took, &answer);
}

/// A datagram there and one back.
pub(super) fn exchange(
    world: &mut World,
    now: Timestamp,
    (client, server): (End, End),
    question: &[u8],
    took: Duration,
    answer: &[u8],
) {
    let there = udp(client, server, world.identification(), question);
    let back = udp(server, client, world.identification(), answer);
    world.pass(now, there);
    world.pass(now.plus(took), back);
}

/// A datagram to whoever listens on the link.
pub(super) fn announce(world: &mut World, now: Timestamp, host: Host, group: (Ipv4Addr, u16), payload: &[u8]) {
    let [_, second, third, fourth] = group.0.octets();
    let mac = [0x01, 0x00, 0x5e, second & 0x7f, third, fourth];
    let to = Host { mac, address: group.0, ttl: 1 };
    let frame = udp((host, group.1), (to, group.1), world.identification(), payload);
    world.pass(now, frame);
}

/// Asks who has an address, and hears it from whom it belongs to.
pub(super) fn who_has(world: &mut World, now: Timestamp, host: Host, wanted: Host) {
    world.pass(now, arp(1, host.mac, host.address, ([0; 6], wanted.address)));
    world.pass(now.plus(Duration::from_micros(600)), arp(2, wanted.mac, wanted.address, (host.mac, host.address)));
}

/// Opens a connection to a service outside and agrees on keys (TLS 1.2 as it looks on the wire).
pub(super) fn tls(world: &mut World, now: Timestamp, client: Host, service: &home::Service) -> Session {
    let now = resolve(world, now, client, service.name, service.host.address);
    let client = (client, world.port());
    let delay = Duration::from_micros(4_000 + 3_000 * (service.host.address.octets()[3] as u64 % 7));
    let mut session = Session::open(world, now, client, (service.host, service.port), delay);
    let hello = client_hello(world, service.name);
    let server_hello = handshake(world, 2, 2_700);
    session.ask(world, &hello, Duration::from_millis(2), &server_hello);
    let finished = handshake(world, 16, 110);
    let agreed = handshake(world, 4, 45);
    session.ask(world, &finished, Duration::from_millis(1), &agreed);
    session
}

/// A ClientHello that names the server (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn client_hello(world: &mut World, name: &str) -> Vec<u8> {
    let mut extensions = Vec::new();
    let length = name.len() as u16;
    extensions.extend([0, 0]);
    extensions.extend((length + 5).to_be_bytes());
    extensions.extend((length + 3).to_be_bytes());
    extensions.push(0);
    extensions.extend(length.to_be_bytes());
    extensions.extend(name.as_bytes());
    // Groups, point formats, signature algorithms.
    extensions.extend([0, 10, 0, 6, 0, 4, 0, 29, 0, 23]);
    extensions.extend([0, 11, 0, 2, 1, 0]);
    extensions.extend([0, 13, 0, 6, 0, 4, 4, 3, 8, 4]);
    let mut hello = vec![3, 3];
    hello.extend(world.bytes(32));
    hello.push(0);
    hello.extend([0, 8, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x30, 0, 0x9c]);
    hello.extend([1, 0]);
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    record(1, &hello)
}

/// A handshake message of that type whose contents mean nothing here.
fn handshake(world: &mut World, kind: u8, length: usize) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(world.bytes(length));
    record(kind, &body)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x16, 3, 1];
    bytes.extend((body.len() as u16 + 4).to_be_bytes());
    bytes.push(kind);
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend(body);
    bytes
}

/// An MQTT packet (MQTT 3.1.1 section 2): type and flags, length, body.
pub(super) fn mqtt(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, body.len() as u8];
    packet.extend(body);
    packet
}

/// A connection to the home's broker, on which a device with this name was accepted.
pub(super) fn mqtt_connect(world: &mut World, now: Timestamp, client: Host, name: &str) -> Session {
    let client = (client, world.port());
    let mut session = Session::open(world, now, client, (Home::HUB, 1883), Duration::from_micros(900));
    let mut connect = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, name.len() as u8];
    connect.extend(name.as_bytes());
    session.ask(world, &mqtt(0x10, &connect), Duration::from_millis(1), &mqtt(0x20, &[0, 0]));
    session
}

/// Says a value under a topic.
pub(super) fn mqtt_publish(world: &mut World, session: &mut Session, topic: &str, value: &str) {
    let mut body = vec![0, topic.len() as u8];
    body.extend(topic.as_bytes());
    body.extend(value.as_bytes());
    session.say(world, Side::Client, &mqtt(0x30, &body));
}
