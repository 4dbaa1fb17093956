//! Migrations: numbered files of SQL, applied in order, forward only.

use crate::StoreError;
use crate::sql::{Database, rows};

/// Name and statements.
pub(crate) type Migration = (&'static str, &'static str);

/// The migrations of SQLite, oldest first. A published one is never changed: what is wrong with it is put right by the next.
pub(crate) const SQLITE: &[Migration] = &[
    ALERTS,
    DEVICES_AND_TRAFFIC,
    MEMORY,
    SERVING,
    ("0006_attack", include_str!("../migrations/0006_attack.sqlite.sql")),
    COUNTS,
    ("0008_sums", include_str!("../migrations/0008_sums.sqlite.sql")),
];

/// Those of PostgreSQL, which keeps flows too.
pub(crate) const POSTGRES: &[Migration] = &[
    ALERTS,
    DEVICES_AND_TRAFFIC,
    ("0003_flows", include_str!("../migrations/0003_flows.sql")),
    MEMORY,
    SERVING,
    ("0006_attack", include_str!("../migrations/0006_attack.postgres.sql")),
    COUNTS,
    ("0008_sums", include_str!("../migrations/0008_sums.postgres.sql")),
];

const ALERTS: Migration = ("0001_alerts", include_str!("../migrations/0001_alerts.sql"));
const DEVICES_AND_TRAFFIC: Migration =
    ("0002_devices_and_traffic", include_str!("../migrations/0002_devices_and_traffic.sql"));
const MEMORY: Migration = ("0004_memory", include_str!("../migrations/0004_memory.sql"));
const SERVING: Migration = ("0005_serving", include_str!("../migrations/0005_serving.sql"));
const COUNTS: Migration = ("0007_counts", include_str!("../migrations/0007_counts.sql"));

/// Brings the database to the version of this program.
///
/// # Errors
/// [`StoreError::Newer`] when a later program has written it, else what the database says.
pub(crate) fn migrate(database: &dyn Database, migrations: &[Migration]) -> Result<(), StoreError> {
    database.write(&mut |sql| {
        sql.script("CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL)")?;
        let applied = rows(sql, "SELECT COALESCE(MAX(number), 0) FROM migrations", &[])?;
        let applied = applied.first().map_or(0, |row| row.integer(0));
        let known = i64::try_from(migrations.len()).expect("there are few migrations");
        if applied > known {
            return Err(StoreError::Newer { found: applied, known });
        }
        for ((name, script), number) in migrations.iter().zip(1..) {
            if number > applied {
                sql.script(script)?;
                sql.execute("INSERT INTO migrations (number, name) VALUES (?1, ?2)", &[number.into(), (*name).into()])?;
            }
        }
        Ok(())
    })
}
