//! `lapwing user`: who may use the dashboard and the API.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use lapwing_alert::rfc3339;
use lapwing_api::auth::{Accounts, Role};
use lapwing_engine::Config;
use lapwing_store::{Account, Change, Store};

use crate::monitor::follow::usual_state;
use crate::serve::private;
use crate::store::{now, who};
use crate::{Outcome, config, output};

/// Bytes of standard input that are read for a password.
const LONGEST_INPUT: u64 = 4_096;

/// Manage who may use the dashboard and the API
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing user add kim --role admin --data-dir /var/lib/lapwing\n  \
                        lapwing user passwd kim --data-dir /var/lib/lapwing\n  \
                        printf %s \"$PASSWORD\" | lapwing user add lee --password-stdin --data-dir /var/lib/lapwing\n\n\
                        What is changed here takes effect in a running `lapwing serve` within five seconds.")]
pub(crate) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make an account; the first is an admin
    Add {
        /// Its name: letters, digits, dots, hyphens, underscores, @
        name: String,
        /// What it may do: viewer, analyst, admin
        #[arg(long, value_parser = role)]
        role: Option<Role>,
        #[command(flatten)]
        password: PasswordOptions,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Print the accounts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Give an account a new password; its sessions end
    Passwd {
        /// Its name
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Change what an account may do
    Role {
        /// Its name
        name: String,
        /// viewer, analyst or admin
        #[arg(value_parser = role)]
        role: Role,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Keep an account from logging in, and end its sessions; its tokens are worth nothing meanwhile
    Disable {
        /// Its name
        name: String,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Let an account log in again
    Enable {
        /// Its name
        name: String,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Remove an account with its sessions and tokens
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        place: AccessOptions,
    },
}

/// Where accounts are kept, and who changes them.
#[derive(Args)]
pub(crate) struct AccessOptions {
    /// The folder that `lapwing serve` keeps everything in [default: the same as there]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Another store: a folder, or postgres://USER@HOST/DATABASE [default: store.place of the settings, else the folder
    /// `store` of --data-dir]
    #[arg(long, value_name = "PLACE")]
    store: Option<PathBuf>,
    /// The settings that `lapwing serve` is started with (docs/configuration.md)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who does it, for the audit trail [default: the login name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl AccessOptions {
    /// The accounts of the store, which is not made by looking.
    pub(crate) fn open(&self) -> Result<Accounts> {
        let settings = config::read(self.config.as_deref())?;
        let place = self.place(&settings)?;
        if !lapwing_store::exists(&place) {
            bail!("{}: there is no store; `lapwing serve` or `lapwing user add` makes one", place.display());
        }
        accounts(&place, &settings)
    }

    /// The accounts of the store, which is made if it is not there: the first account may come before all else.
    fn open_or_make(&self) -> Result<Accounts> {
        let settings = config::read(self.config.as_deref())?;
        let place = self.place(&settings)?;
        if !lapwing_store::is_server(&place) {
            private(&place)?;
        }
        accounts(&place, &settings)
    }

    /// The store, as `lapwing serve` finds it.
    fn place(&self, settings: &Config) -> Result<PathBuf> {
        if let Some(place) = self.store.as_ref().or(settings.store.place.as_ref()) {
            return Ok(place.clone());
        }
        let named = self.data_dir.as_ref().or(settings.serve.data_dir.as_ref()).cloned();
        let folder = named.or_else(|| usual_state().map(|folder| folder.join("serve")));
        Ok(folder.context("say where the accounts are: --data-dir DIR or --store PLACE")?.join("store"))
    }

    pub(crate) fn by(&self) -> String {
        who(self.by.as_deref())
    }
}

fn accounts(place: &Path, settings: &Config) -> Result<Accounts> {
    let store = Store::open(place, settings.store_settings())?;
    Ok(Accounts::new(Arc::new(store), now())?)
}

/// Where a password comes from. It is never an argument: others on the machine could read that.
#[derive(Args)]
struct PasswordOptions {
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordOptions {
    fn read(&self, name: &str) -> Result<String> {
        if self.password_stdin {
            return from_input(io::stdin().lock());
        }
        let terminal = console::Term::stderr();
        if !io::stdin().is_terminal() || !terminal.is_term() {
            bail!("there is no terminal to ask for the password on; give it on standard input with --password-stdin");
        }
        let ask = |what: &str| {
            write!(&terminal, "{what}: ")?;
            terminal.read_secure_line()
        };
        let password = ask(&format!("New password for {name}"))?;
        if ask("The same again")? != password {
            bail!("these are two different passwords; nothing was changed");
        }
        Ok(password)
    }
}

/// A password, without the end of its line.
fn from_input(input: impl Read) -> Result<String> {
    let mut text = String::new();
    input.take(LONGEST_INPUT).read_to_string(&mut text).context("standard input")?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        bail!("standard input has more than one line; a password is one");
    }
    Ok(line.to_owned())
}

pub(crate) fn role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "write one of viewer, analyst, admin".to_owned())
}

impl User {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.action {
            Action::Add { name, role, password, place } => {
                let accounts = place.open_or_make()?;
                let role = match role {
                    Some(role) => *role,
                    None if accounts.needs_setup()? => Role::Admin,
                    None => bail!("say what {name} may do: --role viewer, analyst or admin"),
                };
                let password = password.read(name)?;
                accounts.add(name, &password, role, Change { who: &place.by(), at: now() })?;
                output::print(&format!("{name} may log in as {role}\n"))?;
            }
            Action::List { json, place } => {
                let accounts = place.open()?.accounts(now())?;
                if *json {
                    output::print_json(&serde_json::to_value(&accounts)?)?;
                } else {
                    output::print(&accounts.iter().map(line).collect::<String>())?;
                }
            }
            Action::Passwd { name, password, place } => {
                let accounts = place.open()?;
                let password = password.read(name)?;
                change(&accounts, place, name, None, Some(&password), None)?;
                output::print(&format!("{name} has a new password; sessions of before have ended\n"))?;
            }
            Action::Role { name, role, place } => {
                change(&place.open()?, place, name, Some(*role), None, None)?;
                output::print(&format!("{name} is {role} from now on\n"))?;
            }
            Action::Disable { name, place } => {
                change(&place.open()?, place, name, None, None, Some(true))?;
                output::print(&format!("{name} may not log in any more; sessions have ended\n"))?;
            }
            Action::Enable { name, place } => {
                change(&place.open()?, place, name, None, None, Some(false))?;
                output::print(&format!("{name} may log in again\n"))?;
            }
            Action::Remove { name, place } => {
                place.open()?.remove(name, Change { who: &place.by(), at: now() })?;
                output::print(&format!("{name} is no more\n"))?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn change(
    accounts: &Accounts,
    place: &AccessOptions,
    name: &str,
    role: Option<Role>,
    password: Option<&str>,
    disabled: Option<bool>,
) -> Result<()> {
    Ok(accounts.change(name, role, password, disabled, Change { who: &place.by(), at: now() })?)
}

fn line(account: &Account) -> String {
    let login =
        account.last_login.map_or_else(|| "never logged in".to_owned(), |at| format!("last login {}", rfc3339(at)));
    let sessions = match account.sessions {
        0 => String::new(),
        1 => ", 1 session".to_owned(),
        count => format!(", {count} sessions"),
    };
    let disabled = if account.disabled { ", disabled" } else { "" };
    format!("{:20}  {:8}  {login}{sessions}{disabled}\n", account.username, account.role)
}

#[cfg(test)]
mod tests {
    use super::from_input;

    #[test]
    fn a_password_is_a_line_without_its_end() {
        for text in ["a b", "a b\n", "a b\r\n"] {
            assert_eq!(from_input(text.as_bytes()).unwrap(), "a b");
        }
        assert_eq!(from_input(" a \n".as_bytes()).unwrap(), " a ");
        for text in ["a\nb", "a\n\n", "\n\n"] {
            assert!(from_input(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(from_input(&b"\xff"[..]).is_err());
    }
}
