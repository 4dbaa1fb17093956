//! `lapwing suppress`: alerts that nobody wants to be told of.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lapwing_alert::{Direction, HostPattern, Matcher, Suppression};
use lapwing_capture::Timestamp;
use lapwing_store::Change;

use crate::store::{StoreOptions, duration, moment, now, who};
use crate::{Outcome, output};

/// Hide alerts that somebody has looked into, with a reason and until a time
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    lapwing suppress preview --store kept --device 192.168.7.20 --kind port-scan\n  \
    lapwing suppress add --store kept --device 192.168.7.20 --kind port-scan --reason 'our scanner' --expires 90d")]
pub(crate) struct Suppress {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Hide what matches, past and future
    Add {
        #[command(flatten)]
        conditions: Conditions,
        /// Why
        #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        /// Until when: a time, or how long from now (30d) [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = expiry)]
        expires: Option<Timestamp>,
        /// Who does it [default: the login name]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        store: StoreOptions,
    },
    /// Say what would be hidden, and change nothing
    Preview {
        #[command(flatten)]
        conditions: Conditions,
        #[command(flatten)]
        store: StoreOptions,
    },
    /// Print the suppressions with what they hide
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        store: StoreOptions,
    },
    /// Show again what a suppression hides
    Remove {
        /// Its id, as `list` prints it
        id: String,
        /// Who does it [default: the login name]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        store: StoreOptions,
    },
}

/// Which alerts: those to which everything applies that is given.
#[derive(Args)]
struct Conditions {
    /// About this host: an address, a network as CIDR, or a link-layer address
    #[arg(long, value_name = "HOST")]
    device: Option<HostPattern>,
    /// With no other peers than this host or network
    #[arg(long, value_name = "HOST")]
    peer: Option<HostPattern>,
    /// Resting on flows to this port only
    #[arg(long)]
    port: Option<u16>,
    /// Resting on flows of this direction only: inbound, outbound, internal, external
    #[arg(long, value_parser = direction)]
    direction: Option<Direction>,
    /// Of this kind: port-scan, beacon …
    #[arg(long)]
    kind: Option<String>,
    /// Claimed by no other detector or rule than this
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
}

impl Conditions {
    fn matcher(&self) -> Result<Matcher> {
        let matcher = Matcher {
            device: self.device.clone(),
            peer: self.peer.clone(),
            port: self.port,
            direction: self.direction,
            kind: self.kind.clone(),
            detector: self.detector.clone(),
        };
        if matcher.is_empty() {
            bail!("say which alerts: --device, --peer, --port, --direction, --kind or --detector");
        }
        Ok(matcher)
    }
}

fn direction(name: &str) -> Result<Direction, String> {
    Direction::from_name(name).ok_or_else(|| "write one of inbound, outbound, internal, external".to_owned())
}

fn expiry(text: &str) -> Result<Timestamp, String> {
    let moment = || moment(text).map_err(|error| error.replace("how long ago", "how long from now"));
    duration(text).map_or_else(moment, |duration| Ok(now().plus(duration)))
}

impl Suppress {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.action {
            Action::Add { conditions, reason, expires, by, store } => {
                let (who, at) = (who(by.as_deref()), now());
                let suppression = Suppression::new(conditions.matcher()?, who.clone(), reason.clone(), at, *expires);
                let hidden = store.open()?.add_suppression(&suppression, Change { who: &who, at })?;
                let hidden = hidden.to_string().replacen("would hide", "hides", 1);
                output::print(&format!("{}: {}: {hidden}\n", suppression.id, suppression.matcher))?;
            }
            Action::Preview { conditions, store } => {
                let suppression = Suppression::new(conditions.matcher()?, String::new(), String::new(), now(), None);
                output::print(&format!("{}\n", store.open()?.preview(&suppression)?))?;
            }
            Action::List { json, store } => {
                let list = store.open()?.list_suppressions()?;
                let text = if *json {
                    format!("{}\n", serde_json::to_string_pretty(&list)?)
                } else if list.is_empty() {
                    "no suppressions\n".to_owned()
                } else {
                    list.iter().map(describe).collect()
                };
                output::print(&text)?;
            }
            Action::Remove { id, by, store } => {
                let who = who(by.as_deref());
                let shown = store.open()?.remove_suppression(id, Change { who: &who, at: now() })?;
                let shown = match shown {
                    0 => "it hid no alert".to_owned(),
                    1 => "1 alert is shown again".to_owned(),
                    more => format!("{more} alerts are shown again"),
                };
                output::print(&format!("{id}: removed; {shown}\n"))?;
            }
        }
        Ok(Outcome::Done)
    }
}

fn describe(kept: &lapwing_store::KeptSuppression) -> String {
    let suppression = &kept.suppression;
    let until = suppression.expires.map_or_else(|| "for ever".to_owned(), |time| format!("until {}", short(time)));
    let hits = match &kept.last_hit {
        Some(last) if kept.hits == 1 => format!("1 alert, of {last}"),
        Some(last) => format!("{} alerts, the last of {last}", kept.hits),
        None => "no alert".to_owned(),
    };
    format!(
        "{}  {}\n          hides {hits}\n          by {} on {}, {until}: {}\n",
        suppression.id,
        suppression.matcher,
        suppression.author,
        short(suppression.created),
        suppression.reason
    )
}

fn short(time: Timestamp) -> String {
    lapwing_alert::rfc3339(time)[..10].to_owned()
}
