//! How much of the traffic a live run sees, over the minute that is just over.

use std::collections::VecDeque;
use std::time::Duration;

use lapwing_alert::Missed;

/// What a live source heard and missed since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Frames that came, those that were lost included.
    pub received: u64,
    /// Frames of them that were lost before they were read.
    pub dropped: u64,
    /// How long interfaces were away, added up.
    pub away: Duration,
    /// How many interfaces are listened to.
    pub interfaces: u32,
}

/// Seconds that are looked back.
const WINDOW: usize = 60;

/// What was heard, second by second.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Oldest first; at most [`WINDOW`] and one.
    seconds: VecDeque<Heard>,
}

impl Coverage {
    /// Notes where a second has left the counts; what was missed in the minute before, if anything.
    pub(crate) fn note(&mut self, now: Heard) -> Option<Missed> {
        self.seconds.push_back(now);
        if self.seconds.len() > WINDOW + 1 {
            self.seconds.pop_front();
        }
        let before = self.seconds.front()?;
        let received = now.received.saturating_sub(before.received);
        let dropped = now.dropped.saturating_sub(before.dropped);
        let away = now.away.saturating_sub(before.away);
        let span = (self.seconds.len() - 1) as f64 * f64::from(now.interfaces.max(1));
        let lost = (dropped as f64 / received.max(1) as f64).min(1.0);
        let deaf = (away.as_secs_f64() / span.max(1.0)).min(1.0);
        let share = 1.0 - (1.0 - lost) * (1.0 - deaf);
        let reasons = [
            (dropped > 0).then(|| format!("{dropped} of {received} frames were lost before they were read")),
            (!away.is_zero()).then(|| format!("an interface was away for {:.0} s", away.as_secs_f64().ceil())),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (share > 0.0)
            .then(|| Missed { share: share as f32, reason: format!("in the minute before, {}", reasons.join(" and ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(received: u64, dropped: u64, away: u64) -> Heard {
        Heard { received, dropped, away: Duration::from_secs(away), interfaces: 1 }
    }

    #[test]
    fn what_is_lost_is_missed_for_a_minute() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.note(heard(1_000, 0, 0)), None);
        let missed = coverage.note(heard(2_000, 250, 0)).unwrap();
        assert_eq!(missed.share, 0.25);
        assert!(missed.reason.contains("250 of 1000 frames"), "{}", missed.reason);
        for _ in 0..59 {
            assert!(coverage.note(heard(2_000, 250, 0)).is_some());
        }
        assert_eq!(coverage.note(heard(3_000, 250, 0)), None);
    }

    #[test]
    fn an_interface_that_is_away_is_missed() {
        let mut coverage = Coverage::default();
        coverage.note(heard(0, 0, 0));
        coverage.note(heard(0, 0, 0));
        assert_eq!(coverage.note(heard(0, 0, 1)).unwrap().share, 0.5);
    }
}
