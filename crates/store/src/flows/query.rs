//! Which flows are asked for.

use std::net::IpAddr;

use super::row::{Cell, FlowRow};
use crate::TimeRange;

/// Which flows: those to which everything applies that is set, the one that ended last first.
#[derive(Clone, Debug, Default)]
pub struct FlowQuery {
    /// Flows that lasted into this.
    pub time: TimeRange,
    /// With this host at either end.
    pub device: Option<IpAddr>,
    /// With this host at either end; where `device` is set, at the other.
    pub peer: Option<IpAddr>,
    /// To this port of the responder.
    pub port: Option<u16>,
    /// Of this transport protocol, in Zeek's words: `tcp`, `udp`, `icmp`.
    pub protocol: Option<String>,
    /// Of this uid.
    pub uid: Option<String>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
}

impl FlowQuery {
    /// What is asked of a flow, first what leaves the fewest.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = Condition> + use<> {
        let asked = [
            (self.uid.is_some(), Condition::Uid),
            (self.device.is_some() || self.peer.is_some(), Condition::Ends),
            (self.port.is_some(), Condition::Port),
            (self.protocol.is_some(), Condition::Protocol),
            (self.time != TimeRange::default(), Condition::Time),
        ];
        asked.into_iter().filter_map(|(asked, condition)| asked.then_some(condition))
    }

    /// Whether a row, of which only the condition's columns are looked at, fulfils it.
    pub(crate) fn fulfils(&self, condition: Condition, row: &FlowRow) -> bool {
        let word = |asked: &Option<String>, name: &str| {
            asked.as_ref().is_none_or(|asked| matches!(row.cell(name), Cell::Text(text) if text == asked))
        };
        match condition {
            Condition::Uid => word(&self.uid, "uid"),
            Condition::Ends => match (row.cell("id.orig_h"), row.cell("id.resp_h")) {
                (Cell::Address(originator), Cell::Address(responder)) => self.ends_match(*originator, *responder),
                _ => false,
            },
            Condition::Port => self.port.is_none_or(|port| *row.cell("id.resp_p") == Cell::Port(port)),
            Condition::Protocol => word(&self.protocol, "proto"),
            Condition::Time => {
                let (first, last) = row.span();
                self.time.touches(first, last)
            }
        }
    }

    pub(crate) fn matches(&self, row: &FlowRow) -> bool {
        self.conditions().all(|condition| self.fulfils(condition, row))
    }

    fn ends_match(&self, originator: IpAddr, responder: IpAddr) -> bool {
        let either = |host: &IpAddr| *host == originator || *host == responder;
        match (&self.device, &self.peer) {
            (Some(device), Some(peer)) => {
                (*device == originator && *peer == responder) || (*device == responder && *peer == originator)
            }
            (Some(host), None) | (None, Some(host)) => either(host),
            (None, None) => true,
        }
    }
}

/// One thing that can be asked of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Uid,
    Ends,
    Port,
    Protocol,
    Time,
}

impl Condition {
    /// The columns that decide it.
    pub(crate) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Uid => &["uid"],
            Self::Ends => &["id.orig_h", "id.resp_h"],
            Self::Port => &["id.resp_p"],
            Self::Protocol => &["proto"],
            Self::Time => &["ts", "duration"],
        }
    }
}
