//! What is sent: for programs, for people, for chat services.
//!
//! What can hold text of an attacker (names, explanations) is escaped for the service it goes to, and cannot call anyone.

use lapwing_detect::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{Form, shortened};
use crate::Delivery;

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The alert as JSON.
    #[default]
    Json,
    /// A Suricata EVE record.
    Eve,
    /// A few lines of text.
    Text,
    /// Slack's, and Mattermost's, incoming webhooks.
    Slack,
    /// Discord's webhooks.
    Discord,
    /// Telegram's `sendMessage`; the address is `https://api.telegram.org/botTOKEN/sendMessage`.
    Telegram,
    /// ntfy's JSON publishing.
    Ntfy,
}

impl Body {
    /// Whether people read it: they are not told every revision.
    pub(crate) const fn is_for_people(self) -> bool {
        !matches!(self, Self::Json | Self::Eve)
    }
}

/// Writes bodies for one receiver.
pub(super) struct Writer {
    pub(super) body: Body,
    /// Telegram's chat, ntfy's topic.
    pub(super) place: String,
    pub(super) sensor: String,
}

impl Writer {
    /// Content type and body.
    pub(super) fn write(&self, delivery: &Delivery) -> (&'static str, String) {
        const JSON: &str = "application/json";
        match self.body {
            Body::Json => (JSON, Form::Json.of(delivery).to_owned()),
            Body::Eve => (JSON, Form::Eve.of(delivery).to_owned()),
            Body::Text => ("text/plain; charset=utf-8", self.lines(delivery)),
            Body::Slack => (JSON, slack(&self.lines(delivery)).to_string()),
            Body::Discord => (JSON, discord(delivery, &self.lines(delivery)).to_string()),
            Body::Telegram => {
                // No `parse_mode`: the text is taken as it is.
                let text = shortened(&self.lines(delivery), 4_096);
                (JSON, json!({"chat_id": self.place, "text": text, "disable_web_page_preview": true}).to_string())
            }
            Body::Ntfy => {
                let text = self.lines(delivery);
                let (title, message) = text.split_once('\n').unwrap_or((&text, ""));
                let body = json!({
                    "topic": self.place,
                    "title": shortened(title, 250),
                    "message": shortened(message, 3_500),
                    "priority": ntfy_priority(delivery.severity),
                    "tags": ["lapwing", delivery.severity.as_str(), delivery.kind],
                });
                (JSON, body.to_string())
            }
        }
    }

    /// What a person reads: title, who, what happened, where to look it up.
    fn lines(&self, delivery: &Delivery) -> String {
        let text = delivery.text();
        let mut lines = vec![
            format!("[{}] {} at {}", delivery.severity.as_str().to_uppercase(), text.title, delivery.device),
            text.explanation,
        ];
        if !text.peers.is_empty() {
            lines.push(format!("with {}", text.peers.join(", ")));
        }
        if !text.attack.is_empty() {
            lines.push(format!("ATT&CK {}", text.attack.join(", ")));
        }
        lines.push(format!(
            "{} to {}, sensor {}, alert {} revision {}",
            text.first_seen, text.last_seen, self.sensor, delivery.id, delivery.revision
        ));
        lines.join("\n")
    }
}

/// Slack escapes these three, and thereby everything that its markup could do.
fn slack(text: &str) -> Value {
    let text = shortened(text, 3_000).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({"text": text})
}

fn discord(delivery: &Delivery, text: &str) -> Value {
    let (title, description) = text.split_once('\n').unwrap_or((text, ""));
    let color = match delivery.severity {
        Severity::Critical => 0x008b_0000,
        Severity::High => 0x00d9_3025,
        Severity::Medium => 0x00f2_9900,
        Severity::Low => 0x0043_85f4,
        Severity::Informational => 0x0080_8080,
    };
    json!({
        "embeds": [{"title": shortened(title, 256), "description": shortened(description, 4_000), "color": color}],
        "allowed_mentions": {"parse": []},
    })
}

const fn ntfy_priority(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 5,
        Severity::High => 4,
        Severity::Medium => 3,
        Severity::Low => 2,
        Severity::Informational => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::delivery;
    use super::*;

    #[test]
    fn chat_services_get_their_bodies_and_no_markup_of_an_attacker() {
        let mut hostile = delivery(0);
        hostile.json = hostile.json.replace("a made-up alert", "<!channel> @everyone *bold* & more");
        let body = |body: Body| -> Value {
            let writer = Writer { body, place: "-100".to_owned(), sensor: "barn".to_owned() };
            serde_json::from_str(&writer.write(&hostile).1).unwrap()
        };
        let slack = body(Body::Slack)["text"].as_str().unwrap().to_owned();
        assert!(slack.starts_with("[LOW] Lapwing self-test at 192.0.2.10\n&lt;!channel&gt;"), "{slack}");
        assert!(!slack.contains('<'));
        let discord = body(Body::Discord);
        assert_eq!(discord["allowed_mentions"]["parse"], json!([]));
        assert!(discord["embeds"][0]["description"].as_str().unwrap().contains("@everyone"));
        let telegram = body(Body::Telegram);
        assert_eq!(telegram["chat_id"], "-100");
        assert!(telegram.get("parse_mode").is_none());
        let ntfy = body(Body::Ntfy);
        assert_eq!((&ntfy["topic"], &ntfy["priority"]), (&json!("-100"), &json!(2)));
    }
}
