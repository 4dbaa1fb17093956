//! Something that goes on for a while.

use lapwing_capture::Timestamp;

use super::world::World;

/// A habit of a device, or an attack.
pub(super) trait Activity: Send {
    /// Does the next piece at `now`: frames pass from then on, over a few seconds at most. Returns when it goes on, `None` when
    /// it is over.
    fn go_on(&mut self, world: &mut World, now: Timestamp) -> Option<Timestamp>;
}

impl<F: FnMut(&mut World, Timestamp) -> Option<Timestamp> + Send> Activity for F {
    fn go_on(&mut self, world: &mut World, now: Timestamp) -> Option<Timestamp> {
        self(world, now)
    }
}
