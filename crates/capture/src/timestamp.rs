//! Capture time.

use std::time::Duration;

/// A moment of capture time: nanoseconds since the Unix epoch, as the capture states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    /// The earliest moment there is.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest moment there is.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From microseconds since the epoch; saturates.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// From whole seconds since the epoch; saturates.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Microseconds since the epoch, rounded down.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// The whole multiple of `step` at or before this moment.
    #[must_use]
    pub const fn floor(self, step: Duration) -> Self {
        let step = step.as_nanos() as i64;
        Self::from_nanos(self.nanos().saturating_sub(self.nanos().rem_euclid(if step > 0 { step } else { 1 })))
    }

    /// Nanoseconds from `earlier` to this moment; negative when `earlier` is later, saturating.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.nanos_since(earlier) as f64 / NANOS_PER_SECOND as f64
    }

    /// This moment moved forward by `duration`; saturates.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        Self(self.0.saturating_add(if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 }))
    }

    /// This moment moved back by `duration`; saturates.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        Self(self.0.saturating_sub(if nanos > i64::MAX as u128 { i64::MAX } else { nanos as i64 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_towards_the_past() {
        assert_eq!(Timestamp::from_nanos(-1).seconds(), -1);
        assert_eq!(Timestamp::from_nanos(1_999_999_999).seconds(), 1);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.nanos_since(Timestamp::MIN), i64::MAX);
    }
}
