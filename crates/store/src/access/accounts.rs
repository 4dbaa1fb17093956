//! Accounts. Whatever is changed, one that may manage them is left.

use lapwing_capture::Timestamp;
use serde::Serialize;

use super::{Role, count, role};
use crate::sql::{Row, Sql, rows};
use crate::time::{optional, text};
use crate::{Change, Store, StoreError, audit};

/// Accounts that there may be.
pub const MOST_ACCOUNTS: u64 = 1_000;

/// The longest name of an account, in characters.
const LONGEST_NAME: usize = 64;

/// Somebody who may use the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Who.
    pub username: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may not log in for now.
    pub disabled: bool,
    /// When it was made.
    #[serde(serialize_with = "text::serialize")]
    pub created: Timestamp,
    /// When somebody logged in to it last.
    #[serde(serialize_with = "optional::serialize")]
    pub last_login: Option<Timestamp>,
    /// Sessions that can still be used or refreshed.
    pub sessions: u64,
}

/// An account that is to be made.
#[derive(Clone, Copy)]
pub struct NewAccount<'a> {
    /// 1 to 64 letters, digits and `._@-` of ASCII; no other account's name in other capitals.
    pub username: &'a str,
    /// What they may do.
    pub role: Role,
    /// The password, hashed.
    pub password_hash: &'a str,
}

/// What is to be changed of an account.
#[derive(Clone, Copy, Default)]
pub struct AccountChange<'a> {
    /// What they may do from now on.
    pub role: Option<Role>,
    /// Whether they may no longer log in; their sessions end.
    pub disabled: Option<bool>,
    /// Their new password, hashed; their sessions end.
    pub password_hash: Option<&'a str>,
    /// The session that does not end with a new password: the one it was changed in.
    pub keep_session: Option<&'a str>,
}

const COLUMNS: &str = "a.username, a.role, a.disabled, a.created, a.last_login";

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a name that is none, [`StoreError::Conflict`] where it is taken, there are too many, or
    /// there is none yet and this would not be an admin; or when the database cannot be written.
    pub fn add_account(&self, account: &NewAccount<'_>, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| add(sql, account, change))
    }

    /// Makes the first account; it manages the others.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is one already; else as [`Store::add_account`].
    pub fn add_first_account(&self, username: &str, password_hash: &str, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| {
            if count(sql, "SELECT COUNT(*) FROM accounts", &[])? > 0 {
                return Err(StoreError::Conflict("there is an account already".to_owned()));
            }
            add(sql, &NewAccount { username, role: Role::Admin, password_hash }, change)
        })
    }

    /// Whether there is any account.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_accounts(&self) -> Result<bool, StoreError> {
        self.read(|sql| Ok(!rows(sql, "SELECT username FROM accounts LIMIT 1", &[])?.is_empty()))
    }

    /// All accounts by name, with the sessions that they have at `now`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn accounts(&self, now: Timestamp) -> Result<Vec<Account>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS}, COUNT(s.id) FROM accounts a LEFT JOIN sessions s ON s.username = a.username \
             AND s.refresh_expires > ?1 GROUP BY {COLUMNS} ORDER BY a.username"
        );
        self.read(|sql| {
            let found = rows(sql, &statement, &[now.micros().into()])?;
            found.into_iter().map(|mut row| account(&mut row, 0)).collect()
        })
    }

    /// An account and the hash of its password; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn credentials(&self, username: &str) -> Result<Option<(Account, String)>, StoreError> {
        let statement =
            format!("SELECT {COLUMNS}, CAST(0 AS BIGINT), a.password_hash FROM accounts a WHERE a.username = ?1");
        self.read(|sql| {
            let found = rows(sql, &statement, &[username.into()])?.into_iter().next();
            found.map(|mut row| Ok((account(&mut row, 0)?, row.text(6)))).transpose()
        })
    }

    /// Changes an account, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] where nobody would be left who may manage accounts, or when the
    /// database cannot be written.
    pub fn change_account(
        &self,
        username: &str,
        what: &AccountChange<'_>,
        change: Change<'_>,
    ) -> Result<(), StoreError> {
        self.write(|sql| {
            let before = get(sql, username)?;
            if let Some(role) = what.role.filter(|role| *role != before.role) {
                let values = [role.as_str().into(), username.into()];
                sql.execute("UPDATE accounts SET role = ?1 WHERE username = ?2", &values)?;
                audit::note(sql, change, "account role", username, &format!("{} to {role}", before.role))?;
            }
            if let Some(disabled) = what.disabled.filter(|disabled| *disabled != before.disabled) {
                let values = [i64::from(disabled).into(), username.into()];
                sql.execute("UPDATE accounts SET disabled = ?1 WHERE username = ?2", &values)?;
                if disabled {
                    super::sessions::end_all(sql, username, None)?;
                }
                let action = if disabled { "account disabled" } else { "account enabled" };
                audit::note(sql, change, action, username, "")?;
            }
            if let Some(hash) = what.password_hash {
                let values = [hash.into(), username.into()];
                sql.execute("UPDATE accounts SET password_hash = ?1 WHERE username = ?2", &values)?;
                super::sessions::end_all(sql, username, what.keep_session)?;
                audit::note(sql, change, "password changed", username, "")?;
            }
            keep_an_admin(sql)
        })
    }

    /// Removes an account with its sessions and tokens.
    ///
    /// # Errors
    /// As [`Store::change_account`].
    pub fn remove_account(&self, username: &str, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| {
            if sql.execute("DELETE FROM accounts WHERE username = ?1", &[username.into()])? == 0 {
                return Err(not_found(username));
            }
            super::sessions::end_all(sql, username, None)?;
            sql.execute("DELETE FROM api_tokens WHERE owner = ?1", &[username.into()])?;
            audit::note(sql, change, "account removed", username, "")?;
            keep_an_admin(sql)
        })
    }
}

fn add(sql: &mut dyn Sql, account: &NewAccount<'_>, change: Change<'_>) -> Result<(), StoreError> {
    let username = account.username;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if username.is_empty() || username.len() > LONGEST_NAME || !username.bytes().all(valid) {
        let reason = format!("a username is 1 to {LONGEST_NAME} letters, digits, dots, hyphens, underscores or @");
        return Err(StoreError::Refused(reason));
    }
    if account.role != Role::Admin && count(sql, "SELECT COUNT(*) FROM accounts", &[])? == 0 {
        return Err(StoreError::Conflict("the first account is an admin, who manages the others".to_owned()));
    }
    let lower = username.to_lowercase();
    if count(sql, "SELECT COUNT(*) FROM accounts WHERE LOWER(username) = ?1", &[lower.into()])? > 0 {
        return Err(StoreError::Conflict(format!("there is an account {username} already")));
    }
    if count(sql, "SELECT COUNT(*) FROM accounts", &[])? >= MOST_ACCOUNTS {
        return Err(StoreError::Conflict(format!("there are {MOST_ACCOUNTS} accounts already; remove one first")));
    }
    let values =
        [username.into(), account.role.as_str().into(), account.password_hash.into(), change.at.micros().into()];
    sql.execute(
        "INSERT INTO accounts (username, role, password_hash, disabled, created) VALUES (?1, ?2, ?3, 0, ?4)",
        &values,
    )?;
    audit::note(sql, change, "account added", username, account.role.as_str())
}

/// Undoes the change by an error if nobody is left who may manage accounts.
fn keep_an_admin(sql: &mut dyn Sql) -> Result<(), StoreError> {
    let left = "SELECT COUNT(*) FROM accounts WHERE role = 'admin' AND disabled = 0";
    if count(sql, left, &[])? == 0 {
        let reason = "it is the last enabled admin: make another account an admin first";
        return Err(StoreError::Conflict(reason.to_owned()));
    }
    Ok(())
}

pub(super) fn get(sql: &mut dyn Sql, username: &str) -> Result<Account, StoreError> {
    let statement = format!("SELECT {COLUMNS}, CAST(0 AS BIGINT) FROM accounts a WHERE a.username = ?1");
    let found = rows(sql, &statement, &[username.into()])?.into_iter().next();
    found.map_or_else(|| Err(not_found(username)), |mut row| account(&mut row, 0))
}

/// The account whose [`COLUMNS`] begin at that place of a row.
fn account(row: &mut Row, first: usize) -> Result<Account, StoreError> {
    let username = row.text(first);
    Ok(Account {
        role: role(&row.text(first + 1), &username)?,
        disabled: row.integer(first + 2) != 0,
        created: Timestamp::from_micros(row.integer(first + 3)),
        last_login: row.optional_integer(first + 4).map(Timestamp::from_micros),
        sessions: row.count(first + 5),
        username,
    })
}

fn not_found(username: &str) -> StoreError {
    StoreError::NotFound { what: "account", id: username.to_owned() }
}
