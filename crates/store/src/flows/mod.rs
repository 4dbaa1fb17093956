//! Flows as they are kept: journals of the hours that are not over, Parquet segments of those that are.

mod folder;
mod journal;
mod query;
mod row;
mod segment;
mod segment_reader;
mod table;

pub(crate) use folder::FlowFolder;
pub use query::FlowQuery;
#[cfg(test)]
pub(crate) use row::tests;
pub use row::{Cell, FlowRow};
pub(crate) use table::FlowTable;

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::LocalNetworks;

use crate::{Page, StoreError};

/// A flow's uid as it is kept.
pub(crate) type UidText = [u8; 12];

/// Flows of an hour whose uids are told at most.
pub(crate) const MOST_UIDS: usize = 1 << 20;

/// Where flows are kept.
pub(crate) trait FlowLog: Send + Sync {
    /// Keeps flows, each under the hour it ended in, all or none. Returns how far that has brought what is still written.
    fn append(&self, flows: &[Flow], local: &LocalNetworks) -> Result<Vec<Mark>, StoreError>;
    /// The flows asked for, the one that ended last first.
    fn find(&self, query: &FlowQuery) -> Result<Page<FlowRow>, StoreError>;
    /// The uids of the flows that ended in an hour, [`MOST_UIDS`] of them at most.
    fn uids(&self, hour: i64) -> Result<Vec<UidText>, StoreError>;
    /// Hands the flows asked for to `each`, hour by hour from the earliest; the limit is not looked at.
    fn for_each(
        &self,
        query: &FlowQuery,
        each: &mut dyn FnMut(FlowRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
    /// Lets go of the hours that ended by `moment`; returns the bytes that were freed.
    fn expire(&self, moment: Timestamp) -> Result<u64, StoreError>;
    /// Lets go of the earliest part that is not written any more; returns the bytes that were freed, 0 if there is none.
    fn expire_one(&self) -> Result<u64, StoreError>;
    /// Bytes they take.
    fn size(&self) -> Result<u64, StoreError>;
    /// Finishes what is open: every hour becomes a segment.
    fn settle(&self) -> Result<(), StoreError>;
    /// Asks the disk to hold what was appended, as far as it does not yet.
    fn sync(&self) -> Result<(), StoreError>;
}

/// How many rows a part of an hour has that is still written.
pub(crate) struct Mark {
    pub(crate) stem: String,
    pub(crate) rows: u64,
}
