//! How unusual packets are told from usual ones.

use serde::{Deserialize, Serialize};

/// A way to say how unusual the last packets of a host are; the names are those of `traffic-monitor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Three standard deviations from what the host did before.
    #[default]
    Statistical,
    /// Set apart early by random splits.
    IsolationForest,
    /// Hard to rebuild from fewer numbers.
    Autoencoder,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::IsolationForest, Self::Statistical, Self::Autoencoder];

    /// As it is named in the API.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Statistical => "statistical",
            Self::IsolationForest => "isolation_forest",
            Self::Autoencoder => "autoencoder",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.key() == key)
    }

    /// Why it cannot be used, if it cannot.
    #[must_use]
    pub const fn unavailable(self) -> Option<&'static str> {
        match self {
            Self::Statistical | Self::IsolationForest => None,
            Self::Autoencoder => Some("this build has no autoencoder; use isolation_forest or statistical"),
        }
    }
}
