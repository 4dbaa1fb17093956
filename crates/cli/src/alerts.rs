//! `lapwing alerts`: what people make of alerts.

use anyhow::Result;
use clap::{Args, Subcommand};
use lapwing_alert::Status;
use lapwing_store::Change;

use crate::store::{StoreOptions, now, who};
use crate::{Outcome, output};

/// Acknowledge, close or reopen alerts of the store
#[derive(Args)]
#[command(after_help = "Example: lapwing alerts ack 00c3e2a99fd2a6c1 --store /var/lib/lapwing")]
pub(crate) struct Alerts {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Somebody is at it
    Ack(Named),
    /// It is dealt with; should it grow worse, it is open again
    Close(Named),
    /// It is not dealt with after all
    Reopen(Named),
}

#[derive(Args)]
struct Named {
    /// Ids of the alerts, as `lapwing query alerts` prints them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    store: StoreOptions,
    /// Who does it [default: the login name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Alerts {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let (named, status) = match &self.action {
            Action::Ack(named) => (named, Status::Acknowledged),
            Action::Close(named) => (named, Status::Closed),
            Action::Reopen(named) => (named, Status::Open),
        };
        let who = who(named.by.as_deref());
        named.store.open()?.set_status(&named.ids, status, Change { who: &who, at: now() })?;
        output::print(&format!("{} {}, by {who}\n", named.ids.join(" "), status.as_str()))?;
        Ok(Outcome::Done)
    }
}
