//! Folders in, the capture files in them out.

use std::fs;
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
}

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
            } else if is_no_capture(&path) {
                expansion.skipped.push(path);
            } else {
                expansion.files.push(path);
            }
        }
    }
}

/// Whether something can be opened and is no capture.
fn is_no_capture(path: &Path) -> bool {
    let special = fs::metadata(path).is_ok_and(|target| !target.is_file());
    special || matches!(CaptureFile::open(path, 0, &Arc::default()), Err(SourceError::NotACapture { .. }))
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
    fn folder_without_a_capture_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = expand(&[folder.path().to_owned()]).files;
        let error = crate::Inputs::open(&files).err().unwrap();
        assert!(matches!(error, SourceError::EmptyFolder { .. }), "{error}");
    }
}
