//! InfluxDB 1 and 2: line protocol over HTTP.
//!
//! A point's time is the alert's `last_seen`, its nanoseconds below the microsecond a hash of the alert's id: the same
//! revision written twice is one point, and two alerts of one moment are two.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Outcome, Settings, Sink, seconds};
use crate::http::Http;
use crate::{Delivery, Secret, TlsConfig, Url};

/// InfluxDB: version 2 with `organization` and `bucket`, version 1 with `database`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfluxConfig {
    /// The server, without a path: `http://localhost:8086`.
    pub url: Url,
    /// Version 2: the organization.
    #[serde(default)]
    pub organization: Option<String>,
    /// Version 2: the bucket.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Version 1: the database.
    #[serde(default)]
    pub database: Option<String>,
    /// Version 1: the retention policy. Default: the database's.
    #[serde(default)]
    pub retention_policy: Option<String>,
    /// Version 1: the user, with the password in `token_file` or `token_env`.
    #[serde(default)]
    pub user: Option<String>,
    /// File that holds the token, or with `user` the password.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Environment variable that holds the token, or with `user` the password.
    #[serde(default)]
    pub token_env: Option<String>,
    /// Which names are used: `lapwing`, or `siuru` for dashboards made for that program.
    #[serde(default)]
    pub shape: InfluxShape,
    /// The measurement. Default: `lapwing_alert`, in the shape `siuru` `anomaly_detection`.
    #[serde(default)]
    pub measurement: Option<String>,
    /// Whom to trust.
    #[serde(default)]
    pub tls: TlsConfig,
    /// How long one request may take, in seconds.
    #[serde(default = "super::ten_seconds")]
    pub timeout_seconds: NonZeroU32,
}

/// Which names the points bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InfluxShape {
    /// Tags `sensor`, `kind`, `severity`, `device`; fields `id`, `revision`, `status`, `confidence`, `count`, `title`,
    /// `explanation`, `peers`, `attack`, `severity_number`.
    #[default]
    Lapwing,
    /// Tag `model_name`; fields `output_binary` (1), `output_distance` (the confidence), `packet_timestamp` (µs). There is no
    /// `ground_truth`: nobody knows it of live traffic.
    Siuru,
}

struct Influx {
    config: InfluxConfig,
    http: Http,
    /// Where lines are posted.
    write: Url,
    authorization: Option<Secret>,
    sensor: String,
    measurement: String,
}

impl Settings for InfluxConfig {
    fn sort(&self) -> &'static str {
        "influx"
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Sink>, String> {
        let secret = Secret::read("token", self.token_file.as_deref(), self.token_env.as_deref())?;
        let authorization = match (&self.user, secret) {
            (Some(user), Some(password)) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose()))))
            }
            (Some(_), None) => return Err("`user` needs its password in `token_file` or `token_env`".to_owned()),
            (None, Some(token)) => Some(format!("Token {}", token.expose())),
            (None, None) => None,
        };
        let usual = match self.shape {
            InfluxShape::Lapwing => "lapwing_alert",
            InfluxShape::Siuru => "anomaly_detection",
        };
        let measurement = self.measurement.clone().unwrap_or_else(|| usual.to_owned());
        Ok(Box::new(Influx {
            http: Http::new(&self.url, &self.tls, seconds(self.timeout_seconds))?,
            write: Url::try_from(format!("{}{}", self.url.expose().trim_end_matches('/'), path(self)?))?,
            authorization: authorization.map(|text| Secret::new(&text)),
            sensor: context.sensor.clone(),
            measurement,
            config: self.clone(),
        }))
    }
}

/// Path and query of the write call.
fn path(config: &InfluxConfig) -> Result<String, String> {
    match (&config.organization, &config.bucket, &config.database) {
        (Some(organization), Some(bucket), None) => {
            if config.user.is_some() || config.retention_policy.is_some() {
                return Err("`user` and `retention_policy` are of version 1, which has a `database`".to_owned());
            }
            let (organization, bucket) = (percent(organization), percent(bucket));
            Ok(format!("/api/v2/write?org={organization}&bucket={bucket}&precision=ns"))
        }
        (None, None, Some(database)) => {
            let policy = config.retention_policy.as_ref().map(|policy| format!("&rp={}", percent(policy)));
            Ok(format!("/write?db={}&precision=ns{}", percent(database), policy.unwrap_or_default()))
        }
        _ => Err("give `organization` and `bucket` (version 2) or `database` (version 1)".to_owned()),
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

impl Sink for Influx {
    fn deliver(&mut self, batch: &[Delivery]) -> Outcome {
        let body: String = batch.iter().map(|delivery| self.line(delivery)).collect();
        let mut headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
        if let Some(authorization) = &self.authorization {
            headers.push(("Authorization", authorization.expose().to_owned()));
        }
        self.http.post(&self.write, &headers, body.as_bytes())
    }

    fn target(&self) -> String {
        let place = self.config.bucket.as_ref().or(self.config.database.as_ref());
        format!("{} {}", self.config.url.shown(), place.map_or("", String::as_str))
    }
}

impl Influx {
    /// One point with its end of line.
    fn line(&self, delivery: &Delivery) -> String {
        let text = delivery.text();
        let mut line = escaped(&self.measurement, &[',', ' ']);
        let mut tag = |name: &str, value: &str| {
            if !value.is_empty() {
                let _infallible = write!(line, ",{name}={}", escaped(value, &[',', ' ', '=']));
            }
        };
        let fields = match self.config.shape {
            InfluxShape::Lapwing => {
                tag("device", &delivery.device);
                tag("kind", &delivery.kind);
                tag("sensor", &self.sensor);
                tag("severity", delivery.severity.as_str());
                format!(
                    "id={},revision={}i,status={},confidence={},count={}i,title={},explanation={},peers={},attack={},\
                     severity_number={}i",
                    quoted(&delivery.id),
                    delivery.revision,
                    quoted(&text.status),
                    text.confidence,
                    text.count,
                    quoted(&text.title),
                    quoted(&text.explanation),
                    quoted(&text.peers.join(" ")),
                    quoted(&text.attack.join(" ")),
                    delivery.severity as u8,
                )
            }
            InfluxShape::Siuru => {
                tag("model_name", text.detectors.first().map_or("", String::as_str));
                format!(
                    "output_binary=1i,output_distance={},packet_timestamp={}i",
                    text.confidence,
                    delivery.time().micros()
                )
            }
        };
        let _infallible = writeln!(line, " {fields} {}", point_time(delivery));
        line
    }
}

fn point_time(delivery: &Delivery) -> i64 {
    let below = i64::from(crc32fast::hash(delivery.id.as_bytes()) % 1_000);
    delivery.time().micros().saturating_mul(1_000).saturating_add(below)
}

/// A measurement or tag: these characters are escaped; what would end the line becomes a space, escaped as well.
fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    // A backslash at the end would escape what follows.
    if out.ends_with('\\') {
        out.push('_');
    }
    out
}

/// A string field.
fn quoted(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deliveries, delivery, http_server};
    use super::*;

    fn sink(settings: &str) -> Result<Box<dyn Sink>, String> {
        serde_json::from_str::<InfluxConfig>(settings).unwrap().build(&Context { sensor: "the barn".to_owned() })
    }

    #[test]
    fn both_versions_get_their_path_and_authorization() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "secret\n").unwrap();
        for (settings, line, authorization) in [
            (
                r#""organization": "my farm", "bucket": "alerts", "token_file": "TOKEN""#,
                "POST /api/v2/write?org=my%20farm&bucket=alerts&precision=ns HTTP/1.1",
                Some("Token secret"),
            ),
            (r#""database": "lapwing""#, "POST /write?db=lapwing&precision=ns HTTP/1.1", None),
            (
                r#""database": "a", "retention_policy": "week", "user": "u", "token_env": "PATH""#,
                "POST /write?db=a&precision=ns&rp=week HTTP/1.1",
                Some("Basic dT"),
            ),
        ] {
            let settings = settings.replace("TOKEN", token.to_str().unwrap());
            let (address, requests) = http_server(vec!["204 No Content"]);
            let mut sink = sink(&format!(r#"{{"url": "http://{address}/", {settings}}}"#)).unwrap();
            assert_eq!(sink.deliver(&deliveries(2)), Outcome::Delivered);
            let request = requests.recv().unwrap();
            assert_eq!(request.line, line);
            let sent = request.header("authorization");
            assert_eq!(sent.is_some(), authorization.is_some());
            assert!(sent.unwrap_or_default().starts_with(authorization.unwrap_or_default()));
            assert_eq!(request.body.lines().count(), 2);
        }
    }

    #[test]
    fn points_bear_the_names_of_either_shape() {
        let line = |shape: &str| {
            let (address, requests) = http_server(vec!["204 No Content"]);
            let settings = format!(r#"{{"url": "http://{address}", "database": "a", "shape": "{shape}"}}"#);
            sink(&settings).unwrap().deliver(&deliveries(1));
            requests.recv().unwrap().body
        };
        let below = crc32fast::hash(b"00") % 1_000;
        let ours = line("lapwing");
        assert!(
            ours.starts_with(
                "lapwing_alert,device=192.0.2.10,kind=selftest,sensor=the\\ barn,severity=low id=\"00\",revision=1i,"
            ),
            "{ours}"
        );
        assert!(ours.ends_with(&format!(" 1800000000000000{below:03}\n")), "{ours}");
        assert_eq!(
            line("siuru"),
            format!(
                "anomaly_detection,model_name=selftest output_binary=1i,output_distance=1,\
                 packet_timestamp=1800000000000000i 1800000000000000{below:03}\n"
            )
        );
    }

    #[test]
    fn text_of_an_attacker_stays_inside_its_field() {
        let mut hostile = delivery(0);
        hostile.device = "a b,c=d\ne\\".to_owned();
        hostile.json = hostile.json.replace("a made-up alert", r#"x\" 1\nlapwing_alert forged=1i"#);
        let (address, requests) = http_server(vec!["204 No Content"]);
        sink(&format!(r#"{{"url": "http://{address}", "database": "a"}}"#)).unwrap().deliver(&[hostile]);
        let body = requests.recv().unwrap().body;
        assert_eq!(body.lines().count(), 1);
        assert!(body.contains(r"device=a\ b\,c\=d\ e\_,kind"), "{body}");
        assert!(body.contains(r#"explanation="x\" 1 lapwing_alert forged=1i"#), "{body}");
    }

    #[test]
    fn settings_of_both_versions_do_not_mix() {
        assert!(sink(r#"{"url": "http://a", "database": "a", "bucket": "b"}"#).is_err());
        assert!(sink(r#"{"url": "http://a", "organization": "a"}"#).is_err());
        assert!(sink(r#"{"url": "http://a", "database": "a", "user": "u"}"#).is_err());
    }
}
