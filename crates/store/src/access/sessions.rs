//! Sessions: what a login begins. Each has a token, and a refresh token by which both are exchanged; one that was exchanged and
//! comes again ends the session, for two have it.

use std::time::Duration;

use lapwing_capture::Timestamp;
use serde::Serialize;

use super::{Role, accounts, count, role};
use crate::sql::{Row, Sql, rows};
use crate::time::text;
use crate::{Change, Store, StoreError, audit};

/// Sessions of one account; a further one ends the one that was not refreshed for longest.
pub const MOST_SESSIONS: usize = 32;

/// How often a session's tokens are exchanged; then one has to log in again. Every exchanged one is remembered until the
/// session ends, so this bounds them.
const MOST_EXCHANGES: u64 = 1_024;

/// Characters that are kept of what a browser calls itself.
const LONGEST_USER_AGENT: usize = 200;

/// A login that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its name, which is no secret.
    pub id: String,
    /// Whose.
    pub username: String,
    /// What they may do at this moment.
    pub role: Role,
    /// When it began.
    #[serde(serialize_with = "text::serialize")]
    pub created: Timestamp,
    /// When its tokens were exchanged last.
    #[serde(serialize_with = "text::serialize")]
    pub refreshed: Timestamp,
    /// From when on its token is worth nothing.
    #[serde(serialize_with = "text::serialize")]
    pub token_expires: Timestamp,
    /// From when on its refresh token is worth nothing, and it is over.
    #[serde(serialize_with = "text::serialize")]
    pub refresh_expires: Timestamp,
    /// The address it was begun from.
    pub peer: String,
    /// What the browser called itself, at most 200 characters.
    pub user_agent: String,
}

/// The two tokens of a session, hashed, and until when they are worth something.
#[derive(Clone, Copy)]
pub struct SessionKeys<'a> {
    /// Hash of the token.
    pub token_hash: &'a str,
    /// Hash of the refresh token.
    pub refresh_hash: &'a str,
    /// The token's end.
    pub token_expires: Timestamp,
    /// The refresh token's end.
    pub refresh_expires: Timestamp,
}

/// A session that is to begin.
#[derive(Clone, Copy)]
pub struct NewSession<'a> {
    /// Its name.
    pub id: &'a str,
    /// Whose.
    pub username: &'a str,
    /// Its tokens.
    pub keys: SessionKeys<'a>,
    /// The address it is begun from.
    pub peer: &'a str,
    /// What the browser calls itself.
    pub user_agent: &'a str,
}

/// How tokens are exchanged.
#[derive(Clone, Copy, Debug)]
pub struct RotationRules {
    /// A refresh token that comes again so soon after it was exchanged is refused and no more: two windows of a browser did it
    /// at once.
    pub grace: Duration,
    /// How long a session lasts at most, however often its tokens are exchanged.
    pub longest: Duration,
}

/// What came of exchanging a session's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// They are exchanged.
    Done(Session),
    /// The refresh token was exchanged a moment ago, as when two windows of a browser do it at once: nothing is changed.
    JustDone,
    /// The refresh token had been exchanged before: somebody else has it, and the session has been ended.
    Reused {
        /// The session.
        id: String,
        /// Whose it was.
        username: String,
    },
    /// There is no such refresh token, it has expired, or its account may not log in.
    Unknown,
}

const COLUMNS: &str = "s.id, s.username, a.role, s.created, s.refreshed, s.token_expires, s.refresh_expires, s.peer, \
                       s.user_agent, a.disabled";

impl Store {
    /// Begins a session of an account that may log in, and notes the login. Sessions that have expired go.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Refused`] where there is no such account or it is disabled, or when the
    /// database cannot be written.
    pub fn start_session(&self, session: &NewSession<'_>, at: Timestamp) -> Result<Session, StoreError> {
        self.write(|sql| {
            let account = accounts::get(sql, session.username)?;
            if account.disabled {
                return Err(StoreError::Refused(format!("the account {} is disabled", account.username)));
            }
            expire(sql, at)?;
            let oldest = "SELECT id FROM sessions WHERE username = ?1 ORDER BY refreshed DESC, id";
            let others = rows(sql, oldest, &[session.username.into()])?;
            for mut row in others.into_iter().skip(MOST_SESSIONS - 1) {
                end(sql, &row.text(0))?;
            }
            let user_agent: String = session.user_agent.chars().take(LONGEST_USER_AGENT).collect();
            let NewSession { id, username, keys, peer, .. } = *session;
            let values = [
                id.into(),
                username.into(),
                keys.token_hash.into(),
                keys.refresh_hash.into(),
                at.micros().into(),
                keys.token_expires.micros().into(),
                keys.refresh_expires.micros().into(),
                peer.into(),
                user_agent.as_str().into(),
            ];
            sql.execute(
                "INSERT INTO sessions (id, username, token_hash, refresh_hash, created, refreshed, token_expires, \
                 refresh_expires, peer, user_agent) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)",
                &values,
            )?;
            let login = [at.micros().into(), username.into()];
            sql.execute("UPDATE accounts SET last_login = ?1 WHERE username = ?2", &login)?;
            audit::note(sql, Change { who: username, at }, "login", username, &format!("from {peer}"))?;
            Ok(Session {
                id: id.to_owned(),
                username: username.to_owned(),
                role: account.role,
                created: at,
                refreshed: at,
                token_expires: keys.token_expires,
                refresh_expires: keys.refresh_expires,
                peer: peer.to_owned(),
                user_agent,
            })
        })
    }

    /// The session of the token with that hash, unless its account is disabled; whether it has expired is for the caller to
    /// see.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session(&self, token_hash: &str) -> Result<Option<Session>, StoreError> {
        self.read(|sql| find_enabled(sql, "s.token_hash", token_hash))
    }

    /// The session of that id, as [`Store::session`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session_of_id(&self, id: &str) -> Result<Option<Session>, StoreError> {
        self.read(|sql| find_enabled(sql, "s.id", id))
    }

    /// The session that has the refresh token with that hash, or had it before it was exchanged: when that was, if it was.
    /// Changes nothing, not even where [`Store::rotate_session`] would end the session.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn session_of_refresh(&self, refresh_hash: &str) -> Result<Option<(Session, Option<Timestamp>)>, StoreError> {
        self.read(|sql| {
            if let Some(session) = find_enabled(sql, "s.refresh_hash", refresh_hash)? {
                return Ok(Some((session, None)));
            }
            let Some((id, spent)) = spent(sql, refresh_hash)? else { return Ok(None) };
            Ok(find_enabled(sql, "s.id", &id)?.map(|session| (session, Some(spent))))
        })
    }

    /// The sessions that are not over at `now`, of one account or of all, the one refreshed last first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sessions(&self, username: Option<&str>, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let mut values = vec![now.micros().into()];
        values.extend(username.map(Into::into));
        let whose = if username.is_some() { " AND s.username = ?2" } else { "" };
        let statement = format!(
            "SELECT {COLUMNS} FROM sessions s JOIN accounts a ON a.username = s.username \
             WHERE s.refresh_expires > ?1{whose} ORDER BY s.refreshed DESC, s.id"
        );
        self.read(|sql| rows(sql, &statement, &values)?.into_iter().map(|row| Ok(session(row)?.0)).collect())
    }

    /// Exchanges the tokens of the session whose refresh token has that hash, as the rules allow. A refresh token that was
    /// exchanged before ends the session.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn rotate_session(
        &self,
        refresh_hash: &str,
        keys: &SessionKeys<'_>,
        rules: RotationRules,
        at: Timestamp,
    ) -> Result<Rotation, StoreError> {
        self.write(|sql| match find(sql, "s.refresh_hash", refresh_hash)? {
            Some((session, disabled)) => {
                let spent = "SELECT COUNT(*) FROM spent_refresh_tokens WHERE session = ?1";
                let exchanges = count(sql, spent, &[session.id.as_str().into()])?;
                let end_of_all = session.created.plus(rules.longest);
                if disabled || session.refresh_expires.min(end_of_all) <= at || exchanges >= MOST_EXCHANGES {
                    end(sql, &session.id)?;
                    return Ok(Rotation::Unknown);
                }
                let [token_expires, refresh_expires] =
                    [keys.token_expires, keys.refresh_expires].map(|end| end.min(end_of_all));
                rotate(sql, session, refresh_hash, &SessionKeys { token_expires, refresh_expires, ..*keys }, at)
                    .map(Rotation::Done)
            }
            None => reused(sql, refresh_hash, rules.grace, at),
        })
    }

    /// Ends a session, and notes it; `false` if it was over.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn end_session(&self, id: &str, action: &str, change: Change<'_>) -> Result<bool, StoreError> {
        self.write(|sql| {
            let Some((session, _)) = find(sql, "s.id", id)? else { return Ok(false) };
            end(sql, id)?;
            audit::note(sql, change, action, &session.username, &format!("session of {}", session.peer))?;
            Ok(true)
        })
    }
}

fn rotate(
    sql: &mut dyn Sql,
    session: Session,
    refresh_hash: &str,
    keys: &SessionKeys<'_>,
    at: Timestamp,
) -> Result<Session, StoreError> {
    sql.execute(
        "INSERT INTO spent_refresh_tokens (refresh_hash, session, spent) VALUES (?1, ?2, ?3)",
        &[refresh_hash.into(), session.id.as_str().into(), at.micros().into()],
    )?;
    let values = [
        keys.token_hash.into(),
        keys.refresh_hash.into(),
        at.micros().into(),
        keys.token_expires.micros().into(),
        keys.refresh_expires.micros().into(),
        session.id.as_str().into(),
    ];
    sql.execute(
        "UPDATE sessions SET token_hash = ?1, refresh_hash = ?2, refreshed = ?3, token_expires = ?4, \
         refresh_expires = ?5 WHERE id = ?6",
        &values,
    )?;
    Ok(Session { refreshed: at, token_expires: keys.token_expires, refresh_expires: keys.refresh_expires, ..session })
}

/// Ends the session of a refresh token that was exchanged before.
fn reused(sql: &mut dyn Sql, refresh_hash: &str, grace: Duration, at: Timestamp) -> Result<Rotation, StoreError> {
    let Some((id, spent)) = spent(sql, refresh_hash)? else { return Ok(Rotation::Unknown) };
    if at < spent.plus(grace) {
        return Ok(Rotation::JustDone);
    }
    let Some((session, _)) = find(sql, "s.id", &id)? else { return Ok(Rotation::Unknown) };
    end(sql, &id)?;
    let detail = format!("a refresh token came a second time; session of {}", session.peer);
    audit::note(sql, Change { who: "lapwing", at }, "session revoked", &session.username, &detail)?;
    Ok(Rotation::Reused { id, username: session.username })
}

/// Whose a refresh token was that was exchanged, and when it was.
fn spent(sql: &mut dyn Sql, refresh_hash: &str) -> Result<Option<(String, Timestamp)>, StoreError> {
    let statement = "SELECT session, spent FROM spent_refresh_tokens WHERE refresh_hash = ?1";
    let found = rows(sql, statement, &[refresh_hash.into()])?.into_iter().next();
    Ok(found.map(|mut row| (row.text(0), Timestamp::from_micros(row.integer(1)))))
}

/// A session by one of its unique columns, and whether its account is disabled.
fn find(sql: &mut dyn Sql, column: &str, value: &str) -> Result<Option<(Session, bool)>, StoreError> {
    let statement =
        format!("SELECT {COLUMNS} FROM sessions s JOIN accounts a ON a.username = s.username WHERE {column} = ?1");
    rows(sql, &statement, &[value.into()])?.into_iter().next().map(session).transpose()
}

fn find_enabled(sql: &mut dyn Sql, column: &str, value: &str) -> Result<Option<Session>, StoreError> {
    Ok(find(sql, column, value)?.filter(|(_, disabled)| !disabled).map(|(session, _)| session))
}

fn session(mut row: Row) -> Result<(Session, bool), StoreError> {
    let time = |row: &Row, column| Timestamp::from_micros(row.integer(column));
    let username = row.text(1);
    let session = Session {
        id: row.text(0),
        role: role(&row.text(2), &username)?,
        created: time(&row, 3),
        refreshed: time(&row, 4),
        token_expires: time(&row, 5),
        refresh_expires: time(&row, 6),
        peer: row.text(7),
        user_agent: row.text(8),
        username,
    };
    Ok((session, row.integer(9) != 0))
}

fn end(sql: &mut dyn Sql, id: &str) -> Result<(), StoreError> {
    sql.execute("DELETE FROM spent_refresh_tokens WHERE session = ?1", &[id.into()])?;
    sql.execute("DELETE FROM sessions WHERE id = ?1", &[id.into()])?;
    Ok(())
}

/// Ends the sessions of an account, but for one where that is said.
pub(super) fn end_all(sql: &mut dyn Sql, username: &str, except: Option<&str>) -> Result<(), StoreError> {
    let found = rows(sql, "SELECT id FROM sessions WHERE username = ?1", &[username.into()])?;
    let ids = found.into_iter().map(|mut row| row.text(0)).filter(|id| Some(id.as_str()) != except);
    ids.into_iter().try_for_each(|id| end(sql, &id))
}

/// Forgets the sessions that are over; returns how many there were.
pub(crate) fn expire(sql: &mut dyn Sql, now: Timestamp) -> Result<u64, StoreError> {
    let over = [now.micros().into()];
    sql.execute(
        "DELETE FROM spent_refresh_tokens WHERE session IN (SELECT id FROM sessions WHERE refresh_expires <= ?1)",
        &over,
    )?;
    sql.execute("DELETE FROM sessions WHERE refresh_expires <= ?1", &over)
}
