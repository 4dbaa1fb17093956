//! The store: one interface over SQLite with files of flows, or PostgreSQL.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use lapwing_alert::{Alert, Preview, Status, Suppression, Suppressions};
use lapwing_asset::Memory;
use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::LocalNetworks;

use crate::audit::Change;
use crate::flows::{FlowFolder, FlowLog, FlowTable, Mark, UidText};
use crate::migrate::{self, migrate};
use crate::postgres::Postgres;
use crate::retention::{self, Expired, Freed, Keep};
use crate::sql::{Database, Sql};
use crate::sqlite::Sqlite;
use crate::suppressions::KeptSuppression;
use crate::traffic::{self, RollUp, Traffic};
use crate::{
    AlertQuery, DeviceQuery, DeviceRecord, FlowQuery, FlowRow, Page, StoreError, Talker, TimeRange, TrafficPoint,
    alerts, audit, devices, suppressions,
};

/// The database's file in the store's folder.
const DATABASE_FILE: &str = "lapwing.db";

/// The folder of flows in it.
const FLOW_FOLDER: &str = "flows";

/// What a store needs to be told.
#[derive(Clone, Debug, Default)]
pub struct StoreSettings {
    /// Networks whose addresses are devices.
    pub local: LocalNetworks,
    /// How much is kept.
    pub keep: Keep,
}

/// Everything that is kept. Methods may be called from any thread, and other processes may have the same store open. Alerts,
/// what people set and devices are on disk when the method that changes them returns; flows outlive a kill of the program from
/// then on, and a failure of the power from [`Store::sync`] on.
pub struct Store {
    database: Arc<dyn Database>,
    flows: Box<dyn FlowLog>,
    /// What is in the flows but not yet in the roll-ups.
    rolling: Mutex<RollUp>,
    settings: StoreSettings,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there; what a killed program left unfinished is finished. A
    /// place such as `postgres://USER@HOST/DATABASE` is a PostgreSQL database, whose size is the server's business:
    /// [`Keep::bytes`] is not looked at there.
    ///
    /// # Errors
    /// When the folder cannot be made or read, the disk is full, the server cannot be reached, or a later version of Lapwing
    /// has written it.
    pub fn open(place: &Path, mut settings: StoreSettings) -> Result<Self, StoreError> {
        if let Some(url) = server(place) {
            let database: Arc<dyn Database> = Arc::new(Postgres::open(url)?);
            migrate(database.as_ref(), migrate::POSTGRES)?;
            settings.keep.bytes = None;
            let flows = Box::new(FlowTable::new(Arc::clone(&database)));
            return Ok(Self { database, flows, rolling: Mutex::default(), settings });
        }
        fs::create_dir_all(place).map_err(|error| StoreError::file(place, &error))?;
        let database = Sqlite::open(&place.join(DATABASE_FILE))?;
        migrate(&database, migrate::SQLITE)?;
        let flows = FlowFolder::open(&place.join(FLOW_FOLDER), settings.keep.bytes)?;
        recover(&database, &flows)?;
        Ok(Self { database: Arc::new(database), flows: Box::new(flows), rolling: Mutex::default(), settings })
    }

    /// Does the work on one consistent state.
    pub(crate) fn read<T>(&self, mut work: impl FnMut(&mut dyn Sql) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut done = None;
        self.database.read(&mut |sql| {
            done = Some(work(sql)?);
            Ok(())
        })?;
        Ok(done.expect("a transaction succeeds when its work is done"))
    }

    /// Does the work in one transaction, which is undone if it fails.
    pub(crate) fn write<T>(
        &self,
        mut work: impl FnMut(&mut dyn Sql) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut done = None;
        self.database.write(&mut |sql| {
            done = Some(work(sql)?);
            Ok(())
        })?;
        Ok(done.expect("a transaction succeeds when its work is done"))
    }

    /// Keeps alerts, each in its latest revision, and marks those that a suppression hides; returns how many were new or
    /// changed. Keeping the same alert again changes nothing.
    ///
    /// # Errors
    /// When the database cannot be written; then none of them is kept.
    pub fn put_alerts(&self, alerts: &[Alert]) -> Result<u64, StoreError> {
        self.put_alerts_of(None, alerts)
    }

    /// As [`Store::put_alerts`], of the run of that name: the time of its first packet.
    ///
    /// # Errors
    /// When the database cannot be written; then none of them is kept.
    pub fn put_alerts_of(&self, run: Option<Timestamp>, alerts: &[Alert]) -> Result<u64, StoreError> {
        self.write(|sql| {
            let suppressions = suppressions::load(sql, &self.settings.local)?;
            let mut changed = 0;
            for alert in alerts {
                changed += u64::from(alerts::keep(sql, alert, run, &suppressions)?);
            }
            Ok(changed)
        })
    }

    /// The alerts asked for, latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, StoreError> {
        self.read(|sql| alerts::find(sql, query))
    }

    /// The alert of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be read.
    pub fn alert(&self, id: &str) -> Result<Alert, StoreError> {
        self.read(|sql| alerts::get(sql, id))
    }

    /// Moves alerts to another state, all or none, and notes who did.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be written.
    pub fn set_status(&self, ids: &[String], status: Status, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| {
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
        self.read(|sql| suppressions::load(sql, &self.settings.local))
    }

    /// Every suppression with what it hides.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list_suppressions(&self) -> Result<Vec<KeptSuppression>, StoreError> {
        self.read(suppressions::list)
    }

    /// What a suppression would hide of the alerts that are there.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it names nothing, or when the database cannot be read.
    pub fn preview(&self, suppression: &Suppression) -> Result<Preview, StoreError> {
        self.read(|sql| suppressions::preview(sql, suppression, &self.settings.local))
    }

    /// Keeps a suppression; it hides past alerts too. Returns what it matches of them.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when it names nothing, or when the database cannot be written.
    pub fn add_suppression(&self, suppression: &Suppression, change: Change<'_>) -> Result<Preview, StoreError> {
        self.write(|sql| {
            let hidden = suppressions::add(sql, suppression, &self.settings.local)?;
            let detail = format!("{}: {}", suppression.matcher, suppression.reason);
            audit::note(sql, change, "suppression added", &suppression.id, &detail)?;
            Ok(hidden)
        })
    }

    /// Lets a suppression go; returns how many alerts are shown again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be written.
    pub fn remove_suppression(&self, id: &str, change: Change<'_>) -> Result<u64, StoreError> {
        self.write(|sql| {
            let shown = suppressions::remove(sql, id, &self.settings.local)?;
            audit::note(sql, change, "suppression removed", id, "")?;
            Ok(shown)
        })
    }

    /// Keeps one alert: see [`Store::put_alerts`].
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn put_alert(&self, alert: &Alert) -> Result<u64, StoreError> {
        self.put_alerts(std::slice::from_ref(alert))
    }

    /// Keeps what a run knows of devices. A run is named by the time of its first packet; what it said before of the same
    /// devices gives way to what is more, what other runs counted is added.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing is changed.
    pub fn put_devices(&self, run: Timestamp, seen: &[DeviceRecord]) -> Result<(), StoreError> {
        self.write(|sql| seen.iter().try_for_each(|device| devices::put(sql, run, device)))
    }

    /// Keeps flows that have ended, all or none, and adds them to the roll-ups.
    ///
    /// # Errors
    /// When they cannot be written. Where only the roll-ups could not be, [`StoreError::Full`] or
    /// [`StoreError::Database`] says so; they are made up for with the next flows.
    pub fn put_flows(&self, flows: &[Flow]) -> Result<(), StoreError> {
        // Held to the end, so that marks and sums go together.
        let mut rolling = self.rolling.lock().unwrap_or_else(PoisonError::into_inner);
        rolling.mark(self.flows.append(flows, &self.settings.local)?);
        flows.iter().for_each(|flow| rolling.add(&Traffic::of(flow, &self.settings.local)));
        self.database.write(&mut |sql| rolling.write(sql))?;
        *rolling = RollUp::default();
        Ok(())
    }

    /// The uids of the flows that ended in an hour.
    pub(crate) fn kept_uids(&self, hour: i64) -> Result<Vec<UidText>, StoreError> {
        self.flows.uids(hour)
    }

    /// The flows asked for, the one that ended last first.
    ///
    /// # Errors
    /// When a file or the database cannot be read.
    pub fn flows(&self, query: &FlowQuery) -> Result<Page<FlowRow>, StoreError> {
        self.flows.find(query)
    }

    /// Hands all flows asked for to `each`, hour by hour from the earliest, without holding them all in memory; the limit is
    /// not looked at.
    ///
    /// # Errors
    /// When a file or the database cannot be read, or `each` fails.
    pub fn each_flow(
        &self,
        query: &FlowQuery,
        each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.flows.for_each(query, each)
    }

    /// What flowed in each span of so many minutes in which something did.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn traffic(&self, range: TimeRange, minutes: u32) -> Result<Vec<TrafficPoint>, StoreError> {
        self.read(|sql| traffic::points(sql, range, minutes))
    }

    /// Who sent and received most, in the hours that `range` touches; over more than three days, in the days.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn talkers(&self, range: TimeRange, limit: usize) -> Result<Vec<Talker>, StoreError> {
        self.read(|sql| traffic::talkers(sql, range, limit))
    }

    /// The devices asked for, the one seen last first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn devices(&self, query: &DeviceQuery) -> Result<Page<DeviceRecord>, StoreError> {
        self.read(|sql| devices::find(sql, query))
    }

    /// The device of that id.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be read.
    pub fn device(&self, id: &str) -> Result<DeviceRecord, StoreError> {
        self.read(|sql| devices::get(sql, id))
    }

    /// Notes that the run of that name watches live, so that a later one can go on with it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note_live(&self, run: Timestamp) -> Result<(), StoreError> {
        self.write(|sql| devices::note_live(sql, run))
    }

    /// What the latest run that watched live knew of devices: when it began, and the `most` that were seen last, those first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn remembered(&self, most: usize) -> Result<Option<(Timestamp, Vec<Memory>)>, StoreError> {
        self.read(|sql| devices::remembered(sql, most))
    }

    /// Lets go of what is too old at `now`, or too much: see [`Keep`].
    ///
    /// # Errors
    /// When a file cannot be removed or the database cannot be written.
    pub fn retain(&self, now: Timestamp) -> Result<Freed, StoreError> {
        retention::retain(self.database.as_ref(), self.flows.as_ref(), &self.settings.keep, now)
    }

    /// Lets go of sessions, tokens and uploads that have expired at `now`, and of the earliest entries of a long audit trail.
    /// Unlike [`Store::retain`], which goes by the time of traffic, this goes by the clock on the wall: what was captured must
    /// not log anybody out.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn expire(&self, now: Timestamp) -> Result<Expired, StoreError> {
        self.write(|sql| retention::expire(sql, now))
    }

    /// Asks the disk to hold the flows that it was given. Says also if a segment could not be made since the last time.
    ///
    /// # Errors
    /// When it cannot.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.flows.sync()
    }

    /// Finishes what is open, as at the end of a run: journals of flows become segments.
    ///
    /// # Errors
    /// When a segment cannot be made; its journal stays and is tried again when the store is opened.
    pub fn settle(&self) -> Result<(), StoreError> {
        self.flows.settle()
    }

    /// Networks whose addresses are devices.
    #[must_use]
    pub fn local(&self) -> &LocalNetworks {
        &self.settings.local
    }

    /// How much is kept at most.
    #[must_use]
    pub fn keep(&self) -> &Keep {
        &self.settings.keep
    }

    /// Bytes that everything takes.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn size(&self) -> Result<u64, StoreError> {
        Ok(self.database.size()? + self.flows.size()?)
    }
}

/// The URL that a place is, if it is one.
fn server(place: &Path) -> Option<&str> {
    place.to_str().filter(|place| ["postgres://", "postgresql://"].iter().any(|scheme| place.starts_with(scheme)))
}

/// Whether a place is a server rather than a folder.
#[must_use]
pub fn is_server(place: &Path) -> bool {
    server(place).is_some()
}

/// Whether there is a store at a place: a folder with its database, or a server that will say itself.
#[must_use]
pub fn exists(place: &Path) -> bool {
    is_server(place) || place.join(DATABASE_FILE).is_file()
}

/// Adds to the roll-ups what a killed program had appended to its journals but not yet added, and makes segments of them.
fn recover(database: &dyn Database, flows: &FlowFolder) -> Result<(), StoreError> {
    let mut marks = std::collections::HashMap::new();
    database.read(&mut |sql| {
        marks = traffic::marks(sql)?;
        Ok(())
    })?;
    let (abandoned, stems) = flows.abandoned()?;
    for journal in abandoned {
        let known = marks.get(&journal.stem).copied().unwrap_or_default();
        let (mut rolled, mut rows) = (RollUp::default(), 0);
        let read = journal.read(&mut |row| {
            if rows >= known
                && let Some(traffic) = Traffic::of_row(&row)
            {
                rolled.add(&traffic);
            }
            rows += 1;
            Ok(())
        });
        if read.is_err() {
            journal.put_aside()?;
            continue;
        }
        if rows == 0 {
            journal.remove()?;
            continue;
        }
        rolled.mark([Mark { stem: journal.stem.clone(), rows: rows.max(known) }]);
        database.write(&mut |sql| rolled.write(sql))?;
        journal.seal()?;
    }
    let gone: Vec<String> = marks.into_keys().filter(|stem| !stems.contains(stem)).collect();
    if gone.is_empty() { Ok(()) } else { database.write(&mut |sql| traffic::forget_marks(sql, &gone)) }
}
