//! What an operator should be told about deliveries: once, not with every record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something worth a line in the log. Nothing here repeats with each record: a sink that fails says so once, and once when
/// it works again; a reason for rejecting is told the first time.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A sink began to fail; it is tried again until it works.
    Failing {
        /// The sink's name.
        sink: String,
        /// What went wrong.
        reason: String,
    },
    /// A sink works again.
    Recovered {
        /// The sink's name.
        sink: String,
        /// How long it did not.
        after: Duration,
    },
    /// A receiver refused a record for good; others refused for the same reason are only counted.
    Rejected {
        /// The sink's name.
        sink: String,
        /// Id of the alert.
        id: String,
        /// What the receiver said.
        reason: String,
    },
    /// Records were gone before a sink got to them: the spool was full, or damaged.
    Lost {
        /// The sink's name.
        sink: String,
        /// How many.
        records: u64,
    },
    /// The spool's disk refuses; deliveries go on from memory.
    SpoolFault {
        /// Why.
        reason: String,
    },
    /// The spool's disk takes records again.
    SpoolMended,
}

/// Where notices go: the program prints or logs them.
pub type Report = Arc<dyn Fn(&Notice) + Send + Sync>;

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing { sink, reason } => {
                write!(formatter, "sink `{sink}` fails: {reason}; what is due is kept and tried again")
            }
            Self::Recovered { sink, after } => {
                write!(formatter, "sink `{sink}` works again after {} s", after.as_secs())
            }
            Self::Rejected { sink, id, reason } => write!(
                formatter,
                "sink `{sink}` refused alert {id}: {reason}; it is not tried again, and others like it are only counted"
            ),
            Self::Lost { sink, records } => write!(
                formatter,
                "sink `{sink}` lost {records} records: the spool was full before it got to them; see `delivery.spool_megabytes`"
            ),
            Self::SpoolFault { reason } => {
                write!(formatter, "the spool cannot be written: {reason}; deliveries go on from memory")
            }
            Self::SpoolMended => formatter.write_str("the spool can be written again"),
        }
    }
}
