//! Flows in a table of the database, where there is no folder for them.

use std::sync::Arc;

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::LocalNetworks;

use super::query::SEARCHED;
use super::{FlowLog, FlowQuery, FlowRow, MOST_UIDS, Mark, UidText};
use crate::query::limit_clause;
use crate::sql::{Conditions, Database, Row, Value, containing, rows};
use crate::{Page, StoreError};

/// Flows that one statement inserts, with eight values each.
const AT_ONCE: usize = 256;

/// Flows as rows: what is searched for in columns, the whole as JSON under Zeek's names.
pub(crate) struct FlowTable {
    database: Arc<dyn Database>,
}

impl FlowTable {
    pub(crate) fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn read(
        &self,
        query: &FlowQuery,
        order: &str,
        each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let conditions = conditions(query);
        let statement = format!("SELECT document FROM flows{} ORDER BY {order}", conditions.clause());
        self.database.read(&mut |sql| sql.query(&statement, &conditions.values, &mut |row| each(parsed(row)?)))
    }
}

impl FlowLog for FlowTable {
    fn append(&self, flows: &[Flow], local: &LocalNetworks) -> Result<Vec<Mark>, StoreError> {
        let rows: Vec<FlowRow> = flows.iter().map(|flow| FlowRow::new(flow, local)).collect();
        self.database.write(&mut |sql| {
            for rows in rows.chunks(AT_ONCE) {
                let places = (0..rows.len()).map(|row| {
                    let places: Vec<String> = (1..=8).map(|column| format!("?{}", row * 8 + column)).collect();
                    format!("({})", places.join(", "))
                });
                let statement = format!(
                    "INSERT INTO flows (ended, began, originator, responder, port, protocol, uid, document) VALUES {}",
                    places.collect::<Vec<_>>().join(", ")
                );
                let values: Result<Vec<[Value; 8]>, StoreError> = rows.iter().map(values).collect();
                sql.execute(&statement, values?.as_flattened())?;
            }
            Ok(())
        })?;
        Ok(Vec::new())
    }

    fn find(&self, query: &FlowQuery) -> Result<Page<FlowRow>, StoreError> {
        query.check()?;
        let mut found = Vec::new();
        let most = query.limit.map(|_| query.most().saturating_sub(1));
        self.read(query, &format!("ended DESC, uid{}", limit_clause(most)), &mut |row| {
            found.push(row);
            Ok(())
        })?;
        Ok(query.page(found))
    }

    fn uids(&self, hour: i64) -> Result<Vec<UidText>, StoreError> {
        let micros = |hour: i64| Value::from(hour.saturating_mul(3_600_000_000));
        let statement = format!("SELECT uid FROM flows WHERE ended >= ?1 AND ended < ?2 LIMIT {MOST_UIDS}");
        let mut uids = Vec::new();
        self.database.read(&mut |sql| {
            uids.clear();
            sql.query(&statement, &[micros(hour), micros(hour + 1)], &mut |mut row| {
                uids.extend(UidText::try_from(row.text(0).as_bytes()));
                Ok(())
            })
        })?;
        Ok(uids)
    }

    fn for_each(
        &self,
        query: &FlowQuery,
        each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.read(query, "ended, uid", each)
    }

    fn expire(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let mut freed = 0;
        let values = [(moment.micros() - moment.micros().rem_euclid(3_600_000_000)).into()];
        self.database.write(&mut |sql| {
            let sum = "SELECT CAST(COALESCE(SUM(LENGTH(document)), 0) AS BIGINT) FROM flows WHERE ended < ?1";
            freed = rows(sql, sum, &values)?.first().map_or(0, |row| row.count(0));
            sql.execute("DELETE FROM flows WHERE ended < ?1", &values).map(drop)
        })?;
        Ok(freed)
    }

    /// How much room rows take is the server's business, so none go for it.
    fn expire_one(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Counted with the database.
    fn size(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn values(row: &FlowRow) -> Result<[Value; 8], StoreError> {
    let (began, ended) = row.span();
    let text = |name: &str| Value::Text(row.cell(name).text());
    let port = if let super::Cell::Port(port) = row.cell("id.resp_p") { i64::from(*port) } else { 0 };
    let document = serde_json::to_string(row).map_err(|error| damaged(&error.to_string()))?;
    Ok([
        ended.micros().into(),
        began.micros().into(),
        text("id.orig_h"),
        text("id.resp_h"),
        port.into(),
        text("proto"),
        text("uid"),
        document.into(),
    ])
}

fn parsed(mut row: Row) -> Result<FlowRow, StoreError> {
    FlowRow::from_json(&row.text(0)).ok_or_else(|| damaged("it is no JSON object"))
}

fn damaged(reason: &str) -> StoreError {
    StoreError::Damaged { what: "flow", id: String::new(), reason: reason.to_owned() }
}

fn conditions(query: &FlowQuery) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(from) = query.time.from {
        conditions.add("ended >= ?", from.micros());
    }
    if let Some(until) = query.time.until {
        conditions.add("began < ?", until.micros());
    }
    // Where both are set they are the two ends: each is at one, and a flow has no third.
    for host in [&query.device, &query.peer].into_iter().flatten() {
        conditions.add("(originator = ? OR responder = ?)", host.to_string());
    }
    if let Some(port) = query.port {
        conditions.add("port = ?", i64::from(port));
    }
    if let Some(protocol) = &query.protocol {
        conditions.add("protocol = ?", protocol.as_str());
    }
    if let Some(uid) = &query.uid {
        conditions.add("uid = ?", uid.as_str());
    }
    if let Some(service) = &query.service {
        let listed = "',' || (document::jsonb->>'service') || ','";
        conditions.add(&format!("{listed} LIKE ? ESCAPE '\\'"), containing(&format!(",{service},")));
    }
    if let Some(state) = &query.state {
        conditions.add("document::jsonb->>'conn_state' = ?", state.as_str());
    }
    if let Some(text) = &query.text {
        let found = SEARCHED.map(|name| format!("LOWER(document::jsonb->>'{name}') LIKE ? ESCAPE '\\'"));
        conditions.add(&format!("({})", found.join(" OR ")), containing(text));
    }
    if let Some(cursor) = &query.after {
        conditions.go_on("ended", "uid >=", cursor, cursor.name.as_str());
    }
    conditions
}
