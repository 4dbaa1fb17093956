//! Types of settings that hold nothing but what makes sense, so that a bad value is refused where it stands.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use lapwing_capture::{Filter, FilterError};
use lapwing_protocol::{LocalNetworks, NetworkError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A value that is not within its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is out of range; use {range}")]
pub struct OutOfRange {
    value: String,
    range: String,
}

/// A whole number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u64")]
pub struct Count<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Count<LEAST, MOST> {
    /// A default of ours.
    pub(crate) fn of(value: usize) -> Self {
        Self((value as u64).clamp(LEAST, MOST))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    fn checked(value: u64) -> Option<Self> {
        (LEAST..=MOST).contains(&value).then_some(Self(value))
    }

    fn refused(value: impl fmt::Display) -> OutOfRange {
        let range = if MOST == u64::MAX >> 1 { format!("{LEAST} or more") } else { format!("{LEAST} to {MOST}") };
        OutOfRange { value: value.to_string(), range }
    }
}

impl<const LEAST: u64, const MOST: u64> TryFrom<i64> for Count<LEAST, MOST> {
    type Error = OutOfRange;

    fn try_from(value: i64) -> Result<Self, OutOfRange> {
        u64::try_from(value).ok().and_then(Self::checked).ok_or_else(|| Self::refused(value))
    }
}

impl<const LEAST: u64, const MOST: u64> From<Count<LEAST, MOST>> for u64 {
    fn from(count: Count<LEAST, MOST>) -> Self {
        count.0
    }
}

/// For arguments: the same range, in the same words.
impl<const LEAST: u64, const MOST: u64> FromStr for Count<LEAST, MOST> {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        text.parse().ok().and_then(Self::checked).ok_or_else(|| Self::refused(text))
    }
}

impl<const LEAST: u64, const MOST: u64> JsonSchema for Count<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Count_{LEAST}_{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        if MOST == u64::MAX >> 1 {
            json_schema!({"type": "integer", "minimum": LEAST})
        } else {
            json_schema!({"type": "integer", "minimum": LEAST, "maximum": MOST})
        }
    }
}

/// A number above 0: false alerts accepted per device and week.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Budget(f64);

impl Budget {
    pub(crate) fn of(value: f64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Budget {
    type Error = OutOfRange;

    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        let refused = || OutOfRange { value: value.to_string(), range: "a number above 0".to_owned() };
        (value.is_finite() && value > 0.0).then_some(Self(value)).ok_or_else(refused)
    }
}

impl FromStr for Budget {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        text.parse()
            .unwrap_or(f64::NAN)
            .try_into()
            .map_err(|error: OutOfRange| OutOfRange { value: text.into(), ..error })
    }
}

impl JsonSchema for Budget {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Budget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "exclusiveMinimum": 0})
    }
}

/// A tcpdump expression that was understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub struct FilterText(String);

impl FilterText {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn filter(&self) -> Filter {
        Filter::new(&self.0).expect("the text was understood when it was read")
    }
}

impl TryFrom<String> for FilterText {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, FilterError> {
        Filter::new(&text).map(|_| Self(text))
    }
}

/// Networks in CIDR notation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>")]
#[schemars(inline)]
pub struct Networks(Vec<String>);

impl Networks {
    pub(crate) fn parsed(&self) -> LocalNetworks {
        self.parse().expect("the texts were understood when they were read")
    }

    fn parse(&self) -> Result<LocalNetworks, NetworkError> {
        LocalNetworks::parse(self.0.iter().map(String::as_str))
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = NetworkError;

    fn try_from(texts: Vec<String>) -> Result<Self, NetworkError> {
        let networks = Self(texts);
        networks.parse().map(|_| networks)
    }
}
