//! The card of a model: what it expects, and what it was made from.

use serde::{Deserialize, Serialize};

/// What a reader of a model file wants to know, besides its calibration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// What the rows are.
    pub schema: SchemaId,
    /// The name of each column.
    pub columns: Vec<String>,
    /// What it was trained on, with what, how.
    pub training: Training,
}

/// Names a schema of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaId {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 over all that gives a row its meaning.
    pub hash: [u8; 32],
}

/// What a model was trained on, with what, how. [`crate::Model::train`] fills in the counts, the seed and the forest's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Program and version, as `lapwing 0.1.0`.
    pub program: String,
    /// The files read, in order.
    pub inputs: Vec<Input>,
    /// Rows learnt from.
    pub rows: u64,
    /// Rows held back for calibration.
    pub rows_held_back: u64,
    /// First and last capture time of all rows, in nanoseconds since the Unix epoch.
    pub span: Option<(i64, i64)>,
    /// Seed of everything random.
    pub seed: u64,
    /// Settings by name, in the order to be shown.
    pub settings: Vec<(String, String)>,
    /// What was measured, by name.
    pub metrics: Vec<(String, f64)>,
}

/// A file that a model was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its name as given, without the folder.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// Most bytes of a text on the card.
const MAX_TEXT: usize = 4_096;

impl ModelCard {
    /// The first text that is too long or would do something to a terminal, if any.
    pub(super) fn unfit_text(&self) -> Option<&str> {
        let Training { program, inputs, settings, .. } = &self.training;
        let names = settings.iter().flat_map(|(name, value)| [name, value]);
        let metrics = self.training.metrics.iter().map(|(name, _)| name);
        let texts = [&self.schema.name, program].into_iter().chain(&self.columns).chain(names).chain(metrics);
        let mut texts = texts.chain(inputs.iter().map(|input| &input.name)).map(String::as_str);
        texts.find(|text| text.len() > MAX_TEXT || text.chars().any(char::is_control))
    }
}
