//! One live run to a folder: two that wrote the same positions, or remembered the same devices, would undo each other's work.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The file in the folder, which holds who has it.
const NAME: &str = "monitor.lock";

/// Folders that no other live run may use as long as this lives. The system lets go of them however the process ends.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: Vec<(PathBuf, File)>,
}

impl Locks {
    /// Takes a folder, which is made if it is not there; one that is taken already stays so.
    pub(crate) fn take(&mut self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let failed = || format!("{}: cannot be used", path.display());
        std::fs::create_dir_all(folder).with_context(failed)?;
        let real = folder.canonicalize().with_context(failed)?;
        if self.held.iter().any(|(held, _)| *held == real) {
            return Ok(());
        }
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false);
        // Its text is replaced: what a link leads to is another's.
        let mut file = open.custom_flags(libc::O_NOFOLLOW).open(&path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who cannot be named is there all the same.
                let _ = file.read_to_string(&mut holder);
                let holder = Some(holder.trim()).filter(|holder| !holder.is_empty()).unwrap_or("unknown");
                bail!(
                    "{}: another monitor uses this folder (process {holder}); end it, or name another folder",
                    folder.display()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())
        };
        write(&mut file).with_context(failed)?;
        self.held.push((real, file));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_another_has_is_refused_with_its_process_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (Locks::default(), Locks::default());
        first.take(folder.path()).unwrap();
        first.take(&folder.path().join(".")).unwrap();
        let refused = second.take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        second.take(folder.path()).unwrap();
    }

    #[test]
    fn what_a_link_leads_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "text").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(NAME)).unwrap();
        assert!(Locks::default().take(folder.path()).is_err());
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "text");
    }
}
