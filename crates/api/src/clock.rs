//! The wall clock, by which sessions expire and people act.

use std::time::SystemTime;

use lapwing_capture::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since_epoch)
}
