//! Devices that were seen.

use lapwing_alert::rfc3339;
use lapwing_capture::Timestamp;
use serde::Serialize;

use crate::query::limit_clause;
use crate::sql::{Conditions, Sql, containing, rows};
use crate::{DeviceQuery, Page, StoreError};

/// What is kept of a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceRecord {
    /// Its address, or what the inventory calls it.
    pub id: String,
    /// Link-layer address that it was last seen with.
    pub mac: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Who made it.
    pub vendor: Option<String>,
    /// Start of the first flow it took part in.
    #[serde(serialize_with = "time")]
    pub first_seen: Timestamp,
    /// End of the last.
    #[serde(serialize_with = "time")]
    pub last_seen: Timestamp,
    /// Flows it took part in.
    pub flows: u64,
    /// IP bytes it sent.
    pub bytes_sent: u64,
    /// IP bytes it received.
    pub bytes_received: u64,
    /// What the inventory knows beyond that, as it wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<serde_json::Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn time<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// Adds what was seen of a device to what is known: counts are summed, times widened, names kept unless there is a new one.
pub(crate) fn add(sql: &mut dyn Sql, device: &DeviceRecord) -> Result<(), StoreError> {
    let statement = "\
        INSERT INTO devices (id, mac, name, vendor, first_seen, last_seen, flows, bytes_sent, bytes_received, document) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
        ON CONFLICT (id) DO UPDATE SET mac = COALESCE(excluded.mac, devices.mac), \
        name = COALESCE(excluded.name, devices.name), vendor = COALESCE(excluded.vendor, devices.vendor), \
        first_seen = CASE WHEN excluded.first_seen < devices.first_seen THEN excluded.first_seen ELSE devices.first_seen END, \
        last_seen = CASE WHEN excluded.last_seen > devices.last_seen THEN excluded.last_seen ELSE devices.last_seen END, \
        flows = devices.flows + excluded.flows, bytes_sent = devices.bytes_sent + excluded.bytes_sent, \
        bytes_received = devices.bytes_received + excluded.bytes_received, \
        document = COALESCE(excluded.document, devices.document)";
    let document = device.document.as_ref().map(ToString::to_string);
    let values = [
        device.id.as_str().into(),
        device.mac.clone().into(),
        device.name.clone().into(),
        device.vendor.clone().into(),
        device.first_seen.micros().into(),
        device.last_seen.micros().into(),
        count(device.flows).into(),
        count(device.bytes_sent).into(),
        count(device.bytes_received).into(),
        document.into(),
    ];
    sql.execute(statement, &values)?;
    Ok(())
}

/// The devices asked for, the one seen last first.
pub(crate) fn find(sql: &mut dyn Sql, query: &DeviceQuery) -> Result<Page<DeviceRecord>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(from) = query.time.from {
        conditions.add("last_seen >= ?", from.micros());
    }
    if let Some(until) = query.time.until {
        conditions.add("first_seen < ?", until.micros());
    }
    if let Some(text) = &query.text {
        let searched =
            "LOWER(id || ' ' || COALESCE(mac, '') || ' ' || COALESCE(name, '') || ' ' || COALESCE(vendor, ''))";
        conditions.add(&format!("{searched} LIKE ? ESCAPE '\\'"), containing(text));
    }
    let statement = format!(
        "SELECT id, mac, name, vendor, first_seen, last_seen, flows, bytes_sent, bytes_received, document FROM devices{} \
         ORDER BY last_seen DESC, id{}",
        conditions.clause(),
        limit_clause(query.limit)
    );
    let found = rows(sql, &statement, &conditions.values)?;
    let devices = found.into_iter().map(|mut row| DeviceRecord {
        id: row.text(0),
        mac: row.optional_text(1),
        name: row.optional_text(2),
        vendor: row.optional_text(3),
        first_seen: Timestamp::from_micros(row.integer(4)),
        last_seen: Timestamp::from_micros(row.integer(5)),
        flows: row.count(6),
        bytes_sent: row.count(7),
        bytes_received: row.count(8),
        document: row.optional_text(9).and_then(|text| serde_json::from_str(&text).ok()),
    });
    Ok(Page::new(devices.collect(), query.limit))
}

/// A count as the databases keep it.
pub(crate) fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
