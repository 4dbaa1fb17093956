//! `lapwing devices`.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use lapwing_alert::rfc3339;
use lapwing_asset::{Device, Inventory, InventorySettings, Peer, Recent, Service, Volume};
use lapwing_engine::{Control, Scoring, TakingStock};
use lapwing_protocol::{LocalNetworks, transport};
use serde::Serialize;

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
        let local = Arc::clone(&input.local);
        let settings = InventorySettings { local: LocalNetworks::clone(&local), ..InventorySettings::default() };
        let mut stage = TakingStock::new(Inventory::new(settings));
        let scoring = Scoring { local, ..Scoring::default() };
        let ran = input.run(&Named::of(&self.input.inputs), &scoring, &mut stage, &Control::default())?;
        let inventory = stage.finish();
        if inventory.evicted() > 0 {
            eprintln!("lapwing: {} devices were forgotten: there are too many", inventory.evicted());
        }
        let records: Vec<Record> = inventory.devices().iter().map(Record::new).collect();
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

/// A device as it is printed.
#[derive(Serialize)]
struct Record {
    address: Option<String>,
    mac: Option<String>,
    /// The link-layer address is drawn at random, so the device may come back under another.
    random_mac: bool,
    maker: Option<&'static str>,
    router: bool,
    addresses: Vec<String>,
    first_seen: String,
    last_seen: String,
    flows: u64,
    sent_bytes: u64,
    received_bytes: u64,
    offers: Vec<String>,
    uses: Vec<String>,
    /// Networks outside that it had answers from (/24, /48).
    outside_networks: usize,
    peers: Vec<PeerRecord>,
    /// Bytes by hour of the day, UTC.
    hours: Vec<Hour>,
}

#[derive(Serialize)]
struct PeerRecord {
    address: String,
    flows: u64,
    sent_bytes: u64,
    received_bytes: u64,
    last_seen: String,
}

#[derive(Serialize)]
struct Hour {
    hour: usize,
    sent_bytes: u64,
    received_bytes: u64,
}

impl Record {
    fn new(device: &Device) -> Self {
        let Volume { sent, received } = device.volume();
        let mut addresses: Vec<_> = device.addresses.iter().map(|seen| seen.what).collect();
        addresses.sort_unstable();
        let mut peers = device.peers.clone();
        peers.sort_by_key(|peer| (std::cmp::Reverse(peer.volume.sent + peer.volume.received), peer.address));
        let hours = device.hours.iter().enumerate().filter(|(_, volume)| **volume != Volume::default());
        Self {
            address: device.address().map(|address| address.ip().to_string()),
            mac: device.mac.map(|[a, b, c, d, e, f]| format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")),
            random_mac: device.has_random_mac(),
            maker: device.vendor(),
            router: device.routes,
            addresses: addresses.iter().map(|address| address.ip().to_string()).collect(),
            first_seen: rfc3339(device.first),
            last_seen: rfc3339(device.last),
            flows: device.flows,
            sent_bytes: sent,
            received_bytes: received,
            offers: services(&device.offers),
            uses: services(&device.uses),
            outside_networks: device.destinations.len(),
            peers: peers.iter().map(PeerRecord::new).collect(),
            hours: hours
                .map(|(hour, volume)| Hour { hour, sent_bytes: volume.sent, received_bytes: volume.received })
                .collect(),
        }
    }
}

impl PeerRecord {
    fn new(peer: &Peer) -> Self {
        Self {
            address: peer.address.ip().to_string(),
            flows: peer.flows,
            sent_bytes: peer.volume.sent,
            received_bytes: peer.volume.received,
            last_seen: rfc3339(peer.last),
        }
    }
}

/// As `tcp/443`, in order; protocols without ports by their name alone.
fn services<const MOST: usize>(seen: &Recent<Service, MOST>) -> Vec<String> {
    let mut services: Vec<Service> = seen.iter().map(|seen| seen.what).collect();
    services.sort_unstable();
    let name = |service: &Service| match service.port {
        0 => transport(service.protocol).to_owned(),
        port => format!("{}/{port}", transport(service.protocol)),
    };
    services.iter().map(name).collect()
}

fn write_table(records: &[Record], out: &mut dyn Write) -> io::Result<()> {
    let width = |text: fn(&Record) -> &str, least: usize| {
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

fn maker_of(record: &Record) -> &str {
    if record.random_mac { "(random address)" } else { record.maker.unwrap_or("-") }
}

/// Bytes for people, in decimal units.
fn size(bytes: u64) -> String {
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
