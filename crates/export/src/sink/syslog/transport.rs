//! How messages travel, and what is taken for their arrival.
//!
//! Over TCP and TLS a batch is one connection: we close our side, and the receiver's closing of its own, which it does when
//! it has read to the end, is the confirmation; a reset, or no closing in time, means that it may not have. Over UDP a batch is followed by a
//! short wait for the "port unreachable" of a host whose receiver is down; what a network drops stays unknown.

use std::io::{self, Read, Write};
use std::net::{Shutdown, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::Duration;

use super::super::address::connect;
use crate::tls::TlsClient;

/// How long the "port unreachable" of a receiver that is down is waited for.
const REFUSAL: Duration = Duration::from_millis(30);

/// The way to the receiver.
pub(super) enum Channel {
    /// RFC 5426.
    Udp,
    /// RFC 6587, octet counting.
    Tcp,
    /// RFC 5425.
    Tls(TlsClient),
}

impl Channel {
    /// Sends all messages; each step takes `timeout` at most.
    pub(super) fn send(&self, address: &str, messages: &[String], timeout: Duration) -> io::Result<()> {
        match self {
            Self::Udp => send_datagrams(address, messages, timeout),
            Self::Tcp => {
                let mut stream = connect(address, timeout)?;
                write_counted(&mut stream, messages)?;
                stream.shutdown(Shutdown::Write)?;
                wait_for_end(&mut stream)
            }
            Self::Tls(client) => {
                let mut stream = client.over(connect(address, timeout)?)?;
                write_counted(&mut stream, messages)?;
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)?;
                // Read through TLS: a receiver that does not accept our certificate says so only now.
                wait_for_end(&mut stream)
            }
        }
    }
}

fn send_datagrams(address: &str, messages: &[String], timeout: Duration) -> io::Result<()> {
    let target = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let socket = UdpSocket::bind(if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.set_write_timeout(Some(timeout))?;
    socket.connect(target)?;
    for message in messages {
        socket.send(message.as_bytes())?;
    }
    thread::sleep(REFUSAL);
    socket.take_error()?.map_or(Ok(()), Err)
}

/// RFC 6587, section 3.4.1: the length of each message, a space, the message.
fn write_counted(stream: &mut impl Write, messages: &[String]) -> io::Result<()> {
    let counted: String = messages.iter().map(|message| format!("{} {message}", message.len())).collect();
    stream.write_all(counted.as_bytes())?;
    stream.flush()
}

/// The receiver closes when it has read to our end; a reset tells that it did not. One that hangs may never read what the
/// kernel has taken for it.
fn wait_for_end(stream: &mut impl Read) -> io::Result<()> {
    let mut ignored = [0; 1_024];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // TLS names an end without its goodbye so; many receivers say none.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the receiver does not close when it has read all",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
