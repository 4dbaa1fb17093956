//! Times as they are written: RFC 3339, UTC, microseconds.

use lapwing_alert::rfc3339;
use lapwing_capture::Timestamp;
use schemars::JsonSchema;
use serde::Serializer;

/// A moment: RFC 3339.
#[derive(JsonSchema)]
#[schemars(extend("format" = "date-time"))]
pub(crate) struct DateTime(#[expect(dead_code, reason = "only its schema is used")] String);

pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

pub(crate) mod optional {
    use super::{Serializer, Timestamp, rfc3339};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_some(&rfc3339(*time)),
            None => serializer.serialize_none(),
        }
    }
}
