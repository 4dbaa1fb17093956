//! One line about a packet.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use lapwing_decode::{Arp, Fragment, Packet, Tunnel, flag};
use lapwing_feature::PacketLabel;

/// Characters of a DNS name at most (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 255;

/// What an ARP packet says.
pub(super) fn arp(arp: &Arp) -> String {
    let (sender, target) = (Ipv4Addr::from(arp.sender_address), Ipv4Addr::from(arp.target_address));
    match arp.operation {
        1 if sender == target => format!("{sender} announces itself"),
        1 => format!("who has {target}? tell {sender}"),
        2 => format!("{sender} is at {}", mac(arp.sender_mac)),
        other => format!("operation {other}"),
    }
}

/// What a fragment is.
pub(super) fn fragment(fragment: &Fragment) -> String {
    let more = if fragment.more { ", more follow" } else { ", the last" };
    format!("fragment at byte {}{more}", fragment.fragment_offset)
}

/// What an IP packet says, without what people wrote.
pub(super) fn packet(packet: &Packet, label: PacketLabel, payload: &[u8]) -> String {
    let mut line = match label {
        _ if packet.has(flag::NO_TRANSPORT) => "header cut or malformed".to_owned(),
        PacketLabel::Icmp | PacketLabel::Icmpv6 => format!("type {} code {}", packet.tcp_flags, packet.icmp_code),
        PacketLabel::Dns | PacketLabel::Mdns => dns(packet, payload).unwrap_or_else(|| plain(packet)),
        _ => plain(packet),
    };
    if packet.tunnel != Tunnel::None {
        let _ = write!(line, ", in {:?}", packet.tunnel);
    }
    if packet.has(flag::VLAN) && packet.vlan != 0 {
        let _ = write!(line, ", VLAN {}", packet.vlan);
    }
    line
}

const TCP: u8 = 6;

fn plain(packet: &Packet) -> String {
    let bytes = match packet.payload_length {
        0 => "no data".to_owned(),
        1 => "1 byte".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    if packet.protocol != TCP {
        return bytes;
    }
    const FLAGS: [(u8, &str); 6] = [(2, "SYN"), (16, "ACK"), (1, "FIN"), (4, "RST"), (8, "PSH"), (32, "URG")];
    let set: Vec<&str> = FLAGS.iter().filter(|(bit, _)| packet.tcp_flags & bit != 0).map(|(_, name)| *name).collect();
    format!("{}, {bytes}", if set.is_empty() { "no flags".to_owned() } else { set.join(" ") })
}

/// The question of a DNS message (RFC 1035 section 4.1).
fn dns(packet: &Packet, payload: &[u8]) -> Option<String> {
    // Over TCP two bytes of length come first.
    let message = if packet.protocol == TCP { payload.get(2..)? } else { payload };
    let header = message.get(..12)?;
    let is_answer = header[2] & 0x80 != 0;
    let (questions, answers) = (u16::from_be_bytes([header[4], header[5]]), u16::from_be_bytes([header[6], header[7]]));
    if questions == 0 {
        return is_answer.then(|| format!("answer, {answers} records"));
    }
    let (name, rest) = name(&message[12..])?;
    let kind = kind(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    if !is_answer {
        return Some(format!("query {name} {kind}"));
    }
    Some(match header[3] & 0x0f {
        0 => format!("answer {name} {kind}, {answers} records"),
        3 => format!("answer {name} {kind}, no such name"),
        code => format!("answer {name} {kind}, code {code}"),
    })
}

/// The name at the start of `bytes`, and what follows it. A question has no name before it that it could point to.
fn name(mut bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut name = String::new();
    loop {
        let (&length, rest) = bytes.split_first()?;
        if length == 0 {
            return Some((if name.is_empty() { ".".to_owned() } else { name }, rest));
        }
        let (label, rest) = rest.split_at_checked(usize::from(length)).filter(|_| length < 64)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }));
        if name.len() > LONGEST_NAME {
            return None;
        }
        bytes = rest;
    }
}

/// The usual record types by name (IANA).
fn kind(number: u16) -> String {
    let name = match number {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    name.to_owned()
}

pub(super) fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(flags: u8, code: u8, name: &[u8]) -> Vec<u8> {
        let mut message = vec![0, 7, flags, code, 0, 1, 0, 2, 0, 0, 0, 0];
        message.extend_from_slice(name);
        message.extend([0, 28, 0, 1]);
        message
    }

    fn told(message: &[u8]) -> String {
        packet(&Packet { protocol: 17, payload_length: 40, ..Packet::default() }, PacketLabel::Dns, message)
    }

    #[test]
    fn dns_tells_its_question() {
        let name = b"\x03www\x07example\x00";
        assert_eq!(told(&question(1, 0, name)), "query www.example AAAA");
        assert_eq!(told(&question(0x81, 0, name)), "answer www.example AAAA, 2 records");
        assert_eq!(told(&question(0x81, 3, name)), "answer www.example AAAA, no such name");
        assert_eq!(told(&question(1, 0, b"\x05<b>\x1b\n\x00")), "query <b>?? AAAA");
    }

    #[test]
    fn what_is_no_dns_is_told_by_its_length() {
        assert_eq!(told(b"short"), "40 bytes");
        assert_eq!(told(&question(1, 0, b"\xc0\x0c")), "40 bytes", "a question points nowhere");
        assert_eq!(told(&question(1, 0, &[63; 400])), "40 bytes");
    }

    #[test]
    fn tcp_tells_its_flags() {
        let syn_ack = Packet { protocol: 6, tcp_flags: 0x12, flags: flag::VLAN, vlan: 7, ..Packet::default() };
        assert_eq!(packet(&syn_ack, PacketLabel::Https, &[]), "SYN ACK, no data, VLAN 7");
        let echo = Packet { protocol: 1, tcp_flags: 8, ..Packet::default() };
        assert_eq!(packet(&echo, PacketLabel::Icmp, &[]), "type 8 code 0");
    }

    proptest! {
        #[test]
        fn any_bytes_are_told_in_a_line(bytes in prop::collection::vec(any::<u8>(), 0..600), protocol: bool) {
            let it = Packet { protocol: if protocol { 6 } else { 17 }, ..Packet::default() };
            let line = packet(&it, PacketLabel::Dns, &bytes);
            prop_assert!(line.len() < 400 && !line.contains(char::is_control));
        }
    }
}
