//! What the store said of tokens a moment ago: a dashboard asks often, and each answer would be a look into the database.

use std::collections::HashMap;
use std::time::Duration;

use lapwing_capture::Timestamp;

use super::Identity;

/// How long an answer is remembered: a change made by another process, as by `lapwing user`, takes effect after that at the
/// latest. A change made by this one drops everything that is remembered.
pub const MEMORY_LASTS: Duration = Duration::from_secs(4);

/// Answers that are remembered at once.
const MOST: usize = 1_024;

/// Identities by the hash of their token.
#[derive(Default)]
pub(super) struct Memory {
    known: HashMap<String, (Identity, Timestamp)>,
    /// Rises with every change; what was asked before one is not remembered after it.
    changes: u64,
}

impl Memory {
    /// Who that is, if it was asked lately.
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<Identity> {
        let (identity, asked) = self.known.get(key)?;
        (now >= *asked && now < asked.plus(MEMORY_LASTS)).then(|| identity.clone())
    }

    /// To be had before the store is asked.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Remembers what the store said, unless something was changed since it was asked.
    pub(super) fn put(&mut self, key: String, identity: &Identity, now: Timestamp, changes: u64) {
        if changes != self.changes {
            return;
        }
        if self.known.len() >= MOST {
            self.known.retain(|_, (_, asked)| now < asked.plus(MEMORY_LASTS));
        }
        if self.known.len() < MOST {
            self.known.insert(key, (identity.clone(), now));
        }
    }

    /// Something was changed.
    pub(super) fn clear(&mut self) {
        self.changes += 1;
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, TokenKind};
    use super::*;

    #[test]
    fn what_was_changed_meanwhile_is_not_remembered() {
        let at = Timestamp::from_seconds;
        let kim = Identity {
            username: "kim".into(),
            role: Role::Admin,
            kind: TokenKind::Session,
            id: "1".into(),
            expires: None,
        };
        let mut memory = Memory::default();
        let asked = memory.changes();
        memory.put("a".into(), &kim, at(0), asked);
        assert_eq!(memory.get("a", at(3)), Some(kim.clone()));
        assert_eq!((memory.get("a", at(4)), memory.get("b", at(0))), (None, None));
        memory.clear();
        memory.put("a".into(), &kim, at(3), asked);
        assert_eq!(memory.get("a", at(3)), None);
        let asked = memory.changes();
        for key in 0..10 * MOST {
            memory.put(key.to_string(), &kim, at(5), asked);
        }
        assert_eq!(memory.known.len(), MOST);
        memory.put("late".into(), &kim, at(9), asked);
        assert_eq!(memory.known.len(), 1);
    }
}
