//! `lapwing query flows`.

use std::io::{self, Write};
use std::net::IpAddr;

use anyhow::Result;
use clap::Args;
use lapwing_store::{FlowQuery, FlowRow, Store, StoreError};

use super::{Format, ResultOptions, table, write_json, write_lines};
use crate::output::Output;
use crate::store::TimeOptions;

/// Flows that were seen, the one that ended last first; with --limit 0 hour by hour from the earliest
#[derive(Args)]
pub(super) struct Flows {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// With this host at either end
    #[arg(long, value_name = "ADDRESS")]
    device: Option<IpAddr>,
    /// With this host at the other end
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// To this port of the responder
    #[arg(long)]
    port: Option<u16>,
    /// Of this transport protocol: tcp, udp, icmp
    #[arg(long)]
    protocol: Option<String>,
    /// Of this uid, as evidence of an alert names it
    #[arg(long)]
    uid: Option<String>,
}

impl Flows {
    pub(super) fn run(&self) -> Result<()> {
        let query = FlowQuery {
            time: self.time.range(),
            device: self.device,
            peer: self.peer,
            port: self.port,
            protocol: self.protocol.clone(),
            uid: self.uid.clone(),
            limit: self.result.limit(),
            ..FlowQuery::default()
        };
        let store = self.result.store.open()?;
        let format = self.result.format();
        let mut out = self.result.open()?;
        if query.limit.is_none() && format != Format::Table {
            write_all(&store, &query, format, &mut out)?;
            return Ok(out.finish()?);
        }
        let page = store.flows(&query)?;
        match format {
            Format::Json => write_json(&page.items, &mut out)?,
            Format::Jsonl => write_lines(&page.items, &mut out)?,
            Format::Csv => {
                FlowRow::write_csv_header(&mut out)?;
                page.items.iter().try_for_each(|row| row.write_csv(&mut out))?;
            }
            Format::Table => table::write(SHOWN, page.items.iter().map(cells).collect(), &mut out)?,
        }
        out.finish()?;
        self.result.tell_cut(page.next.is_some());
        Ok(())
    }
}

/// Writes flows as they are read: there may be more than memory holds.
fn write_all(store: &Store, query: &FlowQuery, format: Format, out: &mut Output) -> Result<()> {
    let mut failed = None;
    let mut first = true;
    if format == Format::Csv {
        FlowRow::write_csv_header(out)?;
    }
    let mut write = |row: &FlowRow, out: &mut Output| -> io::Result<()> {
        if format == Format::Csv {
            return row.write_csv(out);
        }
        if format == Format::Json {
            out.write_all(if std::mem::take(&mut first) { b"[\n" } else { b",\n" })?;
        }
        serde_json::to_writer(&mut *out, row)?;
        if format == Format::Jsonl { out.write_all(b"\n") } else { Ok(()) }
    };
    let read = store.each_flow(query, &mut |row| {
        write(&row, out).map_err(|error| {
            failed = Some(error);
            StoreError::Refused("writing failed".to_owned())
        })
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    read?;
    if format == Format::Json {
        out.write_all(if first { b"[]\n" } else { b"\n]\n" })?;
    }
    Ok(())
}

/// What a table shows of a flow.
const SHOWN: [&str; 11] = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
];

fn cells(row: &FlowRow) -> [String; 11] {
    SHOWN.map(|name| row.cell(name).text())
}
