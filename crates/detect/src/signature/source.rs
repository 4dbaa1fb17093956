//! Where rules come from: the binary itself, and folders.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::Problem;

/// A file of rules, and of their cases where it has some beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureSource {
    /// What to call it in messages: its path.
    pub file: String,
    /// Its text.
    pub text: Cow<'static, str>,
    /// The text of `cases/NAME.yml` beside it.
    pub cases: Option<Cow<'static, str>>,
}

/// Deeper folders are not read.
const MAX_DEPTH: usize = 8;

/// Larger files are refused: all rules for Zeek that SigmaHQ publishes have a tenth of it.
const MAX_BYTES: u64 = 1 << 20;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!("signatures/", $name, ".yml"),
            include_str!(concat!("../../../../signatures/", $name, ".yml")),
            include_str!(concat!("../../../../signatures/cases/", $name, ".yml")),
        )),*]
    };
}

const SHIPPED: &[(&str, &str, &str)] = shipped![
    "arp",
    "beacon",
    "botnet",
    "brute-force",
    "device",
    "exfiltration",
    "exhaustion",
    "flood",
    "network-scan",
    "port-scan",
    "reflection"
];

/// The rules in the binary.
#[must_use]
pub fn shipped() -> Vec<SignatureSource> {
    let source = |&(file, text, cases): &(&str, &'static str, &'static str)| SignatureSource {
        file: file.to_owned(),
        text: Cow::Borrowed(text),
        cases: Some(Cow::Borrowed(cases)),
    };
    SHIPPED.iter().map(source).collect()
}

/// The rules in a folder and the folders in it (`*.yml`, `*.yaml`, by name; folders called `cases` hold cases), or in one
/// file. What cannot be read is among the problems.
#[must_use]
pub fn read_directory(path: &Path) -> (Vec<SignatureSource>, Vec<Problem>) {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    read(path, 0, &mut sources, &mut problems);
    (sources, problems)
}

fn read(path: &Path, depth: usize, sources: &mut Vec<SignatureSource>, problems: &mut Vec<Problem>) {
    let problem = |reason: String| Problem { file: path.display().to_string(), line: 0, reason };
    if !path.is_dir() {
        match read_text(path) {
            Ok(text) => sources.push(SignatureSource {
                file: path.display().to_string(),
                text: text.into(),
                cases: cases_path(path).filter(|cases| cases.exists()).and_then(|cases| match read_text(&cases) {
                    Ok(text) => Some(text.into()),
                    Err(reason) => {
                        problems.push(Problem { file: cases.display().to_string(), line: 0, reason });
                        None
                    }
                }),
            }),
            Err(reason) => problems.push(problem(reason)),
        }
        return;
    }
    if depth >= MAX_DEPTH {
        problems.push(problem(format!("lies more than {MAX_DEPTH} folders deep: not read")));
        return;
    }
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(path) {
        Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        Err(error) => return problems.push(problem(error.to_string())),
    };
    entries.sort();
    for entry in entries {
        let is_rule = entry.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        let is_cases = entry.file_name().is_some_and(|name| name == "cases");
        if entry.is_dir() && !is_cases || entry.is_file() && is_rule {
            read(&entry, depth + 1, sources, problems);
        }
    }
}

fn cases_path(path: &Path) -> Option<PathBuf> {
    Some(path.parent()?.join("cases").join(path.file_name()?))
}

fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err(format!("{size} bytes: a rule file has at most {MAX_BYTES}; split it"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
