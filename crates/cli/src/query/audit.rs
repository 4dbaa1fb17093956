//! `lapwing query audit`.

use anyhow::Result;
use clap::Args;
use lapwing_store::AuditQuery;

use super::ResultOptions;
use crate::store::TimeOptions;

/// Who changed what, the latest first: alerts judged, suppressions, names of devices, accounts, logins
#[derive(Args)]
pub(super) struct Audit {
    #[command(flatten)]
    result: ResultOptions,
    #[command(flatten)]
    time: TimeOptions,
    /// By this person or account
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// With this text in who, action, subject or detail
    #[arg(long)]
    text: Option<String>,
}

impl Audit {
    pub(super) fn run(&self) -> Result<()> {
        let query = AuditQuery {
            time: self.time.range(),
            who: self.who.clone(),
            text: self.text.clone(),
            limit: self.result.limit(),
            ..AuditQuery::default()
        };
        let page = self.result.store.open()?.audit(&query)?;
        self.result.write(&page.items, ["at", "who", "action", "subject", "detail"], |entry| {
            [&entry.at, &entry.who, &entry.action, &entry.subject, &entry.detail].map(Clone::clone)
        })?;
        self.result.tell_cut(page.next.is_some());
        Ok(())
    }
}
