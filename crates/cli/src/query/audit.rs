//! `lapwing query audit`.

use anyhow::Result;
use clap::Args;

use super::ResultOptions;

/// Who acknowledged, closed or suppressed what, the latest first
#[derive(Args)]
pub(super) struct Audit {
    #[command(flatten)]
    result: ResultOptions,
}

impl Audit {
    pub(super) fn run(&self) -> Result<()> {
        let entries = self.result.store.open()?.audit(self.result.limit())?;
        self.result.write(&entries, ["at", "who", "action", "subject", "detail"], |entry| {
            [&entry.at, &entry.who, &entry.action, &entry.subject, &entry.detail].map(Clone::clone)
        })
    }
}
