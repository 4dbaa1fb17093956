//! Matrices in; models, scores, calibration, explanations and metrics out. Knows numbers, not networks.
//!
//! A [`Model`] is what the rest of the program holds: an algorithm (so far the [`IsolationForest`]), its [`Calibration`]
//! and the [`ModelCard`] that says where it came from. It is read-only once built, so any number of threads score with
//! one copy. Nothing here reads a clock, the environment or a source of randomness: a seed and the rows decide the model,
//! whatever the number of threads.

pub mod calibration;
pub mod forest;
mod matrix;
pub mod metrics;
pub mod model;
mod random;

pub use calibration::{Calibration, HeldBack};
pub use forest::{Contribution, Explanation, ForestSettings, IsolationForest};
pub use matrix::{Matrix, Rows};
pub use model::{Algorithm, Baseline, Input, Model, ModelCard, ModelError, SchemaId, Training};
pub use random::Random;
