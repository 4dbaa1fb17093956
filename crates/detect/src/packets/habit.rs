//! What a host usually does, in four numbers that follow it slowly.

use lapwing_feature::WindowMeasures;

/// Numbers that are followed.
const NUMBERS: usize = 4;

/// Windows after which what was learnt first counts as little as a third: a habit may change.
const MEMORY: u32 = 1_000;

/// Windows in a row that are unusual until they are the new habit.
const NEW_HABIT: u32 = 100;

/// Deviations smaller than this are none: of the logarithms a tenth, of the share a fiftieth.
const LEAST_DEVIATION: [f32; NUMBERS] = [0.1, 0.1, 0.1, 0.02];

/// Mean and variance of packet rate, mean size, destinations and diversity of protocols over a host's windows, the first three as
/// logarithms: they range over several powers of ten.
#[derive(Clone, Debug, Default)]
pub(super) struct Habit {
    windows: u32,
    mean: [f32; NUMBERS],
    variance: [f32; NUMBERS],
    unusual_in_a_row: u32,
}

impl Habit {
    /// Windows to learn before anything is said.
    pub(super) const WINDOWS: u32 = 100;

    /// Standard deviations beyond which a window is unusual.
    pub(super) const DEVIATIONS: f32 = 3.0;

    /// Windows learnt, as far as they are needed.
    pub(super) fn learnt(&self) -> u32 {
        self.windows.min(Self::WINDOWS)
    }

    /// How many standard deviations the strangest of the four numbers is off; `None` while it learns.
    pub(super) fn deviation(&self, window: &WindowMeasures) -> Option<f32> {
        if self.windows < Self::WINDOWS {
            return None;
        }
        let off = |number: usize, value: f32| {
            (value - self.mean[number]).abs() / self.variance[number].sqrt().max(LEAST_DEVIATION[number])
        };
        Some(numbers(window).into_iter().enumerate().map(|(number, value)| off(number, value)).fold(0.0, f32::max))
    }

    /// Learns a window, if it is not unusual. What stays unusual is a new habit, and is learnt from the start.
    pub(super) fn learn(&mut self, window: &WindowMeasures) {
        if self.deviation(window).is_some_and(|deviation| deviation > Self::DEVIATIONS) {
            self.unusual_in_a_row += 1;
            if self.unusual_in_a_row >= NEW_HABIT {
                *self = Self::default();
            }
            return;
        }
        self.unusual_in_a_row = 0;
        self.windows = self.windows.saturating_add(1);
        // Welford's update (1962), with the weight of a new window held at 1/MEMORY.
        let weight = 1.0 / self.windows.min(MEMORY) as f32;
        for (number, value) in numbers(window).into_iter().enumerate() {
            let off = value - self.mean[number];
            self.mean[number] += weight * off;
            self.variance[number] = (1.0 - weight) * (self.variance[number] + weight * off * off);
        }
    }
}

fn numbers(window: &WindowMeasures) -> [f32; NUMBERS] {
    [window.packet_rate.ln_1p(), window.avg_size.ln_1p(), window.unique_dsts.ln_1p(), window.protocol_diversity]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(rate: f32) -> WindowMeasures {
        WindowMeasures {
            packets: 100,
            packet_rate: rate,
            avg_size: 300.0,
            unique_dsts: 3.0,
            ..WindowMeasures::default()
        }
    }

    fn habit(rates: impl Iterator<Item = f32>) -> Habit {
        let mut habit = Habit::default();
        rates.for_each(|rate| habit.learn(&window(rate)));
        habit
    }

    #[test]
    fn it_is_silent_until_a_hundred_windows_were_learnt() {
        assert_eq!(habit((0..99).map(|_| 5.0)).deviation(&window(500.0)), None);
        assert!(habit((0..100).map(|_| 5.0)).deviation(&window(500.0)).unwrap() > Habit::DEVIATIONS);
    }

    #[test]
    fn what_the_host_always_did_is_usual_however_wide_it_ranges() {
        let wide = habit((0..500).map(|window| 1.0 + (window % 20) as f32));
        assert!(wide.deviation(&window(20.0)).unwrap() < Habit::DEVIATIONS);
        assert!(wide.deviation(&window(2_000.0)).unwrap() > Habit::DEVIATIONS);
    }

    #[test]
    fn what_is_unusual_is_not_learnt_unless_it_stays() {
        let mut habit = habit((0..200).map(|_| 5.0));
        (0..NEW_HABIT - 1).for_each(|_| habit.learn(&window(500.0)));
        assert!(habit.deviation(&window(500.0)).unwrap() > Habit::DEVIATIONS);
        (0..=Habit::WINDOWS).for_each(|_| habit.learn(&window(500.0)));
        assert!(habit.deviation(&window(500.0)).unwrap() < Habit::DEVIATIONS);
    }
}
