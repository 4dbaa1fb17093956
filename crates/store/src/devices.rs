//! Devices that were seen.

use std::cmp::Reverse;

use lapwing_alert::Place;
use lapwing_asset::{Device, Memory, Peer, Recent, Service, Volume};
use lapwing_capture::Timestamp;
use lapwing_protocol::transport;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cursor::{Cursor, List};
use crate::query::limit_clause;
use crate::sql::{Conditions, Sql, containing, count, rows};
use crate::time::{DateTime, text};
use crate::{DeviceQuery, Page, StoreError};

/// A device as it is kept and printed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRecord {
    /// What it is known by: its link-layer address, else its address.
    pub id: String,
    /// The address it has.
    pub address: Option<String>,
    /// Its link-layer address.
    pub mac: Option<String>,
    /// The link-layer address is drawn at random, so the device may come back under another.
    pub random_mac: bool,
    /// Who made it.
    pub maker: Option<String>,
    /// It forwards for others.
    pub router: bool,
    /// Every address it had lately, in order.
    pub addresses: Vec<String>,
    /// When it was seen first.
    #[serde(with = "text")]
    #[schemars(with = "DateTime")]
    pub first_seen: Timestamp,
    /// When it was seen last.
    #[serde(with = "text")]
    #[schemars(with = "DateTime")]
    pub last_seen: Timestamp,
    /// Flows that ended, begun by it or by others, by whichever of its addresses; only those that were answered, since others prove
    /// nothing of who is there.
    pub flows: u64,
    /// IP bytes it sent.
    pub sent_bytes: u64,
    /// IP bytes it received.
    pub received_bytes: u64,
    /// Services it offers: `tcp/80`.
    pub offers: Vec<String>,
    /// Services it uses.
    pub uses: Vec<String>,
    /// Networks outside that it had answers from (/24, /48).
    pub outside_networks: usize,
    /// Whom it talks to, the one with most bytes first.
    pub peers: Vec<PeerRecord>,
    /// Bytes by hour of the day, UTC.
    pub hours: Vec<HourRecord>,
    /// What people call it, for who shows it: kept apart.
    #[serde(default)]
    pub name: Option<String>,
    /// What people say of it.
    #[serde(default)]
    pub note: Option<String>,
    /// What a later run needs to go on with it, where the run that told it wants that.
    #[serde(skip)]
    pub memory: Option<Memory>,
}

/// A host that a device talks to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PeerRecord {
    /// Its address.
    pub address: String,
    /// Where it is and whose network it is in, for who shows it: nothing of it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Flows between them.
    pub flows: u64,
    /// IP bytes that the device sent it.
    pub sent_bytes: u64,
    /// IP bytes that the device had from it.
    pub received_bytes: u64,
    /// End of the last flow.
    #[serde(with = "text")]
    #[schemars(with = "DateTime")]
    pub last_seen: Timestamp,
}

/// A device's bytes in one hour of the day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HourRecord {
    /// 0 to 23, UTC.
    pub hour: usize,
    /// IP bytes.
    pub sent_bytes: u64,
    /// IP bytes.
    pub received_bytes: u64,
}

impl DeviceRecord {
    /// What the inventory knows of a device.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        let Volume { sent, received } = device.volume();
        let address = device.address().map(|address| address.ip().to_string());
        let mac = device.mac.map(|[a, b, c, d, e, f]| format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
        let mut addresses: Vec<_> = device.own_addresses().collect();
        addresses.sort_unstable();
        let mut peers = device.peers.clone();
        peers.sort_by_key(|peer| (Reverse(peer.volume.sent + peer.volume.received), peer.address));
        let hours = device.hours.iter().enumerate().filter(|(_, volume)| **volume != Volume::default());
        Self {
            id: mac.clone().or_else(|| address.clone()).unwrap_or_default(),
            address,
            mac,
            random_mac: device.has_random_mac(),
            maker: device.vendor().map(ToOwned::to_owned),
            router: device.routes,
            addresses: addresses.iter().map(|address| address.ip().to_string()).collect(),
            first_seen: device.first,
            last_seen: device.last,
            flows: device.flows,
            sent_bytes: sent,
            received_bytes: received,
            offers: services(&device.offers),
            uses: services(&device.uses),
            outside_networks: device.destinations.len(),
            peers: peers.iter().map(PeerRecord::new).collect(),
            hours: hours
                .map(|(hour, volume)| HourRecord { hour, sent_bytes: volume.sent, received_bytes: volume.received })
                .collect(),
            name: None,
            note: None,
            memory: None,
        }
    }

    /// What a search looks at, in small letters.
    fn words(&self) -> String {
        let single = [Some(&self.id), self.mac.as_ref(), self.maker.as_ref()].into_iter().flatten();
        let words: Vec<String> = single.chain(&self.addresses).map(|word| word.to_lowercase()).collect();
        format!(" {} ", words.join(" "))
    }
}

impl PeerRecord {
    fn new(peer: &Peer) -> Self {
        Self {
            address: peer.address.ip().to_string(),
            place: None,
            flows: peer.flows,
            sent_bytes: peer.volume.sent,
            received_bytes: peer.volume.received,
            last_seen: peer.last,
        }
    }
}

/// As `tcp/443`, in order; protocols without ports by their name alone.
fn services<const MOST: usize>(seen: &Recent<Service, MOST>) -> Vec<String> {
    let mut services: Vec<Service> = seen.iter().map(|seen| seen.what).collect();
    services.sort_unstable();
    let name = |service: &Service| match service.port {
        0 => transport(service.protocol).to_owned(),
        port => format!("{}/{port}", transport(service.protocol)),
    };
    services.iter().map(name).collect()
}

/// Keeps what a run knows of a device in place of what it knew of it before.
pub(crate) fn put(sql: &mut dyn Sql, run: Timestamp, device: &DeviceRecord) -> Result<(), StoreError> {
    let document = serde_json::to_string(device).map_err(|error| damaged(&device.id, &error))?;
    let values = [
        device.id.as_str().into(),
        device.words().into(),
        device.first_seen.micros().into(),
        device.last_seen.micros().into(),
        document.into(),
    ];
    sql.execute(
        "INSERT INTO devices (id, words, first_seen, last_seen, document) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET \
         words = CASE WHEN excluded.last_seen >= devices.last_seen THEN excluded.words ELSE devices.words END, \
         document = CASE WHEN excluded.last_seen >= devices.last_seen THEN excluded.document ELSE devices.document END, \
         first_seen = CASE WHEN excluded.first_seen < devices.first_seen THEN excluded.first_seen ELSE devices.first_seen END, \
         last_seen = CASE WHEN excluded.last_seen > devices.last_seen THEN excluded.last_seen ELSE devices.last_seen END",
        &values,
    )?;
    // A run counts up; where it counts less it has begun again, as when a capture is played a second time.
    let more = ["flows", "bytes_sent", "bytes_received"].map(|name| {
        format!(
            "{name} = CASE WHEN excluded.{name} > device_runs.{name} THEN excluded.{name} ELSE device_runs.{name} END"
        )
    });
    let [flows, sent, received] = [device.flows, device.sent_bytes, device.received_bytes].map(count);
    let memory = device.memory.as_ref().map(serde_json::to_string).transpose();
    let memory = memory.map_err(|error| damaged(&device.id, &error))?;
    sql.execute(
        &format!(
            "INSERT INTO device_runs (device, run, flows, bytes_sent, bytes_received, memory) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (device, run) DO UPDATE SET {}, \
             memory = COALESCE(excluded.memory, device_runs.memory)",
            more.join(", ")
        ),
        &[device.id.as_str().into(), run.micros().into(), flows.into(), sent.into(), received.into(), memory.into()],
    )?;
    Ok(())
}

/// Notes that a run watches live.
pub(crate) fn note_live(sql: &mut dyn Sql, run: Timestamp) -> Result<(), StoreError> {
    sql.execute("INSERT INTO live_runs (run) VALUES (?1) ON CONFLICT (run) DO NOTHING", &[run.micros().into()])
        .map(drop)
}

/// The latest run that watched live, with the `most` devices that were seen last, those first.
pub(crate) fn remembered(sql: &mut dyn Sql, most: usize) -> Result<Option<(Timestamp, Vec<Memory>)>, StoreError> {
    let latest = rows(sql, "SELECT MAX(run) FROM live_runs", &[])?;
    let Some(run) = latest.first().and_then(|row| row.optional_integer(0)) else { return Ok(None) };
    let statement = format!(
        "SELECT r.device, r.memory FROM device_runs r JOIN devices d ON d.id = r.device \
         WHERE r.run = ?1 AND r.memory IS NOT NULL ORDER BY d.last_seen DESC, d.id{}",
        limit_clause(Some(most))
    );
    let mut memories = Vec::new();
    sql.query(&statement, &[run.into()], &mut |mut row| {
        let memory = serde_json::from_str(&row.text(1)).map_err(|error| damaged(&row.text(0), &error))?;
        memories.push(memory);
        Ok(())
    })?;
    // One more was asked for than is wanted.
    memories.truncate(most);
    Ok(Some((Timestamp::from_micros(run), memories)))
}

/// The devices asked for, the one seen last first.
pub(crate) fn find(sql: &mut dyn Sql, query: &DeviceQuery) -> Result<Page<DeviceRecord>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(from) = query.time.from {
        conditions.add("d.last_seen >= ?", from.micros());
    }
    if let Some(until) = query.time.until {
        conditions.add("d.first_seen < ?", until.micros());
    }
    if let Some(device) = &query.device {
        conditions.add("d.words LIKE ? ESCAPE '\\'", containing(&format!(" {device} ")));
    }
    if let Some(text) = &query.text {
        conditions.add("(d.words LIKE ? ESCAPE '\\' OR n.words LIKE ? ESCAPE '\\')", containing(text));
    }
    if let Some(cursor) = Cursor::of(query.after.as_ref(), List::Devices)? {
        conditions.go_on("d.last_seen", "d.id >", cursor, cursor.name.as_str());
    }
    let end = |last: &DeviceRecord| Cursor::new(List::Devices, last.last_seen, last.id.as_str());
    Ok(Page::new(select(sql, &conditions, query.limit)?, query.limit, end))
}

/// The device of that id.
pub(crate) fn get(sql: &mut dyn Sql, id: &str) -> Result<DeviceRecord, StoreError> {
    let mut conditions = Conditions::default();
    conditions.add("d.id = ?", id);
    let found = select(sql, &conditions, None)?.into_iter().next();
    found.ok_or_else(|| StoreError::NotFound { what: "device", id: id.to_owned() })
}

/// The devices `d` with what people say `n` of them that fulfil the conditions; counts are summed for those only.
fn select(sql: &mut dyn Sql, conditions: &Conditions, limit: Option<usize>) -> Result<Vec<DeviceRecord>, StoreError> {
    const COLUMNS: &str = "p.id, p.document, p.first_seen, p.last_seen, p.name, p.note";
    let statement = format!(
        "SELECT {COLUMNS}, CAST(SUM(r.flows) AS BIGINT), CAST(SUM(r.bytes_sent) AS BIGINT), \
         CAST(SUM(r.bytes_received) AS BIGINT) FROM \
         (SELECT d.id, d.document, d.first_seen, d.last_seen, n.name, n.note FROM devices d \
         LEFT JOIN device_names n ON n.device = d.id{} ORDER BY d.last_seen DESC, d.id{}) p \
         JOIN device_runs r ON r.device = p.id GROUP BY {COLUMNS} ORDER BY p.last_seen DESC, p.id",
        conditions.clause(),
        limit_clause(limit)
    );
    let found = rows(sql, &statement, &conditions.values)?;
    let devices = found.into_iter().map(|mut row| {
        let id = row.text(0);
        Ok(DeviceRecord {
            first_seen: Timestamp::from_micros(row.integer(2)),
            last_seen: Timestamp::from_micros(row.integer(3)),
            name: row.optional_text(4),
            note: row.optional_text(5),
            flows: row.count(6),
            sent_bytes: row.count(7),
            received_bytes: row.count(8),
            ..parse(&id, &row.text(1))?
        })
    });
    devices.collect()
}

pub(crate) fn parse(id: &str, document: &str) -> Result<DeviceRecord, StoreError> {
    serde_json::from_str(document).map_err(|error| damaged(id, &error))
}

fn damaged(id: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "device", id: id.to_owned(), reason: error.to_string() }
}
