//! What the store could not be told of: a full disk must not keep out whoever comes to see what is wrong.
//!
//! All of it is bounded, and lost when the program ends before the store can be written again.

use std::collections::VecDeque;

use lapwing_capture::Timestamp;
use lapwing_store::{RotationRules, Session, SessionKeys};

/// Sessions that are held, of everybody and of one account; a further one ends the one that was not refreshed for longest.
pub(super) const MOST_HELD: usize = 128;
const MOST_OF_ONE: usize = 8;

/// How often the tokens of one are exchanged here; then one has to log in again.
const MOST_EXCHANGES: usize = 256;

/// Sessions of the store that have ended, which it could not be told.
const MOST_ENDED: usize = 256;

/// Entries for the audit trail that wait.
const MOST_LINES: usize = 1_024;

/// A session that is here and not, or otherwise, in the store.
#[derive(Clone, Debug)]
pub(super) struct HeldSession {
    pub(super) session: Session,
    pub(super) token_hash: String,
    pub(super) refresh_hash: String,
    /// Of refresh tokens that were exchanged here, and when.
    pub(super) spent: Vec<(String, Timestamp)>,
    /// Of the account as it was when this was begun: another one ends it.
    pub(super) password_hash: String,
    /// The refresh token that the store has of it; `None` where it was begun here.
    pub(super) kept_as: Option<String>,
}

impl HeldSession {
    /// When it is over, unless it is refreshed.
    fn end(&self, rules: RotationRules) -> Timestamp {
        self.session.refresh_expires.min(self.session.created.plus(rules.longest))
    }
}

/// A session of the store that is over.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) action: &'static str,
    pub(super) at: Timestamp,
}

/// An entry for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldLine {
    pub(super) who: String,
    pub(super) at: Timestamp,
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) detail: String,
}

/// What came of a refresh token that was looked for here.
#[derive(Debug)]
pub(super) enum Exchange {
    /// It is none of a session that is held.
    Elsewhere,
    /// The session has new tokens.
    Done(Session),
    /// Another window was faster.
    JustDone,
    /// The session was over.
    Over,
    /// The token was exchanged before, and the session is over now.
    Reused,
}

/// Everything that is held.
#[derive(Default)]
pub(super) struct Held {
    /// Since when the store could not be written.
    pub(super) since: Option<Timestamp>,
    pub(super) sessions: Vec<HeldSession>,
    pub(super) ended: VecDeque<Ended>,
    pub(super) lines: VecDeque<HeldLine>,
    /// Logins that were held, entries that did not fit, and uses of tokens that were not noted, since then.
    pub(super) logins: u64,
    pub(super) lost_lines: u64,
    pub(super) uses: u64,
}

impl Held {
    /// Notes that the store could not be written; returns whether that is new.
    pub(super) fn fails(&mut self, now: Timestamp) -> bool {
        let is_new = self.since.is_none();
        self.since.get_or_insert(now);
        is_new
    }

    /// Holds a session; where there are too many, another goes for it.
    pub(super) fn hold(&mut self, held: HeldSession) {
        let now = held.session.refreshed;
        let of_one = self.sessions.iter().filter(|one| one.session.username == held.session.username).count();
        let theirs = of_one >= MOST_OF_ONE;
        if theirs || self.sessions.len() >= MOST_HELD {
            let mut may_go =
                self.sessions.iter().filter(|one| !theirs || one.session.username == held.session.username);
            let oldest = may_go.by_ref().min_by_key(|one| one.session.refreshed).map(|one| one.session.id.clone());
            oldest.iter().for_each(|id| self.let_go(id, now));
        }
        self.logins += u64::from(held.kept_as.is_none());
        self.sessions.push(held);
    }

    /// The session of the token with that hash.
    pub(super) fn of_token(&self, token_hash: &str) -> Option<HeldSession> {
        self.sessions.iter().find(|held| held.token_hash == token_hash).cloned()
    }

    /// The session of that id.
    pub(super) fn of_id(&self, id: &str) -> Option<HeldSession> {
        self.sessions.iter().find(|held| held.session.id == id).cloned()
    }

    /// The session that has, or had, the refresh token with that hash.
    pub(super) fn of_refresh(&self, refresh_hash: &str) -> Option<HeldSession> {
        let has = |held: &&HeldSession| {
            held.refresh_hash == refresh_hash || held.spent.iter().any(|(spent, _)| spent == refresh_hash)
        };
        self.sessions.iter().find(has).cloned()
    }

    /// Whether what the store says of the session of that id is no longer so.
    pub(super) fn supersedes(&self, id: &str) -> bool {
        self.ended.iter().any(|ended| ended.id == id) || self.sessions.iter().any(|held| held.session.id == id)
    }

    /// Exchanges the tokens of a session that is held, as the store does.
    pub(super) fn exchange(
        &mut self,
        refresh_hash: &str,
        keys: &SessionKeys<'_>,
        rules: RotationRules,
        now: Timestamp,
    ) -> Exchange {
        let Some(found) = self.of_refresh(refresh_hash) else { return Exchange::Elsewhere };
        let id = found.session.id.clone();
        if let Some((_, at)) = found.spent.iter().find(|(spent, _)| spent == refresh_hash) {
            if now < at.plus(rules.grace) {
                return Exchange::JustDone;
            }
            let detail = format!("a refresh token came a second time; session of {}", found.session.peer);
            self.revoke(&id, &detail, now);
            return Exchange::Reused;
        }
        if found.end(rules) <= now || found.spent.len() >= MOST_EXCHANGES {
            self.let_go(&id, now);
            return Exchange::Over;
        }
        let Some(held) = self.sessions.iter_mut().find(|held| held.session.id == id) else { return Exchange::Over };
        held.spent.push((std::mem::replace(&mut held.refresh_hash, keys.refresh_hash.to_owned()), now));
        held.token_hash = keys.token_hash.to_owned();
        let end_of_all = held.session.created.plus(rules.longest);
        held.session.refreshed = now;
        held.session.token_expires = keys.token_expires.min(end_of_all);
        held.session.refresh_expires = keys.refresh_expires.min(end_of_all);
        Exchange::Done(held.session.clone())
    }

    /// Ends a session because of a refresh token that came a second time, wherever the session is.
    pub(super) fn revoke(&mut self, id: &str, detail: &str, now: Timestamp) {
        let Some(found) = self.of_id(id) else { return };
        self.let_go(id, now);
        self.line(HeldLine {
            who: "lapwing".to_owned(),
            at: now,
            action: "session revoked",
            subject: found.session.username,
            detail: detail.to_owned(),
        });
    }

    /// Ends a session; the store is to end it too, or tokens that were exchanged here would be good again.
    fn let_go(&mut self, id: &str, now: Timestamp) {
        let Some(held) = self.remove(id) else { return };
        let Session { id, username, .. } = held.session;
        if held.kept_as.is_some() {
            self.end(Ended { id, username, action: "session ended", at: now });
        }
    }

    /// Lets go of the sessions of an account.
    pub(super) fn remove_all_of(&mut self, username: &str) {
        let theirs = self.sessions.iter().filter(|held| held.session.username == username);
        let theirs: Vec<String> = theirs.map(|held| held.session.id.clone()).collect();
        theirs.iter().for_each(|id| drop(self.remove(id)));
    }

    /// Notes that an account has another password, by which this session of it goes on.
    pub(super) fn has_password(&mut self, id: &str, password_hash: &str) {
        if let Some(held) = self.sessions.iter_mut().find(|held| held.session.id == id) {
            held.password_hash = password_hash.to_owned();
        }
    }

    /// Logins of an account that the store does not know of.
    pub(super) fn logins_of(&self, username: &str) -> u64 {
        let unknown = |held: &&HeldSession| held.kept_as.is_none() && held.session.username == username;
        self.sessions.iter().filter(unknown).count() as u64
    }

    /// Lets go of a session, and sees to it that the trail tells of the login.
    pub(super) fn remove(&mut self, id: &str) -> Option<HeldSession> {
        let place = self.sessions.iter().position(|held| held.session.id == id)?;
        let held = self.sessions.remove(place);
        if held.kept_as.is_none() {
            let Session { username, created, peer, .. } = &held.session;
            self.line(HeldLine {
                who: username.clone(),
                at: *created,
                action: "login",
                subject: username.clone(),
                detail: format!("from {peer}"),
            });
        }
        Some(held)
    }

    /// Notes that a session of the store is over; returns whether there was room for it.
    pub(super) fn end(&mut self, ended: Ended) -> bool {
        let has_room = self.ended.len() < MOST_ENDED;
        if has_room {
            self.ended.push_back(ended);
        }
        has_room
    }

    /// Holds an entry of the audit trail, or counts it.
    pub(super) fn line(&mut self, line: HeldLine) {
        if self.lines.len() < MOST_LINES {
            self.lines.push_back(line);
        } else {
            self.lost_lines += 1;
        }
    }

    /// Lets go of sessions that are over.
    pub(super) fn expire(&mut self, rules: RotationRules, now: Timestamp) {
        let over = self.sessions.iter().filter(|held| held.end(rules) <= now);
        let over: Vec<String> = over.map(|held| held.session.id.clone()).collect();
        over.iter().for_each(|id| drop(self.remove(id)));
    }

    /// Notes that the store has a session as it was; returns whether it is still in force here.
    pub(super) fn was_kept(&mut self, kept: &HeldSession) -> bool {
        let Some(place) = self.sessions.iter().position(|held| held.session.id == kept.session.id) else {
            return false;
        };
        if self.sessions[place].refresh_hash == kept.refresh_hash {
            self.sessions.remove(place);
        } else {
            // It was refreshed meanwhile.
            self.sessions[place].kept_as = Some(kept.refresh_hash.clone());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::Role;

    const RULES: RotationRules =
        RotationRules { grace: Duration::from_secs(10), longest: Duration::from_secs(7 * 86_400) };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn session(number: usize, username: &str) -> HeldSession {
        let session = Session {
            id: number.to_string(),
            username: username.to_owned(),
            role: Role::Viewer,
            created: at(number as i64),
            refreshed: at(number as i64),
            token_expires: at(100_000),
            refresh_expires: at(100_000),
            peer: "192.168.0.9".to_owned(),
            user_agent: String::new(),
        };
        HeldSession {
            session,
            token_hash: format!("{number} token"),
            refresh_hash: format!("{number} refresh"),
            spent: Vec::new(),
            password_hash: String::new(),
            kept_as: None,
        }
    }

    #[test]
    fn one_account_has_few_and_all_have_a_most() {
        let mut held = Held::default();
        (0..100).for_each(|number| held.hold(session(number, "kim")));
        assert_eq!(held.sessions.len(), MOST_OF_ONE);
        assert!(held.of_id("91").is_none() && held.of_id("92").is_some(), "the oldest go");
        (100..2_000).for_each(|number| held.hold(session(number, &format!("user {number}"))));
        assert_eq!(held.sessions.len(), MOST_HELD);
        assert_eq!(held.lines.len(), MOST_LINES);
        assert_eq!(
            held.lines.len() as u64 + held.lost_lines,
            2_000 - MOST_HELD as u64,
            "each login is told, or counted"
        );
        let ended = |id: usize| Ended { id: id.to_string(), username: "kim".into(), action: "logout", at: at(0) };
        assert_eq!((0..1_000).filter(|id| held.end(ended(*id))).count(), MOST_ENDED);
    }

    #[test]
    fn tokens_are_exchanged_as_the_store_does_it() {
        let mut held = Held::default();
        held.hold(session(1, "kim"));
        let mut exchange = |old: &str, new: &str, seconds: i64| {
            let (token, refresh) = (format!("{new} token"), format!("{new} refresh"));
            let (token_expires, refresh_expires) = (at(seconds + 900), at(seconds + 43_200));
            let keys = SessionKeys { token_hash: &token, refresh_hash: &refresh, token_expires, refresh_expires };
            held.exchange(&format!("{old} refresh"), &keys, RULES, at(seconds))
        };
        assert!(matches!(exchange("none", "2", 100), Exchange::Elsewhere));
        assert!(matches!(exchange("1", "2", 100), Exchange::Done(_)));
        assert!(matches!(exchange("1", "3", 105), Exchange::JustDone));
        assert!(matches!(exchange("2", "3", 200), Exchange::Done(session) if session.token_expires == at(1_100)));
        assert!(matches!(exchange("1", "4", 300), Exchange::Reused));
        assert!(matches!(exchange("3", "4", 300), Exchange::Elsewhere), "it is over for both");
        assert_eq!(held.lines.iter().map(|line| line.action).collect::<Vec<_>>(), ["login", "session revoked"]);
    }
}
