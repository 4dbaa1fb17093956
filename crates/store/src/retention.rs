//! What is let go, when there is too much or it is too old.

use std::time::Duration;

use lapwing_capture::Timestamp;

use crate::flows::FlowLog;
use crate::sql::{Database, Sql, rows};
use crate::{StoreError, access, alerts, audit, traffic, uploads};

/// How much is kept. Raw flows go first: roll-ups, devices and alerts say the same in less room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// How long flows are kept after the hour they ended in; `None` for ever.
    pub flows: Option<Duration>,
    /// How long alerts and roll-ups are kept after their traffic; `None` for ever.
    pub alerts: Option<Duration>,
    /// Bytes that everything together may take. From 95 % of it on the earliest flows go until there are 92 %; where no flows
    /// are left, the earliest alerts.
    pub bytes: Option<u64>,
}

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Bytes of flows.
    pub flow_bytes: u64,
    /// Alerts.
    pub alerts: u64,
}

impl Freed {
    /// Whether anything was.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// What had expired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Sessions.
    pub sessions: u64,
    /// API tokens.
    pub tokens: u64,
    /// Entries of the audit trail.
    pub audit: u64,
    /// Ids of uploads, whose files the caller removes.
    pub uploads: Vec<String>,
}

pub(crate) fn expire(sql: &mut dyn Sql, now: Timestamp) -> Result<Expired, StoreError> {
    Ok(Expired {
        sessions: access::expire_sessions(sql, now)?,
        tokens: access::expire_tokens(sql, now)?,
        audit: audit::expire(sql)?,
        uploads: uploads::expire(sql, now)?,
    })
}

pub(crate) fn retain(
    database: &dyn Database,
    flows: &dyn FlowLog,
    keep: &Keep,
    now: Timestamp,
) -> Result<Freed, StoreError> {
    let mut freed = Freed::default();
    if let Some(age) = keep.flows {
        freed.flow_bytes += flows.expire(now.minus(age))?;
    }
    if let Some(age) = keep.alerts {
        let moment = now.minus(age);
        let (mut old_alerts, mut old_sums) = (0, 0);
        database.write(&mut |sql| {
            old_alerts = alerts::expire(sql, moment)?;
            old_sums = traffic::expire(sql, moment)?;
            Ok(())
        })?;
        freed.alerts += old_alerts;
        if old_alerts + old_sums > 0 {
            database.shrink()?;
        }
    }
    if let Some(most) = keep.bytes {
        shrink_to(database, flows, most, &mut freed)?;
    }
    Ok(freed)
}

fn shrink_to(database: &dyn Database, flows: &dyn FlowLog, most: u64, freed: &mut Freed) -> Result<(), StoreError> {
    let size = || Ok::<_, StoreError>(database.size()? + flows.size()?);
    if size()? <= most / 100 * 95 {
        return Ok(());
    }
    let goal = most / 100 * 92;
    while size()? > goal {
        match flows.expire_one()? {
            0 => break,
            bytes => freed.flow_bytes += bytes,
        }
    }
    // A tenth of the alerts at a time; what is then left of the database is devices and roll-ups.
    while size()? > most {
        let mut gone = 0;
        database.write(&mut |sql| {
            let count = rows(sql, "SELECT COUNT(*) FROM alerts", &[])?.first().map_or(0, |row| row.count(0));
            gone = alerts::expire_some(sql, usize::try_from(count.div_ceil(10)).unwrap_or(usize::MAX))?;
            Ok(())
        })?;
        database.shrink()?;
        freed.alerts += gone;
        if gone == 0 {
            break;
        }
    }
    Ok(())
}
