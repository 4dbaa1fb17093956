//! Alerts and their life: each once by its id, in its last revision, with what people made of it.

use lapwing_alert::{Alert, Status, Suppressions};
use lapwing_capture::Timestamp;

use crate::cursor::{Cursor, List};
use crate::query::limit_clause;
use crate::sql::{Conditions, Sql, containing, rows};
use crate::{AlertQuery, Change, Page, StoreError, audit};

const COLUMNS: &str = "document, status, status_by, status_at, suppressed_by";

/// The run of an alert of which it is not known.
pub(crate) const UNKNOWN_RUN: i64 = 0;

/// What people set stays when a new revision comes.
const UPSERT: &str = "\
    INSERT INTO alerts (id, revision, kind, severity, device, peers, first_seen, last_seen, status, status_by, status_at, \
    suppressed_by, words, document, attack, run) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
    ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, severity = excluded.severity, peers = excluded.peers, \
    first_seen = excluded.first_seen, last_seen = excluded.last_seen, suppressed_by = excluded.suppressed_by, \
    words = excluded.words, document = excluded.document, attack = excluded.attack, \
    run = CASE WHEN excluded.run = 0 THEN alerts.run ELSE excluded.run END, \
    status = CASE WHEN alerts.status_by IS NULL THEN excluded.status ELSE alerts.status END \
    WHERE excluded.revision >= alerts.revision";

/// An alert that somebody closed and that has become worse since is theirs no more.
const REOPEN: &str = "\
    UPDATE alerts SET status_by = NULL, status_at = NULL \
    WHERE id = ?1 AND status = 'closed' AND status_by IS NOT NULL AND severity < ?2 AND revision <= ?3";

/// Keeps an alert unless a later revision of it is there; returns whether anything changed.
pub(crate) fn keep(
    sql: &mut dyn Sql,
    alert: &Alert,
    run: Option<Timestamp>,
    suppressions: &Suppressions,
) -> Result<bool, StoreError> {
    let suppressed_by = suppressions.hiding(alert).map(|suppression| suppression.id.clone());
    let document = serde_json::to_string(alert).map_err(|error| damaged(&alert.id, &error))?;
    let values = [
        alert.id.as_str().into(),
        i64::from(alert.revision).into(),
        alert.kind.as_str().into(),
        (alert.severity as i64).into(),
        alert.device.as_str().into(),
        listed(&alert.peers).into(),
        alert.first_seen.micros().into(),
        alert.last_seen.micros().into(),
        alert.status.as_str().into(),
        alert.status_by.clone().into(),
        alert.status_at.map(Timestamp::micros).into(),
        suppressed_by.into(),
        words(alert).into(),
        document.into(),
        techniques(alert).into(),
        run.map_or(UNKNOWN_RUN, Timestamp::micros).into(),
    ];
    let worse = [alert.id.as_str().into(), (alert.severity as i64).into(), i64::from(alert.revision).into()];
    if sql.execute(REOPEN, &worse)? > 0 {
        let change = Change { who: "lapwing", at: alert.last_seen };
        audit::note(sql, change, "alert status", &alert.id, &format!("grew worse: {}", alert.severity))?;
    }
    Ok(sql.execute(UPSERT, &values)? > 0)
}

/// The alerts asked for, latest first.
pub(crate) fn find(sql: &mut dyn Sql, query: &AlertQuery) -> Result<Page<Alert>, StoreError> {
    let mut conditions = conditions(query, SHOWN);
    if let Some(cursor) = Cursor::of(query.after.as_ref(), List::Alerts)? {
        conditions.go_on("last_seen", "id >", cursor, cursor.name.as_str());
    }
    let statement = format!(
        "SELECT {COLUMNS} FROM alerts{} ORDER BY last_seen DESC, id{}",
        conditions.clause(),
        limit_clause(query.limit)
    );
    let mut alerts = Vec::new();
    sql.query(&statement, &conditions.values, &mut |row| {
        alerts.push(alert(row)?);
        Ok(())
    })?;
    let end = |last: &Alert| Cursor::new(List::Alerts, last.last_seen, last.id.as_str());
    Ok(Page::new(alerts, query.limit, end))
}

/// Hands every alert kept, suppressed or not, to `each`.
pub(crate) fn for_each(
    sql: &mut dyn Sql,
    each: &mut dyn FnMut(Alert) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    sql.query(&format!("SELECT {COLUMNS} FROM alerts"), &[], &mut |row| each(alert(row)?))
}

/// The alert of that id.
pub(crate) fn get(sql: &mut dyn Sql, id: &str) -> Result<Alert, StoreError> {
    let found = rows(sql, &format!("SELECT {COLUMNS} FROM alerts WHERE id = ?1"), &[id.into()])?;
    match found.into_iter().next() {
        Some(row) => alert(row),
        None => Err(StoreError::NotFound { what: "alert", id: id.to_owned() }),
    }
}

/// Moves an alert to another state.
pub(crate) fn set_status(
    sql: &mut dyn Sql,
    id: &str,
    status: Status,
    who: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let values = [status.as_str().into(), who.into(), at.micros().into(), id.into()];
    let changed =
        sql.execute("UPDATE alerts SET status = ?1, status_by = ?2, status_at = ?3 WHERE id = ?4", &values)?;
    if changed == 0 {
        return Err(StoreError::NotFound { what: "alert", id: id.to_owned() });
    }
    Ok(())
}

/// Sets which suppression hides an alert.
pub(crate) fn set_suppressed(sql: &mut dyn Sql, id: &str, by: Option<&str>) -> Result<(), StoreError> {
    sql.execute("UPDATE alerts SET suppressed_by = ?1 WHERE id = ?2", &[by.into(), id.into()])?;
    Ok(())
}

/// Lets go of the alerts whose traffic ended before `moment`; returns how many there were.
pub(crate) fn expire(sql: &mut dyn Sql, moment: Timestamp) -> Result<u64, StoreError> {
    sql.execute("DELETE FROM alerts WHERE last_seen < ?1", &[moment.micros().into()])
}

/// Lets go of the `count` alerts whose traffic ended first; returns how many there were.
pub(crate) fn expire_some(sql: &mut dyn Sql, count: usize) -> Result<u64, StoreError> {
    let statement =
        format!("DELETE FROM alerts WHERE id IN (SELECT id FROM alerts ORDER BY last_seen, id LIMIT {count})");
    sql.execute(&statement, &[])
}

/// In a condition: no suppression hides it.
pub(crate) const SHOWN: &str = "suppressed_by IS NULL";

/// What a query asks for but limit and place; `shown` says that no suppression hides it.
pub(crate) fn conditions(query: &AlertQuery, shown: &str) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(device) = &query.device {
        conditions.add("device = ?", device.as_str());
    }
    if let Some(from) = query.time.from {
        conditions.add("last_seen >= ?", from.micros());
    }
    if let Some(until) = query.time.until {
        conditions.add("first_seen < ?", until.micros());
    }
    conditions.add_any(
        "device = ?",
        "peers LIKE ? ESCAPE '\\'",
        query.about.iter().map(|host| (host.as_str(), containing(&format!(" {host} ")))),
    );
    conditions.add_one_of("kind", query.kinds.iter().map(String::as_str));
    if let Some(severity) = query.severity {
        conditions.add("severity >= ?", severity as i64);
    }
    conditions.add_one_of("severity", query.severities.iter().map(|severity| *severity as i64));
    if let Some(status) = query.status {
        conditions.add("status = ?", status.as_str());
    }
    if let Some(run) = query.run {
        conditions.add_one_of("run", [UNKNOWN_RUN, run.micros()]);
    }
    if query.unseen {
        conditions.add_plain("status_by IS NULL");
    }
    if let Some(peer) = &query.peer {
        conditions.add("peers LIKE ? ESCAPE '\\'", containing(&format!(" {peer} ")));
    }
    if let Some(text) = &query.text {
        conditions.add("words LIKE ? ESCAPE '\\'", containing(text));
    }
    if !query.suppressed {
        conditions.add_plain(shown);
    }
    conditions
}

/// An alert of [`COLUMNS`]: its document with what people set.
fn alert(mut row: crate::sql::Row) -> Result<Alert, StoreError> {
    let document = row.text(0);
    let mut alert: Alert = serde_json::from_str(&document).map_err(|error| {
        let id = document.split('"').nth(3).unwrap_or_default();
        damaged(id, &error)
    })?;
    alert.status = Status::from_name(&row.text(1)).unwrap_or_default();
    alert.status_by = row.optional_text(2);
    alert.status_at = row.optional_integer(3).map(Timestamp::from_micros);
    alert.suppressed_by = row.optional_text(4);
    Ok(alert)
}

/// A list in which each entry can be found with a blank on either side.
fn listed(list: &[String]) -> String {
    format!(" {} ", list.join(" "))
}

/// The techniques as they are counted. An index takes only so much.
fn techniques(alert: &Alert) -> String {
    const LONGEST: usize = 200;
    let mut text = String::new();
    for technique in &alert.attack {
        if text.len() + technique.len() >= LONGEST {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { " " });
        text.push_str(technique);
    }
    text
}

/// What a search looks at, in small letters.
fn words(alert: &Alert) -> String {
    let Alert { title, explanation, kind, device, peers, detectors, rules, .. } = alert;
    let lists = [peers, detectors, rules].map(|list| list.join(" "));
    [title, explanation, kind, device]
        .into_iter()
        .chain(&lists)
        .map(|text| text.to_lowercase())
        .collect::<Vec<_>>()
        .join("\n")
}

fn damaged(id: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "alert", id: id.to_owned(), reason: error.to_string() }
}
