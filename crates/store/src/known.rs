//! Which flows were kept before: a capture that is read again adds nothing.
//!
//! A flow's uid is the same whenever its packets are read, and so is the hour that it ended in.

use std::collections::VecDeque;

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;
use lapwing_protocol::Uid;

use crate::flows::UidText;
use crate::{Store, StoreError};

/// Hours that are remembered: flows come about in the order in which they end.
const MOST_HOURS: usize = 4;

/// The flows that there were in some hours before this run came to them: 12 bytes each, of an hour at most as many as the store
/// tells ([`crate::flows::MOST_UIDS`]).
#[derive(Default)]
pub(crate) struct Known {
    hours: VecDeque<(i64, Vec<UidText>)>,
}

impl Known {
    /// Removes those flows that the store has; returns how many there were.
    pub(crate) fn sift(&mut self, store: &Store, flows: &mut Vec<Flow>) -> Result<u64, StoreError> {
        let before = flows.len();
        let mut problem = None;
        flows.retain(|flow| {
            problem.is_some()
                || match self.has(store, flow) {
                    Ok(is_known) => !is_known,
                    Err(error) => {
                        problem = Some(error);
                        true
                    }
                }
        });
        problem.map_or(Ok((before - flows.len()) as u64), Err)
    }

    fn has(&mut self, store: &Store, flow: &Flow) -> Result<bool, StoreError> {
        let hour = hour_of(flow.last);
        let place = match self.hours.iter().position(|(known, _)| *known == hour) {
            Some(place) => place,
            None => {
                let mut uids = store.kept_uids(hour)?;
                uids.sort_unstable();
                if self.hours.len() >= MOST_HOURS {
                    self.hours.pop_front();
                }
                self.hours.push_back((hour, uids));
                self.hours.len() - 1
            }
        };
        let (_, uids) = &self.hours[place];
        Ok(!uids.is_empty() && uids.binary_search(&Uid(flow.uid).text()).is_ok())
    }
}

/// The hour, counted since the epoch, that a moment is in.
pub(crate) fn hour_of(moment: Timestamp) -> i64 {
    moment.seconds().div_euclid(3_600)
}
