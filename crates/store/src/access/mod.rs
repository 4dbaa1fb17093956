//! Who may use the program: accounts, their sessions and tokens. Secrets come here hashed; what a hash is, and when something
//! has expired, is the business of whoever asks.

mod accounts;
mod role;
mod sessions;
mod tokens;

pub use accounts::{Account, AccountChange, MOST_ACCOUNTS, NewAccount};
pub use role::Role;
pub(crate) use sessions::expire as expire_sessions;
pub use sessions::{MOST_SESSIONS, NewSession, Rotation, RotationRules, Session, SessionKeys};
pub(crate) use tokens::expire as expire_tokens;
pub use tokens::{ApiToken, MOST_TOKENS, NewToken};

use crate::StoreError;
use crate::sql::{Sql, Value, rows};

fn count(sql: &mut dyn Sql, statement: &str, values: &[Value]) -> Result<u64, StoreError> {
    Ok(rows(sql, statement, values)?.first().map_or(0, |row| row.count(0)))
}

fn role(text: &str, account: &str) -> Result<Role, StoreError> {
    Role::from_name(text).ok_or_else(|| StoreError::Damaged {
        what: "account",
        id: account.to_owned(),
        reason: format!("'{text}' is not a role"),
    })
}
