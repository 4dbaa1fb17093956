//! `lapwing query devices`.

use anyhow::Result;
use clap::Args;
use lapwing_alert::rfc3339;
use lapwing_store::{DeviceQuery, DeviceRecord};

use super::{Format, ResultOptions};
use crate::devices::{note_places, write_table};
use crate::store::TimeOptions;

/// Devices that were seen, the one seen last first
#[derive(Args)]
pub(super) struct Devices {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// With this address or link-layer address
    #[arg(long, value_name = "HOST")]
    device: Option<String>,
    /// With this text in address, link-layer address, maker, name or note
    #[arg(long)]
    text: Option<String>,
}

impl Devices {
    pub(super) fn run(&self) -> Result<()> {
        let query = DeviceQuery {
            time: self.time.range(),
            device: self.device.as_ref().map(|device| device.to_lowercase()),
            text: self.text.clone(),
            limit: self.result.limit(),
            ..DeviceQuery::default()
        };
        let mut page = self.result.store.open()?.devices(&query)?;
        note_places(&mut page.items, &self.result.store.places()?);
        if self.result.format() == Format::Table {
            let mut out = self.result.open()?;
            write_table(&page.items, &mut out)?;
            out.finish()?;
        } else {
            self.result.write(&page.items, NAMES, cells)?;
        }
        self.result.tell_cut(page.next.is_some());
        Ok(())
    }
}

const NAMES: [&str; 12] = [
    "id",
    "name",
    "address",
    "mac",
    "maker",
    "first_seen",
    "last_seen",
    "flows",
    "sent_bytes",
    "received_bytes",
    "offers",
    "uses",
];

fn cells(device: &DeviceRecord) -> [String; 12] {
    [
        device.id.clone(),
        device.name.clone().unwrap_or_default(),
        device.address.clone().unwrap_or_default(),
        device.mac.clone().unwrap_or_default(),
        device.maker.clone().unwrap_or_default(),
        rfc3339(device.first_seen),
        rfc3339(device.last_seen),
        device.flows.to_string(),
        device.sent_bytes.to_string(),
        device.received_bytes.to_string(),
        device.offers.join(" "),
        device.uses.join(" "),
    ]
}
