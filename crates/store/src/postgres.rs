//! PostgreSQL, for those who have it: the same tables, and the flows in one of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use postgres::{Client, NoTls, Statement, Transaction};

use crate::StoreError;
use crate::sql::{Database, Row, Sql, Value, Work};

/// Connections for reading kept open.
const READERS: usize = 4;

/// Statements kept prepared per connection: some have a limit or a list in their text.
const MOST_PREPARED: usize = 256;

/// Whoever writes holds this advisory lock until the end of the transaction: one writer at a time, as in SQLite, so that what
/// one has read is still so when it writes.
const WRITING: &str = "SELECT pg_advisory_xact_lock(7808820)";

/// A database on a server. A connection that broke is made anew with the next call.
pub(crate) struct Postgres {
    url: String,
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

struct Connection {
    client: Client,
    prepared: HashMap<String, Statement>,
}

impl Postgres {
    /// Connects to `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub(crate) fn open(url: &str) -> Result<Self, StoreError> {
        let database = Self { url: url.to_owned(), writer: Mutex::default(), readers: Mutex::default() };
        *database.writer() = Some(database.connect()?);
        Ok(database)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let client = Client::connect(&self.url, NoTls)
            .map_err(|error| StoreError::Open { place: without_password(&self.url), reason: said(&error) })?;
        Ok(Connection { client, prepared: HashMap::new() })
    }

    fn writer(&self) -> MutexGuard<'_, Option<Connection>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for Postgres {
    fn write(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let mut connection = match writer.take() {
            Some(connection) if !connection.client.is_closed() => connection,
            _ => self.connect()?,
        };
        let done = connection.transaction(Some(WRITING), work);
        *writer = Some(connection);
        done
    }

    fn read(&self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let kept = self.readers().pop().filter(|reader| !reader.client.is_closed());
        let mut reader = kept.map_or_else(|| self.connect(), Ok)?;
        let done = reader.transaction(Some("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"), work);
        let mut readers = self.readers();
        if readers.len() < READERS {
            readers.push(reader);
        }
        done
    }

    fn size(&self) -> Result<u64, StoreError> {
        let mut size = 0;
        self.read(&mut |sql| {
            sql.query("SELECT pg_database_size(current_database())", &[], &mut |row| {
                size = row.count(0);
                Ok(())
            })
        })?;
        Ok(size)
    }

    /// The server's own housekeeping (autovacuum) uses the room again.
    fn shrink(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Connection {
    fn transaction(&mut self, begin: Option<&str>, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut transaction = self.client.transaction().map_err(explain)?;
        if let Some(begin) = begin {
            transaction.batch_execute(begin).map_err(explain)?;
        }
        work(&mut InTransaction { transaction: &mut transaction, prepared: &mut self.prepared })?;
        transaction.commit().map_err(explain)
    }
}

struct InTransaction<'a, 'client> {
    transaction: &'a mut Transaction<'client>,
    prepared: &'a mut HashMap<String, Statement>,
}

impl InTransaction<'_, '_> {
    /// Statements number their parameters `?1`; PostgreSQL's are `$1`, and no statement has a question mark elsewhere.
    fn prepare(&mut self, statement: &str) -> Result<Statement, StoreError> {
        if let Some(prepared) = self.prepared.get(statement) {
            return Ok(prepared.clone());
        }
        let prepared = self.transaction.prepare(&statement.replace('?', "$")).map_err(explain)?;
        if self.prepared.len() >= MOST_PREPARED {
            self.prepared.clear();
        }
        self.prepared.insert(statement.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

impl Sql for InTransaction<'_, '_> {
    fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, StoreError> {
        let statement = self.prepare(statement)?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.transaction.execute(&statement, &values).map_err(explain)
    }

    fn query(
        &mut self,
        statement: &str,
        values: &[Value],
        each: &mut dyn FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let statement = self.prepare(statement)?;
        let mut rows = self.transaction.query_raw(&statement, values).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            let values = (0..row.len()).map(|column| row.try_get::<_, Value>(column));
            each(Row(values.collect::<Result<_, _>>().map_err(explain)?))?;
        }
        Ok(())
    }

    fn script(&mut self, statements: &str) -> Result<(), StoreError> {
        self.transaction.batch_execute(&statements.replace(" WITHOUT ROWID", "")).map_err(explain)
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => value.to_sql(kind, out),
            // A text of PostgreSQL has no NUL; what an alert quotes of the traffic might.
            Self::Text(text) => text.replace('\0', "").to_sql(kind, out),
        }
    }

    accepts!(INT8, TEXT, VARCHAR);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        if *kind == Type::INT8 {
            i64::from_sql(kind, raw).map(Self::Integer)
        } else {
            String::from_sql(kind, raw).map(Self::Text)
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    accepts!(INT8, TEXT, VARCHAR);
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
fn explain(error: postgres::Error) -> StoreError {
    let full = error.code().is_some_and(|code| *code == postgres::error::SqlState::DISK_FULL);
    if full { StoreError::Full(said(&error)) } else { StoreError::Database(said(&error)) }
}

/// The error with what the server said of it.
fn said(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => said.to_string(),
        None => std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "PostgreSQL".to_owned() };
    match rest.rsplit_once('@') {
        Some((user, place)) => format!("{scheme}://{}@{place}", user.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_not_told() {
        assert_eq!(without_password("postgres://kim:s3:cr@t@db:5432/lapwing"), "postgres://kim@db:5432/lapwing");
        assert_eq!(without_password("postgres://db/lapwing"), "postgres://db/lapwing");
        assert_eq!(without_password("host=db password=secret"), "PostgreSQL");
    }
}
