//! Which packets are asked for, and a page of them.

use std::net::IpAddr;

use lapwing_capture::{Filter, Frame};
use lapwing_detect::packets::{Judgement, Pattern};

use super::{PacketReader, PacketRecord};

/// Which packets are asked for: those that fit everything that is given.
#[derive(Clone, Debug)]
pub struct PacketQuery {
    /// In the tcpdump language.
    pub filter: Option<Filter>,
    /// From this host, or to it.
    pub host: Option<IpAddr>,
    /// Those that look so.
    pub pattern: Option<Pattern>,
    /// Only those that are anomalous.
    pub only_anomalies: bool,
    /// So many at most.
    pub limit: usize,
    /// Show so many bytes of what they carry, at most; `None` shows nothing.
    pub payload: Option<usize>,
}

/// A hundred packets, without what they carry.
impl Default for PacketQuery {
    fn default() -> Self {
        Self { filter: None, host: None, pattern: None, only_anomalies: false, limit: 100, payload: None }
    }
}

/// Some packets, and where to go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PacketPage {
    /// The packets.
    pub packets: Vec<PacketRecord>,
    /// The index to go on from; `None` when there are no more.
    pub next: Option<u64>,
}

impl PacketQuery {
    /// The record of a frame that fits.
    pub(super) fn pick(
        &mut self,
        frame: Frame<'_>,
        judgement: Judgement,
        reader: &mut PacketReader,
    ) -> Option<PacketRecord> {
        if self.pattern.is_some_and(|pattern| judgement.pattern != Some(pattern))
            || self.only_anomalies && !judgement.is_anomaly
            || self.filter.as_mut().is_some_and(|filter| !filter.matches(frame.link, frame.data, frame.length))
        {
            return None;
        }
        let (mut record, _) = reader.read(frame, self.payload);
        record.set(judgement);
        self.host.is_none_or(|host| record.is_of(host)).then_some(record)
    }
}
