//! What every verb that opens the store has in common.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Args;
use lapwing_alert::{Places, from_rfc3339};
use lapwing_capture::Timestamp;
use lapwing_engine::Config;
use lapwing_store::{Pressure, Recorder, Store, TimeRange};

use crate::config;

/// Which store.
#[derive(Args)]
pub(crate) struct StoreOptions {
    /// The store: a folder, or postgres://USER@HOST/DATABASE [default: the place of the settings]
    #[arg(long, value_name = "PLACE", env = "LAPWING_STORE")]
    store: Option<PathBuf>,
    /// Settings that outlive a command line (docs/configuration.md)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreOptions {
    /// Opens the store; one that is not there is not made, for nothing could be found in it.
    pub(crate) fn open(&self) -> Result<Store> {
        let settings = config::read(self.config.as_deref())?;
        let Some(place) = self.store.as_ref().or(settings.store.place.as_ref()) else {
            bail!("say which store: --store PLACE, or `place` under [store] in the settings");
        };
        if !lapwing_store::exists(place) {
            bail!("{}: there is no store; `lapwing scan --store` makes one", place.display());
        }
        Ok(Store::open(place, settings.store_settings())?)
    }

    /// What the settings say of where hosts are.
    pub(crate) fn places(&self) -> Result<Places> {
        config::read(self.config.as_deref())?.geo.open().context("[geo]")
    }
}

/// Opens the store that the arguments or the settings name, if they name one, and starts the thread that writes to it.
pub(crate) fn record(
    place: Option<&Path>,
    settings: &Config,
    pressure: Pressure,
) -> Result<Option<(Arc<Store>, Recorder)>> {
    let Some(place) = place.or(settings.store.place.as_deref()) else { return Ok(None) };
    let store = Arc::new(Store::open(place, settings.store_settings())?);
    let recorder = Recorder::start(Arc::clone(&store), pressure, |problem| eprintln!("lapwing: {problem}"));
    Ok(Some((store, recorder)))
}

/// From when to when.
#[derive(Args)]
pub(crate) struct TimeOptions {
    /// From this time on: RFC 3339, a date, or how long ago (90m, 24h, 30d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Up to this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

impl TimeOptions {
    pub(crate) fn range(&self) -> TimeRange {
        TimeRange { from: self.since, until: self.until }
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since_epoch)
}

/// A moment as people write one.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Some(ago) = duration(text) {
        return Ok(now().minus(ago));
    }
    let written = text.replacen(' ', "T", 1);
    [written.clone(), format!("{written}Z"), format!("{written}T00:00:00Z")]
        .iter()
        .find_map(|text| from_rfc3339(text))
        .ok_or_else(|| {
            "write 2026-11-20T18:00:00Z, 2026-11-20 18:00:00 (UTC), 2026-11-20, or how long ago: 90m, 24h, 30d"
                .to_owned()
        })
}

/// A length of time: a number with s, m, h, d or w behind it.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 7 * 86_400,
        _ => return None,
    };
    let count: u64 = text[..text.len() - 1].parse().ok()?;
    count.checked_mul(unit).map(Duration::from_secs)
}

/// Who is at the keyboard, where --by does not say.
pub(crate) fn who(by: Option<&str>) -> String {
    let login = || ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    by.map(ToOwned::to_owned).or_else(login).or_else(account).unwrap_or_else(|| "unknown".to_owned())
}

/// The name of the account that the program runs under, where the environment names none, as under cron.
fn account() -> Option<String> {
    let uid = std::fs::metadata("/proc/self").ok()?.uid();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    Some(accounts.lines().find_map(name).unwrap_or_else(|| format!("uid {uid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let expected = from_rfc3339("2026-11-20T18:00:00Z");
        for text in ["2026-11-20T18:00:00Z", "2026-11-20 18:00:00", "2026-11-20T19:00:00+01:00"] {
            assert_eq!(moment(text).ok(), expected, "{text}");
        }
        assert_eq!(moment("2026-11-20").ok(), from_rfc3339("2026-11-20T00:00:00Z"));
        assert!(moment("90m").unwrap() < now());
        for text in ["", "tomorrow", "5", "99999999999999999999d", "ü"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
