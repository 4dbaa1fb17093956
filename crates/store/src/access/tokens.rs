//! API tokens: for programs, until they expire or are revoked. What one may do is never more than what its owner may.

use lapwing_capture::Timestamp;
use serde::Serialize;

use super::{Role, accounts, count, role};
use crate::sql::{Row, Sql, rows};
use crate::time::{optional, text};
use crate::{Change, Store, StoreError, audit};

/// API tokens that there may be.
pub const MOST_TOKENS: u64 = 1_000;

/// The longest name of a token, in characters.
const LONGEST_NAME: usize = 64;

/// A token by which a program may use the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiToken {
    /// Its name in lists, which is no secret.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// What it may do: what it was made for, and no more than its owner may at this moment.
    pub role: Role,
    /// When it was made.
    #[serde(serialize_with = "text::serialize")]
    pub created: Timestamp,
    /// From when on it is worth nothing.
    #[serde(serialize_with = "optional::serialize")]
    pub expires: Option<Timestamp>,
    /// When it was used last, give or take a minute.
    #[serde(serialize_with = "optional::serialize")]
    pub last_used: Option<Timestamp>,
}

/// A token that is to be made.
#[derive(Clone, Copy)]
pub struct NewToken<'a> {
    /// Its name in lists.
    pub id: &'a str,
    /// What its owner calls it: 1 to 64 characters.
    pub name: &'a str,
    /// Whose it is.
    pub owner: &'a str,
    /// What it may do.
    pub role: Role,
    /// Hash of the token.
    pub token_hash: &'a str,
    /// Until when; `None` for ever.
    pub expires: Option<Timestamp>,
}

const COLUMNS: &str = "t.id, t.name, t.owner, t.role, a.role, t.created, t.expires, t.last_used, a.disabled";

impl Store {
    /// Makes a token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an owner that is not there, [`StoreError::Refused`] where the owner is disabled or may do
    /// less or the name is none, [`StoreError::Conflict`] where there are too many, or when the database cannot be written.
    pub fn add_token(&self, token: &NewToken<'_>, change: Change<'_>) -> Result<ApiToken, StoreError> {
        let length = token.name.chars().count();
        if token.name.trim().is_empty() || length > LONGEST_NAME || token.name.chars().any(char::is_control) {
            return Err(StoreError::Refused(format!("a token has a name of 1 to {LONGEST_NAME} characters")));
        }
        self.write(|sql| {
            let owner = accounts::get(sql, token.owner)?;
            if owner.disabled || token.role > owner.role {
                let reason = format!("{} may not have a token with the role {}", token.owner, token.role);
                return Err(StoreError::Refused(reason));
            }
            expire(sql, change.at)?;
            if count(sql, "SELECT COUNT(*) FROM api_tokens", &[])? >= MOST_TOKENS {
                return Err(StoreError::Conflict(format!("there are {MOST_TOKENS} tokens already; revoke one first")));
            }
            let values = [
                token.id.into(),
                token.name.into(),
                token.owner.into(),
                token.role.as_str().into(),
                token.token_hash.into(),
                change.at.micros().into(),
                token.expires.map(Timestamp::micros).into(),
            ];
            sql.execute(
                "INSERT INTO api_tokens (id, name, owner, role, token_hash, created, expires) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &values,
            )?;
            let detail = format!("{} as {} for {}", token.name, token.role, token.owner);
            audit::note(sql, change, "token created", token.id, &detail)?;
            Ok(ApiToken {
                id: token.id.to_owned(),
                name: token.name.to_owned(),
                owner: token.owner.to_owned(),
                role: token.role,
                created: change.at,
                expires: token.expires,
                last_used: None,
            })
        })
    }

    /// The token with that hash, unless its owner is disabled; whether it has expired is for the caller to see.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn token(&self, token_hash: &str) -> Result<Option<ApiToken>, StoreError> {
        self.read(|sql| find_enabled(sql, "t.token_hash", token_hash))
    }

    /// The token of that id, as [`Store::token`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn token_of_id(&self, id: &str) -> Result<Option<ApiToken>, StoreError> {
        self.read(|sql| find_enabled(sql, "t.id", id))
    }

    /// The tokens of one account or of all, the latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tokens(&self, owner: Option<&str>) -> Result<Vec<ApiToken>, StoreError> {
        let whose = if owner.is_some() { " WHERE t.owner = ?1" } else { "" };
        let statement = format!(
            "SELECT {COLUMNS} FROM api_tokens t JOIN accounts a ON a.username = t.owner{whose} \
             ORDER BY t.created DESC, t.id"
        );
        let values: Vec<_> = owner.into_iter().map(Into::into).collect();
        self.read(|sql| rows(sql, &statement, &values)?.into_iter().map(token).collect())
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn note_token_used(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let values = [at.micros().into(), id.into()];
        self.write(|sql| sql.execute("UPDATE api_tokens SET last_used = ?1 WHERE id = ?2", &values).map(drop))
    }

    /// Revokes a token; where an owner is named, only one of theirs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be written.
    pub fn revoke_token(&self, id: &str, owner: Option<&str>, change: Change<'_>) -> Result<(), StoreError> {
        self.write(|sql| {
            let found = rows(sql, "SELECT owner, name FROM api_tokens WHERE id = ?1", &[id.into()])?.into_iter().next();
            let mut found = found.map(|mut row| (row.text(0), row.text(1)));
            found = found.filter(|(theirs, _)| owner.is_none_or(|owner| owner == theirs));
            let Some((theirs, name)) = found else {
                return Err(StoreError::NotFound { what: "token", id: id.to_owned() });
            };
            sql.execute("DELETE FROM api_tokens WHERE id = ?1", &[id.into()])?;
            audit::note(sql, change, "token revoked", id, &format!("{name} of {theirs}"))
        })
    }
}

fn find_enabled(sql: &mut dyn Sql, column: &str, value: &str) -> Result<Option<ApiToken>, StoreError> {
    let statement = format!(
        "SELECT {COLUMNS} FROM api_tokens t JOIN accounts a ON a.username = t.owner \
         WHERE {column} = ?1 AND a.disabled = 0"
    );
    rows(sql, &statement, &[value.into()])?.into_iter().next().map(token).transpose()
}

fn token(mut row: Row) -> Result<ApiToken, StoreError> {
    let owner = row.text(2);
    let own = role(&row.text(3), &owner)?;
    let owners = role(&row.text(4), &owner)?;
    Ok(ApiToken {
        id: row.text(0),
        name: row.text(1),
        role: own.min(owners),
        created: Timestamp::from_micros(row.integer(5)),
        expires: row.optional_integer(6).map(Timestamp::from_micros),
        last_used: row.optional_integer(7).map(Timestamp::from_micros),
        owner,
    })
}

/// Forgets the tokens that have expired; returns how many there were.
pub(crate) fn expire(sql: &mut dyn Sql, now: Timestamp) -> Result<u64, StoreError> {
    sql.execute("DELETE FROM api_tokens WHERE expires <= ?1", &[now.micros().into()])
}
