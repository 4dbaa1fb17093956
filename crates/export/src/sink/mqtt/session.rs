//! One connection to a broker.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::packet::{self, Connect, Packet};
use crate::tls::TlsStream;

/// What a session runs over.
pub(super) trait Stream: Read + Write + Send {}
impl Stream for TcpStream {}
impl Stream for TlsStream {}

/// A message to publish.
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a str,
    /// Whether the broker keeps it for those who subscribe later.
    pub(super) retained: bool,
}

/// A connection that the broker has accepted.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    timeout: Duration,
    /// Id of the latest packet; 0 is none.
    id: u16,
}

impl Session {
    /// Introduces us, and waits for the broker's consent.
    pub(super) fn open(mut stream: Box<dyn Stream>, connect: &Connect<'_>, timeout: Duration) -> io::Result<Self> {
        stream.write_all(&connect.encode())?;
        stream.flush()?;
        match packet::read(&mut stream)? {
            Packet::ConnectAcknowledged(0) => Ok(Self { stream, timeout, id: 0 }),
            Packet::ConnectAcknowledged(code) => Err(io::Error::other(packet::refusal(code))),
            other => Err(packet::unexpected(&other)),
        }
    }

    /// Publishes all messages, and returns when the broker has acknowledged each.
    pub(super) fn publish(&mut self, messages: &[Message<'_>]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut awaited = Vec::new();
        for Message { topic, payload, retained } in messages {
            self.id = self.id.checked_add(1).unwrap_or(1);
            awaited.push(self.id);
            packet::publish(&mut bytes, topic, payload.as_bytes(), *retained, self.id);
        }
        self.stream.write_all(&bytes)?;
        self.stream.flush()?;
        let end = Instant::now() + self.timeout;
        while !awaited.is_empty() {
            if Instant::now() > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the broker does not acknowledge"));
            }
            match packet::read(&mut self.stream)? {
                Packet::PublishAcknowledged(id) => awaited.retain(|known| *known != id),
                other => return Err(packet::unexpected(&other)),
            }
        }
        Ok(())
    }

    /// Leaves in good order, as far as the broker takes it.
    pub(super) fn close(mut self) {
        let _ignored = self.stream.write_all(&packet::DISCONNECT).and_then(|()| self.stream.flush());
    }
}
