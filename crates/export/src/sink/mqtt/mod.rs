//! MQTT 3.1.1, at least once (QoS 1), with discovery for Home Assistant.
//!
//! Each alert goes to `TOPIC/SENSOR/alert` as JSON. `TOPIC/SENSOR/status` is `online`, and `offline` when we leave or the
//! broker misses us. The connection is kept; every half minute `online` is sent anew, which keeps it alive too.

mod discovery;
mod packet;
mod session;

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{connect, host_of, with_port};
use super::{Context, Outcome, Settings, Sink, seconds};
use crate::tls::TlsClient;
use crate::{Delivery, Secret, TlsConfig};
use packet::Connect;
use session::{Message, Session, Stream};

/// MQTT 3.1.1.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// The broker: `HOST` or `HOST:PORT`; the usual port is 1883, with `tls` 8883.
    pub address: String,
    /// First part of all topics.
    #[serde(default = "lapwing")]
    pub topic: String,
    /// Announce a device with its entities to Home Assistant.
    #[serde(default = "yes")]
    pub discovery: bool,
    /// First part of the topics that Home Assistant listens to.
    #[serde(default = "homeassistant")]
    pub discovery_topic: String,
    /// The user, with the password in `password_file` or `password_env`.
    #[serde(default)]
    pub user: Option<String>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// Speak TLS, and whom to trust. Absent: no TLS.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// How long connecting, sending and an answer may take each, in seconds.
    #[serde(default = "super::ten_seconds")]
    pub timeout_seconds: NonZeroU32,
}

fn lapwing() -> String {
    "lapwing".to_owned()
}

fn homeassistant() -> String {
    "homeassistant".to_owned()
}

fn yes() -> bool {
    true
}

/// How often `online` is sent anew, and a lost connection tried while nothing is to be sent.
const PRESENCE: Duration = Duration::from_secs(30);
/// After how many seconds of silence the broker gives us up.
const KEEP_ALIVE_SECONDS: u16 = 75;
/// Messages sent before their acknowledgements are awaited: fewer than brokers allow by default (20).
const IN_FLIGHT: usize = 16;

struct Mqtt {
    config: MqttConfig,
    address: String,
    node: String,
    sensor: String,
    password: Option<Secret>,
    timeout: Duration,
    tls: Option<TlsClient>,
    session: Option<Session>,
    tried: Option<Instant>,
}

impl Settings for MqttConfig {
    fn sort(&self) -> &'static str {
        "mqtt"
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Sink>, String> {
        let address = with_port(&self.address, if self.tls.is_some() { 8883 } else { 1883 })?;
        for topic in [&self.topic, &self.discovery_topic] {
            if topic.is_empty() || topic.len() > 1_000 || topic.contains(['+', '#', '\0']) {
                return Err(format!("`{topic}` is no topic to publish to; leave out +, # and NUL"));
            }
        }
        let password = Secret::read("password", self.password_file.as_deref(), self.password_env.as_deref())?;
        if password.is_some() && self.user.is_none() {
            return Err("a password needs its `user`".to_owned());
        }
        let tls = match &self.tls {
            Some(tls) => Some(tls.client(host_of(&address))?),
            None => None,
        };
        Ok(Box::new(Mqtt {
            address,
            node: node(&context.sensor),
            sensor: context.sensor.clone(),
            password,
            timeout: seconds(self.timeout_seconds),
            tls,
            session: None,
            tried: None,
            config: self.clone(),
        }))
    }
}

/// The sensor's name as one level of a topic, and as an id of Home Assistant.
fn node(sensor: &str) -> String {
    let name: String = sensor
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' })
        .take(64)
        .collect();
    if name.is_empty() { "sensor".to_owned() } else { name }
}

impl Sink for Mqtt {
    fn deliver(&mut self, batch: &[Delivery]) -> Outcome {
        if let Some(long) = batch.iter().find(|delivery| delivery.json.len() > packet::LONGEST_PAYLOAD) {
            return Outcome::rejected(format!("{} bytes are too many for a message", long.json.len()));
        }
        let topic = self.topic("alert");
        let messages: Vec<Message<'_>> =
            batch.iter().map(|delivery| Message { topic: &topic, payload: &delivery.json, retained: false }).collect();
        match self.ensure_connected().and_then(|()| self.publish(&messages)) {
            Ok(()) => Outcome::Delivered,
            Err(error) => {
                self.session = None;
                Outcome::retry(format!("{}: {error}", self.address))
            }
        }
    }

    fn target(&self) -> String {
        format!("{} {}", self.address, self.topic("alert"))
    }

    fn batch_limit(&self) -> usize {
        IN_FLIGHT
    }

    fn idle(&mut self) {
        if self.tried.is_some_and(|tried| tried.elapsed() < PRESENCE) {
            return;
        }
        let present = if self.session.is_some() { self.announce(false) } else { self.ensure_connected() };
        self.tried = Some(Instant::now());
        if present.is_err() {
            self.session = None;
        }
    }
}

impl Mqtt {
    fn topic(&self, leaf: &str) -> String {
        format!("{}/{}/{leaf}", self.config.topic, self.node)
    }

    fn ensure_connected(&mut self) -> io::Result<()> {
        if self.session.is_some() {
            return Ok(());
        }
        self.tried = Some(Instant::now());
        let stream = connect(&self.address, self.timeout)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(client) => Box::new(client.over(stream)?),
        };
        let connect = Connect {
            // The process id keeps a self-test from throwing out the one that runs.
            client: format!("lapwing-{}-{}", self.node, std::process::id()),
            will_topic: self.topic("status"),
            will: "offline",
            user: self.config.user.as_deref(),
            password: self.password.as_ref().map(Secret::expose),
            keep_alive_seconds: KEEP_ALIVE_SECONDS,
        };
        self.session = Some(Session::open(stream, &connect, self.timeout)?);
        self.announce(true)
    }

    /// Says that we are there; the first time with what Home Assistant wants to know.
    fn announce(&mut self, first: bool) -> io::Result<()> {
        let status = self.topic("status");
        let mut messages = vec![(status.clone(), "online".to_owned())];
        if first && self.config.discovery {
            let alert = self.topic("alert");
            messages.extend(discovery::messages(
                &self.config.discovery_topic,
                &self.node,
                &self.sensor,
                &alert,
                &status,
            ));
        }
        let messages: Vec<Message<'_>> =
            messages.iter().map(|(topic, payload)| Message { topic, payload, retained: true }).collect();
        self.publish(&messages)
    }

    fn publish(&mut self, messages: &[Message<'_>]) -> io::Result<()> {
        match &mut self.session {
            Some(session) => session.publish(messages),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Drop for Mqtt {
    /// Leaves in good order, as far as the broker takes it.
    fn drop(&mut self) {
        let status = self.topic("status");
        let offline = Message { topic: &status, payload: "offline", retained: true };
        if let Some(mut session) = self.session.take()
            && session.publish(&[offline]).is_ok()
        {
            session.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::super::testing::deliveries;
    use super::*;

    /// A broker that takes `connections`, acknowledges all but the last publish of each but the last, and tells what it got.
    fn broker(connections: usize, drop_after: usize) -> (String, Receiver<(String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for connection in 0..connections {
                let mut stream = listener.accept().unwrap().0;
                let mut taken = 0;
                while let Ok((first, body)) = packet::read_raw(&mut stream) {
                    match first >> 4 {
                        1 => stream.write_all(&[0x20, 2, 0, 0]).unwrap(),
                        3 => {
                            let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                            let (topic, rest) = body[2..].split_at(length);
                            taken += 1;
                            if connection + 1 < connections && taken > drop_after {
                                break;
                            }
                            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                            sender.send((text(topic), text(&rest[2..]))).unwrap();
                            stream.write_all(&[0x40, 2, rest[0], rest[1]]).unwrap();
                        }
                        _ => break,
                    }
                }
            }
        });
        (address, receiver)
    }

    fn sink(address: &str, more: &str) -> Box<dyn Sink> {
        let settings = format!(r#"{{"address": "{address}", "timeout_seconds": 2{more}}}"#);
        serde_json::from_str::<MqttConfig>(&settings)
            .unwrap()
            .build(&Context { sensor: "Old Barn".to_owned() })
            .unwrap()
    }

    #[test]
    fn alerts_are_published_after_presence_and_discovery() {
        let (address, received) = broker(1, 0);
        let mut sink = sink(&address, "");
        assert_eq!(sink.deliver(&deliveries(2)), Outcome::Delivered);
        drop(sink);
        let got: Vec<(String, String)> = received.iter().collect();
        assert_eq!(got[0], ("lapwing/old_barn/status".to_owned(), "online".to_owned()));
        assert!(got[1].0.starts_with("homeassistant/"));
        let alerts: Vec<&String> =
            got.iter().filter(|(topic, _)| topic == "lapwing/old_barn/alert").map(|(_, payload)| payload).collect();
        assert_eq!(alerts, [&deliveries(2)[0].json, &deliveries(2)[1].json]);
        assert_eq!(got.last().unwrap(), &("lapwing/old_barn/status".to_owned(), "offline".to_owned()));
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again() {
        let (address, received) = broker(2, 2);
        let mut sink = sink(&address, r#", "discovery": false"#);
        assert!(matches!(sink.deliver(&deliveries(2)), Outcome::Retry { .. }));
        assert_eq!(sink.deliver(&deliveries(2)), Outcome::Delivered);
        let alerts: Vec<String> =
            received.try_iter().filter(|(topic, _)| topic.ends_with("alert")).map(|(_, payload)| payload).collect();
        let expected = deliveries(2);
        assert_eq!(alerts, [&expected[0].json, &expected[0].json, &expected[1].json].map(String::clone));
    }

    #[test]
    fn a_broker_that_is_not_there_or_says_nothing_is_tried_again() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut waiting = sink(&silent.local_addr().unwrap().to_string(), "");
        assert!(matches!(waiting.deliver(&deliveries(1)), Outcome::Retry { .. }));
        let address = silent.local_addr().unwrap().to_string();
        drop(silent);
        assert!(matches!(sink(&address, "").deliver(&deliveries(1)), Outcome::Retry { .. }));
    }
}
