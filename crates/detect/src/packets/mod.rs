//! What single packets look like in the company of those before them: labels for lists, no alerts.

mod grove;
mod habit;
mod judge;
mod method;
mod pattern;

pub use judge::{JudgeState, PacketJudge};
pub use method::Method;
pub use pattern::Pattern;

/// What is said of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// What the last packets of its sender look like; `None` while there are too few, and for what no host sent.
    pub pattern: Option<Pattern>,
    /// How unusual they are, by the method in use, from 0 to 1; `None` while it learns.
    pub score: Option<f32>,
    /// Whether that is more than the method lets pass.
    pub is_anomaly: bool,
}
