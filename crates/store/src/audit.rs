//! Who changed what, when.

use lapwing_alert::rfc3339;
use lapwing_capture::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cursor::{Cursor, List};
use crate::query::limit_clause;
use crate::sql::{Conditions, Sql, containing, rows};
use crate::{AuditQuery, Page, Store, StoreError};

/// Entries that are kept; the earliest go.
const MOST_ENTRIES: i64 = 200_000;

/// One change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

impl Store {
    /// Who changed what, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a cursor of another list, or when the database cannot be read.
    pub fn audit(&self, query: &AuditQuery) -> Result<Page<AuditEntry>, StoreError> {
        self.read(|sql| find(sql, query))
    }

    /// Notes something that changed nothing here and yet should be known, as a login that failed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note(&self, change: Change<'_>, action: &str, subject: &str, detail: &str) -> Result<(), StoreError> {
        self.write(|sql| note(sql, change, action, subject, detail))
    }

    /// Writes an entry and takes it back, so as to know whether what is to be noted after it was done can be.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn check_writable(&self, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| {
            // An update that changes nothing would not be written.
            note(sql, change, "", "", "")?;
            sql.execute("DELETE FROM audit WHERE number = (SELECT MAX(number) FROM audit)", &[]).map(drop)
        })
    }
}

pub(crate) fn note(
    sql: &mut dyn Sql,
    change: Change<'_>,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let values = [change.at.micros().into(), change.who.into(), action.into(), subject.into(), detail.into()];
    let statement = "INSERT INTO audit (number, at, who, action, subject, detail) \
                     VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM audit), ?1, ?2, ?3, ?4, ?5)";
    sql.execute(statement, &values)?;
    Ok(())
}

fn find(sql: &mut dyn Sql, query: &AuditQuery) -> Result<Page<AuditEntry>, StoreError> {
    let mut conditions = Conditions::default();
    if let Some(from) = query.time.from {
        conditions.add("at >= ?", from.micros());
    }
    if let Some(until) = query.time.until {
        conditions.add("at < ?", until.micros());
    }
    if let Some(who) = &query.who {
        conditions.add("who = ?", who.as_str());
    }
    if let Some(subject) = &query.subject {
        conditions.add("subject = ?", subject.as_str());
    }
    if let Some(text) = &query.text {
        let words = "LOWER(who || ' ' || action || ' ' || subject || ' ' || detail)";
        conditions.add(&format!("{words} LIKE ? ESCAPE '\\'"), containing(text));
    }
    if let Some(cursor) = Cursor::of(query.after.as_ref(), List::Audit)? {
        conditions.go_on("at", "number <", cursor, cursor.name.parse().unwrap_or(i64::MIN));
    }
    let statement = format!(
        "SELECT at, number, who, action, subject, detail FROM audit{} ORDER BY at DESC, number DESC{}",
        conditions.clause(),
        limit_clause(query.limit)
    );
    let found = rows(sql, &statement, &conditions.values)?;
    let entries = found.into_iter().map(|mut row| {
        let (at, number) = (Timestamp::from_micros(row.integer(0)), row.integer(1));
        let entry = AuditEntry {
            at: rfc3339(at),
            who: row.text(2),
            action: row.text(3),
            subject: row.text(4),
            detail: row.text(5),
        };
        (at, number, entry)
    });
    let end = |(at, number, _): &(Timestamp, i64, AuditEntry)| Cursor::new(List::Audit, *at, number.to_string());
    let page = Page::new(entries.collect(), query.limit, end);
    Ok(Page { items: page.items.into_iter().map(|(.., entry)| entry).collect(), next: page.next })
}

/// Lets go of the earliest entries beyond what is kept; returns how many there were.
pub(crate) fn expire(sql: &mut dyn Sql) -> Result<u64, StoreError> {
    let statement = "DELETE FROM audit WHERE number <= (SELECT COALESCE(MAX(number), 0) FROM audit) - ?1";
    sql.execute(statement, &[MOST_ENTRIES.into()])
}
