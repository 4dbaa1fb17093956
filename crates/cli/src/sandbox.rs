//! What a process that reads hostile bytes may still do after it has started: nearly nothing.
//!
//! Three fences, each of which holds where another is not there. *Capabilities*: all are dropped; a socket that is open goes on
//! without them. *Landlock*: files outside the folders named cannot be opened, even by root. *Seccomp*: system calls that
//! neither capture nor writing needs are refused, with EPERM rather than death, so that what is refused is told and not
//! missed; no program is started, no right regained.
//!
//! A fence is set around the thread that sets it and the threads it starts: [`Sandbox::enter`] comes before any.

mod calls;

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

/// What stays allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sandbox {
    /// Files, and folders with all that is in them, that are read.
    pub(crate) read: Vec<PathBuf>,
    /// Folders in which files are created, written and removed, but not read; they must exist.
    pub(crate) write: Vec<PathBuf>,
    /// Whether connections to receivers are opened.
    pub(crate) network: bool,
    /// Whether packet sockets are opened later.
    pub(crate) capture: bool,
}

/// What the system has put around the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fences {
    /// The capabilities left.
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) landlock: Fence,
    pub(crate) seccomp: Fence,
}

/// How far a fence goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Full,
    /// An older kernel: not all of it.
    Part(String),
    None(String),
}

impl Fences {
    /// What somebody should know who relies on them.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let gap = |name: &str, fence: &Fence| match fence {
            Fence::Full => None,
            Fence::Part(reason) => Some(format!("{name} in part: {reason}")),
            Fence::None(reason) => Some(format!("no {name}: {reason}")),
        };
        [gap("landlock", &self.landlock), gap("seccomp", &self.seccomp)].into_iter().flatten().collect()
    }
}

impl fmt::Display for Fences {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept: Vec<String> = self.capabilities.iter().map(|kept| kept.to_string().to_lowercase()).collect();
        let kept = if kept.is_empty() { "no capability".to_owned() } else { kept.join(" and ") };
        write!(formatter, "{kept} kept")?;
        for (name, fence) in [("landlock", &self.landlock), ("seccomp", &self.seccomp)] {
            let state = match fence {
                Fence::Full => "on",
                Fence::Part(_) => "on in part",
                Fence::None(_) => "missing",
            };
            write!(formatter, ", {name} {state}")?;
        }
        Ok(())
    }
}

impl Sandbox {
    /// Goes behind the fences, for good.
    ///
    /// # Errors
    /// When the system refuses what it knows. What it does not know is told by [`Fences::gaps`].
    pub(crate) fn enter(&self) -> Result<Fences> {
        let capabilities = self.capabilities();
        keep_only(&capabilities).context("the process's rights could not be dropped")?;
        let landlock = self.restrict_files().context("landlock refused")?;
        let seccomp = calls::restrict(self.network, self.capture).context("seccomp refused")?;
        Ok(Fences { capabilities, landlock, seccomp })
    }

    /// Those of ours that are needed later: to write into folders of others and to read what is in them, which root may by
    /// capabilities only, and to open packet sockets.
    fn capabilities(&self) -> Vec<Capability> {
        let user = effective_user();
        let foreign = |folder: &PathBuf| folder.metadata().ok().filter(|found| found.uid() != user);
        let writes = self.write.iter().filter_map(foreign).any(|found| found.mode() & 0o002 == 0);
        // How the files in a folder are protected may be another thing tomorrow.
        let reads = self.read.iter().filter_map(foreign).any(|found| found.is_dir());
        let wanted = [
            (writes, Capability::CAP_DAC_OVERRIDE),
            (reads, Capability::CAP_DAC_READ_SEARCH),
            (self.capture, Capability::CAP_NET_RAW),
        ];
        let ours = caps::read(None, CapSet::Permitted).unwrap_or_default();
        wanted.into_iter().filter(|(wanted, kept)| *wanted && ours.contains(kept)).map(|(_, kept)| kept).collect()
    }

    fn restrict_files(&self) -> Result<Fence> {
        // What a kernel does not know is left out, and the status says so.
        let abi = ABI::V6;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(abi))?
            .scope(Scope::from_all(abi))?;
        if !self.network {
            rules = rules.handle_access(AccessNet::from_all(abi))?;
        }
        let mut rules = rules.create()?;
        for path in &self.read {
            rules = allow(rules, path, AccessFs::from_read(abi) & !BitFlags::from(AccessFs::Execute))?;
        }
        let writing = AccessFs::WriteFile
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Truncate;
        for path in &self.write {
            rules = allow(rules, path, writing)?;
        }
        let status = rules.restrict_self()?;
        Ok(match (status.ruleset, status.landlock) {
            (RulesetStatus::FullyEnforced, _) => Fence::Full,
            (RulesetStatus::PartiallyEnforced, LandlockStatus::Available { effective_abi, .. }) => {
                Fence::Part(format!("the kernel has its version {}, 6 would be all", effective_abi as u32))
            }
            (_, LandlockStatus::NotEnabled) => {
                Fence::None("it is switched off in the kernel; boot with lsm=landlock,…".to_owned())
            }
            (_, _) => Fence::None("the kernel does not have it; Linux 5.13 does".to_owned()),
        })
    }
}

/// What is not there (any more) needs no permission.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V6) };
    rules.add_rule(PathBeneath::new(opened, access)).with_context(|| path.display().to_string())
}

/// The bounding set goes too where we may, so that nothing started later could have more.
fn keep_only(kept: &[Capability]) -> Result<(), caps::errors::CapsError> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::all() {
            // One that this kernel does not know cannot be dropped.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    let kept: CapsHashSet = kept.iter().copied().collect();
    // Kernels without ambient capabilities have none to clear.
    let _ = caps::clear(None, CapSet::Ambient);
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)
}

/// The user that files are opened as: the owner of what this process is.
fn effective_user() -> u32 {
    Path::new("/proc/self").metadata().map_or(u32::MAX, |found| found.uid())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpStream, UdpSocket};
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Fences hold in the thread that sets them and in those it starts, so a test has them in a thread of its own.
    fn inside<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> T + Send) -> Option<T> {
        let enter = move || {
            let fences = sandbox.enter().unwrap();
            // What comes after would pass for a hole.
            if fences.landlock == Fence::Full && fences.seccomp == Fence::Full { Some(work()) } else { None }
        };
        let result = thread::scope(|scope| scope.spawn(enter).join().unwrap());
        if result.is_none() {
            eprintln!("skipped: this kernel has no landlock or no seccomp");
        }
        result
    }

    fn refused<T>(result: std::io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn files_outside_its_folders_are_out_of_reach() {
        let [rules, kept, outside] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let in_folder = |folder: &tempfile::TempDir| folder.path().join("file");
        for folder in [&rules, &kept, &outside] {
            fs::write(in_folder(folder), "text").unwrap();
        }
        let open = File::open(in_folder(&outside)).unwrap();
        let sandbox = Sandbox {
            read: vec![rules.path().to_owned(), "/no/such/folder".into()],
            write: vec![kept.path().to_owned()],
            ..Sandbox::default()
        };
        inside(&sandbox, || {
            assert_eq!(fs::read_to_string(in_folder(&rules)).unwrap(), "text");
            assert!(refused(fs::write(in_folder(&rules), "other")));
            File::create(kept.path().join("new")).unwrap().write_all(b"alert").unwrap();
            fs::remove_file(in_folder(&kept)).unwrap();
            assert!(refused(fs::read(kept.path().join("new"))));
            for path in [Path::new("/etc/passwd"), &in_folder(&outside), &rules.path().join("../../etc/passwd")] {
                assert!(refused(File::open(path)), "{}", path.display());
            }
            assert!(refused(fs::write(in_folder(&outside), "other")));
            assert!(refused(fs::remove_file(in_folder(&outside))));
            // What is open stays open.
            let mut text = String::new();
            (&open).read_to_string(&mut text).unwrap();
            assert_eq!(text, "text");
        });
    }

    #[test]
    fn no_program_no_connection_and_no_right_is_to_be_had() {
        inside(&Sandbox::default(), || {
            assert!(refused(Command::new("/bin/true").status()));
            assert!(refused(UdpSocket::bind(("127.0.0.1", 0))));
            assert!(refused(TcpStream::connect(("127.0.0.1", 9))));
            let rights = [Capability::CAP_NET_RAW, Capability::CAP_SYS_ADMIN].into_iter().collect();
            assert!(caps::set(None, CapSet::Permitted, &rights).is_err());
            for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
                assert!(caps::read(None, set).is_err() || caps::read(None, set).unwrap().is_empty());
            }
            thread::spawn(|| assert!(refused(Command::new("/bin/true").status()))).join().unwrap();
        });
    }

    #[test]
    fn receivers_are_reached_where_that_is_allowed() {
        let sandbox = Sandbox { network: true, ..Sandbox::default() };
        inside(&sandbox, || {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            socket.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
            assert!(!refused(TcpStream::connect(("127.0.0.1", 9))));
            assert!(refused(Command::new("/bin/true").status()));
        });
    }
}
