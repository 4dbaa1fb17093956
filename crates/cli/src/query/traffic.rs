//! `lapwing query traffic` and `lapwing query talkers`.

use anyhow::Result;
use clap::{Args, ValueEnum};
use lapwing_alert::rfc3339;

use super::ResultOptions;
use crate::store::TimeOptions;

/// How much flowed in each minute, hour or day in which something did, from the earliest on
#[derive(Args)]
pub(super) struct Traffic {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// Sums of what
    #[arg(long, value_enum, default_value = "hour")]
    by: By,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    Minute,
    Hour,
    Day,
}

impl Traffic {
    pub(super) fn run(&self) -> Result<()> {
        let minutes = match self.by {
            By::Minute => 1,
            By::Hour => 60,
            By::Day => 1_440,
        };
        let mut points = self.result.store.open()?.traffic(self.time.range(), minutes)?;
        let cut = points.len().saturating_sub(self.result.limit().unwrap_or(usize::MAX));
        points.drain(..cut);
        self.result.write(&points, ["time", "flows", "packets", "bytes", "bytes_in", "bytes_out"], |point| {
            let counts = [point.flows, point.packets, point.bytes, point.bytes_in, point.bytes_out];
            let [flows, packets, bytes, bytes_in, bytes_out] = counts.map(|count| count.to_string());
            [rfc3339(point.time), flows, packets, bytes, bytes_in, bytes_out]
        })?;
        self.result.tell_cut(cut > 0);
        Ok(())
    }
}

/// Who sent and received most; a host without a name stands for all that were too many to count one by one
#[derive(Args)]
pub(super) struct Talkers {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
}

impl Talkers {
    pub(super) fn run(&self) -> Result<()> {
        let limit = self.result.limit().unwrap_or(usize::MAX >> 1);
        let talkers = self.result.store.open()?.talkers(self.time.range(), limit)?;
        self.result.write(&talkers, ["host", "flows", "sent_bytes", "received_bytes"], |talker| {
            let [flows, sent, received] =
                [talker.flows, talker.sent_bytes, talker.received_bytes].map(|count| count.to_string());
            [talker.host.clone(), flows, sent, received]
        })
    }
}
