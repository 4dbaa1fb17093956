//! How a host's attempts went, in a window.

use lapwing_capture::Timestamp;
use lapwing_flow::Flow;

use super::probe::{Outcome, Probe, Style, unpack};
use crate::first_sight::Earlier;

/// Counts of attempts by outcome and style since the window began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) refused: u32,
    pub(crate) unanswered: u32,
    pub(crate) half_open: u32,
    pub(crate) empty: u32,
    styles: [u16; Style::ALL.len()],
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Outcomes {
    /// Takes an attempt in that came to nothing.
    pub(crate) fn add(&mut self, probe: &Probe, flow: &Flow) {
        self.count(probe.style, probe.outcome, flow.start, flow.last);
    }

    /// Takes in what a [`FirstSight`](crate::first_sight::FirstSight) remembers of an attempt.
    pub(crate) fn add_earlier(&mut self, earlier: Earlier) {
        let (style, outcome) = unpack(earlier.how);
        let time = Timestamp::from_nanos(earlier.nanos);
        self.count(style, outcome, time, time);
    }

    fn count(&mut self, style: Style, outcome: Outcome, first: Timestamp, last: Timestamp) {
        if self.failed() == 0 {
            (self.first, self.last) = (first, last);
        }
        let count = match outcome {
            Outcome::Refused => &mut self.refused,
            Outcome::Unanswered => &mut self.unanswered,
            Outcome::HalfOpen => &mut self.half_open,
            Outcome::Empty => &mut self.empty,
            Outcome::Conversation => return,
        };
        *count = count.saturating_add(1);
        let style = &mut self.styles[style as usize];
        *style = style.saturating_add(1);
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }

    /// Attempts that came to nothing.
    pub(crate) fn failed(&self) -> u32 {
        self.refused.saturating_add(self.unanswered).saturating_add(self.half_open).saturating_add(self.empty)
    }

    /// The outcomes that there were, as a sentence lists them. Of the unanswered, `refused` were refused by other means.
    pub(crate) fn list(&self, refused: u32) -> String {
        let outcomes = [
            (self.refused.saturating_add(refused), "refused"),
            (self.unanswered.saturating_sub(refused), "unanswered"),
            (self.half_open, "half open"),
            (self.empty, "opened without a word"),
        ];
        let there = outcomes.iter().filter(|(count, _)| *count > 0);
        there.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }

    /// The style of most attempts.
    pub(crate) fn style(&self) -> &'static str {
        let most =
            (0..Style::ALL.len()).max_by_key(|&style| (self.styles[style], Style::ALL.len() - style)).unwrap_or(0);
        // A connect scan completes the handshake where it can; a SYN scan never does.
        if Style::ALL[most] == Style::Syn && self.empty > self.half_open {
            "connect"
        } else {
            Style::ALL[most].as_str()
        }
    }
}
