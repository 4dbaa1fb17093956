//! SQLite: one file, one writer, a few readers.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior};

use crate::StoreError;
use crate::sql::{Database, Row, Sql, Value, Work};

/// How long one process waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Readers kept open.
const READERS: usize = 4;

/// A database in a file. The write-ahead log lets readers read while one writes; a write is on disk when it returns, also if
/// the power fails (`synchronous = FULL`): alerts come in batches, so one `fsync` a batch is affordable.
pub(crate) struct Sqlite {
    path: PathBuf,
    // Closed before the writer, which then puts the log into the file.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
}

impl Sqlite {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let refused = |error: rusqlite::Error| match explain(error) {
            full @ StoreError::Full(_) => full,
            other => StoreError::Open { place: path.display().to_string(), reason: other.to_string() },
        };
        let writer = Connection::open(path).map_err(refused)?;
        writer.busy_timeout(PATIENCE).map_err(refused)?;
        // Has to come before the first table is made.
        writer.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(refused)?;
        writer.pragma_update(None, "journal_mode", "WAL").map_err(refused)?;
        writer.pragma_update(None, "synchronous", "FULL").map_err(refused)?;
        // The log counts towards the room that the store may take, so it is kept at about a megabyte; what one large batch
        // made it grow to is given back.
        writer.pragma_update(None, "wal_autocheckpoint", 256).map_err(refused)?;
        writer.pragma_update(None, "journal_size_limit", 1 << 20).map_err(refused)?;
        keep_to_itself(&writer).map_err(refused)?;
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        if let Some(reader) = self.readers().pop() {
            return Ok(reader);
        }
        let reader = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(explain)?;
        reader.busy_timeout(PATIENCE).map_err(explain)?;
        // Pages are read where the system caches them.
        reader.pragma_update(None, "mmap_size", 256 << 20).map_err(explain)?;
        keep_to_itself(&reader).map_err(explain)?;
        Ok(reader)
    }

    /// Lets the file grow to so many pages and no further, as a full disk would.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: i64) {
        self.writer().pragma_update(None, "max_page_count", pages).unwrap();
    }
}

/// What is sorted and grouped stays in memory: a program in a sandbox may not write among the system's temporary files.
fn keep_to_itself(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "MEMORY")
}

impl Database for Sqlite {
    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
        work(&mut InTransaction(&transaction))?;
        transaction.commit().map_err(explain)
    }

    fn read(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut reader = self.reader()?;
        let transaction = reader.transaction().map_err(explain)?;
        let done = work(&mut InTransaction(&transaction));
        drop(transaction);
        let mut readers = self.readers();
        if readers.len() < READERS {
            readers.push(reader);
        }
        done
    }

    fn size(&self) -> Result<u64, StoreError> {
        let files = ["", "-wal"].map(|end| {
            let mut name = self.path.clone().into_os_string();
            name.push(end);
            std::fs::metadata(name).map_or(0, |file| file.len())
        });
        Ok(files.iter().sum())
    }

    fn shrink(&self) -> Result<(), StoreError> {
        let writer = self.writer();
        let mut statement = writer.prepare("PRAGMA incremental_vacuum").map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        // Each step frees one page.
        while rows.next().map_err(explain)?.is_some() {}
        drop(rows);
        drop(statement);
        writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(explain)
    }
}

struct InTransaction<'a>(&'a Connection);

impl Sql for InTransaction<'_> {
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(statement).map_err(explain)?;
        Ok(statement.execute(rusqlite::params_from_iter(values)).map_err(explain)? as u64)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.0.prepare_cached(statement).map_err(explain)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let values = (0..columns).map(|column| row.get_ref(column).map(Value::from));
            each(Row(values.collect::<Result<_, _>>().map_err(explain)?))?;
        }
        Ok(())
    }

    fn script(&mut self, statements: &str) -> Result<(), StoreError> {
        self.0.execute_batch(statements).map_err(explain)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null | ValueRef::Blob(_) => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Integer(value as i64),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
fn explain(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
        _ => StoreError::Database(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::{SQLITE, migrate};

    #[test]
    fn a_full_disk_is_said_and_what_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let database = Sqlite::open(&folder.path().join("db")).unwrap();
        migrate(&database, SQLITE).unwrap();
        let note = |detail: &str| {
            let statement = "INSERT INTO audit (at, who, action, subject, detail) VALUES (0, '', '', '', ?1)";
            database.write(&mut |sql| sql.execute(statement, &[detail.into()]).map(drop))
        };
        note("before").unwrap();
        database.limit_pages(1);
        let refused = note(&"x".repeat(1 << 20)).unwrap_err();
        assert!(refused.is_full(), "{refused}");
        database.limit_pages(1 << 20);
        note(&"x".repeat(1 << 20)).unwrap();
        let mut kept = 0;
        let mut count = |sql: &mut dyn Sql| {
            sql.query("SELECT COUNT(*) FROM audit", &[], &mut |row| {
                kept = row.integer(0);
                Ok(())
            })
        };
        database.read(&mut count).unwrap();
        assert_eq!(kept, 2);
    }
}
