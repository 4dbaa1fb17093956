//! Folders in, the capture files in them out.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::file::CaptureFile;
use crate::stream::is_standard_input;
use crate::{InputReport, SourceError};

/// The files that a list of inputs stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// What was named, folders replaced by the captures in them, sorted by path.
    pub files: Vec<PathBuf>,
    /// Files in the folders that are no captures.
    pub skipped: Vec<PathBuf>,
    /// Those of them that seem to be meant as captures, by their name or their first bytes, with the reason why they are none.
    pub refused: Vec<InputReport>,
}

/// What names of captures end in, before what they are compressed with.
const ENDINGS: [&str; 5] = [".pcap", ".pcapng", ".cap", ".ntar", ".dmp"];

/// How captures begin: classic pcap in either byte order, with microseconds or nanoseconds, and pcapng.
const MAGICS: [[u8; 4]; 5] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

/// Replaces folders by the capture files in them and below them: files that begin as a capture does, whatever their name.
/// Links to folders are not followed; pipes and devices are not opened. What cannot be opened stays in the list, and so
/// does a folder without a capture, so that [`Inputs::open`](crate::Inputs::open) refuses it with its reason.
#[must_use]
pub fn expand(paths: &[PathBuf]) -> Expansion {
    let mut expansion = Expansion::default();
    for path in paths {
        let (files, skipped) = (expansion.files.len(), expansion.skipped.len());
        if !is_standard_input(path) && path.is_dir() {
            walk(path, &mut expansion);
        }
        if expansion.files.len() == files {
            expansion.files.push(path.clone());
        }
        expansion.files[files..].sort_unstable();
        expansion.skipped[skipped..].sort_unstable();
        expansion.refused.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    }
    expansion
}

fn walk(folder: &Path, expansion: &mut Expansion) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            expansion.files.push(folder);
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if fs::metadata(&path).is_ok_and(|target| !target.is_file()) {
                expansion.skipped.push(path);
            } else if let Err(error @ SourceError::NotACapture { .. }) = CaptureFile::open(&path, 0, &Arc::default()) {
                if is_meant_as_capture(&path) {
                    expansion.refused.push(refused(&path, &error));
                }
                expansion.skipped.push(path);
            } else {
                expansion.files.push(path);
            }
        }
    }
}

/// Whether a file's name or its first bytes are those of a capture.
fn is_meant_as_capture(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    let mut head = [0; 4];
    let mut begins_so = || fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok();
    ENDINGS.iter().any(|ending| name.ends_with(ending)) || (begins_so() && MAGICS.contains(&head))
}

/// The report of an input that was not read.
pub(crate) fn refused(path: &Path, error: &SourceError) -> InputReport {
    let mut report = InputReport::new(path.to_owned());
    report.refused = Some(error.to_string());
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_gives_its_captures_sorted_and_names_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("b/deep")).unwrap();
        let header = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        for name in ["z", "b/deep/capture", "a.txt"] {
            fs::write(path(name), header).unwrap();
        }
        fs::write(path("m.zst"), zstd::encode_all(&header[..], 1).unwrap()).unwrap();
        fs::write(path("notes.pcap"), "no capture").unwrap();
        let expansion = expand(&[folder.path().to_owned(), PathBuf::from("-")]);
        let files = ["a.txt", "b/deep/capture", "m.zst", "z"].map(path);
        assert_eq!(expansion.files, [&files[..], &[PathBuf::from("-")]].concat());
        assert_eq!(expansion.skipped, [path("notes.pcap")]);
    }

    #[test]
    fn what_was_meant_as_a_capture_is_named_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("random.pcap.gz"), "no capture").unwrap();
        fs::write(path("cut"), [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]).unwrap();
        fs::write(path("readme.txt"), "no capture").unwrap();
        let refused = expand(&[folder.path().to_owned()]).refused;
        let paths: Vec<&Path> = refused.iter().map(|report| report.path.as_path()).collect();
        assert_eq!(paths, [path("cut"), path("random.pcap.gz")]);
        assert!(refused.iter().all(|report| report.refused.is_some()));
    }

    #[test]
    fn folder_without_a_capture_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = expand(&[folder.path().to_owned()]).files;
        let error = crate::Inputs::open(&files).err().unwrap();
        assert!(matches!(error, SourceError::EmptyFolder { .. }), "{error}");
    }
}
