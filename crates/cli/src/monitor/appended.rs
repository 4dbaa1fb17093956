//! A file that lines are appended to, and that may refuse them for a while: a full disk ends no watch.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes that wait at most while the file takes nothing, then the oldest lines go: some 4,000 revisions.
const HELD: usize = 8 << 20;

/// A file, and the lines that it has yet to take.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    held: Vec<u8>,
    refused: bool,
    lost: usize,
}

impl Appended {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (file, path) = (append_to(path)?, path.to_owned());
        Ok(Self { path, file, held: Vec::new(), refused: false, lost: 0 })
    }

    /// Appends whole lines, in one call of the system: who follows the file sees them whole. Lines that a disk refuses wait;
    /// an error is one that waiting does not mend.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(lines);
        let result = self.catch_up();
        let excess = self.held.len().saturating_sub(HELD);
        if excess > 0 {
            let end = self.held[excess..]
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(self.held.len(), |at| excess + at + 1);
            self.lost += self.held.drain(..end).filter(|&byte| byte == b'\n').count();
        }
        result
    }

    /// Appends what waits, if the file takes it now.
    pub(super) fn catch_up(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        match self.write() {
            Ok(()) => {
                self.held.clear();
                if std::mem::take(&mut self.refused) {
                    let lost = std::mem::take(&mut self.lost);
                    let path = self.path.display();
                    eprintln!(
                        "lapwing: {path}: alerts are written again; {lost} lines that waited too long are missing"
                    );
                }
                Ok(())
            }
            // A reader that left a pipe does not come back.
            Err(error) if !self.file.metadata().is_ok_and(|metadata| metadata.is_file()) => Err(error),
            Err(error) => {
                if !std::mem::replace(&mut self.refused, true) {
                    eprintln!("lapwing: {}: alerts wait to be written: {error}", self.path.display());
                }
                Ok(())
            }
        }
    }

    /// All that waits, or nothing: half a line is taken back.
    fn write(&mut self) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        self.file.write_all(&self.held).inspect_err(|_| {
            if self.file.metadata().is_ok_and(|metadata| metadata.len() > before) {
                // What cannot be taken back stays: the next line is whole all the same.
                let _ignored = self.file.set_len(before);
            }
        })
    }

    /// Turns to the file that has the name now.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path)?;
        self.catch_up()
    }

    /// The last attempt; says what could not be written.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.catch_up()?;
        let missing = self.lost + self.held.iter().filter(|&&byte| byte == b'\n').count();
        if missing == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("{}: {missing} lines could not be written", self.path.display())))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    OpenOptions::new().create(true).append(true).open(path).map_err(named)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_gets_a_successor() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("alerts.jsonl"), folder.path().join("alerts.1"));
        let mut appended = Appended::open(&path).unwrap();
        appended.append(b"one\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        appended.reopen().unwrap();
        appended.append(b"two\n").unwrap();
        assert_eq!((fs::read(&moved).unwrap(), fs::read(&path).unwrap()), (b"one\n".to_vec(), b"two\n".to_vec()));
    }

    #[test]
    fn lines_wait_while_the_file_takes_none_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        let mut appended = Appended::open(&path).unwrap();
        // A regular file that cannot be written stands for a full disk.
        appended.file = File::open(&path).unwrap();
        let line = [&[b'a'; 1_023][..], b"\n"].concat();
        for _ in 0..HELD / line.len() + 2 {
            appended.append(&line).unwrap();
        }
        assert_eq!((appended.held.len(), appended.lost), (HELD, 2));
        assert!(appended.finish().unwrap_err().to_string().contains("8194 lines"));
        appended.reopen().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), HELD as u64);
        assert!(appended.held.is_empty());
    }

    #[test]
    fn a_pipe_that_nobody_reads_any_more_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let file = File::from(std::os::fd::OwnedFd::from(writer));
        let mut appended = Appended { path: "pipe".into(), file, held: Vec::new(), refused: false, lost: 0 };
        assert!(appended.append(b"one\n").is_err());
    }
}
