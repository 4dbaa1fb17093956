//! Frames, byte by byte: Ethernet, ARP, IPv4, TCP, UDP.

use std::net::Ipv4Addr;

/// An end of a conversation, as it looks on the home's link: hosts outside have the router's hardware address there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) mac: [u8; 6],
    pub(super) address: Ipv4Addr,
    /// Time to live of what comes from there.
    pub(super) ttl: u8,
}

/// A host and a port.
pub(super) type End = (Host, u16);

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// What an Ethernet carries at least, so that no frame is shorter than 60 bytes without its checksum.
const LEAST: usize = 60;

const TCP: u8 = 6;
const UDP: u8 = 17;

fn ethernet(destination: [u8; 6], source: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(LEAST.max(14 + payload.len()));
    frame.extend(destination);
    frame.extend(source);
    frame.extend(ether_type.to_be_bytes());
    frame.extend_from_slice(payload);
    frame.resize(frame.len().max(LEAST), 0);
    frame
}

/// An ARP request (1) or reply (2): `sender` says which hardware address `claims` has, to `target`.
pub(super) fn arp(operation: u16, sender: [u8; 6], claims: Ipv4Addr, target: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4];
    body.extend(operation.to_be_bytes());
    body.extend(sender);
    body.extend(claims.octets());
    body.extend(if operation == 1 { [0; 6] } else { target.0 });
    body.extend(target.1.octets());
    ethernet(if operation == 1 { [0xff; 6] } else { target.0 }, sender, 0x0806, &body)
}

/// A UDP datagram (RFC 768).
pub(super) fn udp(from: End, to: End, identification: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(usize::from(length));
    datagram.extend(from.1.to_be_bytes());
    datagram.extend(to.1.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend_from_slice(payload);
    let sum = match transport_checksum(from.0.address, to.0.address, UDP, &datagram) {
        // Zero would say that there is none.
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(from.0, to.0, identification, UDP, &datagram)
}

/// What a TCP segment says of its place in the conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledgment: u32,
}

/// A TCP segment (RFC 9293); one with SYN states a maximum segment size, as every stack does.
pub(super) fn tcp(from: End, to: End, identification: u16, segment: Segment, payload: &[u8]) -> Vec<u8> {
    let options: &[u8] = if segment.flags & SYN != 0 { &[2, 4, 0x05, 0xb4] } else { &[] };
    let header = 20 + options.len();
    let mut bytes = Vec::with_capacity(header + payload.len());
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(segment.sequence.to_be_bytes());
    bytes.extend(segment.acknowledgment.to_be_bytes());
    bytes.push((header as u8 / 4) << 4);
    bytes.push(segment.flags);
    let window: u16 = if segment.flags & RST != 0 { 0 } else { 64_240 };
    bytes.extend(window.to_be_bytes());
    bytes.extend([0, 0, 0, 0]);
    bytes.extend_from_slice(options);
    bytes.extend_from_slice(payload);
    let sum = transport_checksum(from.0.address, to.0.address, TCP, &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    ipv4(from.0, to.0, identification, TCP, &bytes)
}

fn ipv4(from: Host, to: Host, identification: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(20 + payload.len());
    packet.extend([0x45, 0]);
    packet.extend(((20 + payload.len()) as u16).to_be_bytes());
    packet.extend(identification.to_be_bytes());
    packet.extend([0x40, 0, from.ttl, protocol, 0, 0]);
    packet.extend(from.address.octets());
    packet.extend(to.address.octets());
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(payload);
    ethernet(to.mac, from.mac, 0x0800, &packet)
}

fn transport_checksum(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, bytes: &[u8]) -> u16 {
    let length = (bytes.len() as u16).to_be_bytes();
    checksum(&[&from.octets(), &to.octets(), &[0, protocol], &length, bytes])
}

/// The Internet checksum (RFC 1071) over parts of even length, the last one excepted.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = 0;
    for part in parts {
        let (pairs, rest) = part.as_chunks::<2>();
        sum += pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>();
        sum += rest.first().map_or(0, |last| u32::from(*last) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
