//! `lapwing token`: API tokens for programs.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lapwing_alert::rfc3339;
use lapwing_api::auth::Role;
use lapwing_store::{ApiToken, Change};
use serde_json::json;

use crate::store::now;
use crate::user::{AccessOptions, role};
use crate::{Outcome, output};

/// Manage API tokens, by which programs use the API
#[derive(Args)]
#[command(after_help = "Example: lapwing token create --name grafana --owner kim --role viewer --days 365 \
                        --data-dir /var/lib/lapwing")]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a token and print it; it is not shown again
    Create {
        /// What it is called in lists
        #[arg(long)]
        name: String,
        /// The account that it belongs to; it never may more than that
        #[arg(long, value_name = "ACCOUNT")]
        owner: String,
        /// What it may do: viewer, analyst, admin
        #[arg(long, value_parser = role, default_value = "viewer")]
        role: Role,
        /// After how many days it expires [default: never]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_650))]
        days: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Print the tokens, not what they are
    List {
        /// Only those of this account
        #[arg(long, value_name = "ACCOUNT")]
        owner: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: AccessOptions,
    },
    /// Make a token worthless
    Revoke {
        /// Its id, as `list` prints it
        id: String,
        #[command(flatten)]
        place: AccessOptions,
    },
}

impl Token {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.action {
            Action::Create { name, owner, role, days, json, place } => {
                let change = Change { who: &place.by(), at: now() };
                let (token, secret) = place.open()?.add_token_of(owner, name, *role, *days, change)?;
                if *json {
                    let mut told = serde_json::to_value(&token)?;
                    told["token"] = json!(secret);
                    output::print_json(&told)?;
                } else {
                    eprintln!("lapwing: {}; it is shown this once", line(&token).trim_end());
                    output::print(&format!("{secret}\n"))?;
                }
            }
            Action::List { owner, json, place } => {
                let accounts = place.open()?;
                if let Some(owner) = owner
                    && !accounts.accounts(now())?.iter().any(|account| account.username == *owner)
                {
                    bail!("there is no account {owner}");
                }
                let tokens = accounts.tokens_of(owner.as_deref())?;
                if *json {
                    output::print_json(&serde_json::to_value(&tokens)?)?;
                } else {
                    output::print(&tokens.iter().map(line).collect::<String>())?;
                }
            }
            Action::Revoke { id, place } => {
                place.open()?.revoke_token_of(id, Change { who: &place.by(), at: now() })?;
                output::print(&format!("token {id} is worth nothing any more\n"))?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn line(token: &ApiToken) -> String {
    let until = token.expires.map_or_else(|| "for ever".to_owned(), |at| format!("until {}", rfc3339(at)));
    let used = token.last_used.map_or_else(|| "never used".to_owned(), |at| format!("last used {}", rfc3339(at)));
    format!("{}  {} of {} as {}, {until}, {used}\n", token.id, token.name, token.owner, token.role)
}
