//! The packets of MQTT 3.1.1 (OASIS standard, 2014) that a publisher needs.

use std::io::{self, Read};

/// Bytes of a payload at most: topic and header included, a packet stays below the standard's 256 MiB by far.
pub(super) const LONGEST_PAYLOAD: usize = 4 << 20;
/// Bytes of a packet that is read at most: a broker sends a publisher nothing but acknowledgements.
const LONGEST_READ: usize = 64;

/// We leave in good order (section 3.14).
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// What opens a connection (section 3.1): a clean session with a will.
pub(super) struct Connect<'a> {
    pub(super) client: String,
    pub(super) will_topic: String,
    pub(super) will: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) keep_alive_seconds: u16,
}

/// What a broker sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// CONNACK with its return code.
    ConnectAcknowledged(u8),
    /// PUBACK with the packet's id.
    PublishAcknowledged(u16),
    /// Anything else, by its type.
    Other(u8),
}

impl Connect<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        // Clean session, will retained with QoS 1.
        let mut flags = 0b0010_1110;
        flags |= if self.user.is_some() { 0x80 } else { 0 };
        flags |= if self.password.is_some() { 0x40 } else { 0 };
        let mut body = Vec::new();
        string(&mut body, b"MQTT");
        body.extend([4, flags]);
        body.extend(self.keep_alive_seconds.to_be_bytes());
        string(&mut body, self.client.as_bytes());
        string(&mut body, self.will_topic.as_bytes());
        string(&mut body, self.will.as_bytes());
        for text in [self.user, self.password].into_iter().flatten() {
            string(&mut body, text.as_bytes());
        }
        let mut packet = vec![0x10];
        length(&mut packet, body.len());
        packet.extend(body);
        packet
    }
}

/// Appends a PUBLISH with QoS 1 (section 3.3).
pub(super) fn publish(bytes: &mut Vec<u8>, topic: &str, payload: &[u8], retained: bool, id: u16) {
    bytes.push(0x32 | u8::from(retained));
    length(bytes, 2 + topic.len() + 2 + payload.len());
    string(bytes, topic.as_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
}

/// Reads the next packet.
pub(super) fn read(stream: &mut impl Read) -> io::Result<Packet> {
    let (first, body) = read_raw_bounded(stream, LONGEST_READ)?;
    Ok(match (first >> 4, body.as_slice()) {
        (2, [_, code]) => Packet::ConnectAcknowledged(*code),
        (4, [high, low]) => Packet::PublishAcknowledged(u16::from_be_bytes([*high, *low])),
        (other, _) => Packet::Other(other),
    })
}

fn read_raw_bounded(stream: &mut impl Read, longest: usize) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let first = byte[0];
    let mut remaining = 0_usize;
    for shift in [0, 7, 14, 21] {
        stream.read_exact(&mut byte)?;
        remaining |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if byte[0] & 0x80 != 0 || remaining > longest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not of MQTT 3.1.1"));
    }
    let mut body = vec![0; remaining];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}

/// First byte and body of the next packet, for tests that play the broker.
#[cfg(test)]
pub(super) fn read_raw(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    read_raw_bounded(stream, LONGEST_PAYLOAD)
}

/// What a return code of CONNACK says (table 3.1).
pub(super) fn refusal(code: u8) -> String {
    let reason = match code {
        1 => "it does not speak MQTT 3.1.1",
        2 => "it does not want our client id",
        3 => "it is not available",
        4 => "bad user or password",
        5 => "not authorized",
        _ => return format!("the broker refuses with code {code}"),
    };
    format!("the broker refuses: {reason}")
}

pub(super) fn unexpected(packet: &Packet) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the broker sent {packet:?} where it should not"))
}

/// A length in front of its bytes. What is longer than the length can say is cut: settings and topics never are.
fn string(bytes: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.len().min(usize::from(u16::MAX))];
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(text);
}

/// Section 2.2.3: seven bits a byte, the lowest first.
fn length(bytes: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_standard() {
        for (value, expected) in [
            (0, vec![0]),
            (127, vec![0x7f]),
            (128, vec![0x80, 1]),
            (16_383, vec![0xff, 0x7f]),
            (16_384, vec![0x80, 0x80, 1]),
            (2_097_152, vec![0x80, 0x80, 0x80, 1]),
        ] {
            let mut bytes = Vec::new();
            length(&mut bytes, value);
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn hostile_answers_end_soon() {
        for bytes in
            [&b""[..], &[0x40], &[0x40, 2, 0], &[0x40, 0xff, 0xff, 0xff, 0xff, 0xff], &[0x40, 0xff, 0xff, 0x7f]]
        {
            assert!(read(&mut &bytes[..]).is_err());
        }
        assert_eq!(read(&mut &[0x40, 2, 1, 2][..]).unwrap(), Packet::PublishAcknowledged(0x102));
        assert_eq!(read(&mut &[0x30, 1, 0][..]).unwrap(), Packet::Other(3));
    }

    #[test]
    fn connect_carries_will_user_and_password_in_the_order_of_the_standard() {
        let connect = Connect {
            client: "c".to_owned(),
            will_topic: "t".to_owned(),
            will: "w",
            user: Some("u"),
            password: Some("p"),
            keep_alive_seconds: 60,
        };
        assert_eq!(connect.encode(), b"\x10\x19\0\x04MQTT\x04\xee\0\x3c\0\x01c\0\x01t\0\x01w\0\x01u\0\x01p");
    }
}
