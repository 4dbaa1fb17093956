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
    RUNS,
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
    RUNS,
];

const ALERTS: Migration = ("0001_alerts", include_str!("../migrations/0001_alerts.sql"));
const DEVICES_AND_TRAFFIC: Migration =
    ("0002_devices_and_traffic", include_str!("../migrations/0002_devices_and_traffic.sql"));
const MEMORY: Migration = ("0004_memory", include_str!("../migrations/0004_memory.sql"));
const SERVING: Migration = ("0005_serving", include_str!("../migrations/0005_serving.sql"));
const COUNTS: Migration = ("0007_counts", include_str!("../migrations/0007_counts.sql"));
const RUNS: Migration = ("0009_runs", include_str!("../migrations/0009_runs.sql"));

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Sql;
    use crate::sqlite::Sqlite;

    fn asked(database: &Sqlite, statement: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut ask = |sql: &mut dyn Sql| {
            found = rows(sql, statement, &[])?.into_iter().map(|mut row| row.text(0)).collect();
            Ok(())
        };
        database.read(&mut ask).unwrap();
        found
    }

    #[test]
    fn what_an_earlier_version_kept_is_there_in_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = Sqlite::open(&folder.path().join("db")).unwrap();
        migrate(&database, &SQLITE[..3]).unwrap();
        let alert = |id: &str, attack: &str, suppressed: &str| {
            format!(
                "INSERT INTO alerts (id, revision, kind, severity, device, peers, first_seen, last_seen, status, suppressed_by, \
                 words, document) VALUES ('{id}', 1, 'beacon', 2, 'd', '', 0, 0, 'open', {suppressed}, '', \
                 '{{\"attack\": [{attack}]}}');"
            )
        };
        let note = |at: i64, detail: &str| format!("INSERT INTO audit VALUES ({at}, 'kim', 'a', 's', '{detail}');");
        let script = [
            alert("1", "\"T1046\", \"T1110\"", "NULL"),
            alert("2", "", "NULL"),
            alert("3", "\"T1046\", \"T1110\"", "NULL"),
            alert("4", "", "'s'"),
            note(5, "second"),
            note(9, "third"),
            note(1, "first"),
        ];
        database.write(&mut |sql| sql.script(&script.concat())).unwrap();
        for _ in 0..2 {
            migrate(&database, SQLITE).unwrap();
            assert_eq!(asked(&database, "SELECT detail FROM audit ORDER BY number"), ["first", "second", "third"]);
            assert_eq!(
                asked(&database, "SELECT attack FROM alerts ORDER BY id"),
                ["T1046 T1110", "", "T1046 T1110", ""]
            );
            let sums = "SELECT alerts || ' ' || hidden || ' ' || attack FROM alert_sums ORDER BY 1";
            assert_eq!(asked(&database, sums), ["1 0 ", "1 1 ", "2 0 T1046 T1110"]);
        }
        database.write(&mut |sql| sql.script("DELETE FROM alerts WHERE id > '2'")).unwrap();
        let left = "SELECT alerts || ' ' || hidden FROM alert_sums WHERE alerts > 0 ORDER BY 1";
        assert_eq!(asked(&database, left), ["1 0", "1 0"]);
        let newer = migrate(&database, &SQLITE[..2]).unwrap_err();
        assert!(matches!(newer, StoreError::Newer { .. }), "{newer}");
    }
}
