//! Folders in, the logs in them out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::open::Opened;
use crate::recognise::{Recognised, recognise};

/// What was found in a folder and below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Logs of connections, sorted by path.
    pub logs: Vec<PathBuf>,
    /// Logs that tell of no connections, with what they are.
    pub other_logs: Vec<(PathBuf, String)>,
}

/// Where a Zeek that was installed as usual writes its logs.
pub const ZEEK_FOLDERS: [&str; 5] =
    ["/opt/zeek/logs", "/usr/local/zeek/logs", "/var/log/zeek", "/nsm/zeek/logs", "/usr/local/var/log/zeek"];

/// The logs in a folder and below, whatever their names: `current/`, `2026-11-21/conn.08:00:00-09:00:00.log.gz`.
///
/// Links to folders are not followed, except Zeek's `current`.
#[must_use]
pub fn find(folder: &Path) -> Found {
    let mut found = Found::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder || entry.file_name() == "current" && path.is_dir() {
                folders.push(path);
            } else if fs::metadata(&path).is_ok_and(|target| target.is_file()) {
                match look(&path) {
                    Recognised::Log(_) => found.logs.push(path),
                    Recognised::OtherLog(what) => found.other_logs.push((path, what)),
                    Recognised::Nothing => {}
                }
            }
        }
    }
    found.logs.sort_unstable();
    found.other_logs.sort_unstable();
    found
}

/// What a file is by its first bytes; nothing, if it cannot be opened.
#[must_use]
pub fn look(path: &Path) -> Recognised {
    Opened::open(path, &Arc::default()).map_or(Recognised::Nothing, |opened| recognise(&opened.head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_and_rotated_logs_are_found_whatever_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("spool")).unwrap();
        fs::create_dir_all(path("logs/2026-11-21")).unwrap();
        let conn = "#separator \\x09\n#path\tconn\n#fields\tts\n";
        fs::write(path("spool/conn.log"), conn).unwrap();
        fs::write(path("spool/dns.log"), conn.replace("conn", "dns")).unwrap();
        fs::write(path("logs/2026-11-21/a.zst"), zstd::encode_all(conn.as_bytes(), 1).unwrap()).unwrap();
        fs::write(path("logs/README"), "hello").unwrap();
        std::os::unix::fs::symlink(path("spool"), path("logs/current")).unwrap();
        std::os::unix::fs::symlink(path("logs"), path("logs/loop")).unwrap();
        let found = find(&path("logs"));
        assert_eq!(found.logs, [path("logs/2026-11-21/a.zst"), path("logs/current/conn.log")]);
        assert_eq!(found.other_logs, [(path("logs/current/dns.log"), "a Zeek dns log".to_owned())]);
    }
}
