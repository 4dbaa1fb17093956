//! Standard output, whose reader may take its time or hang: a thread of its own waits for it, detection does not.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that wait at most, then what comes is left out: some 4,000 revisions.
const HELD: usize = 8 << 20;

/// How long a reader that keeps up is waited for: what was told has left the process then.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long the end waits for a reader.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    writing: bool,
    left_out: usize,
    error: Option<io::Error>,
    over: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all is written or writing failed, for so long at most; says whether that came.
    fn settled(&self, patience: Duration) -> bool {
        let unsettled =
            |waiting: &mut Waiting| waiting.error.is_none() && (waiting.writing || !waiting.bytes.is_empty());
        let waited = self.changed.wait_timeout_while(self.lock(), patience, unsettled);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn keep_writing(&self, mut file: File) {
        loop {
            let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.over;
            let mut waiting = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let bytes = std::mem::take(&mut waiting.bytes);
            if bytes.is_empty() {
                return;
            }
            waiting.writing = true;
            drop(waiting);
            let written = file.write_all(&bytes);
            let mut waiting = self.lock();
            waiting.writing = false;
            let failed = written.is_err();
            waiting.error = written.err();
            drop(waiting);
            self.changed.notify_all();
            if failed {
                return;
            }
        }
    }
}

/// An open pipe, terminal or file, and the lines that it has yet to take.
pub(super) struct Piped {
    shared: Arc<Shared>,
    /// Until the thread has it, which starts with the first lines: inside the sandbox.
    file: Option<File>,
    behind: bool,
}

impl Piped {
    /// Standard output.
    pub(super) fn standard_output() -> io::Result<Self> {
        Ok(Self::new(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }

    fn new(file: File) -> Self {
        Self { shared: Arc::default(), file: Some(file), behind: false }
    }

    /// Hands lines over, and waits for a moment where the reader has kept up so far. An error is that of earlier lines, or of
    /// these: a reader that left does not come back.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new().name("output".into()).spawn(move || shared.keep_writing(file))?;
        }
        let mut waiting = self.shared.lock();
        if waiting.bytes.len() + lines.len() <= HELD {
            waiting.bytes.extend_from_slice(lines);
        } else {
            waiting.left_out += count(lines);
        }
        drop(waiting);
        self.shared.changed.notify_all();
        self.catch_up(PATIENCE)
    }

    /// Says what became of the lines.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.catch_up(Duration::ZERO)
    }

    fn catch_up(&mut self, patience: Duration) -> io::Result<()> {
        let settled = self.shared.settled(if self.behind { Duration::ZERO } else { patience });
        let mut waiting = self.shared.lock();
        if let Some(error) = waiting.error.take() {
            return Err(error);
        }
        if settled && self.behind {
            let left_out = std::mem::take(&mut waiting.left_out);
            eprintln!("lapwing: standard output is read again; {left_out} lines that found no room are missing");
        } else if !settled && !self.behind && !patience.is_zero() {
            eprintln!("lapwing: nobody reads standard output: alerts wait");
        } else {
            return Ok(());
        }
        self.behind = !settled;
        Ok(())
    }

    /// Waits for the reader for the last time; says what it did not take.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let settled = self.shared.settled(FAREWELL);
        let mut waiting = self.shared.lock();
        waiting.over = true;
        self.shared.changed.notify_all();
        if let Some(error) = waiting.error.take() {
            return Err(error);
        }
        let missing = waiting.left_out + count(&waiting.bytes);
        if settled && missing == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("nobody reads standard output: {missing} lines and those under way are missing")))
    }
}

fn count(lines: &[u8]) -> usize {
    lines.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use super::*;

    fn pipe() -> (io::PipeReader, Piped) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, Piped::new(File::from(OwnedFd::from(writer))))
    }

    #[test]
    fn nobody_waits_for_a_reader_that_hangs_and_it_gets_all_when_it_goes_on() {
        let (mut reader, mut piped) = pipe();
        let line = [&[b'a'; 1_023][..], b"\n"].concat();
        let begun = Instant::now();
        for _ in 0..1_000 {
            piped.append(&line).unwrap();
        }
        assert!(begun.elapsed() < PATIENCE * 10);
        assert!(piped.behind && piped.finish().is_err());
        let mut read = vec![0; 1_000 * line.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(count(&read), 1_000);
    }

    #[test]
    fn what_a_reader_takes_is_written_when_it_was_handed_over() {
        let (mut reader, mut piped) = pipe();
        piped.append(b"one\n").unwrap();
        let mut read = [0; 4];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"one\n");
        piped.finish().unwrap();
    }

    #[test]
    fn more_than_there_is_room_for_is_left_out_and_counted() {
        let (_reader, mut piped) = pipe();
        let lines = b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".repeat(HELD / 64);
        for _ in 0..4 {
            piped.append(&lines).unwrap();
        }
        assert!(piped.shared.lock().left_out > 0);
    }

    #[test]
    fn a_reader_that_left_is_an_error() {
        let (reader, mut piped) = pipe();
        drop(reader);
        assert_eq!(piped.append(b"one\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
