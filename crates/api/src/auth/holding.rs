//! Going on while the store cannot be written: who logs in is held here, and what happens is told the store when it can be.

use lapwing_capture::Timestamp;
use lapwing_store::{Change, NewSession, Rotation, Session, SessionKeys, StoreError};

use super::held::{Ended, Exchange, HeldLine, HeldSession};
use super::sessions::RULES;
use super::{Accounts, AuthError};

impl Accounts {
    /// Tells `tell`, in words for people, when the store cannot be written and when it can be again.
    #[must_use]
    pub fn telling(mut self, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// Whether something waits for a store that could not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.held().since.is_some()
    }

    /// Notes in the audit trail what was done; where it cannot be written, as soon as it can be.
    pub fn note(&self, change: Change<'_>, action: &'static str, subject: &str, detail: &str) {
        if let Err(error) = self.store.note(change, action, subject, detail) {
            let (who, subject, detail) = (change.who.to_owned(), subject.to_owned(), detail.to_owned());
            self.held().line(HeldLine { who, at: change.at, action, subject, detail });
            self.fails(&error, change.at);
        }
    }

    /// Notes that the store could not be written.
    pub(super) fn fails(&self, error: &StoreError, now: Timestamp) {
        let is_first = self.held().fails(now);
        if is_first {
            (self.tell)(&format!(
                "{error}; logins and entries of the audit trail are held in memory until it can be written again"
            ));
        }
    }

    /// Holds a session that was to begin.
    pub(super) fn hold_login(
        &self,
        session: &NewSession<'_>,
        error: &StoreError,
        now: Timestamp,
    ) -> Result<Session, AuthError> {
        let found = self.store.credentials(session.username)?.filter(|(account, _)| !account.disabled);
        let (account, password_hash) = found.ok_or(AuthError::InvalidCredentials)?;
        let NewSession { id, username, keys, peer, user_agent } = *session;
        let begun = Session {
            id: id.to_owned(),
            username: username.to_owned(),
            role: account.role,
            created: now,
            refreshed: now,
            token_expires: keys.token_expires,
            refresh_expires: keys.refresh_expires,
            peer: peer.to_owned(),
            user_agent: user_agent.chars().take(200).collect(),
        };
        self.held().hold(HeldSession {
            session: begun.clone(),
            token_hash: keys.token_hash.to_owned(),
            refresh_hash: keys.refresh_hash.to_owned(),
            spent: Vec::new(),
            password_hash,
            kept_as: None,
        });
        self.memory().clear();
        self.fails(error, now);
        Ok(begun)
    }

    /// The session of the token with that hash, here or in the store.
    pub(super) fn session_of_token(&self, token_hash: &str) -> Result<Option<Session>, AuthError> {
        let held = self.held().of_token(token_hash);
        match held {
            Some(held) => self.still(&held),
            None => Ok(self.unless_superseded(self.store.session(token_hash)?)),
        }
    }

    /// The session of that id, here or in the store.
    pub(super) fn session_of_id(&self, id: &str) -> Result<Option<Session>, AuthError> {
        let held = self.held().of_id(id);
        match held {
            Some(held) => self.still(&held),
            None => Ok(self.unless_superseded(self.store.session_of_id(id)?)),
        }
    }

    fn unless_superseded(&self, session: Option<Session>) -> Option<Session> {
        session.filter(|session| !self.held().supersedes(&session.id))
    }

    /// A session that is held, if its account is as it was; else it is over.
    fn still(&self, held: &HeldSession) -> Result<Option<Session>, AuthError> {
        match self.store.credentials(&held.session.username)? {
            Some((account, hash)) if !account.disabled && hash == held.password_hash => {
                Ok(Some(Session { role: account.role, ..held.session.clone() }))
            }
            _ => {
                self.held().remove(&held.session.id);
                Ok(None)
            }
        }
    }

    /// Exchanges a session's tokens, in the store where that can be.
    pub(super) fn rotate(
        &self,
        refresh_hash: &str,
        keys: &SessionKeys<'_>,
        now: Timestamp,
    ) -> Result<Rotation, AuthError> {
        if let Some(rotation) = self.rotate_held(refresh_hash, keys, now)? {
            return Ok(rotation);
        }
        // Anybody may show a token: what is not known costs a look, and nothing is forgotten for it.
        let found = self.store.session_of_refresh(refresh_hash)?.map(|(session, _)| session);
        if self.unless_superseded(found).is_none() {
            return Ok(Rotation::Unknown);
        }
        match self.store.rotate_session(refresh_hash, keys, RULES, now) {
            Ok(Rotation::JustDone) => Ok(Rotation::JustDone),
            Ok(done) => {
                self.memory().clear();
                Ok(done)
            }
            Err(error) if error.is_failure() => self.rotate_unwritten(refresh_hash, keys, &error, now),
            Err(error) => Err(error.into()),
        }
    }

    /// `None` where the session is not held.
    fn rotate_held(
        &self,
        refresh_hash: &str,
        keys: &SessionKeys<'_>,
        now: Timestamp,
    ) -> Result<Option<Rotation>, AuthError> {
        let found = self.held().of_refresh(refresh_hash);
        let Some(found) = found else { return Ok(None) };
        let Some(session) = self.still(&found)? else { return Ok(Some(Rotation::Unknown)) };
        let exchange = self.held().exchange(refresh_hash, keys, RULES, now);
        self.memory().clear();
        Ok(Some(match exchange {
            Exchange::Done(done) => Rotation::Done(Session { role: session.role, ..done }),
            Exchange::JustDone => Rotation::JustDone,
            Exchange::Reused => Rotation::Reused { id: session.id, username: session.username },
            Exchange::Elsewhere | Exchange::Over => Rotation::Unknown,
        }))
    }

    /// Takes up here a session that the store has and cannot be told of.
    fn rotate_unwritten(
        &self,
        refresh_hash: &str,
        keys: &SessionKeys<'_>,
        error: &StoreError,
        now: Timestamp,
    ) -> Result<Rotation, AuthError> {
        let Some((session, spent)) = self.store.session_of_refresh(refresh_hash)? else { return Ok(Rotation::Unknown) };
        let Some((_, password_hash)) = self.store.credentials(&session.username)? else { return Ok(Rotation::Unknown) };
        self.fails(error, now);
        let (id, username, peer) = (session.id.clone(), session.username.clone(), session.peer.clone());
        self.held().hold(HeldSession {
            session,
            token_hash: String::new(),
            refresh_hash: refresh_hash.to_owned(),
            spent: Vec::new(),
            password_hash,
            kept_as: Some(refresh_hash.to_owned()),
        });
        if spent.is_none() {
            let rotated = self.rotate_held(refresh_hash, keys, now)?;
            return Ok(rotated.unwrap_or(Rotation::Unknown));
        }
        // The store would have ended it.
        let detail = format!("a refresh token came a second time; session of {peer}");
        self.held().revoke(&id, &detail, now);
        self.memory().clear();
        Ok(Rotation::Reused { id, username })
    }

    /// Ends a session, here and in the store.
    pub(super) fn end_session(&self, id: &str, username: &str, now: Timestamp) -> Result<(), AuthError> {
        let held = self.held().remove(id);
        let change = Change { who: username, at: now };
        if let Some(HeldSession { kept_as: None, session, .. }) = held {
            self.memory().clear();
            self.note(change, "logout", username, &format!("session of {}", session.peer));
            return Ok(());
        }
        match self.changed(|store| store.end_session(id, "logout", change)) {
            Err(AuthError::Store(error)) if error.is_failure() => {
                let ended = Ended { id: id.to_owned(), username: username.to_owned(), action: "logout", at: now };
                let has_room = self.held().end(ended);
                // It may have been asked in between.
                self.memory().clear();
                self.fails(&error, now);
                if has_room { Ok(()) } else { Err(error.into()) }
            }
            done => done.map(drop),
        }
    }

    /// Tells the store what it could not be told, if it can be written again.
    pub(super) fn make_up(&self, now: Timestamp) {
        if !self.is_failing() {
            return;
        }
        self.held().expire(RULES, now);
        // It is tried again.
        let _ = self.try_to_make_up(now);
    }

    fn try_to_make_up(&self, now: Timestamp) -> Result<(), AuthError> {
        self.store.check_writable(Change { who: "lapwing", at: now })?;
        loop {
            let Some(ended) = self.held().ended.front().cloned() else { break };
            let change = Change { who: &ended.username, at: ended.at };
            self.changed(|store| store.end_session(&ended.id, ended.action, change))?;
            self.held().ended.pop_front();
        }
        let held = self.held().sessions.clone();
        for held in held {
            if self.still(&held)?.is_some() {
                self.keep(&held)?;
            }
        }
        loop {
            let Some(line) = self.held().lines.front().cloned() else { break };
            self.store.note(Change { who: &line.who, at: line.at }, line.action, &line.subject, &line.detail)?;
            self.held().lines.pop_front();
        }
        let mut held = self.held();
        let (Some(since), true) = (held.since, held.sessions.is_empty()) else { return Ok(()) };
        let (logins, lost, uses) = (held.logins, held.lost_lines, held.uses);
        let detail = format!(
            "since {}: {logins} logins were held in memory meanwhile, {lost} entries of the audit trail are lost, {uses} uses of tokens not noted",
            lapwing_alert::rfc3339(since)
        );
        (held.since, held.logins, held.lost_lines, held.uses) = (None, 0, 0, 0);
        drop(held);
        self.note(Change { who: "lapwing", at: now }, "store written again", "", &detail);
        (self.tell)(&format!("the store is written again; {detail}"));
        Ok(())
    }

    /// Has the store keep a session as it is here.
    fn keep(&self, held: &HeldSession) -> Result<(), AuthError> {
        let Session { id, username, created, refreshed, peer, user_agent, .. } = &held.session;
        let keys = SessionKeys {
            token_hash: &held.token_hash,
            refresh_hash: &held.refresh_hash,
            token_expires: held.session.token_expires,
            refresh_expires: held.session.refresh_expires,
        };
        let kept = self.changed(|store| match &held.kept_as {
            Some(kept_as) => store.rotate_session(kept_as, &keys, RULES, *refreshed).map(drop),
            None => store.start_session(&NewSession { id, username, keys, peer, user_agent }, *created).map(drop),
        });
        match kept {
            Err(AuthError::Store(error)) if error.is_failure() => return Err(error.into()),
            // What the store refuses is over.
            Err(_) => drop(self.held().remove(id)),
            Ok(()) => {
                let is_in_force = self.held().was_kept(held);
                if !is_in_force {
                    let change = Change { who: username, at: *refreshed };
                    self.changed(|store| store.end_session(id, "logout", change))?;
                }
            }
        }
        Ok(())
    }
}
