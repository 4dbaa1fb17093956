//! Which flows are asked for.

use std::cmp::Reverse;
use std::net::IpAddr;

use super::row::{Cell, FlowRow};
use crate::cursor::List;
use crate::{Cursor, Page, StoreError, TimeRange};

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
    /// Of this application protocol, in Zeek's words: `http`, `ssl`, `dns`; of several (`gssapi,smb`) each finds the flow.
    pub service: Option<String>,
    /// In this state, in Zeek's words: `SF`, `S0`, `REJ`.
    pub state: Option<String>,
    /// With this in an address, the service, the uid or the Community ID; capitals or not.
    pub text: Option<String>,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// Those behind the end of the page before.
    pub after: Option<Cursor>,
}

/// The columns that [`FlowQuery::text`] is looked for in.
pub(crate) const SEARCHED: [&str; 5] = ["id.orig_h", "id.resp_h", "service", "uid", "community_id"];

impl FlowQuery {
    /// What is asked of a flow, first what leaves the fewest.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = Condition> + use<> {
        let asked = [
            (self.uid.is_some(), Condition::Uid),
            (self.device.is_some() || self.peer.is_some(), Condition::Ends),
            (self.port.is_some(), Condition::Port),
            (self.protocol.is_some(), Condition::Protocol),
            (self.state.is_some(), Condition::State),
            (self.service.is_some(), Condition::Service),
            (self.after.is_some(), Condition::After),
            (self.text.is_some(), Condition::Text),
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
            Condition::State => word(&self.state, "conn_state"),
            Condition::Service => self.service.as_ref().is_none_or(|asked| match row.cell("service") {
                Cell::Text(listed) => format!(",{listed},").contains(&format!(",{asked},")),
                _ => false,
            }),
            Condition::After => self.after.as_ref().is_none_or(|cursor| {
                let (ended, uid) = (row.span().1, row.cell("uid").text());
                // Those that are like the last one were shown in part: how many, the cursor says.
                (Reverse(ended), uid) >= (Reverse(cursor.time), cursor.name.clone())
            }),
            Condition::Text => self.text.as_ref().is_none_or(|text| {
                let text = text.to_lowercase();
                SEARCHED.iter().any(|name| row.cell(name).text().to_lowercase().contains(&text))
            }),
            Condition::Time => {
                let (first, last) = row.span();
                self.time.touches(first, last)
            }
        }
    }

    /// How many of those it asks for there must be at most to fill a page, with one more and with those that the page before
    /// showed of the like of its last.
    pub(crate) fn most(&self) -> usize {
        let shown = self.after.as_ref().map_or(0, |cursor| cursor.shown);
        self.limit.map_or(usize::MAX, |limit| limit.saturating_add(1).saturating_add(shown))
    }

    /// The page of up to [`FlowQuery::most`] rows, in order.
    pub(crate) fn page(&self, mut rows: Vec<FlowRow>) -> Page<FlowRow> {
        let key = |row: &FlowRow| (row.span().1, row.cell("uid").text());
        let before = self.after.as_ref().map(|cursor| ((cursor.time, cursor.name.clone()), cursor.shown));
        if let Some((end, shown)) = &before {
            let alike = rows.iter().take(*shown).take_while(|row| key(row) == *end).count();
            rows.drain(..alike);
        }
        let mut page = Page::new(rows, self.limit, |last| {
            let (ended, uid) = key(last);
            Cursor::new(List::Flows, ended, uid)
        });
        if let Some(next) = &mut page.next {
            let end = (next.time, next.name.clone());
            let earlier = before.filter(|(before, _)| *before == end).map_or(0, |(_, shown)| shown);
            next.shown = earlier + page.items.iter().rev().take_while(|row| key(row) == end).count();
        }
        page
    }

    /// Refuses a cursor of another list.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        Cursor::of(self.after.as_ref(), List::Flows).map(drop)
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
    State,
    Service,
    After,
    Text,
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
            Self::State => &["conn_state"],
            Self::Service => &["service"],
            Self::After => &["ts", "duration", "uid"],
            Self::Text => &SEARCHED,
            Self::Time => &["ts", "duration"],
        }
    }
}
