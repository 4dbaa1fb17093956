//! Who changed what, when.

use lapwing_alert::rfc3339;
use lapwing_capture::Timestamp;
use serde::Serialize;

use crate::StoreError;
use crate::query::limit_clause;
use crate::sql::{Sql, rows};

/// One change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub who: String,
    /// What they did.
    pub action: String,
    /// To what.
    pub subject: String,
    /// With what words.
    pub detail: String,
}

/// Whoever changes something, and when: the caller reads the clock, nothing here does.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Who.
    pub who: &'a str,
    /// When.
    pub at: Timestamp,
}

pub(crate) fn note(
    sql: &mut dyn Sql,
    change: Change<'_>,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let values = [change.at.micros().into(), change.who.into(), action.into(), subject.into(), detail.into()];
    let statement = "INSERT INTO audit (at, who, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    sql.execute(statement, &values)?;
    Ok(())
}

/// The latest changes first.
pub(crate) fn list(sql: &mut dyn Sql, limit: Option<usize>) -> Result<Vec<AuditEntry>, StoreError> {
    let statement =
        format!("SELECT at, who, action, subject, detail FROM audit ORDER BY at DESC{}", limit_clause(limit));
    let found = rows(sql, &statement, &[])?;
    let entries = found.into_iter().map(|mut row| AuditEntry {
        at: rfc3339(Timestamp::from_micros(row.integer(0))),
        who: row.text(1),
        action: row.text(2),
        subject: row.text(3),
        detail: row.text(4),
    });
    Ok(entries.take(limit.unwrap_or(usize::MAX)).collect())
}
