//! Where results go.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Opens the file named, or standard output.
pub(crate) fn open(path: Option<&Path>) -> Result<Box<dyn Write + Send>> {
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
