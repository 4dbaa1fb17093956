//! Times in JSON.

use schemars::JsonSchema;

/// A moment in JSON: RFC 3339.
#[derive(JsonSchema)]
#[schemars(extend("format" = "date-time"))]
pub(crate) struct DateTime(#[expect(dead_code, reason = "only its schema is used")] String);

/// As RFC 3339.
pub(crate) mod text {
    use lapwing_alert::{from_rfc3339, rfc3339};
    use lapwing_capture::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc3339(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_rfc3339(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is not an RFC 3339 time")))
    }
}

/// As RFC 3339, or nothing.
pub(crate) mod optional {
    use lapwing_alert::rfc3339;
    use lapwing_capture::Timestamp;
    use serde::{Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes fields by reference")]
    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(rfc3339).serialize(serializer)
    }
}
