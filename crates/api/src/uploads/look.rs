//! What the packets of an upload look like, as it is kept beside it.

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

use lapwing_detect::packets::Pattern;
use lapwing_engine::packets::Survey;
use serde::{Deserialize, Serialize};

/// What the packets of an upload look like.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Look {
    pub(crate) packets: u64,
    pub(crate) taken: u64,
    pub(crate) anomalies: u64,
    /// By the keys of patterns.
    pub(crate) patterns: HashMap<String, u64>,
    /// They of the packets that stand out; nothing in what an earlier version wrote.
    #[serde(default)]
    pub(crate) unusual_patterns: HashMap<String, u64>,
    pub(crate) method: String,
    pub(crate) judging: String,
}

impl Look {
    pub(super) fn of(survey: &Survey) -> Self {
        let by_key = |counts: &[(Pattern, u64)]| {
            counts.iter().map(|(pattern, count)| (pattern.key().to_owned(), *count)).collect()
        };
        Self {
            packets: survey.frames,
            taken: survey.totals.all().packets,
            anomalies: survey.totals.anomalies,
            patterns: by_key(&survey.patterns),
            unusual_patterns: by_key(&survey.unusual_patterns),
            method: survey.judging.method.key().to_owned(),
            judging: survey.judging.text(),
        }
    }

    pub(crate) fn of_pattern(&self, pattern: Pattern) -> u64 {
        self.patterns.get(pattern.key()).copied().unwrap_or_default()
    }

    pub(crate) fn unusual_of_pattern(&self, pattern: Pattern) -> u64 {
        self.unusual_patterns.get(pattern.key()).copied().unwrap_or_default()
    }

    pub(super) fn keep(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_vec(self)?)
    }
}
