//! Suppressions kept, with what they hide.

use lapwing_alert::{Preview, Suppression, Suppressions};
use lapwing_capture::Timestamp;
use lapwing_protocol::LocalNetworks;
use serde::Serialize;

use crate::sql::{Sql, rows};
use crate::{StoreError, alerts};

/// A suppression with what it hides of the alerts that are kept.
#[derive(Clone, Debug, Serialize)]
pub struct KeptSuppression {
    /// The suppression.
    #[serde(flatten)]
    pub suppression: Suppression,
    /// Alerts that it hides.
    pub hits: u64,
    /// End of the latest traffic that it hid, RFC 3339.
    pub last_hit: Option<String>,
}

/// The suppressions in force.
pub(crate) fn load(sql: &mut dyn Sql, local: &LocalNetworks) -> Result<Suppressions, StoreError> {
    let mut list = Vec::new();
    sql.query("SELECT id, document FROM suppressions ORDER BY created, id", &[], &mut |mut row| {
        list.push(parse(&row.text(0), &row.text(1))?);
        Ok(())
    })?;
    Ok(Suppressions::new(list, local.clone()))
}

/// Every suppression with what it hides.
pub(crate) fn list(sql: &mut dyn Sql) -> Result<Vec<KeptSuppression>, StoreError> {
    let statement = "SELECT s.id, s.document, COUNT(a.id), MAX(a.last_seen) FROM suppressions s \
        LEFT JOIN alerts a ON a.suppressed_by = s.id GROUP BY s.id, s.document, s.created ORDER BY s.created, s.id";
    let found = rows(sql, statement, &[])?;
    let kept = found.into_iter().map(|mut row| {
        let last_hit = row.optional_integer(3).map(|micros| lapwing_alert::rfc3339(Timestamp::from_micros(micros)));
        Ok(KeptSuppression { suppression: parse(&row.text(0), &row.text(1))?, hits: row.count(2), last_hit })
    });
    kept.collect()
}

/// Refuses one that would hide everything.
fn check(suppression: &Suppression) -> Result<(), StoreError> {
    if suppression.matcher.is_empty() {
        let reason =
            "a suppression that names no device, peer, port, direction, kind or detector would hide every alert";
        return Err(StoreError::Refused(reason.to_owned()));
    }
    Ok(())
}

/// Keeps a suppression, and hides what it matches of the alerts that are there.
pub(crate) fn add(sql: &mut dyn Sql, suppression: &Suppression, local: &LocalNetworks) -> Result<Preview, StoreError> {
    check(suppression)?;
    let document = serde_json::to_string(suppression).map_err(|error| damaged(&suppression.id, &error))?;
    let values = [suppression.id.as_str().into(), suppression.created.micros().into(), document.into()];
    let statement = "INSERT INTO suppressions (id, created, document) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
    sql.execute(statement, &values)?;
    let mut hidden = Preview::default();
    let mut newly = Vec::new();
    alerts::for_each(sql, &mut |alert| {
        // What another hides already is no news, as in the preview.
        if alert.suppressed_by.is_none() && suppression.hides(&alert, local) {
            hidden.add(alert.severity);
            newly.push(alert.id);
        }
        Ok(())
    })?;
    for id in &newly {
        alerts::set_suppressed(sql, id, Some(&suppression.id))?;
    }
    Ok(hidden)
}

/// What a suppression would hide of the alerts that are there, if it were added.
pub(crate) fn preview(
    sql: &mut dyn Sql,
    suppression: &Suppression,
    local: &LocalNetworks,
) -> Result<Preview, StoreError> {
    check(suppression)?;
    let mut hidden = Preview::default();
    alerts::for_each(sql, &mut |alert| {
        if alert.suppressed_by.is_none() && suppression.hides(&alert, local) {
            hidden.add(alert.severity);
        }
        Ok(())
    })?;
    Ok(hidden)
}

/// Lets a suppression go; what it hid is shown again unless another hides it. Returns how many are shown again.
pub(crate) fn remove(sql: &mut dyn Sql, id: &str, local: &LocalNetworks) -> Result<u64, StoreError> {
    if sql.execute("DELETE FROM suppressions WHERE id = ?1", &[id.into()])? == 0 {
        return Err(StoreError::NotFound { what: "suppression", id: id.to_owned() });
    }
    let others = load(sql, local)?;
    let mut freed = Vec::new();
    alerts::for_each(sql, &mut |alert| {
        if alert.suppressed_by.as_deref() == Some(id) {
            freed.push(alert);
        }
        Ok(())
    })?;
    let mut shown = 0;
    for alert in &freed {
        let by = others.hiding(alert).map(|suppression| suppression.id.as_str());
        shown += u64::from(by.is_none());
        alerts::set_suppressed(sql, &alert.id, by)?;
    }
    Ok(shown)
}

fn parse(id: &str, document: &str) -> Result<Suppression, StoreError> {
    serde_json::from_str(document).map_err(|error| damaged(id, &error))
}

fn damaged(id: &str, error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { what: "suppression", id: id.to_owned(), reason: error.to_string() }
}
