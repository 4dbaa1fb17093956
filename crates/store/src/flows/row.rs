//! One flow as it is kept: the columns of Zeek's `conn.log`.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use lapwing_alert::{from_rfc3339, rfc3339};
use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::{CONN_FIELDS, FieldValue, LocalNetworks, ZeekType};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The value of one column of one flow.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// The column has no value.
    Unset,
    /// A moment, to the microsecond.
    Time(Timestamp),
    /// Microseconds.
    Interval(i64),
    /// A count.
    Count(u64),
    /// A port.
    Port(u16),
    /// A yes or no.
    Bool(bool),
    /// An address.
    Address(IpAddr),
    /// A word.
    Text(String),
}

impl From<FieldValue<'_>> for Cell {
    fn from(value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Unset => Self::Unset,
            FieldValue::Time(time) => Self::Time(Timestamp::from_micros(time.micros())),
            FieldValue::Interval(interval) => Self::Interval(i64::try_from(interval.as_micros()).unwrap_or(i64::MAX)),
            FieldValue::Count(count) => Self::Count(count),
            FieldValue::Port(port) => Self::Port(port),
            FieldValue::Bool(value) => Self::Bool(value),
            FieldValue::Address(address) => Self::Address(address.ip()),
            FieldValue::Text(text) => Self::Text(text.to_owned()),
            FieldValue::Uid(uid) => Self::Text(uid.to_string()),
            FieldValue::CommunityId(id) => Self::Text(id.to_string()),
            FieldValue::Mac([a, b, c, d, e, f]) => {
                Self::Text(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))
            }
        }
    }
}

impl Cell {
    /// As text; empty where there is no value. Times are RFC 3339, intervals seconds.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unset => String::new(),
            Self::Time(time) => rfc3339(*time),
            Self::Interval(micros) => format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000),
            Self::Count(count) => count.to_string(),
            Self::Port(port) => port.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Address(ip) => ip.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A flow as it is kept, with a cell for each of [`CONN_FIELDS`].
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRow {
    cells: Vec<Cell>,
}

/// An object with a member for each of [`CONN_FIELDS`] that has a value.
impl JsonSchema for FlowRow {
    fn schema_name() -> Cow<'static, str> {
        "FlowRow".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let mut properties = serde_json::Map::new();
        for field in CONN_FIELDS {
            let kind = match field.zeek_type {
                ZeekType::Count | ZeekType::Port => "integer",
                ZeekType::Interval => "number",
                ZeekType::Bool => "boolean",
                _ => "string",
            };
            let property = serde_json::json!({ "type": kind, "description": field.meaning });
            properties.insert(field.name.to_owned(), property);
        }
        json_schema!({ "type": "object", "properties": properties })
    }
}

impl FlowRow {
    /// The row of a flow.
    #[must_use]
    pub fn new(flow: &Flow, local: &LocalNetworks) -> Self {
        Self { cells: CONN_FIELDS.iter().map(|field| Cell::from((field.get)(flow, local))).collect() }
    }

    /// A row without values.
    pub(crate) fn unset() -> Self {
        Self { cells: vec![Cell::Unset; CONN_FIELDS.len()] }
    }

    pub(crate) fn set(&mut self, column: usize, cell: Cell) {
        self.cells[column] = cell;
    }

    /// The cells, in the order of [`CONN_FIELDS`].
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The cell of a column by its Zeek name; unset for a name that is none.
    #[must_use]
    pub fn cell(&self, name: &str) -> &Cell {
        column(name).map_or(&Cell::Unset, |column| &self.cells[column])
    }

    /// The row of an object as it is serialised; `None` for what is none.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        let mut row = Self::unset();
        for (place, field) in CONN_FIELDS.iter().enumerate() {
            let Some(value) = object.get(field.name) else { continue };
            let cell = match field.zeek_type {
                ZeekType::Time => value.as_str().and_then(from_rfc3339).map(Cell::Time),
                ZeekType::Interval => value.as_f64().map(|seconds| Cell::Interval((seconds * 1e6).round() as i64)),
                ZeekType::Count | ZeekType::Int => value.as_u64().map(Cell::Count),
                ZeekType::Port => value.as_u64().and_then(|port| u16::try_from(port).ok()).map(Cell::Port),
                ZeekType::Bool => value.as_bool().map(Cell::Bool),
                ZeekType::Addr => value.as_str().and_then(|text| text.parse().ok()).map(Cell::Address),
                ZeekType::String | ZeekType::Enum | ZeekType::StringSet => {
                    value.as_str().map(|text| Cell::Text(text.to_owned()))
                }
            };
            row.set(place, cell.unwrap_or(Cell::Unset));
        }
        Some(row)
    }

    /// Time of the first and the last packet.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let Cell::Time(first) = *self.cell("ts") else { return Default::default() };
        let Cell::Interval(micros) = *self.cell("duration") else { return (first, first) };
        (first, Timestamp::from_micros(first.micros().saturating_add(micros)))
    }

    /// The names of the columns, as the header of a CSV file.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_csv_header(out: &mut dyn Write) -> io::Result<()> {
        let names: Vec<&str> = CONN_FIELDS.iter().map(|field| field.name).collect();
        writeln!(out, "{}", names.join(","))
    }

    /// The row as a line of CSV: no value of a flow has a comma or a quotation mark in it, but what a log said might.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        for (column, cell) in self.cells.iter().enumerate() {
            let text = cell.text();
            out.write_all(if column > 0 { b"," } else { b"" })?;
            if text.contains([',', '"', '\n', '\r']) {
                write!(out, "\"{}\"", text.replace('"', "\"\""))?;
            } else {
                out.write_all(text.as_bytes())?;
            }
        }
        out.write_all(b"\n")
    }
}

/// The place of a column.
pub(crate) fn column(name: &str) -> Option<usize> {
    CONN_FIELDS.iter().position(|field| field.name == name)
}

impl Serialize for FlowRow {
    /// An object of what is set, under Zeek's names.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, cell) in CONN_FIELDS.iter().zip(&self.cells) {
            match cell {
                Cell::Unset => {}
                Cell::Interval(micros) => map.serialize_entry(field.name, &(*micros as f64 / 1e6))?,
                Cell::Count(count) => map.serialize_entry(field.name, count)?,
                Cell::Port(port) => map.serialize_entry(field.name, port)?,
                Cell::Bool(value) => map.serialize_entry(field.name, value)?,
                Cell::Time(_) | Cell::Address(_) | Cell::Text(_) => map.serialize_entry(field.name, &cell.text())?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use lapwing_decode::Address;
    use lapwing_flow::{Endpoint, Half};

    use super::*;

    /// A flow of one second from `192.168.0.HOST` to port 443 of a server outside, that ended at `seconds`.
    pub(crate) fn flow(uid: u64, host: u8, seconds: i64) -> Flow {
        let last = Timestamp::from_seconds(seconds);
        Flow {
            uid,
            originator: Endpoint { address: Address::v4([192, 168, 0, host]), port: 40_000 },
            responder: Endpoint { address: Address::v4([198, 51, 100, 7]), port: 443 },
            protocol: 6,
            start: last.minus(Duration::from_secs(1)),
            last,
            orig: Half { packets: 4, ip_bytes: 300, payload_bytes: 100, mac: Some([2; 6]), ..Half::default() },
            resp: Half { packets: 5, ip_bytes: 1_200, payload_bytes: 900, ..Half::default() },
            ..Flow::default()
        }
    }

    #[test]
    fn a_row_is_written_with_zeeks_names() {
        let row = FlowRow::new(&flow(7, 2, 1_700_000_001), &LocalNetworks::default());
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.starts_with("{\"ts\":\"2023-11-14T22:13:20.000000Z\",\"uid\":\"C0"), "{text}");
        assert!(text.contains("\"id.resp_p\":443,\"proto\":\"tcp\",\"duration\":1.0,"), "{text}");
        assert!(!text.contains("service"), "{text}");
        assert_eq!(FlowRow::from_json(&text), Some(row.clone()));
        let mut line = Vec::new();
        row.write_csv(&mut line).unwrap();
        assert_eq!(String::from_utf8(line).unwrap().split(',').count(), CONN_FIELDS.len());
        assert_eq!(row.span(), (Timestamp::from_seconds(1_700_000_000), Timestamp::from_seconds(1_700_000_001)));
    }
}
