//! Accounts and API tokens managed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapwing_capture::Timestamp;
use lapwing_store::{Account, AccountChange, ApiToken, Change, NewAccount, NewToken, Store, StoreError};

use super::failures::{FailedLogins, Line};
use super::held::Held;
use super::limiter::Limiter;
use super::memory::Memory;
use super::passwords::{Passwords, check_password};
use super::setup::SetupCode;
use super::tokens::{TOKEN, new_id, new_token, token_hash};
use super::{AuthError, Client, Identity, Role, TokenKind};

/// The longest that an API token may be valid, in days; `None` is for ever.
const LONGEST_TOKEN: u32 = 3_650;

/// Everything about who may do what, over a store. Methods may be called from any thread. Those that take a password take some
/// 20 ms of a core, the others the time of a look into the database.
pub struct Accounts {
    pub(super) store: Arc<Store>,
    pub(super) passwords: Passwords,
    limiter: Mutex<Limiter>,
    failures: Mutex<FailedLogins>,
    memory: Mutex<Memory>,
    setup: Mutex<Option<SetupCode>>,
    held: Mutex<Held>,
    pub(super) tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Accounts {
    /// Begins with what the store has; where it has no account, with a code for making the first.
    ///
    /// # Errors
    /// When the store cannot be read, or there is no randomness.
    pub fn new(store: Arc<Store>, now: Timestamp) -> Result<Self, AuthError> {
        let setup = if store.has_accounts()? { None } else { Some(SetupCode::new(now)?) };
        let mut limiter = Limiter::new();
        // The latest last.
        for session in store.sessions(None, now)?.iter().rev() {
            if let Ok(address) = session.peer.parse() {
                limiter.know(&session.username, address);
            }
        }
        let passwords = Passwords::default();
        passwords.prepare();
        Ok(Self {
            store,
            passwords,
            limiter: Mutex::new(limiter),
            failures: Mutex::default(),
            memory: Mutex::default(),
            setup: Mutex::new(setup),
            held: Mutex::default(),
            tell: Box::new(|_| ()),
        })
    }

    /// Whether the first account is still to be made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn needs_setup(&self) -> Result<bool, AuthError> {
        Ok(!self.store.has_accounts()?)
    }

    /// The code of the set-up link, as long as it is right: for whoever sees what the program prints.
    #[must_use]
    pub fn setup_code(&self, now: Timestamp) -> Option<String> {
        self.setup().as_ref().and_then(|setup| setup.code(now)).map(ToOwned::to_owned)
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn accounts(&self, now: Timestamp) -> Result<Vec<Account>, AuthError> {
        let mut accounts = self.store.accounts(now)?;
        let held = self.held();
        accounts.iter_mut().for_each(|account| account.sessions += held.logins_of(&account.username));
        Ok(accounts)
    }

    /// Until when an account cannot be tried from addresses it was never used from, if too many tried.
    #[must_use]
    pub fn locked_until(&self, username: &str, now: Timestamp) -> Option<Timestamp> {
        self.limiter().locked_until(username, now)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`AuthError::Password`], [`StoreError::Refused`] for the name, [`StoreError::Conflict`] where it is taken.
    pub fn add(&self, username: &str, password: &str, role: Role, change: Change<'_>) -> Result<(), AuthError> {
        check_password(username, password)?;
        let password_hash = self.passwords.hash(password)?;
        Ok(self.store.add_account(&NewAccount { username, role, password_hash: &password_hash }, change)?)
    }

    /// Changes an account, all or nothing: what is `None` stays. It takes effect at once: a disabled account and a new
    /// password end all sessions.
    ///
    /// # Errors
    /// [`AuthError::Password`], [`StoreError::NotFound`], [`StoreError::Conflict`] where no admin would be left.
    pub fn change(
        &self,
        username: &str,
        role: Option<Role>,
        password: Option<&str>,
        disabled: Option<bool>,
        change: Change<'_>,
    ) -> Result<(), AuthError> {
        let password_hash = password.map(|password| {
            check_password(username, password)?;
            self.passwords.hash(password)
        });
        let password_hash = password_hash.transpose()?;
        let what = AccountChange { role, disabled, password_hash: password_hash.as_deref(), keep_session: None };
        self.changed(|store| store.change_account(username, &what, change))?;
        if disabled == Some(true) {
            self.held().remove_all_of(username);
        }
        Ok(())
    }

    /// Removes an account with its sessions and tokens.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] where no admin would be left.
    pub fn remove(&self, username: &str, change: Change<'_>) -> Result<(), AuthError> {
        self.limiter().forget(username);
        self.changed(|store| store.remove_account(username, change))
    }

    /// Changes one's own password; one's other sessions end. Wrong ones are counted as when logging in.
    ///
    /// # Errors
    /// [`AuthError::NeedsLogin`], [`AuthError::WrongPassword`], [`AuthError::Password`], [`AuthError::TooManyTries`].
    pub fn change_password(
        &self,
        by: &Identity,
        current: &str,
        new: &str,
        client: Client<'_>,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        if by.kind != TokenKind::Session {
            return Err(AuthError::NeedsLogin);
        }
        check_password(&by.username, new)?;
        self.look_at(&by.username, current, client, now)?.ok_or(AuthError::WrongPassword)?;
        let hash = self.passwords.hash(new)?;
        let what = AccountChange { password_hash: Some(&hash), keep_session: Some(&by.id), ..AccountChange::default() };
        let change = Change { who: &by.username, at: now };
        self.changed(|store| store.change_account(&by.username, &what, change))?;
        self.held().has_password(&by.id, &hash);
        Ok(())
    }

    /// The API tokens that one may see: one's own, for an admin all.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn tokens(&self, by: &Identity) -> Result<Vec<ApiToken>, AuthError> {
        let owner = if by.role == Role::Admin { None } else { Some(by.username.as_str()) };
        Ok(self.store.tokens(owner)?)
    }

    /// The API tokens of an account or of all, as the command line lists them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn tokens_of(&self, owner: Option<&str>) -> Result<Vec<ApiToken>, AuthError> {
        Ok(self.store.tokens(owner)?)
    }

    /// Makes an API token, and returns it: it is not shown again. It may never do more than its owner.
    ///
    /// # Errors
    /// [`AuthError::NeedsLogin`] (what expires must not make what does not), [`AuthError::Forbidden`] for a role above one's
    /// own, [`StoreError::Refused`] for the name or the days.
    pub fn add_token(
        &self,
        by: &Identity,
        name: &str,
        role: Role,
        days: Option<u32>,
        now: Timestamp,
    ) -> Result<(ApiToken, String), AuthError> {
        if by.kind != TokenKind::Session {
            return Err(AuthError::NeedsLogin);
        }
        if role > by.role {
            return Err(AuthError::Forbidden(role));
        }
        self.add_token_of(&by.username, name, role, days, Change { who: &by.username, at: now })
    }

    /// Makes an API token of an account, as the command line does for others.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the owner, [`StoreError::Refused`] for the name, the days, or a role above the owner's.
    pub fn add_token_of(
        &self,
        owner: &str,
        name: &str,
        role: Role,
        days: Option<u32>,
        change: Change<'_>,
    ) -> Result<(ApiToken, String), AuthError> {
        if days.is_some_and(|days| !(1..=LONGEST_TOKEN).contains(&days)) {
            let reason = format!("a token expires after 1 to {LONGEST_TOKEN} days, or never");
            return Err(StoreError::Refused(reason).into());
        }
        let (id, secret) = (new_id()?, new_token(TOKEN)?);
        let token_hash = token_hash(&secret);
        let expires = days.map(|days| change.at.plus(Duration::from_secs(u64::from(days) * 86_400)));
        let token = NewToken { id: &id, name, owner, role, token_hash: &token_hash, expires };
        Ok((self.store.add_token(&token, change)?, secret))
    }

    /// Revokes an API token: one's own, for an admin any.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn revoke_token(&self, by: &Identity, id: &str, now: Timestamp) -> Result<(), AuthError> {
        let owner = if by.role == Role::Admin { None } else { Some(by.username.as_str()) };
        self.changed(|store| store.revoke_token(id, owner, Change { who: &by.username, at: now }))
    }

    /// Revokes an API token, whoever's, as the command line does.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn revoke_token_of(&self, id: &str, change: Change<'_>) -> Result<(), AuthError> {
        self.changed(|store| store.revoke_token(id, None, change))
    }

    /// To be called once a minute or so: tells the audit trail of failed logins and the store of what it could not be told, and
    /// lets go of what has expired. Returns the ids of uploads that have, whose files the caller removes.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn tidy(&self, now: Timestamp) -> Result<Vec<String>, AuthError> {
        let lines = self.failures().due(now);
        self.tell_failed(&lines, now);
        self.make_up(now);
        Ok(self.store.expire(now)?.uploads)
    }

    /// Tells the store of all that it was not told of, as far as that can be: the program ends.
    pub fn finish(&self, now: Timestamp) {
        let lines = self.failures().end_all();
        self.tell_failed(&lines, now);
        self.make_up(now);
    }

    pub(super) fn tell_failed(&self, lines: &[Line], now: Timestamp) {
        for Line { subject, detail } in lines {
            self.note(Change { who: "lapwing", at: now }, "login failed", subject, detail);
        }
    }

    /// Changes something that is remembered.
    pub(super) fn changed<T>(&self, change: impl FnOnce(&Store) -> Result<T, StoreError>) -> Result<T, AuthError> {
        let done = change(&self.store);
        self.memory().clear();
        Ok(done?)
    }

    pub(super) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, FailedLogins> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn setup(&self) -> MutexGuard<'_, Option<SetupCode>> {
        self.setup.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
