//! Logging in, and being recognised.

use std::net::IpAddr;
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_store::{Account, Change, NewSession, Rotation, RotationRules, Session, SessionKeys, StoreError};

use super::passwords::{check_password, may_be_password};
use super::tokens::{REFRESH, SESSION, TOKEN, looks_like, new_id, new_token, token_hash};
use super::{Accounts, AuthError, Client, Identity, LoggedIn, TokenKind};

/// How long a session's token shows who one is.
const TOKEN_LASTS: Duration = Duration::from_secs(15 * 60);

/// How long a refresh token can be exchanged: a session that nobody uses ends after that.
const REFRESH_LASTS: Duration = Duration::from_secs(12 * 3_600);

pub(super) const RULES: RotationRules =
    RotationRules { grace: Duration::from_secs(10), longest: Duration::from_secs(7 * 86_400) };

/// How exactly it is kept when a token was used last.
const NOTED_EVERY: Duration = Duration::from_secs(60);

impl Accounts {
    /// Makes the first account with the code that the program printed, and logs in.
    ///
    /// # Errors
    /// [`AuthError::InvalidCode`], also when there is an account already; [`AuthError::Password`]; [`StoreError::Refused`]
    /// for the name; [`AuthError::TooManyTries`].
    pub fn set_up(
        &self,
        code: &str,
        username: &str,
        password: &str,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<LoggedIn, AuthError> {
        self.limiter().try_from(client.address, now).map_err(|wait| AuthError::TooManyTries { wait })?;
        if !self.setup().as_mut().is_some_and(|setup| setup.is(code, now)) {
            return Err(AuthError::InvalidCode);
        }
        check_password(username, password)?;
        let hash = self.passwords.hash(password)?;
        let made = self.store.add_first_account(username, &hash, Change { who: username, at: now });
        made.map_err(|error| match error {
            StoreError::Conflict(_) => AuthError::InvalidCode,
            other => other.into(),
        })?;
        *self.setup() = None;
        self.start_session(username, client, now)
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`AuthError::InvalidCredentials`], [`AuthError::TooManyTries`], [`AuthError::Busy`].
    pub fn log_in(
        &self,
        username: &str,
        password: &str,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<LoggedIn, AuthError> {
        let account = self.look_at(username, password, client, now)?;
        let account = account.filter(|account| !account.disabled).ok_or(AuthError::InvalidCredentials)?;
        self.start_session(&account.username, client, now).map_err(|error| match error {
            // Disabled or removed in the meantime.
            AuthError::Store(StoreError::Refused(_) | StoreError::NotFound { .. }) => AuthError::InvalidCredentials,
            other => other,
        })
    }

    /// The account if the password is right; counts and notes it if it is not. A disabled account's is a failure too.
    pub(super) fn look_at(
        &self,
        username: &str,
        password: &str,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<Option<Account>, AuthError> {
        let begun = self.limiter().begin(username, client.address, now);
        if let Err(wait) = begun {
            let line = self.failures().refused(username, client.address, now);
            self.tell_failed(line.as_slice(), now);
            return Err(AuthError::TooManyTries { wait });
        }
        let kept = self.store.credentials(username)?;
        let hash = kept.as_ref().map(|(_, hash)| hash.as_str());
        let right = may_be_password(password) && {
            let looked_at = self.passwords.verify(password, hash);
            if looked_at.is_err() {
                self.limiter().take_back(username, client.address);
            }
            looked_at?
        };
        let account = kept.map(|(account, _)| account);
        if right && let Some(account) = account.as_ref().filter(|account| !account.disabled) {
            self.limiter().succeeded(username, client.address);
            let line = self.failures().end(username);
            self.tell_failed(line.as_slice(), now);
            return Ok(Some(account.clone()));
        }
        let name = account.map(|account| account.username);
        let line = self.failures().failed(name.as_deref(), client.address, now);
        self.tell_failed(line.as_slice(), now);
        Ok(None)
    }

    fn start_session(&self, username: &str, client: Client<'_>, now: Timestamp) -> Result<LoggedIn, AuthError> {
        let (id, secrets) = (new_id()?, Secrets::new(now)?);
        let peer = client.address.to_canonical().to_string();
        let session =
            NewSession { id: &id, username, keys: secrets.keys(), peer: &peer, user_agent: client.user_agent };
        // It may have ended another.
        let session = match self.changed(|store| store.start_session(&session, now)) {
            // That a disk is full must not keep out who comes to see what is wrong.
            Err(AuthError::Store(error)) if error.is_failure() => self.hold_login(&session, &error, now),
            begun => begun,
        }?;
        self.limiter().know(username, client.address);
        Ok(secrets.logged_in(session))
    }

    /// Exchanges a session's tokens. One that was exchanged before ends the session: two have it.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`], [`AuthError::JustRefreshed`], [`AuthError::TooManyTries`].
    pub fn refresh(&self, refresh_token: &str, address: IpAddr, now: Timestamp) -> Result<LoggedIn, AuthError> {
        if !looks_like(refresh_token, REFRESH) {
            return Err(AuthError::InvalidToken);
        }
        self.limiter().try_from(address, now).map_err(|wait| AuthError::TooManyTries { wait })?;
        let secrets = Secrets::new(now)?;
        let hash = token_hash(refresh_token);
        match self.rotate(&hash, &secrets.keys(), now)? {
            Rotation::Done(session) => Ok(secrets.logged_in(session)),
            Rotation::JustDone => Err(AuthError::JustRefreshed),
            Rotation::Reused { .. } | Rotation::Unknown => Err(AuthError::InvalidToken),
        }
    }

    /// Ends the session that one is in; an API token has none, and stays.
    ///
    /// # Errors
    /// When the store cannot be written, and more sessions have ended meanwhile than can be held.
    pub fn log_out(&self, identity: &Identity, now: Timestamp) -> Result<(), AuthError> {
        if identity.kind == TokenKind::Token {
            return Ok(());
        }
        self.end_session(&identity.id, &identity.username, now)
    }

    /// Who shows this token, a session's or an API token.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`].
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Identity, AuthError> {
        if !looks_like(token, SESSION) && !looks_like(token, TOKEN) {
            return Err(AuthError::InvalidToken);
        }
        let hash = token_hash(token);
        let is_session = token.starts_with(SESSION);
        self.recognise(&hash, now, || {
            let found =
                if is_session { Found::session(self.session_of_token(&hash)?) } else { self.token_used(&hash, now)? };
            Ok(found)
        })
    }

    /// Who shows this token, as far as that was found out a moment ago: does not wait for the store.
    #[must_use]
    pub fn remembered(&self, token: &str, now: Timestamp) -> Option<Identity> {
        let identity = self.memory().get(&token_hash(token), now)?;
        identity.expires.is_none_or(|expires| now < expires).then_some(identity)
    }

    /// Who that is by now, as for a connection that lasts: of a session that was refreshed in the meantime, until when it can
    /// be again.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] when the session or token has ended.
    pub fn again(&self, identity: &Identity, now: Timestamp) -> Result<Identity, AuthError> {
        // No hash begins so.
        let key = format!("id {:?} {}", identity.kind, identity.id);
        self.recognise(&key, now, || match identity.kind {
            TokenKind::Session => Ok(Found::session(self.session_of_id(&identity.id)?)),
            TokenKind::Token => Ok(Found::token(self.store.token_of_id(&identity.id)?)),
        })
    }

    fn token_used(&self, hash: &str, now: Timestamp) -> Result<Option<Found>, AuthError> {
        let token = self.store.token(hash)?;
        if let Some(token) = &token
            && token.expires.is_none_or(|expires| now < expires)
            && token.last_used.is_none_or(|last| now >= last.plus(NOTED_EVERY))
            && let Err(error) = self.store.note_token_used(&token.id, now)
        {
            self.held().uses += 1;
            self.fails(&error, now);
        }
        Ok(Found::token(token))
    }

    fn recognise(
        &self,
        key: &str,
        now: Timestamp,
        ask: impl FnOnce() -> Result<Option<Found>, AuthError>,
    ) -> Result<Identity, AuthError> {
        let (known, changes) = {
            let memory = self.memory();
            (memory.get(key, now), memory.changes())
        };
        let identity = match known {
            Some(identity) => identity,
            None => {
                let Found(identity) = ask()?.ok_or(AuthError::InvalidToken)?;
                self.memory().put(key.to_owned(), &identity, now, changes);
                identity
            }
        };
        if identity.expires.is_some_and(|expires| expires <= now) {
            return Err(AuthError::InvalidToken);
        }
        Ok(identity)
    }
}

/// What the store has of a token.
struct Found(Identity);

impl Found {
    fn session(session: Option<Session>) -> Option<Self> {
        let Session { id, username, role, token_expires, .. } = session?;
        Some(Self(Identity { username, role, kind: TokenKind::Session, id, expires: Some(token_expires) }))
    }

    fn token(token: Option<lapwing_store::ApiToken>) -> Option<Self> {
        let lapwing_store::ApiToken { id, owner, role, expires, .. } = token?;
        Some(Self(Identity { username: owner, role, kind: TokenKind::Token, id, expires }))
    }
}

/// A session's two tokens.
struct Secrets {
    token: String,
    refresh_token: String,
    hashes: [String; 2],
    now: Timestamp,
}

impl Secrets {
    fn new(now: Timestamp) -> Result<Self, AuthError> {
        let (token, refresh_token) = (new_token(SESSION)?, new_token(REFRESH)?);
        let hashes = [&token, &refresh_token].map(|token| token_hash(token));
        Ok(Self { token, refresh_token, hashes, now })
    }

    fn keys(&self) -> SessionKeys<'_> {
        SessionKeys {
            token_hash: &self.hashes[0],
            refresh_hash: &self.hashes[1],
            token_expires: self.now.plus(TOKEN_LASTS),
            refresh_expires: self.now.plus(REFRESH_LASTS),
        }
    }

    fn logged_in(self, session: Session) -> LoggedIn {
        LoggedIn { session, token: self.token, refresh_token: self.refresh_token }
    }
}
