//! An isolation forest over windows, grown once from the first of them.

use std::num::NonZeroUsize;

use lapwing_feature::WindowMeasures;
use lapwing_learn::{Calibration, ForestSettings, HeldBack, IsolationForest, Rows};

/// The frame's length, and the ten numbers of its window. Ports and protocol are left out: they are names, and a forest takes them
/// for magnitudes.
const WIDTH: usize = 11;

/// Learns from the first windows that do not look like a scan, then says of any other how unusual it is. It is never grown
/// again, and never from what it scores.
pub(super) enum Grove {
    Learning(Vec<f32>),
    Grown(Box<(IsolationForest, Calibration)>),
    /// No forest came of the rows.
    Failed,
}

impl Default for Grove {
    fn default() -> Self {
        Self::Learning(Vec::new())
    }
}

impl Grove {
    /// Windows the trees are grown from.
    const GROWN_FROM: usize = 256;

    /// Windows that came after those, and say what usual scores are.
    const HELD_BACK: usize = 128;

    /// Windows to learn before anything is said.
    pub(super) const WINDOWS: usize = Self::GROWN_FROM + Self::HELD_BACK;

    /// One in so many usual windows may be called unusual.
    pub(super) const LETS_PASS: f64 = 0.01;

    /// Windows learnt.
    pub(super) fn learnt(&self) -> usize {
        match self {
            Self::Learning(rows) => rows.len() / WIDTH,
            Self::Grown(_) => Self::WINDOWS,
            Self::Failed => 0,
        }
    }

    /// Learns a window while it learns.
    pub(super) fn learn(&mut self, length: u32, window: &WindowMeasures) {
        let Self::Learning(rows) = self else { return };
        rows.extend(row(length, window));
        if rows.len() == Self::WINDOWS * WIDTH {
            *self = grow(rows).map_or(Self::Failed, |grown| Self::Grown(Box::new(grown)));
        }
    }

    /// How unusual a window is, from 0 to 1, and whether that is too much; `None` while it learns.
    pub(super) fn score(&self, length: u32, window: &WindowMeasures) -> Option<(f32, bool)> {
        let Self::Grown(grown) = self else { return None };
        let (forest, calibration) = &**grown;
        let row = row(length, window);
        let mut scores = Vec::with_capacity(1);
        forest.score_into(Rows::new(WIDTH, &row)?, &mut scores).ok()?;
        let score = *scores.first()?;
        Some((score, calibration.p_value(score) <= Self::LETS_PASS))
    }
}

fn row(length: u32, window: &WindowMeasures) -> [f32; WIDTH] {
    let mut row = [length as f32; WIDTH];
    row[1..].copy_from_slice(&window.numbers());
    row
}

fn grow(rows: &[f32]) -> Option<(IsolationForest, Calibration)> {
    let (grown_from, held_back) = rows.split_at(Grove::GROWN_FROM * WIDTH);
    let forest =
        IsolationForest::train(Rows::new(WIDTH, grown_from)?, ForestSettings::default(), NonZeroUsize::MIN).ok()?;
    let mut scores = Vec::new();
    forest.score_into(Rows::new(WIDTH, held_back)?, &mut scores).ok()?;
    // Only its p-values are used, and they know neither days nor budgets.
    let held_back = HeldBack { scores: &scores, alerts: None, device_days: 1.0 };
    Some((forest, Calibration::fit(held_back, 1.0).ok()?))
}
