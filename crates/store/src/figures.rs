//! Alerts and devices counted, without reading them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use lapwing_capture::Timestamp;
use lapwing_detect::Severity;
use schemars::JsonSchema;
use serde::Serialize;

use crate::sql::{Conditions, Sql, Value, rows};
use crate::time::{DateTime, text};
use crate::{AlertQuery, DeviceRecord, Store, StoreError, TimeRange, alerts};

/// What alerts are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertGroup {
    /// What was found.
    Kind,
    /// How bad it is.
    Severity,
    /// What it is about.
    Device,
    /// Where it stands.
    Status,
    /// Its ATT&CK techniques; one that has several counts for each.
    Attack,
}

impl AlertGroup {
    /// The group of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "kind" => Some(Self::Kind),
            "severity" => Some(Self::Severity),
            "device" => Some(Self::Device),
            "status" => Some(Self::Status),
            "attack" => Some(Self::Attack),
            _ => None,
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Severity => "severity",
            Self::Device => "device",
            Self::Status => "status",
            Self::Attack => "attack",
        }
    }
}

/// Microseconds.
const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

/// Groups that are told of at most: the largest.
const MOST_GROUPS: usize = 100;

/// Alerts of a span of time by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertPoint {
    /// Its beginning.
    #[serde(serialize_with = "text::serialize")]
    #[schemars(with = "DateTime")]
    pub time: Timestamp,
    /// Alerts whose traffic began in it.
    pub informational: u64,
    /// Of little harm.
    pub low: u64,
    /// Worth a look.
    pub medium: u64,
    /// Worth a look now.
    pub high: u64,
    /// Harm is being done.
    pub critical: u64,
}

/// Open alerts of a kind and severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAlerts {
    /// How bad they are.
    pub severity: Severity,
    /// What was found.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// The open alerts of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceAlerts {
    /// How many.
    pub open: u64,
    /// The worst of them.
    pub worst: Option<Severity>,
}

impl Store {
    /// How many alerts of a query have something in common, most first; at most a hundred groups. The query's limit and place are not
    /// looked at.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_alerts(&self, query: &AlertQuery, group: AlertGroup) -> Result<Vec<(String, u64)>, StoreError> {
        let summed = group != AlertGroup::Device && asks_for_sums(query);
        let conditions = alerts::conditions(query, if summed { "hidden = 0" } else { alerts::SHOWN });
        let (count, table) =
            if summed { ("CAST(SUM(alerts) AS BIGINT)", "alert_sums") } else { ("COUNT(*)", "alerts") };
        let column = group.column();
        let statement = format!("SELECT {count}, {column} FROM {table}{} GROUP BY {column}", conditions.clause());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for mut row in self.read(|sql| rows(sql, &statement, &conditions.values))? {
            let count = row.count(0);
            if count == 0 {
                continue;
            }
            let mut add = |name: &str| *counts.entry(name.to_owned()).or_default() += count;
            match group {
                AlertGroup::Kind | AlertGroup::Device | AlertGroup::Status => add(&row.text(1)),
                AlertGroup::Severity => add(severity(row.integer(1)).as_str()),
                AlertGroup::Attack => row.text(1).split_whitespace().for_each(add),
            }
        }
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse(*count));
        counts.truncate(MOST_GROUPS);
        Ok(counts)
    }

    /// Alerts by severity in each span of so many minutes in which one began; without those that are suppressed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alerts_over_time(&self, range: TimeRange, minutes: u32) -> Result<Vec<AlertPoint>, StoreError> {
        let minutes = i64::from(minutes.max(1));
        // By the hour they are counted in the order of the index `alerts_hour`. Shorter spans are of shorter times.
        let unit = if minutes % 60 == 0 { HOUR } else { MINUTE };
        let step = minutes * MINUTE / unit;
        let mut conditions = Conditions::default();
        if let Some(from) = range.from {
            conditions.add(&format!("first_seen / {HOUR} >= ?"), from.micros().div_euclid(HOUR));
            conditions.add("first_seen >= ?", from.micros());
        }
        if let Some(until) = range.until {
            conditions.add(&format!("first_seen / {HOUR} <= ?"), until.micros().div_euclid(HOUR));
            conditions.add("first_seen < ?", until.micros());
        }
        conditions.add_plain("suppressed_by IS NULL");
        let statement = format!(
            "SELECT first_seen / {unit}, severity, COUNT(*) FROM alerts{} \
             GROUP BY first_seen / {unit}, severity ORDER BY first_seen / {unit}, severity",
            conditions.clause()
        );
        self.read(|sql| {
            let mut points: Vec<AlertPoint> = Vec::new();
            sql.query(&statement, &conditions.values, &mut |row| {
                let begun = row.integer(0).div_euclid(step).saturating_mul(step).saturating_mul(unit);
                let time = Timestamp::from_micros(begun);
                if points.last().is_none_or(|last| last.time != time) {
                    points.push(AlertPoint { time, ..AlertPoint::default() });
                }
                if let Some(point) = points.last_mut() {
                    *point.of(severity(row.integer(1))) += row.count(2);
                }
                Ok(())
            })?;
            Ok(points)
        })
    }

    /// The open alerts of each of these devices, in their order; those that are suppressed are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alerts_of_devices(&self, devices: &[DeviceRecord]) -> Result<Vec<DeviceAlerts>, StoreError> {
        let hosts: Vec<&str> = devices.iter().flat_map(names).collect();
        if hosts.is_empty() {
            return Ok(vec![DeviceAlerts::default(); devices.len()]);
        }
        let by_host = self.read(|sql| open_by_host(sql, &hosts))?;
        let of_device = |device: &DeviceRecord| {
            let mut found = DeviceAlerts::default();
            for alerts in names(device).filter_map(|host| by_host.get(host)) {
                found.open += alerts.open;
                found.worst = found.worst.max(alerts.worst);
            }
            found
        };
        Ok(devices.iter().map(of_device).collect())
    }

    /// The open alerts, without those that are suppressed: the worst first, then those of which there are most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_alerts(&self) -> Result<Vec<OpenAlerts>, StoreError> {
        let statement = "SELECT severity, kind, CAST(SUM(alerts) AS BIGINT) FROM alert_sums \
                         WHERE status = 'open' AND hidden = 0 AND alerts > 0 GROUP BY severity, kind \
                         ORDER BY severity DESC, 3 DESC, kind";
        self.grouped(statement, &[])
    }

    /// As [`Store::open_alerts`], of the run of that name and of runs that are not known.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_alerts_of(&self, run: Timestamp) -> Result<Vec<OpenAlerts>, StoreError> {
        let statement = "SELECT severity, kind, COUNT(*) FROM alerts WHERE status = 'open' AND suppressed_by IS NULL \
                         AND run IN (?1, ?2) GROUP BY severity, kind ORDER BY severity DESC, 3 DESC, kind";
        self.grouped(statement, &[alerts::UNKNOWN_RUN.into(), run.micros().into()])
    }

    fn grouped(&self, statement: &str, values: &[Value]) -> Result<Vec<OpenAlerts>, StoreError> {
        let found = self.read(|sql| rows(sql, statement, values))?;
        let open = found.into_iter().map(|mut row| OpenAlerts {
            severity: severity(row.integer(0)),
            kind: row.text(1),
            count: row.count(2),
        });
        Ok(open.collect())
    }

    /// When the earliest traffic was of which alerts or roll-ups are kept.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        let earliest = |sql: &mut dyn Sql, statement: &str| {
            Ok::<_, StoreError>(rows(sql, statement, &[])?.first().and_then(|row| row.optional_integer(0)))
        };
        self.read(|sql| {
            let alerts = earliest(sql, "SELECT MIN(last_seen) FROM alerts")?.map(Timestamp::from_micros);
            let minutes = earliest(sql, "SELECT MIN(minute) FROM traffic_minutes")?;
            let minutes = minutes.map(|minute| Timestamp::from_seconds(minute.saturating_mul(60)));
            Ok(alerts.into_iter().chain(minutes).min())
        })
    }

    /// How many devices are kept, and how many of them were first seen at `since` or later.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count_devices(&self, since: Option<Timestamp>) -> Result<(u64, u64), StoreError> {
        let since = since.map_or(i64::MAX, Timestamp::micros);
        let statement = "SELECT COUNT(*), COALESCE(SUM(CASE WHEN first_seen >= ?1 THEN 1 ELSE 0 END), 0) FROM devices";
        self.read(|sql| {
            let found = rows(sql, statement, &[since.into()])?;
            Ok(found.first().map_or((0, 0), |row| (row.count(0), row.count(1))))
        })
    }

    /// How many alerts are kept.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn total_alerts(&self) -> Result<u64, StoreError> {
        let statement = "SELECT CAST(COALESCE(SUM(alerts), 0) AS BIGINT) FROM alert_sums";
        self.read(|sql| Ok(rows(sql, statement, &[])?.first().map_or(0, |row| row.count(0))))
    }
}

impl AlertPoint {
    fn of(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Informational => &mut self.informational,
            Severity::Low => &mut self.low,
            Severity::Medium => &mut self.medium,
            Severity::High => &mut self.high,
            Severity::Critical => &mut self.critical,
        }
    }
}

/// What alerts may call a device.
fn names(device: &DeviceRecord) -> impl Iterator<Item = &str> {
    let own = (!device.addresses.contains(&device.id)).then_some(&device.id);
    device.addresses.iter().chain(own).map(String::as_str)
}

fn open_by_host(sql: &mut dyn Sql, hosts: &[&str]) -> Result<HashMap<String, DeviceAlerts>, StoreError> {
    let mut found = HashMap::new();
    // A statement takes only so many values.
    for hosts in hosts.chunks(500) {
        let mut conditions = Conditions::default();
        conditions.add_one_of("device", hosts.iter().copied());
        conditions.add_plain("status = 'open' AND suppressed_by IS NULL");
        let statement =
            format!("SELECT device, COUNT(*), MAX(severity) FROM alerts{} GROUP BY device", conditions.clause());
        for mut row in rows(sql, &statement, &conditions.values)? {
            let alerts = DeviceAlerts { open: row.count(1), worst: Some(severity(row.integer(2))) };
            found.insert(row.text(0), alerts);
        }
    }
    Ok(found)
}

/// Whether nothing is asked for that the table of sums does not have.
fn asks_for_sums(query: &AlertQuery) -> bool {
    let AlertQuery { time, device, peer, about, run, unseen, text, .. } = query;
    *time == TimeRange::ALL
        && device.is_none()
        && peer.is_none()
        && about.is_empty()
        && run.is_none()
        && !unseen
        && text.is_none()
}

/// The severity of a row.
fn severity(place: i64) -> Severity {
    match place {
        0 => Severity::Informational,
        1 => Severity::Low,
        2 => Severity::Medium,
        3 => Severity::High,
        _ => Severity::Critical,
    }
}
