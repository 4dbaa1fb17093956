//! The documents, as their readers follow them.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// All documents of the repository.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| match path.file_name().unwrap().to_str().unwrap() {
        "target" | "node_modules" | "shots" => Vec::new(),
        name if name.starts_with('.') => Vec::new(),
        _ if path.is_dir() => documents(&path),
        name if name.ends_with(".md") => vec![path],
        _ => Vec::new(),
    };
    entries.flat_map(of).collect()
}

#[test]
fn links_and_pictures_lead_to_what_is_there() {
    let documents = documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    assert!(documents.len() > 20, "{documents:?}");
    let mut links = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = link.split('#').next().unwrap();
            if file.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            links += 1;
            assert!(document.parent().unwrap().join(file).exists(), "{}: {link}", document.display());
        }
    }
    assert!(links > 50, "{links}");
}
