//! Who may do what: accounts, sessions, tokens, and how often one may try.
//!
//! [`Accounts`] is all of it without HTTP. Passwords are kept as argon2id hashes, tokens as SHA-256 of 32 random bytes, both
//! in the store; every answer to "who is that" comes from there, or from a memory of it that is at most [`MEMORY_LASTS`] old
//! and is dropped with every change made here. While the store cannot be written, sessions begin and end in memory, and the store
//! is told when it can be. Time is whatever the caller says it is.

mod accounts;
mod failures;
mod held;
mod holding;
mod limiter;
mod memory;
mod passwords;
mod sessions;
mod setup;
mod tokens;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use lapwing_capture::Timestamp;
pub use lapwing_store::Role;
use lapwing_store::{Session, StoreError};

pub use accounts::Accounts;
pub use memory::MEMORY_LASTS;
pub use passwords::{Passwords, check_password};
pub use setup::MOST_CODES;
pub use tokens::token_hash;

/// Who asks, as far as the connection tells.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The address of the connection: behind a proxy, the proxy's.
    pub address: IpAddr,
    /// What it calls itself.
    pub user_agent: &'a str,
}

/// Somebody who has shown a token that is worth something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub username: String,
    /// What they may do by this token.
    pub role: Role,
    /// What kind of token it was.
    pub kind: TokenKind,
    /// Name of the session or API token.
    pub id: String,
    /// From when on it is worth nothing.
    pub expires: Option<Timestamp>,
}

/// What an [`Identity`] rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Somebody logged in.
    Session,
    /// A program was given a token.
    Token,
}

/// What somebody gets who has logged in.
#[derive(Clone)]
pub struct LoggedIn {
    /// The session.
    pub session: Session,
    /// What shows who one is, for 15 minutes.
    pub token: String,
    /// By which both are exchanged for new ones, once.
    pub refresh_token: String,
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No such account, a wrong password, or the account is disabled: it is not told which.
    #[error("Invalid credentials")]
    InvalidCredentials,
    /// There were too many tries.
    #[error("too many tries; wait {} seconds", wait.as_secs())]
    TooManyTries {
        /// How long to wait.
        wait: Duration,
    },
    /// As many passwords are being looked at as may be at once.
    #[error("too many log in at the same moment; try again in a second")]
    Busy,
    /// The token is none, has expired or was revoked.
    #[error("this token is not valid, or no longer")]
    InvalidToken,
    /// The refresh token was exchanged a moment ago by somebody else who has it, such as another window: use what they got.
    #[error("this session has just been refreshed")]
    JustRefreshed,
    /// The code of the set-up link is wrong, has expired or was used.
    #[error("this set-up code is not valid, or no longer; start the program again for another")]
    InvalidCode,
    /// The password cannot be one.
    #[error("{0}")]
    Password(String),
    /// The password that is to be changed is another.
    #[error("the current password is another")]
    WrongPassword,
    /// What an API token may not do, whatever its role.
    #[error("this needs a login; an API token cannot do it")]
    NeedsLogin,
    /// Their role does not allow it.
    #[error("this needs the role {0}")]
    Forbidden(Role),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness or memory for it.
    #[error("no secret could be made: {0}")]
    NoSecret(&'static str),
}
