//! Where results go.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 16;

/// Standard output, a pipe or device, or a file.
///
/// A file is written beside the one named and takes its name in [`Output::finish`]: whatever fails or is interrupted before,
/// what stood under the name stays as it was, and nobody takes half a result for a whole one.
pub(crate) struct Output {
    writer: BufWriter<Box<dyn Write + Send>>,
    pending: Option<Pending>,
}

/// A file that is not whole yet. It is removed if it never becomes so.
struct Pending {
    partial: PathBuf,
    path: PathBuf,
    file: File,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Nothing is left to tell an error to.
        let _ = fs::remove_file(&self.partial);
    }
}

impl Output {
    /// Opens what is named, or standard output. A file that is read by the same run is refused.
    pub(crate) fn open(path: Option<&Path>, read: &[PathBuf]) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::to(Box::new(io::stdout()), None)) };
        refuse_own_input(path, read)?;
        Self::create(path).with_context(|| format!("{}: cannot be written", path.display()))
    }

    fn create(path: &Path) -> io::Result<Self> {
        // Through links, so that what they point to is replaced and not they.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.exists() {
            // Even where the folder would let it be replaced, a file that is protected is not.
            let file = File::options().write(true).open(&path)?;
            if !path.is_file() {
                return Ok(Self::to(Box::new(file), None));
            }
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = PathBuf::from(partial);
        // One that was left by a run that died is in nobody's way; a link in its place is not followed.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = File::create_new(&partial)?;
        if let Ok(metadata) = fs::metadata(&path) {
            fs::set_permissions(&partial, metadata.permissions())?;
        }
        let pending = Pending { partial, path, file: file.try_clone()? };
        Ok(Self::to(Box::new(file), Some(pending)))
    }

    fn to(writer: Box<dyn Write + Send>, pending: Option<Pending>) -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER, writer), pending }
    }

    /// Writes what is left, and gives the file its name.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        match self.pending.take() {
            Some(pending) => {
                // What has its name is on the disk, or the last good one would be lost with the power.
                pending.file.sync_all()?;
                fs::rename(&pending.partial, &pending.path)
            }
            None => Ok(()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Checks that a file could be written, before the work whose result it shall hold.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    Output::create(path).map(drop).with_context(|| format!("{}: cannot be written", path.display()))
}

/// The form that a file's name says: the first of `forms` whose ending it has. A name with another ending is told; pipes,
/// devices and names without one have nothing to say.
pub(crate) fn form<F: Copy>(path: Option<&Path>, forms: &[(&[&str], F)], otherwise: F, called: &str) -> F {
    let Some(path) = path else { return otherwise };
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let ends_so = |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if let Some((_, form)) = forms.iter().find(|(endings, _)| endings.iter().any(ends_so)) {
        return *form;
    }
    if name.contains('.') && (path.is_file() || !path.exists()) {
        let known: Vec<String> =
            forms.iter().flat_map(|(endings, _)| *endings).map(|ending| format!(".{ending}")).collect();
        eprintln!(
            "lapwing: {}: the name does not end in {}: {called} is written; --format says otherwise",
            path.display(),
            known.join(", ")
        );
    }
    otherwise
}

/// Refuses an output that is one of the files read, under whatever name.
pub(crate) fn refuse_own_input(output: &Path, read: &[PathBuf]) -> Result<()> {
    let Ok(output_is) = output.canonicalize() else { return Ok(()) };
    if output_is.is_file() && read.iter().any(|file| file.canonicalize().is_ok_and(|file| file == output_is)) {
        bail!("{} is read by this run and would be overwritten; name another --output", output.display());
    }
    Ok(())
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output cannot be written")
}

/// Writes JSON to standard output, for people to read too.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.csv");
        fs::write(&path, "the good one").unwrap();
        let mut output = Output::open(Some(&path), &[]).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read_to_string(&path).unwrap(), "the good one");
        let mut output = Output::open(Some(&path), &[]).unwrap();
        output.write_all(b"whole").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_run_that_died_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.lapwing");
        let left = folder.path().join(format!("home.lapwing.{}.partial", std::process::id()));
        fs::write(&left, "half").unwrap();
        check_writable(&path).unwrap();
        let mut output = Output::open(Some(&path), &[]).unwrap();
        output.write_all(b"whole").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert!(!left.exists());
    }

    #[test]
    fn the_name_says_the_form() {
        let forms: &[(&[&str], u8)] = &[(&["eve", "eve.json"], 1), (&["json"], 2)];
        let of = |name: &str| form(Some(Path::new(name)), forms, 0, "zero");
        assert_eq!((of("o.eve"), of("eve.json"), of("my.eve.JSON"), of("sleeve.json"), of("plain")), (1, 1, 1, 2, 0));
    }
}
