//! What a live run may still reach once it looks at hostile bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Monitor;
use super::metered::MEMORY;
use crate::delivery::{Delivering, RESOLVING};
use crate::input::Input;
use crate::sandbox::Sandbox;

/// Folders that the source of a run needs.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Folders of logs, which may not be there yet.
    pub(super) read: Vec<PathBuf>,
    /// Folders in which it keeps what it has to remember.
    pub(super) kept: Vec<PathBuf>,
}

impl Monitor {
    /// Gives up what is not needed to go on; returns in words what that is.
    pub(super) fn fence(&self, input: &Input, places: Places) -> Result<String> {
        if self.no_sandbox {
            return Ok("no sandbox".to_owned());
        }
        let fences = self.sandbox(input, places).enter();
        let fences = fences.context("the sandbox cannot be entered; --no-sandbox goes without")?;
        fences.gaps().iter().for_each(|gap| eprintln!("lapwing: warning: {gap}"));
        Ok(fences.to_string())
    }

    /// Reading anew what it judges by, writing where alerts and frames are written, and what the source and the store need.
    fn sandbox(&self, input: &Input, places: Places) -> Sandbox {
        let settings = &input.settings;
        let rules = settings.signatures.folders.iter().chain(&self.judge.signatures).chain(&self.judge.model);
        let mut sandbox = Sandbox {
            // A file that is replaced is another file of the same folder.
            read: rules.map(|path| if path.is_dir() { path.clone() } else { folder_of(path) }).collect(),
            write: self.write.iter().cloned().chain(self.output.as_deref().map(folder_of)).collect(),
            network: self.metrics_at(input).is_some(),
            // Rings that share an interface cannot turn to one that came back: new ones are opened.
            capture: self.rings.get() > 1,
        };
        if self.metrics_at(input).is_some() {
            sandbox.read.push(PathBuf::from(MEMORY));
        }
        sandbox.read.extend(places.read.iter().map(|folder| nearest(folder)));
        let kept = places.kept.into_iter().chain(self.keep.folder(settings).map(Path::to_owned));
        for folder in kept {
            sandbox.read.push(folder.clone());
            sandbox.write.push(folder);
        }
        if self.keep.place(settings).is_some() && self.keep.folder(settings).is_none() {
            sandbox.network = true;
            sandbox.read.extend(RESOLVING.iter().map(PathBuf::from));
        }
        Delivering::ask_for(settings, &mut sandbox);
        sandbox
    }
}

/// Where a file is; changes of it by name happen there.
fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// The folder, or the nearest around it that is there: a permission rests on what is. Never the root.
pub(crate) fn nearest(folder: &Path) -> PathBuf {
    let here = |folder: &&Path| folder.is_dir() && folder.parent().is_some();
    let found = folder.ancestors().find(here);
    found.map_or_else(|| if folder.is_absolute() { folder.to_owned() } else { PathBuf::from(".") }, Path::to_owned)
}
