//! Sources, opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, bail};
use lapwing_api::{SourceChoice, SourceKind, SourceStatus};
use lapwing_capture::{
    Filter, Inputs, LiveConfig, LiveSource, LiveStatus, Pace, PaceStatus, Paced, Recorder, Rotation, Source,
};
use lapwing_records::{FollowConfig, Followed};

use super::Serve;
use crate::input::Input;
use crate::monitor::{follow, simulate, watch};

/// Files that kept frames are spread over: the oldest goes.
const KEPT_FILES: usize = 8;

/// A source that waits to be watched.
pub(super) struct Opened {
    pub(super) frames: Frames,
    pub(super) status: SourceStatus,
    /// Set when it is to end.
    pub(super) stop: Arc<AtomicBool>,
    /// What the pipeline takes of it, where the source does not see to that itself.
    pub(super) filter: Option<Filter>,
    /// Captures that hold its packets, and folders of such.
    pub(super) captures: Vec<PathBuf>,
}

impl Opened {
    /// Folders of logs, which may not be there yet.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        match &self.frames {
            Frames::Logs(source) => source.folders(),
            Frames::Live(..) | Frames::Replay(..) => Vec::new(),
        }
    }
}

/// Where it comes from.
pub(super) enum Frames {
    Live(Box<dyn Source>, Arc<LiveStatus>),
    Replay(Box<dyn Source>, Arc<PaceStatus>),
    Logs(Box<Followed>),
}

/// What sources are opened with.
pub(super) struct Opening {
    live: LiveConfig,
    keep: Option<(PathBuf, u64)>,
    logs: Option<FollowConfig>,
    replay: Option<PathBuf>,
    /// The home to simulate; where there is one, nothing real is watched.
    seed: Option<u64>,
    pace: Pace,
    filter: Option<String>,
    zeek: bool,
    interfaces: Vec<String>,
}

impl Opening {
    /// From the arguments.
    pub(super) fn new(serve: &Serve, input: &mut Input, folder: &Path) -> Result<Self> {
        let filter = input.settings.capture.filter.as_ref().map(|filter| filter.as_str().to_owned());
        input.pipeline.filter = None;
        if serve.follow.is_asked() && filter.is_some() {
            bail!("--filter looks at packets, and logs have none");
        }
        Ok(Self {
            live: LiveConfig {
                interfaces: Vec::new(),
                filter: None,
                promiscuous: !serve.no_promiscuous,
                buffer: (serve.buffer.get() as usize) << 20,
                rings: 1,
                limit: None,
            },
            keep: input.settings.serve.keep_packets_mib.map(|mib| (folder.join("captures"), mib.get() << 20)),
            logs: if serve.follow.is_asked() {
                Some(serve.follow.config(input, Some(folder.join("positions")))?)
            } else {
                None
            },
            replay: serve.replay.clone(),
            seed: serve.simulate.then(|| serve.seed.unwrap_or_else(simulate::any_seed)),
            pace: serve.speed.unwrap_or(Pace::OWN),
            filter,
            zeek: serve.follow.is_zeek(),
            interfaces: serve.interface.clone(),
        })
    }

    /// What the arguments name, if they name something.
    pub(super) fn first(&self) -> Result<Option<Opened>> {
        let filter = self.filter.clone();
        let speed = match self.pace {
            Pace::Unlimited => 0.0,
            Pace::Times(speed) => speed.get(),
        };
        let kind = if !self.interfaces.is_empty() {
            SourceKind::Interface
        } else if self.replay.is_some() {
            SourceKind::Replay
        } else if self.seed.is_some() {
            SourceKind::Simulate
        } else if self.logs.is_some() {
            if self.zeek { SourceKind::Zeek } else { SourceKind::Eve }
        } else {
            return Ok(None);
        };
        let choice = SourceChoice { kind, interfaces: self.interfaces.clone(), filter, speed: Some(speed), job: None };
        self.open(&choice, None).map(Some)
    }

    /// Opens what is asked for; `upload` is the capture of the upload that it names, and what that is called.
    pub(super) fn open(&self, choice: &SourceChoice, upload: Option<(&Path, &str)>) -> Result<Opened> {
        let filter = choice.filter.as_deref().filter(|text| !text.trim().is_empty());
        let filter = filter.map(|text| Filter::new(text).map_err(|error| anyhow!("filter: {error}"))).transpose()?;
        if self.seed.is_some() && choice.kind != SourceKind::Simulate {
            bail!("this was started with --simulate; start it without to watch anything else");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let status = SourceStatus { kind: choice.kind, filter: choice.filter.clone(), ..SourceStatus::default() };
        match choice.kind {
            SourceKind::Interface => self.listen(choice, filter, status, stop),
            SourceKind::Replay => {
                let named = |path| (path, name_of(path));
                let own = upload.map(|(path, name)| (path, name.to_owned()));
                let capture = own.or(self.replay.as_deref().map(named));
                let (path, name) =
                    capture.context("no capture was named: upload one first, or name one by --replay")?;
                replay(path, name, choice.speed.unwrap_or(1.0), filter, status, stop)
            }
            SourceKind::Zeek | SourceKind::Eve => self.follow(status, stop),
            SourceKind::Simulate => self.simulate(choice.speed.unwrap_or(1.0), filter, status, stop),
            SourceKind::None => bail!("say what to watch"),
        }
    }

    fn listen(
        &self,
        choice: &SourceChoice,
        filter: Option<Filter>,
        status: SourceStatus,
        stop: Arc<AtomicBool>,
    ) -> Result<Opened> {
        let mut interfaces = choice.interfaces.clone();
        interfaces.sort();
        interfaces.dedup();
        let config = LiveConfig { interfaces: interfaces.clone(), filter, ..self.live.clone() };
        let source = LiveSource::open(config, Arc::clone(&stop), watch::tell)?;
        let live = source.status();
        let mut captures = Vec::new();
        let source: Box<dyn Source> = match &self.keep {
            None => Box::new(source),
            Some((folder, bytes)) => {
                let size = bytes / KEPT_FILES as u64;
                let rotation = Rotation { size, files: Some(KEPT_FILES), ..Rotation::default() };
                captures.push(folder.clone());
                Box::new(Recorder::new(source, folder, rotation, watch::tell_recorder)?)
            }
        };
        let status = SourceStatus { names: interfaces, ..status };
        Ok(Opened { frames: Frames::Live(source, live), status, stop, filter: None, captures })
    }

    fn simulate(
        &self,
        speed: f64,
        filter: Option<Filter>,
        status: SourceStatus,
        stop: Arc<AtomicBool>,
    ) -> Result<Opened> {
        let seed = self.seed.context("what is simulated is kept apart from what is real: start with --simulate")?;
        let source = simulate::home(seed, Pace::times(speed)?, Arc::clone(&stop));
        let pace = source.status();
        let names = vec![format!("simulated home {seed}")];
        let status = SourceStatus { names, speed: Some(speed), simulated: true, ..status };
        Ok(Opened { frames: Frames::Replay(Box::new(source), pace), status, stop, filter, captures: Vec::new() })
    }

    fn follow(&self, status: SourceStatus, stop: Arc<AtomicBool>) -> Result<Opened> {
        let config = self.logs.as_ref().context("no logs were named: start with --zeek or --eve")?;
        let source = Followed::open(config, follow::tell)?;
        // Of Zeek's logs the folders: which file of one is there changes.
        let place = |path: &Path| match status.kind {
            SourceKind::Zeek if path.extension().is_some_and(|extension| extension == "log") => {
                path.parent().unwrap_or(path).display().to_string()
            }
            _ => path.display().to_string(),
        };
        let mut paths: Vec<String> = source.paths().map(place).collect();
        paths.dedup();
        let names = paths.iter().map(|path| name_of(Path::new(path))).collect();
        let status = SourceStatus { names, paths, ..status };
        Ok(Opened { frames: Frames::Logs(Box::new(source)), status, stop, filter: None, captures: Vec::new() })
    }

    /// Folders and files that are opened later, or again.
    pub(super) fn reads(&self) -> Vec<PathBuf> {
        self.replay
            .iter()
            .cloned()
            .chain(self.logs.iter().flat_map(|logs| logs.zeek.iter().chain(&logs.eve).cloned()))
            .collect()
    }

    /// The folder that the latest frames of interfaces are kept in, where they are.
    pub(super) fn capture_folder(&self) -> Option<&Path> {
        self.keep.as_ref().map(|(folder, _)| folder.as_path())
    }

    /// The folder in which it is kept how far logs were read.
    pub(super) fn positions(&self) -> Option<&Path> {
        self.logs.as_ref()?.state.as_deref()
    }
}

fn replay(
    path: &Path,
    name: String,
    speed: f64,
    filter: Option<Filter>,
    status: SourceStatus,
    stop: Arc<AtomicBool>,
) -> Result<Opened> {
    let pace = Pace::times(speed)?;
    let inputs = Inputs::open(&[path.to_owned()])?;
    let source = Paced::new(inputs, pace, Arc::clone(&stop), |silence| {
        eprintln!(
            "lapwing: the capture is silent for {:.0} s; shown in {:.0} s",
            silence.instead_of.as_secs_f64(),
            silence.takes.as_secs_f64()
        );
    });
    let pace = source.status();
    let (names, paths) = (vec![name], vec![path.display().to_string()]);
    let status = SourceStatus { names, paths, speed: Some(speed), progress: Some(0.0), ..status };
    let captures = vec![path.to_owned()];
    Ok(Opened { frames: Frames::Replay(Box::new(source), pace), status, stop, filter, captures })
}

/// The last part of a path, which says what is watched to those who need not know where it lies.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
