//! The store: one interface over SQLite with files of flows, or PostgreSQL.

use std::fs;
use std::path::Path;

use lapwing_alert::{Alert, Preview, Status, Suppression, Suppressions};
use lapwing_capture::Timestamp;
use lapwing_protocol::LocalNetworks;

use crate::audit::Change;
use crate::migrate::migrate;
use crate::sql::Database;
use crate::sqlite::Sqlite;
use crate::suppressions::KeptSuppression;
use crate::{
    AlertQuery, AuditEntry, DeviceQuery, DeviceRecord, Page, StoreError, alerts, audit, devices, suppressions,
};

/// The database's file in the store's folder.
const DATABASE_FILE: &str = "lapwing.db";

/// Everything that is kept. Methods may be called from any thread, and other processes may have the same store open; what
/// changes something is on disk when it returns.
pub struct Store {
    database: Box<dyn Database>,
    local: LocalNetworks,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there. `local` says which addresses are devices.
    ///
    /// # Errors
    /// When the folder cannot be made or read, the disk is full, or a later version of Lapwing has written it.
    pub fn open(folder: &Path, local: LocalNetworks) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| StoreError::file(folder, &error))?;
        let database = Sqlite::open(&folder.join(DATABASE_FILE))?;
        migrate(&database)?;
        Ok(Self { database: Box::new(database), local })
    }

    /// Keeps alerts, each in its latest revision, and marks those that a suppression hides; returns how many were new or
    /// changed. Keeping the same alert again changes nothing.
    ///
    /// # Errors
    /// When the database cannot be written; then none of them is kept.
    pub fn keep_alerts(&self, alerts: &[Alert]) -> Result<u64, StoreError> {
        let mut changed = 0;
        self.database.write(&mut |sql| {
            changed = 0;
            let suppressions = suppressions::load(sql, &self.local)?;
            for alert in alerts {
                changed += u64::from(alerts::keep(sql, alert, &suppressions)?);
            }
            Ok(())
        })?;
        Ok(changed)
    }

    /// The alerts asked for, latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, StoreError> {
        let mut page = None;
        self.database.read(&mut |sql| {
            page = Some(alerts::find(sql, query)?);
            Ok(())
        })?;
        Ok(page.unwrap_or(Page { items: Vec::new(), cut: false }))
    }

    /// The alert of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be read.
    pub fn alert(&self, id: &str) -> Result<Alert, StoreError> {
        let mut found = Err(StoreError::NotFound { what: "alert", id: id.to_owned() });
        self.database.read(&mut |sql| {
            found = alerts::get(sql, id);
            Ok(())
        })?;
        found
    }

    /// Moves alerts to another state, all or none, and notes who did.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be written.
    pub fn set_status(&self, ids: &[String], status: Status, change: Change<'_>) -> Result<(), StoreError> {
        self.database.write(&mut |sql| {
            for id in ids {
                alerts::set_status(sql, id, status, change.who, change.at)?;
                audit::note(sql, change, "alert status", id, status.as_str())?;
            }
            Ok(())
        })
    }

    /// The suppressions in force.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn suppressions(&self) -> Result<Suppressions, StoreError> {
        let mut loaded = Suppressions::default();
        self.database.read(&mut |sql| {
            loaded = suppressions::load(sql, &self.local)?;
            Ok(())
        })?;
        Ok(loaded)
    }

    /// Every suppression with what it hides.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list_suppressions(&self) -> Result<Vec<KeptSuppression>, StoreError> {
        let mut list = Vec::new();
        self.database.read(&mut |sql| {
            list = suppressions::list(sql)?;
            Ok(())
        })?;
        Ok(list)
    }

    /// What a suppression would hide of the alerts that are there.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn preview(&self, suppression: &Suppression) -> Result<Preview, StoreError> {
        let mut hidden = Preview::default();
        self.database.read(&mut |sql| {
            hidden = suppressions::preview(sql, suppression, &self.local)?;
            Ok(())
        })?;
        Ok(hidden)
    }

    /// Keeps a suppression; it hides past alerts too. Returns what it matches of them.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it names nothing, or when the database cannot be written.
    pub fn add_suppression(&self, suppression: &Suppression, change: Change<'_>) -> Result<Preview, StoreError> {
        let mut hidden = Preview::default();
        self.database.write(&mut |sql| {
            hidden = suppressions::add(sql, suppression, &self.local)?;
            let detail = format!("{}: {}", suppression.matcher, suppression.reason);
            audit::note(sql, change, "suppression added", &suppression.id, &detail)
        })?;
        Ok(hidden)
    }

    /// Lets a suppression go; returns how many alerts are shown again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be written.
    pub fn remove_suppression(&self, id: &str, change: Change<'_>) -> Result<u64, StoreError> {
        let mut shown = 0;
        self.database.write(&mut |sql| {
            shown = suppressions::remove(sql, id, &self.local)?;
            audit::note(sql, change, "suppression removed", id, "")
        })?;
        Ok(shown)
    }

    /// Adds what was seen of devices to what is known of them.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing is added.
    pub fn add_devices(&self, seen: &[DeviceRecord]) -> Result<(), StoreError> {
        self.database.write(&mut |sql| seen.iter().try_for_each(|device| devices::add(sql, device)))
    }

    /// The devices asked for, the one seen last first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn devices(&self, query: &DeviceQuery) -> Result<Page<DeviceRecord>, StoreError> {
        let mut page = None;
        self.database.read(&mut |sql| {
            page = Some(devices::find(sql, query)?);
            Ok(())
        })?;
        Ok(page.unwrap_or(Page { items: Vec::new(), cut: false }))
    }

    /// Who changed what, the latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn audit(&self, limit: Option<usize>) -> Result<Vec<AuditEntry>, StoreError> {
        let mut entries = Vec::new();
        self.database.read(&mut |sql| {
            entries = audit::list(sql, limit)?;
            Ok(())
        })?;
        Ok(entries)
    }

    /// Lets go of alerts whose traffic ended before `moment`, and gives their room back; returns how many there were.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn expire_alerts(&self, moment: Timestamp) -> Result<u64, StoreError> {
        let mut gone = 0;
        self.database.write(&mut |sql| {
            gone = alerts::expire(sql, moment)?;
            Ok(())
        })?;
        if gone > 0 {
            self.database.shrink()?;
        }
        Ok(gone)
    }

    /// Bytes that the database takes.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn size(&self) -> Result<u64, StoreError> {
        self.database.size()
    }
}
