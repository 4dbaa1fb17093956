//! What may still be reached once hostile bytes are looked at.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lapwing_store::is_server;

use super::Serve;
use super::open::{Opened, Opening};
use crate::delivery::{Delivering, RESOLVING};
use crate::input::Input;
use crate::monitor::fence::nearest;
use crate::monitor::metered::MEMORY;
use crate::sandbox::Sandbox;

/// Where the system tells of its interfaces.
const INTERFACES: &str = "/sys";

impl Serve {
    /// Gives up what is not needed to go on; returns in words what that is.
    pub(super) fn fence(
        &self,
        input: &Input,
        (opening, first): (&Opening, Option<&Opened>),
        folder: &Path,
        store: &Path,
    ) -> Result<String> {
        if self.no_sandbox {
            return Ok("no sandbox".to_owned());
        }
        let settings = &input.settings;
        let rules = settings.signatures.folders.iter().chain(&self.judge.signatures).chain(&self.judge.model);
        let rules = rules.chain(&self.judge.baseline);
        let geo = settings.geo.country.iter().chain(&settings.geo.asn);
        let mut sandbox = Sandbox {
            read: rules.chain(geo).map(|path| around(path)).collect(),
            write: vec![folder.to_owned()],
            network: true,
            // Another interface may be chosen.
            capture: true,
        };
        sandbox.read.extend([folder.to_owned(), PathBuf::from(MEMORY), PathBuf::from(INTERFACES)]);
        sandbox.read.extend(opening.reads().iter().map(|path| around(path)));
        // Where Zeek's `current` leads is known to what was opened.
        sandbox.read.extend(first.into_iter().flat_map(Opened::folders).map(|folder| nearest(&folder)));
        if let Some(positions) = opening.positions() {
            sandbox.read.push(positions.to_owned());
            sandbox.write.push(positions.to_owned());
        }
        if is_server(store) {
            sandbox.read.extend(RESOLVING.iter().map(PathBuf::from));
        } else {
            sandbox.read.push(store.to_owned());
            sandbox.write.push(store.to_owned());
        }
        Delivering::ask_for(settings, &mut sandbox);
        let fences = sandbox.enter().context("the sandbox cannot be entered; --no-sandbox goes without")?;
        fences.gaps().iter().for_each(|gap| eprintln!("lapwing: warning: {gap}"));
        Ok(fences.to_string())
    }
}

/// A folder itself; of a file the folder it is in, for one that is replaced is another of that folder.
fn around(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}
