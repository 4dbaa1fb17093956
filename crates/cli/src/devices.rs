//! `lapwing devices`.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use lapwing_alert::Places;
use lapwing_asset::{Inventory, InventorySettings};
use lapwing_engine::{Control, Scoring, TakingStock};
use lapwing_protocol::LocalNetworks;
use lapwing_store::DeviceRecord;

use crate::Outcome;
use crate::input::InputOptions;
use crate::sources::Named;

/// Take stock of the devices in a capture: who is there, what they offer and use, whom they talk to
#[derive(Args)]
#[command(
    after_help = "Examples:\n  lapwing devices capture.pcap\n  lapwing devices captures/ --json | jq '.[].maker'"
)]
pub(crate) struct Devices {
    #[command(flatten)]
    input: InputOptions,
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let input = self.input.settle()?;
        let places = input.settings.geo.open().context("[geo]")?;
        let local = Arc::clone(&input.local);
        let settings = InventorySettings { local: LocalNetworks::clone(&local), ..InventorySettings::default() };
        let mut stage = TakingStock::new(Inventory::new(settings));
        let scoring = Scoring::new(local);
        let ran = input.run(&Named::of(&self.input.inputs), &scoring, &mut stage, &Control::default())?;
        let inventory = stage.finish();
        if inventory.evicted() > 0 {
            eprintln!("lapwing: {} devices were forgotten: there are too many", inventory.evicted());
        }
        let mut records: Vec<DeviceRecord> = inventory.devices().iter().map(DeviceRecord::new).collect();
        note_places(&mut records, &places);
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, &records)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
        } else {
            write_table(&records, &mut out)
        }
        .context("the devices cannot be written")?;
        ran.all_read()
    }
}

/// Notes where the peers of devices are.
pub(crate) fn note_places(records: &mut [DeviceRecord], places: &Places) {
    for peer in records.iter_mut().flat_map(|record| &mut record.peers) {
        peer.place = peer.address.parse().ok().and_then(|address| places.find(address));
    }
}

/// One device a line.
pub(crate) fn write_table(records: &[DeviceRecord], out: &mut dyn Write) -> io::Result<()> {
    let width = |text: fn(&DeviceRecord) -> &str, least: usize| {
        records.iter().map(|record| text(record).chars().count()).max().unwrap_or(0).clamp(least, 40)
    };
    let (address, maker) = (width(|record| record.address.as_deref().unwrap_or("-"), 7), width(maker_of, 5));
    writeln!(
        out,
        "{:address$}  {:17}  {:maker$}  {:>9}  {:>9}  offers; uses",
        "address", "mac", "maker", "sent", "received"
    )?;
    for record in records {
        let shown = |name: &str, services: &[String]| match services.len() {
            0 => String::new(),
            1..=6 => format!("{name} {}", services.join(" ")),
            more => format!("{name} {} and {} more", services[..6].join(" "), more - 6),
        };
        let said: Vec<String> = [
            record.name.as_ref().map_or_else(String::new, |name| format!("“{name}”")),
            if record.router { "routes".to_owned() } else { String::new() },
            shown("offers", &record.offers),
            shown("uses", &record.uses),
        ]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
        let name: String = maker_of(record).chars().take(maker).collect();
        writeln!(
            out,
            "{:address$}  {:17}  {name:maker$}  {:>9}  {:>9}  {}",
            record.address.as_deref().unwrap_or("-"),
            record.mac.as_deref().unwrap_or("-"),
            size(record.sent_bytes),
            size(record.received_bytes),
            said.join("; ")
        )?;
    }
    writeln!(out, "{} devices", records.len())
}

fn maker_of(record: &DeviceRecord) -> &str {
    if record.random_mac { "(random address)" } else { record.maker.as_deref().unwrap_or("-") }
}

/// Bytes for people, in decimal units.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        let sizes = [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (999_960, "1.0 MB"), (12_345_678, "12.3 MB")];
        for (bytes, expected) in sizes {
            assert_eq!(size(bytes), expected);
        }
    }
}
