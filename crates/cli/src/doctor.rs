//! `lapwing doctor`.

use std::fs;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability};
use clap::Args;
use lapwing_capture::{FrameBatch, InterfaceInfo, LiveConfig, LiveSource, Progress, Source, interfaces, offloads};
use serde::Serialize;
use serde_json::json;

use crate::sandbox::Sandbox;
use crate::{Outcome, output};

/// Check whether this machine lets `monitor` do its work, and say how to mend what is wrong
#[derive(Args)]
#[command(after_help = "Example: lapwing doctor --interface eth0")]
pub(crate) struct Doctor {
    /// The interface to be listened to; repeatable [default: all that are up, without loopback]
    #[arg(long, short, value_name = "IF")]
    interface: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a check came out.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    Warning,
    Bad,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    state: State,
    what: String,
    found: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Check {
    fn good(what: &str, found: impl Into<String>) -> Self {
        Self { state: State::Good, what: what.to_owned(), found: found.into(), mend: None }
    }

    fn warning(what: &str, found: impl Into<String>, mend: &str) -> Self {
        Self { state: State::Warning, mend: Some(mend.to_owned()), ..Self::good(what, found) }
    }

    fn bad(what: &str, found: impl Into<String>, mend: &str) -> Self {
        Self { state: State::Bad, mend: Some(mend.to_owned()), ..Self::good(what, found) }
    }
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let known = interfaces().context("the interfaces cannot be listed")?;
        let mut checks = vec![kernel(), clock(), rights()];
        let chosen: Vec<String> = if self.interface.is_empty() {
            known.iter().filter(|found| found.up && !found.loopback).map(|found| found.name.clone()).collect()
        } else {
            self.interface.clone()
        };
        if chosen.is_empty() {
            let mend = "switch one on with `ip link set IF up`";
            checks.push(Check::bad("interfaces", "none is up besides loopback", mend));
        }
        for name in &chosen {
            checks.extend(interface(name, &known));
        }
        // The last: there is no way back.
        checks.extend(sandbox());
        if self.json {
            output::print_json(&json!(checks))?;
        } else {
            output::print(&table(&checks))?;
        }
        match checks.iter().filter(|check| check.state == State::Bad).count() {
            0 => Ok(Outcome::Done),
            bad => bail!("{bad} of {} checks failed", checks.len()),
        }
    }
}

fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { state, what, found, mend } in checks {
        let state = match state {
            State::Good => "good",
            State::Warning => "warning",
            State::Bad => "BAD",
        };
        text.push_str(&format!("{state:<8} {what}: {found}\n"));
        if let Some(mend) = mend {
            text.push_str(&format!("{:<8} → {mend}\n", ""));
        }
    }
    text
}

fn kernel() -> Check {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.trim().parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let found = format!("Linux {}", release.trim());
    match version {
        (0, _) => Check::warning("kernel", "its version cannot be read", "mount /proc"),
        version if version < (5, 13) => {
            Check::warning("kernel", found, "from 5.13 on it can fence this program off from files (landlock)")
        }
        _ => Check::good("kernel", found),
    }
}

/// Boards without a clock of their own begin in the past.
fn clock() -> Check {
    const BUILT_AFTER: u64 = 1_767_225_600; // 2026-01-01
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since.as_secs() < BUILT_AFTER {
        Check::bad("clock", "it stands before 2026", "set it; `timedatectl set-ntp true` keeps it right")
    } else {
        Check::good("clock", format!("{} s since 1970", since.as_secs()))
    }
}

fn rights() -> Check {
    match caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_RAW) {
        Ok(true) => Check::good("rights", "cap_net_raw is there; monitor drops it once it listens"),
        Ok(false) => Check::bad(
            "rights",
            "cap_net_raw is missing, so nothing can be listened to",
            "run as root, or once `setcap cap_net_raw=ep` on the program's file, or under systemd with \
             AmbientCapabilities=CAP_NET_RAW",
        ),
        Err(error) => Check::warning("rights", format!("they cannot be read: {error}"), "mount /proc"),
    }
}

fn interface(name: &str, known: &[InterfaceInfo]) -> Vec<Check> {
    let what = format!("interface {name}");
    let Some(found) = known.iter().find(|found| found.name == name) else {
        return vec![Check::bad(&what, "there is none of that name", "`lapwing monitor --list-interfaces` shows all")];
    };
    if !found.up {
        return vec![Check::bad(&what, "it is switched off", &format!("`ip link set {name} up`"))];
    }
    let mut checks = Vec::new();
    if !found.carrier && !found.loopback {
        checks.push(Check::warning(
            &what,
            "it is up, without a link",
            "plug the cable in, or join the wireless network",
        ));
    }
    match offloads(name) {
        Ok(on) if on.is_empty() => checks.push(Check::good(&what, "no offload changes what is captured")),
        Ok(on) => {
            let effects: Vec<String> = on.iter().map(|it| format!("{} {}", it.name, it.effect)).collect();
            let off: Vec<String> = on.iter().map(|it| format!("{} off", it.name)).collect();
            let mend = format!("where the interface only listens: `ethtool -K {name} {}`", off.join(" "));
            checks.push(Check::warning(&what, format!("offloads are on: {}", effects.join("; ")), &mend));
        }
        Err(error) => {
            checks.push(Check::warning(&what, format!("its offloads are not known: {error}"), "ask ethtool -k"));
        }
    }
    checks.push(match listen(name) {
        Ok((0, _)) => Check::warning(
            &what,
            "it can be listened to; nothing came within two seconds",
            "check the mirror port or the cable, if traffic is expected",
        ),
        Ok((packets, 0)) => Check::good(&what, format!("it can be listened to: {packets} packets in two seconds")),
        Ok((packets, dropped)) => Check::warning(
            &what,
            format!("{packets} packets in two seconds, and {dropped} lost"),
            "give monitor a larger --buffer",
        ),
        Err(error) => Check::bad(&what, "it cannot be listened to", &format!("{error:#}")),
    });
    checks
}

/// Frames heard in two seconds, and those lost.
fn listen(name: &str) -> Result<(u64, u64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let config = LiveConfig { interfaces: vec![name.to_owned()], ..LiveConfig::default() };
    let mut source = LiveSource::open(config, Arc::clone(&stop), |_| {})?;
    let (mut batch, begun) = (FrameBatch::default(), Instant::now());
    while source.read(&mut batch)? == Progress::More {
        if begun.elapsed() >= Duration::from_secs(2) {
            stop.store(true, Ordering::Relaxed);
        }
    }
    Ok(source.reports().iter().fold((0, 0), |sum, report| (sum.0 + report.packets, sum.1 + report.dropped)))
}

/// Goes into the sandbox and tries what it forbids.
fn sandbox() -> Vec<Check> {
    const NEWER: &str = "a newer kernel, with landlock in its list of security modules, has it";
    let fences = match Sandbox::default().enter() {
        Ok(fences) => fences,
        Err(error) => return vec![Check::bad("sandbox", format!("{error:#}"), "monitor --no-sandbox goes without")],
    };
    let mut checks = vec![match fences.gaps() {
        gaps if gaps.is_empty() => Check::good("sandbox", fences.to_string()),
        gaps => Check::warning("sandbox", format!("{fences}: {}", gaps.join("; ")), NEWER),
    }];
    let read = fs::File::open("/etc/passwd").map(drop);
    let executed = Command::new("/bin/true").status().map(drop);
    for (what, tried) in [("files outside", read), ("other programs", executed)] {
        checks.push(match tried {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Check::good("sandbox", format!("{what} are out of reach"))
            }
            _ => Check::warning("sandbox", format!("{what} are within reach"), NEWER),
        });
    }
    checks
}
