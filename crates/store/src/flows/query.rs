//! Which flows are asked for.

use std::net::IpAddr;

use lapwing_capture::Timestamp;

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
    pub(crate) fn ends_match(&self, originator: IpAddr, responder: IpAddr) -> bool {
        let either = |host: &IpAddr| *host == originator || *host == responder;
        match (&self.device, &self.peer) {
            (Some(device), Some(peer)) => {
                (*device == originator && *peer == responder) || (*device == responder && *peer == originator)
            }
            (Some(host), None) | (None, Some(host)) => either(host),
            (None, None) => true,
        }
    }

    pub(crate) fn touches(&self, first: Timestamp, last: Timestamp) -> bool {
        self.time.touches(first, last)
    }

    pub(crate) fn matches(&self, row: &FlowRow) -> bool {
        let (first, last) = row.span();
        let ends = match (row.cell("id.orig_h"), row.cell("id.resp_h")) {
            (Cell::Address(originator), Cell::Address(responder)) => self.ends_match(*originator, *responder),
            _ => self.device.is_none() && self.peer.is_none(),
        };
        let word = |asked: &Option<String>, name: &str| {
            asked.as_ref().is_none_or(|asked| matches!(row.cell(name), Cell::Text(text) if text == asked))
        };
        ends && self.touches(first, last)
            && self.port.is_none_or(|port| *row.cell("id.resp_p") == Cell::Port(port))
            && word(&self.protocol, "proto")
            && word(&self.uid, "uid")
    }
}
