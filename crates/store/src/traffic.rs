//! Roll-ups: traffic by the minute, and who sent and received how much by the hour and by the day, so that a month can be drawn
//! without reading its flows.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::LocalNetworks;
use schemars::JsonSchema;
use serde::Serialize;

use crate::flows::{Cell, FlowRow, Mark};
use crate::sql::{Conditions, Sql, rows};
use crate::time::{DateTime, text};
use crate::{StoreError, TimeRange};

/// Hosts of one hour that a batch of flows names one by one; those beyond, with the fewest bytes, are counted together. It
/// bounds what a flood from made-up addresses writes.
const MOST_TALKERS: usize = 512;

/// Minutes that a flow is spread over; what lasted longer counts in the last of them.
const LONGEST_SPREAD: i64 = 1_440;

/// From that many hours on, whole days are looked at.
const HOURS_BY_THE_HOUR: i64 = 72;

/// What flowed in a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TrafficPoint {
    /// Its beginning.
    #[serde(serialize_with = "text::serialize")]
    #[schemars(with = "DateTime")]
    pub time: Timestamp,
    /// Flows that ended in it.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// IP bytes.
    pub bytes: u64,
    /// Of them from outside to a device.
    pub bytes_in: u64,
    /// Of them from a device to outside.
    pub bytes_out: u64,
}

/// What a host sent and received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Talker {
    /// Its address; empty for all those together that were too many to count one by one.
    pub host: String,
    /// Flows it took part in.
    pub flows: u64,
    /// IP bytes.
    pub sent_bytes: u64,
    /// IP bytes.
    pub received_bytes: u64,
}

/// What one flow adds.
pub(crate) struct Traffic {
    span: (Timestamp, Timestamp),
    hosts: [IpAddr; 2],
    local: [bool; 2],
    packets: u64,
    /// What each of the hosts sent.
    bytes: [u64; 2],
}

impl Traffic {
    pub(crate) fn of(flow: &Flow, local: &LocalNetworks) -> Self {
        let ends = [flow.originator.address, flow.responder.address];
        Self {
            span: (flow.start, flow.last),
            hosts: ends.map(lapwing_decode::Address::ip),
            local: ends.map(|address| local.contains(address)),
            packets: flow.orig.packets + flow.resp.packets,
            bytes: [flow.orig.ip_bytes, flow.resp.ip_bytes],
        }
    }

    /// `None` for a row without addresses.
    pub(crate) fn of_row(row: &FlowRow) -> Option<Self> {
        let (Cell::Address(originator), Cell::Address(responder)) = (row.cell("id.orig_h"), row.cell("id.resp_h"))
        else {
            return None;
        };
        let count = |name: &str| if let Cell::Count(count) = row.cell(name) { *count } else { 0 };
        Some(Self {
            span: row.span(),
            hosts: [*originator, *responder],
            local: ["local_orig", "local_resp"].map(|name| *row.cell(name) == Cell::Bool(true)),
            packets: count("orig_pkts").saturating_add(count("resp_pkts")),
            bytes: ["orig_ip_bytes", "resp_ip_bytes"].map(count),
        })
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    flows: u64,
    packets: u64,
    bytes: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Clone, Copy, Default)]
struct Volume {
    flows: u64,
    sent: u64,
    received: u64,
}

/// What is to be added to the roll-ups.
#[derive(Default)]
pub(crate) struct RollUp {
    minutes: BTreeMap<i64, Sums>,
    talkers: HashMap<(i64, IpAddr), Volume>,
    marks: BTreeMap<String, u64>,
}

impl RollUp {
    pub(crate) fn add(&mut self, traffic: &Traffic) {
        let minute = |time: Timestamp| time.seconds().div_euclid(60);
        let (last, first) = (minute(traffic.span.1), minute(traffic.span.0));
        let first = first.clamp(last - LONGEST_SPREAD + 1, last);
        let count = (last - first + 1).unsigned_abs();
        let [sent, answered] = traffic.bytes;
        let (inward, outward) = match traffic.local {
            [true, false] => (answered, sent),
            [false, true] => (sent, answered),
            _ => (0, 0),
        };
        for place in first..=last {
            let sums = self.minutes.entry(place).or_default();
            let is_last = place == last;
            let share = |whole: u64| whole / count + if is_last { whole % count } else { 0 };
            sums.flows += u64::from(is_last);
            sums.packets += share(traffic.packets);
            sums.bytes += share(sent.saturating_add(answered));
            sums.bytes_in += share(inward);
            sums.bytes_out += share(outward);
        }
        let hour = traffic.span.1.seconds().div_euclid(3_600);
        for (host, sent, received) in [(traffic.hosts[0], sent, answered), (traffic.hosts[1], answered, sent)] {
            let volume = self.talkers.entry((hour, host)).or_default();
            volume.flows += 1;
            volume.sent += sent;
            volume.received += received;
        }
    }

    /// Notes that the rows of a journal up to there are in it.
    pub(crate) fn mark(&mut self, marks: impl IntoIterator<Item = Mark>) {
        self.marks.extend(marks.into_iter().map(|mark| (mark.stem, mark.rows)));
    }

    /// Adds it to what is kept.
    pub(crate) fn write(&self, sql: &mut dyn Sql) -> Result<(), StoreError> {
        for (minute, sums) in &self.minutes {
            let counts = [sums.flows, sums.packets, sums.bytes, sums.bytes_in, sums.bytes_out];
            let values: Vec<_> =
                std::iter::once(*minute).chain(counts.map(crate::sql::count)).map(Into::into).collect();
            sql.execute(
                "INSERT INTO traffic_minutes (minute, flows, packets, bytes, bytes_in, bytes_out) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (minute) DO UPDATE SET \
                 flows = traffic_minutes.flows + excluded.flows, packets = traffic_minutes.packets + excluded.packets, \
                 bytes = traffic_minutes.bytes + excluded.bytes, bytes_in = traffic_minutes.bytes_in + excluded.bytes_in, \
                 bytes_out = traffic_minutes.bytes_out + excluded.bytes_out",
                &values,
            )?;
        }
        let (hours, days) = self.by_host();
        for ((hour, host), volume) in &hours {
            add_talker(sql, "talker_hours", "hour", *hour, host, volume)?;
        }
        for ((day, host), volume) in &days {
            add_talker(sql, "talker_days", "day", *day, host, volume)?;
        }
        for (stem, rows) in &self.marks {
            sql.execute(
                "INSERT INTO flow_marks (stem, row_count) VALUES (?1, ?2) \
                 ON CONFLICT (stem) DO UPDATE SET row_count = excluded.row_count",
                &[stem.as_str().into(), crate::sql::count(*rows).into()],
            )?;
        }
        Ok(())
    }

    /// Per hour and per day; in the order of their keys, as the database has them.
    fn by_host(&self) -> (Volumes, Volumes) {
        let mut talkers: Vec<_> = self.talkers.iter().collect();
        talkers.sort_by_key(|((hour, host), volume)| {
            (std::cmp::Reverse(volume.sent.saturating_add(volume.received)), *hour, *host)
        });
        let (mut hours, mut days) = (Volumes::new(), Volumes::new());
        for (place, ((hour, host), volume)) in talkers.into_iter().enumerate() {
            let host = if place < MOST_TALKERS { host.to_string() } else { String::new() };
            for (sums, key) in [(&mut hours, *hour), (&mut days, hour.div_euclid(24))] {
                let sum = sums.entry((key, host.clone())).or_default();
                sum.flows += volume.flows;
                sum.sent += volume.sent;
                sum.received += volume.received;
            }
        }
        (hours, days)
    }
}

type Volumes = BTreeMap<(i64, String), Volume>;

fn add_talker(
    sql: &mut dyn Sql,
    table: &str,
    unit: &str,
    time: i64,
    host: &str,
    volume: &Volume,
) -> Result<(), StoreError> {
    let [flows, sent, received] = [volume.flows, volume.sent, volume.received].map(crate::sql::count);
    let statement = format!(
        "INSERT INTO {table} ({unit}, host, flows, bytes_sent, bytes_received) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT ({unit}, host) DO UPDATE SET flows = {table}.flows + excluded.flows, \
         bytes_sent = {table}.bytes_sent + excluded.bytes_sent, \
         bytes_received = {table}.bytes_received + excluded.bytes_received"
    );
    sql.execute(&statement, &[time.into(), host.into(), flows.into(), sent.into(), received.into()])?;
    Ok(())
}

/// How far each journal is in the roll-ups.
pub(crate) fn marks(sql: &mut dyn Sql) -> Result<HashMap<String, u64>, StoreError> {
    let found = rows(sql, "SELECT stem, row_count FROM flow_marks", &[])?;
    Ok(found.into_iter().map(|mut row| (row.text(0), row.count(1))).collect())
}

/// Forgets the marks of journals that are no more.
pub(crate) fn forget_marks(sql: &mut dyn Sql, stems: &[String]) -> Result<(), StoreError> {
    stems
        .iter()
        .try_for_each(|stem| sql.execute("DELETE FROM flow_marks WHERE stem = ?1", &[stem.as_str().into()]).map(drop))
}

/// What flowed in each span of so many minutes in which something did, in the order of time.
pub(crate) fn points(sql: &mut dyn Sql, range: TimeRange, minutes: u32) -> Result<Vec<TrafficPoint>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(from) = range.from {
        conditions.add("minute >= ?", from.seconds().div_euclid(60));
    }
    if let Some(until) = range.until {
        conditions.add("minute * 60000000 < ?", until.micros());
        conditions.add("minute <= ?", until.seconds().div_euclid(60));
    }
    let step = minutes.max(1);
    let sums =
        ["flows", "packets", "bytes", "bytes_in", "bytes_out"].map(|name| format!("CAST(SUM({name}) AS BIGINT)"));
    let statement = format!(
        "SELECT minute - minute % {step}, {} FROM traffic_minutes{} GROUP BY minute - minute % {step} ORDER BY 1",
        sums.join(", "),
        conditions.clause()
    );
    let found = rows(sql, &statement, &conditions.values)?;
    let points = found.into_iter().map(|row| TrafficPoint {
        time: Timestamp::from_seconds(row.integer(0).saturating_mul(60)),
        flows: row.count(1),
        packets: row.count(2),
        bytes: row.count(3),
        bytes_in: row.count(4),
        bytes_out: row.count(5),
    });
    Ok(points.collect())
}

/// Who sent and received most, in the hours that `range` touches; if they are many, in the days.
pub(crate) fn talkers(sql: &mut dyn Sql, range: TimeRange, limit: usize) -> Result<Vec<Talker>, StoreError> {
    let hours = |time: Timestamp| time.seconds().div_euclid(3_600);
    let short = matches!((range.from, range.until), (Some(from), Some(until))
        if hours(until) - hours(from) <= HOURS_BY_THE_HOUR);
    let (table, unit, seconds) = if short { ("talker_hours", "hour", 3_600) } else { ("talker_days", "day", 86_400) };
    let mut conditions = Conditions::default();
    if let Some(from) = range.from {
        conditions.add(&format!("{unit} >= ?"), from.seconds().div_euclid(seconds));
    }
    if let Some(until) = range.until {
        conditions.add(&format!("{unit} <= ?"), until.seconds().div_euclid(seconds));
    }
    let statement = format!(
        "SELECT host, CAST(SUM(flows) AS BIGINT), CAST(SUM(bytes_sent) AS BIGINT), CAST(SUM(bytes_received) AS BIGINT) \
         FROM {table}{} GROUP BY host ORDER BY SUM(bytes_sent) + SUM(bytes_received) DESC, host LIMIT {limit}",
        conditions.clause()
    );
    let found = rows(sql, &statement, &conditions.values)?;
    let talkers = found.into_iter().map(|mut row| Talker {
        host: row.text(0),
        flows: row.count(1),
        sent_bytes: row.count(2),
        received_bytes: row.count(3),
    });
    Ok(talkers.collect())
}

/// Lets go of the roll-ups of before `moment`.
pub(crate) fn expire(sql: &mut dyn Sql, moment: Timestamp) -> Result<u64, StoreError> {
    let mut gone = 0;
    for (table, unit, seconds) in
        [("traffic_minutes", "minute", 60), ("talker_hours", "hour", 3_600), ("talker_days", "day", 86_400)]
    {
        let statement = format!("DELETE FROM {table} WHERE {unit} < ?1");
        gone += sql.execute(&statement, &[moment.seconds().div_euclid(seconds).into()])?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::flows::tests::flow;

    #[test]
    fn a_long_flow_is_spread_over_its_minutes_and_nothing_is_lost() {
        let local = LocalNetworks::default();
        let mut rolled = RollUp::default();
        let mut long = flow(1, 2, 6_000);
        long.start = long.last.minus(Duration::from_secs(7 * 60));
        rolled.add(&Traffic::of(&long, &local));
        assert_eq!(rolled.minutes.len(), 8);
        assert_eq!(rolled.minutes.values().map(|sums| sums.bytes).sum::<u64>(), 1_500);
        assert_eq!(rolled.minutes.values().map(|sums| (sums.flows, sums.bytes_out)).max(), Some((1, 37 + 4)));
        let row = FlowRow::new(&long, &local);
        let mut again = RollUp::default();
        again.add(&Traffic::of_row(&row).unwrap());
        assert_eq!(again.minutes.len(), 8, "a kept flow adds the same");
        assert_eq!(again.talkers.len(), rolled.talkers.len());
    }

    #[test]
    fn a_flood_of_addresses_is_counted_together() {
        let local = LocalNetworks::default();
        let mut rolled = RollUp::default();
        for source in 0..5_000_u32 {
            let mut flood = flow(u64::from(source), 2, 100);
            flood.responder.address = lapwing_decode::Address::v4(source.to_be_bytes());
            rolled.add(&Traffic::of(&flood, &local));
        }
        let (hours, _) = rolled.by_host();
        assert_eq!(hours.len(), MOST_TALKERS + 1);
        assert_eq!(hours.values().map(|volume| volume.flows).sum::<u64>(), 10_000);
    }
}
