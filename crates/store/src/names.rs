//! What people call devices.

use std::collections::HashMap;

use lapwing_capture::Timestamp;

use crate::sql::{Sql, rows};
use crate::{Change, DeviceRecord, Store, StoreError, audit, devices};

/// The longest name of a device, in characters.
const LONGEST_NAME: usize = 64;

/// The longest note, in characters.
const LONGEST_NOTE: usize = 2_000;

/// What is to be changed of what people say of a device: what is `None` stays, what is empty goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceWords<'a> {
    /// What it is called: at most 64 characters on one line.
    pub name: Option<&'a str>,
    /// What there is to know of it: at most 2,000 characters.
    pub note: Option<&'a str>,
}

impl Store {
    /// Changes what people say of a device, and notes who did; returns the device as it is then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Refused`] for what is too long, or when the database cannot be written.
    pub fn describe_device(
        &self,
        id: &str,
        words: DeviceWords<'_>,
        change: Change<'_>,
    ) -> Result<DeviceRecord, StoreError> {
        let name = words.name.map(str::trim);
        let note = words.note.map(str::trim);
        if name.is_some_and(|name| name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)) {
            let reason = format!("a device's name is at most {LONGEST_NAME} characters on one line");
            return Err(StoreError::Refused(reason));
        }
        if note.is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(StoreError::Refused(format!("a note is at most {LONGEST_NOTE} characters long")));
        }
        self.write(|sql| {
            let mut device = devices::get(sql, id)?;
            for (what, kept, new) in [("name", &mut device.name, name), ("note", &mut device.note, note)] {
                let Some(new) = new.filter(|new| *new != kept.as_deref().unwrap_or_default()) else { continue };
                let shown: String = new.chars().take(200).collect();
                audit::note(sql, change, &format!("device {what}"), id, &shown)?;
                *kept = (!new.is_empty()).then(|| new.to_owned());
            }
            put(sql, &device, change)?;
            Ok(device)
        })
    }

    /// The names that people gave, by the addresses that those devices had lately.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn device_names(&self) -> Result<HashMap<String, String>, StoreError> {
        let statement = "SELECT n.device, n.name, d.document FROM device_names n JOIN devices d ON d.id = n.device \
                         WHERE n.name IS NOT NULL ORDER BY d.last_seen, d.id";
        self.read(|sql| {
            let mut names = HashMap::new();
            // Where two had the same address, who was seen last has it.
            for mut row in rows(sql, statement, &[])? {
                let (id, name) = (row.text(0), row.text(1));
                let device = devices::parse(&id, &row.text(2))?;
                names.extend(device.addresses.into_iter().chain([id]).map(|address| (address, name.clone())));
            }
            Ok(names)
        })
    }
}

fn put(sql: &mut dyn Sql, device: &DeviceRecord, change: Change<'_>) -> Result<(), StoreError> {
    let said = [&device.name, &device.note];
    if said.iter().all(|said| said.is_none()) {
        return sql.execute("DELETE FROM device_names WHERE device = ?1", &[device.id.as_str().into()]).map(drop);
    }
    let words: Vec<String> = said.into_iter().flatten().map(|said| said.to_lowercase()).collect();
    let values = [
        device.id.as_str().into(),
        device.name.clone().into(),
        device.note.clone().into(),
        words.join("\n").into(),
        change.who.into(),
        Timestamp::micros(change.at).into(),
    ];
    sql.execute(
        "INSERT INTO device_names (device, name, note, words, changed_by, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (device) DO UPDATE SET name = excluded.name, note = excluded.note, words = excluded.words, \
         changed_by = excluded.changed_by, changed_at = excluded.changed_at",
        &values,
    )
    .map(drop)
}
