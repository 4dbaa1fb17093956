//! HTTP POST of each alert, signed; with bodies for chat services.
//!
mod body;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Outcome, Settings, Sink, seconds};
use crate::http::Http;
use crate::route::Updates;
use crate::{Delivery, Secret, TlsConfig, Url};
pub use body::Body;
use body::Writer;

/// HTTP POST.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to: `http://…` or `https://…`. Where the address itself is the secret (Slack, Discord, Telegram), rather give
    /// `url_file` or `url_env`.
    #[serde(default)]
    pub url: Option<Url>,
    /// File that holds the address.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// Environment variable that holds the address.
    #[serde(default)]
    pub url_env: Option<String>,
    /// What is sent: `json` (the alert), `eve`, `text`, `slack`, `discord`, `telegram` or `ntfy`.
    #[serde(default)]
    pub body: Body,
    /// File that holds the key of the signature (HMAC-SHA256). Absent, as is `key_env`: no signature.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Environment variable that holds the key of the signature.
    #[serde(default)]
    pub key_env: Option<String>,
    /// File that holds a token, sent as `Authorization: Bearer TOKEN`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Environment variable that holds the token.
    #[serde(default)]
    pub token_env: Option<String>,
    /// Telegram: the chat that is written to.
    #[serde(default)]
    pub chat: Option<String>,
    /// ntfy: the topic; the address is then the server's, without the topic.
    #[serde(default)]
    pub topic: Option<String>,
    /// Whom to trust.
    #[serde(default)]
    pub tls: TlsConfig,
    /// How long one request may take, in seconds.
    #[serde(default = "super::ten_seconds")]
    pub timeout_seconds: NonZeroU32,
}

struct Webhook {
    url: Url,
    http: Http,
    key: Option<hmac::Key>,
    token: Option<Secret>,
    writer: Writer,
}

impl Settings for WebhookConfig {
    fn sort(&self) -> &'static str {
        "webhook"
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Sink>, String> {
        let named = Secret::read("url", self.url_file.as_deref(), self.url_env.as_deref())?;
        let url = match (&self.url, named) {
            (Some(url), None) => url.clone(),
            (None, Some(url)) => Url::try_from(url.expose().to_owned())?,
            _ => return Err("give one of `url`, `url_file` and `url_env`".to_owned()),
        };
        let needs = |name: &str, value: &Option<String>, wanted: bool| match (wanted, value) {
            (true, None) => Err(format!("this `body` needs `{name}`")),
            (false, Some(_)) => Err(format!("`{name}` has no effect with this `body`")),
            _ => Ok(()),
        };
        needs("chat", &self.chat, self.body == Body::Telegram)?;
        needs("topic", &self.topic, self.body == Body::Ntfy)?;
        let key = Secret::read("key", self.key_file.as_deref(), self.key_env.as_deref())?;
        Ok(Box::new(Webhook {
            http: Http::new(&url, &self.tls, seconds(self.timeout_seconds))?,
            url,
            key: key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes())),
            token: Secret::read("token", self.token_file.as_deref(), self.token_env.as_deref())?,
            writer: Writer {
                body: self.body,
                place: self.chat.clone().or_else(|| self.topic.clone()).unwrap_or_default(),
                sensor: context.sensor.clone(),
            },
        }))
    }

    fn updates(&self) -> Updates {
        if self.body.is_for_people() { Updates::Worse } else { Updates::Every }
    }

    fn wants_eve(&self) -> bool {
        self.body == Body::Eve
    }
}

impl Sink for Webhook {
    fn deliver(&mut self, batch: &[Delivery]) -> Outcome {
        for delivery in batch {
            match self.post(delivery) {
                Outcome::Delivered => {}
                other => return other,
            }
        }
        Outcome::Delivered
    }

    fn target(&self) -> String {
        self.url.shown()
    }

    /// A request is one alert: whatever fails concerns that one only.
    fn batch_limit(&self) -> usize {
        1
    }
}

impl Webhook {
    fn post(&self, delivery: &Delivery) -> Outcome {
        let (kind, body) = self.writer.write(delivery);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut headers = vec![
            ("Content-Type", kind.to_owned()),
            ("X-Lapwing-Id", delivery.id.clone()),
            ("X-Lapwing-Revision", delivery.revision.to_string()),
        ];
        if let Some(key) = &self.key {
            headers.push(("X-Lapwing-Timestamp", now.to_string()));
            headers.push(("X-Lapwing-Signature", format!("sha256={}", signature(key, now, &body))));
        }
        if let Some(token) = &self.token {
            headers.push(("Authorization", format!("Bearer {}", token.expose())));
        }
        self.http.post(&self.url, &headers, body.as_bytes())
    }
}

/// HMAC-SHA256 over `TIMESTAMP.BODY`, in hexadecimal: a receiver checks it, and that the timestamp is of now, so that a
/// request cannot be sent again by somebody else.
fn signature(key: &hmac::Key, timestamp: u64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{timestamp}.{body}").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{deliveries, delivery, http_server};
    use super::*;

    fn sink(settings: &str) -> Result<Box<dyn Sink>, String> {
        serde_json::from_str::<WebhookConfig>(settings).unwrap().build(&Context { sensor: "barn".to_owned() })
    }

    #[test]
    fn a_request_is_signed_over_time_and_body() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "a key\n").unwrap();
        let (address, requests) = http_server(vec!["200 OK"]);
        let mut sink = sink(&format!(
            r#"{{"url": "http://{address}/in", "key_file": "{}", "token_env": "PATH"}}"#,
            path.display()
        ))
        .unwrap();
        assert_eq!(sink.deliver(&deliveries(1)), Outcome::Delivered);
        let request = requests.recv().unwrap();
        assert_eq!(request.line, "POST /in HTTP/1.1");
        assert_eq!(request.header("x-lapwing-id"), Some("00"));
        assert_eq!(request.header("x-lapwing-revision"), Some("1"));
        assert!(request.header("authorization").unwrap().starts_with("Bearer /"));
        let timestamp = request.header("x-lapwing-timestamp").unwrap().parse().unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key");
        let expected = format!("sha256={}", signature(&key, timestamp, &request.body));
        assert_eq!(request.header("x-lapwing-signature"), Some(expected.as_str()));
        assert_eq!(request.body, delivery(0).json);
    }

    #[test]
    fn the_signature_is_hmac_sha256() {
        // `printf '1800000000.{}' | openssl dgst -sha256 -hmac key`
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_eq!(
            signature(&key, 1_800_000_000, "{}"),
            "7321475872b03ff21bdc2dfd86ea2d99ec29c479fbe4a77aa6acf4509505493f"
        );
    }

    #[test]
    fn answers_decide_whether_it_is_tried_again() {
        let (address, _requests) = http_server(vec![
            "503 Busy",
            "429 Slow\r\nRetry-After: 7",
            "400 Bad",
            "302 Found\r\nLocation: /x",
            "204 None",
        ]);
        let mut sink = sink(&format!(r#"{{"url": "http://{address}/"}}"#)).unwrap();
        let outcomes: Vec<Outcome> = (0..5).map(|_| sink.deliver(&deliveries(1))).collect();
        assert!(matches!(&outcomes[0], Outcome::Retry { after: None, reason } if reason.contains("503")));
        assert!(matches!(outcomes[1], Outcome::Retry { after: Some(after), .. } if after.as_secs() == 7));
        assert!(matches!(&outcomes[2], Outcome::Rejected { reason } if reason.contains("400")));
        assert!(matches!(outcomes[3], Outcome::Retry { .. }));
        assert_eq!(outcomes[4], Outcome::Delivered);
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        for (settings, word) in [
            ("{}", "give one of"),
            (r#"{"url": "http://a/", "body": "telegram"}"#, "`chat`"),
            (r#"{"url": "http://a/", "topic": "x"}"#, "`topic`"),
            (r#"{"url": "http://a/", "key_env": "LAPWING_TEST_UNSET"}"#, "LAPWING_TEST_UNSET"),
        ] {
            assert!(sink(settings).err().unwrap().contains(word), "{settings}");
        }
    }
}
