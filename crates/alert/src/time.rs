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
    }

    #[test]
    fn the_ends_of_time_can_be_written() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert!(rfc3339(time).ends_with('Z'));
        }
    }
}
