//! Capture time as text.

use chrono::{DateTime, Utc};
use lapwing_capture::Timestamp;

fn utc(time: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(time.nanos())
}

/// RFC 3339 in UTC with microseconds: `2026-11-21T01:25:34.000123Z`.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    utc(time).format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The moment that an RFC 3339 text names, in whatever offset; `None` for anything else.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Timestamp> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    time.timestamp_nanos_opt().map(Timestamp::from_nanos)
}

/// Times in JSON.
pub(crate) mod text {
    use lapwing_capture::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::rfc3339(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_rfc3339(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is not an RFC 3339 time")))
    }
}

/// Times in JSON that may be absent.
pub(crate) mod optional {
    use lapwing_capture::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_some(&super::rfc3339(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let time = super::from_rfc3339(&text);
        time.map(Some).ok_or_else(|| D::Error::custom(format!("'{text}' is not an RFC 3339 time")))
    }
}

/// The form that EVE records carry: microseconds, offset without a colon.
pub(crate) fn eve(time: Timestamp) -> String {
    utc(time).format("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string()
}

/// For tables: to the second.
pub(crate) fn short(time: Timestamp) -> String {
    utc(time).format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_to_the_microsecond() {
        let time = Timestamp::from_nanos(1_491_611_077_251_547_999);
        assert_eq!(rfc3339(time), "2017-04-08T00:24:37.251547Z");
        assert_eq!(eve(time), "2017-04-08T00:24:37.251547+0000");
        assert_eq!(from_rfc3339(&rfc3339(time)), Some(Timestamp::from_micros(time.micros())));
        assert_eq!(from_rfc3339("2017-04-08T02:24:37+02:00"), Some(Timestamp::from_seconds(time.seconds())));
        assert_eq!(from_rfc3339("yesterday"), None);
    }

    #[test]
    fn the_ends_of_time_can_be_written() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert!(rfc3339(time).ends_with('Z'));
        }
    }
}
