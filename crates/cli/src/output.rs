//! Where results go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sources::Named;

/// Opens the file named, or standard output. A file that is read by the same run is refused: it would be emptied first.
pub(crate) fn open(path: Option<&Path>, read: &[PathBuf]) -> Result<Box<dyn Write + Send>> {
    if let Some(path) = path {
        refuse_own_input(path, read)?;
    }
    Ok(match path {
        None => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
        Some(path) => {
            let file = File::create(path).with_context(|| {
                format!("{}: cannot be written; check the folder and its permissions", path.display())
            })?;
            Box::new(BufWriter::with_capacity(1 << 16, file))
        }
    })
}

/// How a named output ends, in small letters.
pub(crate) fn extension(path: Option<&Path>) -> Option<String> {
    path?.extension()?.to_str().map(str::to_ascii_lowercase)
}

/// Refuses an output that is one of the files read, under whatever name.
pub(crate) fn refuse_own_input(output: &Path, read: &[PathBuf]) -> Result<()> {
    let Ok(output_is) = output.canonicalize() else { return Ok(()) };
    for file in Named::of(read).files() {
        if output_is.is_file() && file.canonicalize().is_ok_and(|file| file == output_is) {
            bail!("{} is read by this run and would be overwritten; name another --output", output.display());
        }
    }
    Ok(())
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output cannot be written")
}
