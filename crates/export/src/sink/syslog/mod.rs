//! Syslog: RFC 5424 messages over UDP (RFC 5426), TCP (octet counting, RFC 6587) or TLS (RFC 5425).
//!
//! Syslog confirms nothing; how delivery is known all the same stands in [`transport`].

mod transport;

use std::num::NonZeroU32;

use lapwing_alert::rfc3339;
use lapwing_detect::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{host_of, with_port};
use super::{Context, Form, Outcome, Settings, Sink, seconds};
use crate::{Delivery, TlsConfig};
use transport::Channel;

/// Syslog (RFC 5424).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyslogConfig {
    /// `HOST` or `HOST:PORT`; the usual port is 514, with TLS 6514.
    pub address: String,
    /// `udp`, `tcp` (octet counting) or `tls`.
    #[serde(default)]
    pub transport: Transport,
    /// Facility of the messages: `user`, `daemon`, `auth`, `authpriv` or `local0` to `local7`.
    #[serde(default)]
    pub facility: Facility,
    /// What the message is: `json` (the alert) or `eve` (a Suricata EVE record).
    #[serde(default)]
    pub form: Form,
    /// Whom to trust, with `tls`.
    #[serde(default)]
    pub tls: TlsConfig,
    /// How long connecting, sending and the receiver's closing may take each, in seconds.
    #[serde(default = "super::ten_seconds")]
    pub timeout_seconds: NonZeroU32,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A datagram each; may be lost.
    #[default]
    Udp,
    /// One connection a batch.
    Tcp,
    /// The same, encrypted and with the receiver's identity checked.
    Tls,
}

/// Facilities of RFC 5424, table 1, that fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the table")]
pub enum Facility {
    User = 1,
    Daemon = 3,
    Auth = 4,
    Authpriv = 10,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    #[default]
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

/// Bytes of a message that goes into a datagram; what is longer would be fragmented beyond what IP carries.
const LONGEST_DATAGRAM: usize = 65_000;

struct Syslog {
    config: SyslogConfig,
    address: String,
    sensor: String,
    channel: Channel,
}

impl Settings for SyslogConfig {
    fn sort(&self) -> &'static str {
        "syslog"
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Sink>, String> {
        let is_tls = self.transport == Transport::Tls;
        let address = with_port(&self.address, if is_tls { 6514 } else { 514 })?;
        if !is_tls && self.tls != TlsConfig::default() {
            return Err("settings under `tls` have no effect unless `transport` is `tls`".to_owned());
        }
        let channel = match self.transport {
            Transport::Udp => Channel::Udp,
            Transport::Tcp => Channel::Tcp,
            Transport::Tls => Channel::Tls(self.tls.client(host_of(&address))?),
        };
        Ok(Box::new(Syslog { config: self.clone(), address, sensor: header_field(&context.sensor, 255), channel }))
    }

    fn wants_eve(&self) -> bool {
        self.form == Form::Eve
    }
}

impl Sink for Syslog {
    fn deliver(&mut self, batch: &[Delivery]) -> Outcome {
        let messages: Vec<String> = batch.iter().map(|delivery| self.message(delivery)).collect();
        if self.config.transport == Transport::Udp
            && let Some(long) = messages.iter().find(|message| message.len() > LONGEST_DATAGRAM)
        {
            return Outcome::rejected(format!("{} bytes do not fit into a datagram; use `tcp` or `tls`", long.len()));
        }
        match self.channel.send(&self.address, &messages, seconds(self.config.timeout_seconds)) {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::retry(format!("{}: {error}", self.address)),
        }
    }

    fn target(&self) -> String {
        let transport = match self.config.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        format!("{} ({transport})", self.address)
    }

    fn batch_limit(&self) -> usize {
        if self.config.transport == Transport::Udp { 32 } else { 256 }
    }
}

impl Syslog {
    /// RFC 5424, section 6: the message's id is the kind, its time the capture's.
    fn message(&self, delivery: &Delivery) -> String {
        let priority = self.config.facility as u8 * 8 + severity(delivery.severity);
        format!(
            "<{priority}>1 {} {} lapwing {} {} [origin software=\"lapwing\" swVersion=\"{}\"] {}",
            rfc3339(delivery.time()),
            self.sensor,
            std::process::id(),
            header_field(&delivery.kind, 32),
            env!("CARGO_PKG_VERSION"),
            self.config.form.of(delivery),
        )
    }
}

/// RFC 5424, table 2.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Informational => 6,
    }
}

/// What may stand in a field of the header: printable ASCII without spaces, `-` for nothing.
fn header_field(text: &str, longest: usize) -> String {
    let field: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(longest).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, UdpSocket};
    use std::thread;

    use super::super::testing::deliveries;
    use super::*;

    fn sink(address: &str, transport: &str) -> Box<dyn Sink> {
        let config = format!(r#"{{"address": "{address}", "transport": "{transport}", "timeout_seconds": 2}}"#);
        let context = Context { sensor: "a sensor".to_owned() };
        serde_json::from_str::<SyslogConfig>(&config).unwrap().build(&context).unwrap()
    }

    /// Reads one connection to its end.
    fn receive(listener: &TcpListener) -> thread::JoinHandle<String> {
        let listener = listener.try_clone().unwrap();
        thread::spawn(move || {
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            text
        })
    }

    #[test]
    fn datagrams_are_rfc_5424() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sink = sink(&receiver.local_addr().unwrap().to_string(), "udp");
        assert_eq!(sink.deliver(&deliveries(2)), Outcome::Delivered);
        let mut buffer = [0; 65_536];
        for number in 0..2 {
            let length = receiver.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            // local5 (21) * 8 + notice (5)
            let expected = format!("<173>1 2027-01-15T08:00:0{number}.000000Z a_sensor lapwing ");
            assert!(text.starts_with(&expected), "{text}");
            let fields: Vec<&str> = text.splitn(11, ' ').collect();
            assert_eq!(fields[5], "selftest");
            let json: serde_json::Value = serde_json::from_str(text.split_once("] ").unwrap().1).unwrap();
            assert_eq!(json["id"], format!("0{number}"));
        }
    }

    #[test]
    fn a_datagram_that_nobody_takes_is_tried_again() {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut sink = sink(&address.to_string(), "udp");
        assert!(matches!(sink.deliver(&deliveries(1)), Outcome::Retry { .. }));
        let _receiver = UdpSocket::bind(address).unwrap();
        assert_eq!(sink.deliver(&deliveries(1)), Outcome::Delivered);
    }

    #[test]
    fn streams_count_octets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let received = receive(&listener);
        let mut sink = sink(&listener.local_addr().unwrap().to_string(), "tcp");
        assert_eq!(sink.deliver(&deliveries(3)), Outcome::Delivered);
        let mut text = received.join().unwrap();
        for number in 0..3 {
            let (length, rest) = text.split_once(' ').unwrap();
            let (message, rest) = rest.split_at(length.parse().unwrap());
            assert!(message.contains(&format!("\"id\":\"0{number}\"")), "{message}");
            text = rest.to_owned();
        }
        assert!(text.is_empty());
    }

    #[test]
    fn a_receiver_that_dies_before_it_has_read_is_sent_the_batch_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = sink(&listener.local_addr().unwrap().to_string(), "tcp");
        let dying = listener.try_clone().unwrap();
        let died = thread::spawn(move || {
            let (stream, _) = dying.accept().unwrap();
            // Wait until there is something unread, then die: the kernel resets the connection.
            while stream.peek(&mut [0; 16]).unwrap() == 0 {}
        });
        assert!(matches!(sink.deliver(&deliveries(1)), Outcome::Retry { .. }));
        died.join().unwrap();
        let received = receive(&listener);
        assert_eq!(sink.deliver(&deliveries(1)), Outcome::Delivered);
        assert!(received.join().unwrap().contains("\"id\":\"00\""));
    }

    #[test]
    fn a_receiver_that_hangs_is_sent_the_batch_again() {
        // The kernel accepts and takes all; nobody ever reads it.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sink = sink(&listener.local_addr().unwrap().to_string(), "tcp");
        assert!(matches!(sink.deliver(&deliveries(1)), Outcome::Retry { .. }));
    }

    #[test]
    fn a_field_of_the_header_cannot_be_broken_out_of() {
        assert_eq!(header_field("a b\n[c]", 255), "a_b_[c]");
        assert_eq!(header_field("", 255), "-");
    }
}
