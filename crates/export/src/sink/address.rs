//! `HOST:PORT` of receivers that are spoken to without HTTP.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Connects to `HOST:PORT`, trying each of its addresses until the time is over.
pub(super) fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `HOST:PORT`, or `HOST` with the port that is usual.
pub(super) fn with_port(address: &str, usual: u16) -> Result<String, String> {
    let host = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match host {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(address.to_owned())
        }
        None if !address.is_empty() && !address.contains(char::is_whitespace) => {
            let bare_v6 = address.contains(':') && !address.starts_with('[');
            Ok(if bare_v6 { format!("[{address}]:{usual}") } else { format!("{address}:{usual}") })
        }
        _ => Err(format!("`{address}` is no address; write HOST:PORT")),
    }
}

/// The host of `HOST:PORT`.
pub(super) fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_the_usual_port_unless_they_have_one() {
        for (given, expected) in [
            ("logs.example", "logs.example:514"),
            ("logs.example:6514", "logs.example:6514"),
            ("192.0.2.1", "192.0.2.1:514"),
            ("2001:db8::1", "[2001:db8::1]:514"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ] {
            assert_eq!(with_port(given, 514).unwrap(), expected);
        }
        assert_eq!(host_of("[2001:db8::1]:9"), "2001:db8::1");
        assert!(with_port("", 514).is_err() && with_port("host:port", 514).is_err());
    }
}
