//! What is handed to a sink: one revision of one alert, ready to be sent.

use lapwing_alert::{Alert, format};
use lapwing_capture::Timestamp;
use lapwing_detect::Severity;
use serde::{Deserialize, Serialize};

use crate::DeliveryError;

/// One revision of one thing worth telling, with all that routing needs beside the JSON that is sent.
///
/// What is delivered twice carries the same `id` and `revision`: a receiver that remembers the pair sees everything once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What it is.
    pub class: Class,
    /// Identity that all revisions share.
    pub id: String,
    /// Which revision of it.
    pub revision: u32,
    /// How bad it is.
    #[serde(with = "severity_number")]
    pub severity: Severity,
    /// What was found, from the registry of kinds.
    pub kind: String,
    /// The device it is about.
    pub device: String,
    /// Latest capture time it rests on: nanoseconds since the Unix epoch.
    pub nanos: i64,
    /// The whole of it as one line of JSON.
    pub json: String,
    /// The same as a Suricata EVE record, where a sink wants that.
    pub eve: Option<String>,
}

/// What a [`Delivery`] tells of. New classes are added at the end: the number is what the spool keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// An alert.
    Alert,
}

impl Delivery {
    /// A revision of an alert; the EVE form is made only when somebody wants it.
    ///
    /// # Errors
    /// When the alert cannot be written as JSON.
    pub fn of_alert(alert: &Alert, with_eve: bool) -> Result<Self, DeliveryError> {
        let eve = if with_eve {
            let mut line = Vec::new();
            format::write_eve(std::slice::from_ref(alert), &mut line)
                .map_err(|error| DeliveryError::Json(error.to_string()))?;
            let line = String::from_utf8(line).map_err(|error| DeliveryError::Json(error.to_string()))?;
            Some(line.trim_end().to_owned())
        } else {
            None
        };
        Ok(Self {
            class: Class::Alert,
            id: alert.id.clone(),
            revision: alert.revision,
            severity: alert.severity,
            kind: alert.kind.clone(),
            device: alert.device.clone(),
            nanos: alert.last_seen.nanos(),
            json: serde_json::to_string(alert).map_err(|error| DeliveryError::Json(error.to_string()))?,
            eve,
        })
    }

    /// The latest capture time it rests on.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.nanos)
    }

    /// Its text for people; fields that an older or newer writer left out are empty.
    #[must_use]
    pub fn text(&self) -> AlertText {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// As kept in the spool.
    ///
    /// # Errors
    /// When it cannot be encoded, which no `Delivery` made here is known to do.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, DeliveryError> {
        postcard::to_stdvec(self).map_err(|error| DeliveryError::Record(error.to_string()))
    }

    /// From what the spool kept.
    ///
    /// # Errors
    /// When the bytes are no record of this version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DeliveryError> {
        postcard::from_bytes(bytes).map_err(|error| DeliveryError::Record(error.to_string()))
    }
}

/// The fields of an alert that sinks for people and for time series show, read back from its JSON.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AlertText {
    /// What a person reads first.
    pub title: String,
    /// What happened, with the numbers that decided.
    pub explanation: String,
    /// How sure: 0 to 1.
    pub confidence: f64,
    /// Detections merged into it.
    pub count: u64,
    /// Who claims it.
    pub detectors: Vec<String>,
    /// The signatures that decided.
    pub rules: Vec<String>,
    /// The other hosts concerned.
    pub peers: Vec<String>,
    /// ATT&CK techniques.
    pub attack: Vec<String>,
    /// Start of the traffic that opened it, RFC 3339.
    pub first_seen: String,
    /// End of the latest traffic it rests on, RFC 3339.
    pub last_seen: String,
    /// `open`, `acknowledged` or `closed`.
    pub status: String,
}

mod severity_number {
    use lapwing_detect::Severity;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const ALL: [Severity; 5] =
        [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    pub(super) fn serialize<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
        let place = ALL.iter().position(|known| known == severity).unwrap_or(ALL.len() - 1);
        serializer.serialize_u8(u8::try_from(place).unwrap_or(u8::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
        let place = u8::deserialize(deserializer)?;
        ALL.get(usize::from(place)).copied().ok_or_else(|| D::Error::custom("no such severity"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic_alert;

    #[test]
    fn what_the_spool_keeps_reads_back_as_it_was() {
        let alert = synthetic_alert(Timestamp::from_seconds(1_800_000_000));
        let delivery = Delivery::of_alert(&alert, true).unwrap();
        assert_eq!(Delivery::decode(&delivery.encode().unwrap()).unwrap(), delivery);
        assert_eq!(delivery.text().title, alert.title);
        assert!(delivery.eve.unwrap().starts_with('{'));
    }

    #[test]
    fn what_was_simulated_says_so_in_all_that_sinks_show() {
        let simulated = lapwing_alert::AlertConfig { simulated: true, ..Default::default() };
        let mut merger = lapwing_alert::Merger::new(simulated);
        let subject = lapwing_detect::Subject::Network;
        merger.take_in(&lapwing_detect::Detection::new(
            &lapwing_detect::KINDS[0],
            subject,
            "test",
            Timestamp::from_seconds(7),
        ));
        let delivery = Delivery::of_alert(&merger.into_alerts()[0], true).unwrap();
        assert!(delivery.text().title.starts_with("Simulated: "));
        for json in [delivery.json, delivery.eve.unwrap()] {
            assert!(json.contains(r#""simulated":true"#) && json.contains("Simulated: "), "{json}");
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert!(Delivery::decode(b"not a record").is_err());
        assert!(Delivery::decode(&[]).is_err());
    }
}
