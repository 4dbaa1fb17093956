//! What happened in a simulation, whatever was found of it.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use lapwing_capture::Timestamp;

use super::AttackKind;

/// Attacks that are remembered; a simulation that goes on for days forgets the first.
const REMEMBERED: usize = 1_000;

/// One attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// Which.
    pub kind: AttackKind,
    /// Who attacks.
    pub attacker: Ipv4Addr,
    /// Whom.
    pub target: Ipv4Addr,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; `None` while it goes on.
    pub until: Option<Timestamp>,
}

/// The attacks of a simulation, oldest first.
#[derive(Debug, Default)]
pub struct Truth {
    attacks: Mutex<VecDeque<Attack>>,
}

impl Truth {
    /// Those that have begun so far, the last thousand of them.
    #[must_use]
    pub fn attacks(&self) -> Vec<Attack> {
        self.attacks.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn begin(&self, attack: Attack) {
        let mut attacks = self.attacks.lock().unwrap_or_else(PoisonError::into_inner);
        if attacks.len() == REMEMBERED {
            attacks.pop_front();
        }
        attacks.push_back(attack);
    }

    /// The attack of that kind that goes on is over.
    pub(super) fn end(&self, kind: AttackKind, until: Timestamp) {
        let mut attacks = self.attacks.lock().unwrap_or_else(PoisonError::into_inner);
        let going_on = attacks.iter_mut().rev().find(|attack| attack.kind == kind && attack.until.is_none());
        if let Some(attack) = going_on {
            attack.until = Some(until);
        }
    }
}
