//! `lapwing serve`.

mod analyse;
mod fence;
mod judging;
mod logs;
mod next;
mod now;
mod open;
mod operator;
mod renew;
mod run;
mod shown;
mod tls;

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use lapwing_api::auth::Accounts;
use lapwing_api::{Feed, Parts, Server};
use lapwing_capture::{Pace, interfaces};
use lapwing_engine::packets::Tap;
use lapwing_engine::{Count, ServeSettings};
use lapwing_store::{Store, is_server};

use crate::Outcome;
use crate::input::RunOptions;
use crate::judge::JudgeOptions;
use crate::monitor::lock::Locks;
use crate::monitor::{self, follow::Follow};
use crate::store::now;
use open::Opening;
use operator::Serving;
use run::Runner;

/// Watch, and show what happens in a browser: monitor, API and dashboard in one process
#[derive(Args)]
#[command(after_help = "Examples:\n  lapwing serve --interface eth0\n  \
                        lapwing serve --replay corpus/first-look/suspicious.pcap --speed 5\n  \
                        lapwing serve --simulate\n  \
                        lapwing serve --zeek /opt/zeek/logs --data-dir /var/lib/lapwing")]
pub(crate) struct Serve {
    /// Where to serve; other machines reach it only at an address that is not loopback [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Keep accounts, alerts, flows, devices and uploads in this folder [default: the one that systemd gives, or
    /// ~/.local/state/lapwing/serve; with --replay and --simulate one that goes at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Listen to this interface; repeatable
    #[arg(long, short, value_name = "IF", conflicts_with_all = ["replay", "zeek", "eve"])]
    interface: Vec<String>,
    #[command(flatten)]
    follow: Follow,
    /// Play this capture as if it came from an interface
    #[arg(long, value_name = "FILE", conflicts_with_all = ["zeek", "eve"])]
    replay: Option<PathBuf>,
    /// Watch a simulated home: a dozen devices, and an attack every few minutes; everything says that it is simulated
    #[arg(long, conflicts_with_all = ["interface", "replay", "zeek", "eve"])]
    simulate: bool,
    /// Simulate the traffic that this number names [default: another one each time]
    #[arg(long, value_name = "N", requires = "simulate")]
    seed: Option<u64>,
    /// How many times as fast as it was captured, or as time passes; `max` is as fast as can be [default: 1]
    #[arg(long, value_name = "N", conflicts_with_all = ["interface", "zeek", "eve"])]
    speed: Option<Pace>,
    #[command(flatten)]
    options: RunOptions,
    #[command(flatten)]
    judge: JudgeOptions,
    /// Serve over TLS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// And this private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Serve over TLS with a certificate of our own making, which browsers will ask about
    #[arg(long, conflicts_with = "tls_certificate")]
    tls_self_signed: bool,
    /// Keep the latest frames of interfaces, so many MiB of them, so that the packets of an alert can be downloaded
    #[arg(long, value_name = "MIB")]
    keep_packets: Option<Count<1, 1_048_576>>,
    /// Take captures of so many MiB at most from those who hand some in [default: 256]
    #[arg(long, value_name = "MIB")]
    upload_limit: Option<Count<1, 1_048_576>>,
    /// Show so many bytes of what packets carry, in the list of packets [default: none]
    #[arg(long, value_name = "BYTES")]
    payload: Option<Count<1, { Tap::MOST_PAYLOAD as u64 }>>,
    /// Hear only what is addressed to this machine
    #[arg(long)]
    no_promiscuous: bool,
    /// MiB of ring in the kernel for each interface
    #[arg(long, value_name = "MIB", default_value = "16")]
    buffer: Count<1, 4_096>,
    /// Keep all rights, and access to all files
    #[arg(long)]
    no_sandbox: bool,
    /// End after this many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
}

/// How often it is looked whether somebody wants it to end.
const LOOK: Duration = Duration::from_millis(50);

/// A folder that goes when its owner does, where nobody asked to keep it.
enum Folder {
    Kept(PathBuf),
    Passing(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Passing(path) => path,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Self::Passing(path) = self {
            // What is left of it lies among temporary files.
            let _ = fs::remove_dir_all(path);
        }
    }
}

impl Serve {
    pub(crate) fn run(&self) -> Result<Outcome> {
        if self.speed.is_some() && !self.is_trial() {
            bail!("--speed goes with --replay or --simulate");
        }
        let mut input = self.options.settle()?;
        self.settle(&mut input.settings.serve);
        let settings = input.settings.serve.clone();
        let folder = self.folder(&settings)?;
        let mut locks = Locks::default();
        locks.take(folder.path())?;
        self.keep_apart(folder.path())?;
        let listener = listen(settings.listen)?;
        let tls = tls::settled(&settings, self.tls_self_signed.then_some(folder.path()))?;
        let (stop, renew) = monitor::signals()?;
        let opening = Opening::new(self, &mut input, folder.path())?;
        if let Some(positions) = opening.positions() {
            locks.take(positions)?;
        }
        let first = opening.first()?;
        // What is only tried out stays apart from what the settings keep.
        let place = input.settings.store.place.take().filter(|_| !self.is_trial());
        let place = place.unwrap_or_else(|| folder.path().join("store"));
        if !is_server(&place) {
            private(&place)?;
            locks.take(&place)?;
        }
        // Before any thread is started: none may stay outside.
        let fences = self.fence(&input, (&opening, first.as_ref()), folder.path(), &place)?;
        let store = Arc::new(Store::open(&place, input.settings.store_settings())?);
        let accounts = Accounts::new(Arc::clone(&store), now()).context("the accounts cannot be used")?;
        let accounts = Arc::new(accounts.telling(|text| eprintln!("lapwing: {text}")));
        let places = input.settings.geo.open().context("[geo]")?;
        let feed = Feed::locating(move |host| places.find(host).and_then(|place| place.country));
        let feed = feed.within(store.local().clone());
        let feed = if self.simulate { feed.simulated() } else { feed };
        let is_encrypted = tls.is_some();
        let scheme = if is_encrypted { "https" } else { "http" };
        let runner = Runner::new(input, &self.judge, Arc::clone(&store), feed.clone(), renew)?;
        let tap = runner.tap.clone();
        let serving = Arc::new(Serving::new(runner, opening));
        let parts = Parts {
            store,
            accounts: Arc::clone(&accounts),
            feed,
            tap,
            operator: Arc::clone(&serving) as _,
            simulated: self.simulate,
            disk: if is_server(&place) { folder.path().to_owned() } else { place },
            uploads: folder.path().join("uploads"),
            most_upload: settings.upload_mib.get() << 20,
            payload: settings.payload_bytes.map(|bytes| bytes.get() as usize),
        };
        let server = Server::start(listener, tls, parts)?;
        let reached = reachable(server.address());
        eprintln!("lapwing: serving {scheme}://{reached} ({fences})");
        if !is_encrypted && !reached.ip().is_loopback() {
            eprintln!(
                "lapwing: warning: passwords cross the network in the clear: use --tls-self-signed, or a proxy that encrypts"
            );
        }
        if let Some(code) = accounts.setup_code(now()) {
            eprintln!("lapwing: there is no account yet; make the first one within an hour at");
            eprintln!("lapwing:   {scheme}://{reached}/#/setup?code={code}");
        }
        if let Some(first) = first {
            serving.begin(first);
        } else {
            eprintln!(
                "lapwing: nothing is watched yet: choose a source in the dashboard, or name one (--interface, --replay, …)"
            );
        }
        let begun = std::time::Instant::now();
        let over = || self.duration.is_some_and(|seconds| begun.elapsed().as_secs() >= seconds);
        while !stop.load(Ordering::Relaxed) && !over() {
            thread::sleep(LOOK);
        }
        server.stop();
        serving.finish()?;
        drop(locks);
        Ok(Outcome::Done)
    }

    /// Puts what the arguments say in the place of what the settings do.
    fn settle(&self, settings: &mut ServeSettings) {
        settings.listen = self.listen.unwrap_or(settings.listen);
        settings.upload_mib = self.upload_limit.unwrap_or(settings.upload_mib);
        settings.keep_packets_mib = self.keep_packets.or(settings.keep_packets_mib);
        settings.payload_bytes = self.payload.or(settings.payload_bytes);
        settings.data_dir = self.data_dir.clone().or(settings.data_dir.take());
        if self.tls_self_signed {
            (settings.tls_certificate, settings.tls_key) = (None, None);
        } else if self.tls_certificate.is_some() {
            (settings.tls_certificate, settings.tls_key) = (self.tls_certificate.clone(), self.tls_key.clone());
        }
    }

    /// Whether nothing that is watched at first is real, or now.
    fn is_trial(&self) -> bool {
        self.replay.is_some() || self.simulate
    }

    /// Keeps what is simulated out of a folder of what is real, and the other way round: flows and devices that are kept do not
    /// say what they are.
    fn keep_apart(&self, folder: &Path) -> Result<()> {
        let mark = folder.join("simulated");
        match (self.simulate, mark.exists()) {
            (false, true) => bail!("{}: what is in it was simulated; name another --data-dir", folder.display()),
            (true, false) if folder.join("store").exists() => {
                bail!("{}: what is in it is real; name another --data-dir for what is simulated", folder.display())
            }
            (true, false) => fs::write(&mark, "").with_context(|| format!("{}: cannot be written", mark.display())),
            _ => Ok(()),
        }
    }

    /// Where everything is kept.
    fn folder(&self, settings: &ServeSettings) -> Result<Folder> {
        let passes = self.is_trial();
        // Nor is it mixed with what is kept, unless somebody asks for it here.
        let named = if passes { &self.data_dir } else { &settings.data_dir };
        let folder = match named {
            Some(folder) => Folder::Kept(folder.clone()),
            None if passes => return passing().map(Folder::Passing),
            None => {
                let usual = monitor::follow::usual_state().map(|folder| folder.join("serve"));
                Folder::Kept(usual.context("no place to keep anything: name one by --data-dir DIR")?)
            }
        };
        private(folder.path())?;
        Ok(folder)
    }
}

/// Makes a folder among temporary files that nobody else can have made.
fn passing() -> Result<PathBuf> {
    let name = RandomState::new().hash_one(std::process::id());
    let folder = env::temp_dir().join(format!("lapwing-{name:016x}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    made.with_context(|| format!("{}: cannot be made", folder.display()))?;
    Ok(folder)
}

/// Binds the address; what is wrong with it is said with what to do.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => "another program serves there: end it, or name another port with --listen",
            ErrorKind::AddrNotAvailable => "this machine has no such address: name one that it has with --listen",
            ErrorKind::PermissionDenied => "ports below 1024 take rights: name a higher one with --listen",
            _ => "name another address with --listen",
        };
        anyhow!("{address}: cannot be served: {error}; {advice}")
    })
}

/// An address that a server is reached by: of one that listens on all the first that other machines can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let found = interfaces().unwrap_or_default();
    let mut ips =
        found.iter().filter(|interface| interface.up && !interface.loopback).flat_map(|interface| &interface.ips);
    let fits = |ip: &&IpAddr| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => address.is_ipv6() && !ip.is_unicast_link_local(),
    };
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    SocketAddr::new(ips.find(fits).copied().unwrap_or(loopback), address.port())
}

/// Makes a folder that is nobody else's, if it is not there.
pub(crate) fn private(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("{}: cannot be made", folder.display()))
}
