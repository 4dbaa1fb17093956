//! Measurements and flows in the form that the Sigma engine reads, without copying them.

use std::borrow::Cow;

use lapwing_flow::Flow;
use lapwing_protocol::{CONN_FIELDS, FieldValue, LocalNetworks, conn_field};
use rsigma_eval::{Event, EventValue};

use crate::{Measurement, Value};

/// Names under which the engine asks which log an event belongs to; no rule's field is called so.
pub(super) const PRODUCT: &str = "lapwing.event.product";
pub(super) const SERVICE: &str = "lapwing.event.service";
pub(super) const CATEGORY: &str = "lapwing.event.category";

/// What a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Judged<'a> {
    /// A behaviour's measurement.
    Measurement(&'a Measurement),
    /// A finished flow: a line of Zeek's `conn.log`.
    Flow(&'a Flow, &'a LocalNetworks),
    /// Fields written by hand, in a case.
    Fields {
        /// The logsource's product.
        product: &'a str,
        /// The logsource's service.
        service: &'a str,
        /// Names and values.
        fields: &'a [(String, serde_json::Value)],
    },
}

impl Judged<'_> {
    fn logsource(&self) -> (&str, &str) {
        match self {
            Self::Measurement(measurement) => ("lapwing", measurement.service),
            Self::Flow(..) => ("zeek", "conn"),
            Self::Fields { product, service, .. } => (product, service),
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::Measurement(measurement) => measurement.fields.iter().map(|(name, _)| *name).collect(),
            Self::Flow(..) => CONN_FIELDS.iter().map(|field| field.name).collect(),
            Self::Fields { fields, .. } => fields.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }
}

impl Event for Judged<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        match path {
            PRODUCT => return Some(EventValue::Str(Cow::Borrowed(self.logsource().0))),
            SERVICE => return Some(EventValue::Str(Cow::Borrowed(self.logsource().1))),
            CATEGORY => return None,
            _ => {}
        }
        match self {
            Self::Measurement(measurement) => measurement.get(path).map(measured),
            Self::Flow(flow, local) => connection((conn_field(path)?.get)(flow, local)),
            Self::Fields { fields, .. } => {
                fields.iter().find(|(name, _)| name == path).map(|(_, value)| EventValue::from(value))
            }
        }
    }

    fn any_string_value(&self, accept: &dyn Fn(&str) -> bool) -> bool {
        self.all_string_values().iter().any(|value| accept(value))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let text = |name| match self.get_field(name) {
            Some(EventValue::Str(text)) => Some(text),
            _ => None,
        };
        self.names().into_iter().filter_map(text).collect()
    }

    fn to_json(&self) -> serde_json::Value {
        let value = |name: &str| Some((name.to_owned(), self.get_field(name)?.to_json()));
        serde_json::Value::Object(self.names().into_iter().filter_map(value).collect())
    }
}

fn measured(value: &Value) -> EventValue<'_> {
    match value {
        Value::Count(count) => EventValue::Int(i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Number(number) => EventValue::Float(*number),
        Value::Text(text) => EventValue::Str(Cow::Borrowed(text)),
        Value::Address(address) => EventValue::Str(Cow::Owned(address.ip().to_string())),
        Value::Mac(mac) => EventValue::Str(Cow::Owned(mac_text(*mac))),
        Value::Flag(flag) => EventValue::Bool(*flag),
    }
}

fn connection(value: FieldValue<'_>) -> Option<EventValue<'_>> {
    Some(match value {
        FieldValue::Unset => return None,
        FieldValue::Time(time) => EventValue::Float(time.nanos() as f64 / 1e9),
        FieldValue::Uid(uid) => EventValue::Str(Cow::Owned(uid.to_string())),
        FieldValue::CommunityId(id) => EventValue::Str(Cow::Owned(id.to_string())),
        FieldValue::Mac(mac) => EventValue::Str(Cow::Owned(mac_text(mac))),
        FieldValue::Text(text) => EventValue::Str(Cow::Borrowed(text)),
        FieldValue::Address(address) => EventValue::Str(Cow::Owned(address.ip().to_string())),
        FieldValue::Port(port) => EventValue::Int(i64::from(port)),
        FieldValue::Interval(duration) => EventValue::Float(duration.as_secs_f64()),
        FieldValue::Count(count) => EventValue::Int(i64::try_from(count).unwrap_or(i64::MAX)),
        FieldValue::Bool(flag) => EventValue::Bool(flag),
    })
}

pub(super) fn mac_text([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
