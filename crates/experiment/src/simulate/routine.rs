//! Who does what at home.

use super::habit;
use super::home::{Home, THERMOSTAT_CLOUD};
use super::world::World;

/// Everybody begins to do what they do.
pub(super) fn move_in(world: &mut World) {
    let start = world.start;
    habit::camera(world, start, Home::FRONT_CAMERA);
    habit::clips(world, start, Home::YARD_CAMERA);
    habit::clips(world, start, Home::DOORBELL);
    for (number, plug) in Home::PLUGS.into_iter().enumerate() {
        habit::plug(world, start, plug, number);
    }
    habit::polls(world, start, Home::THERMOSTAT, THERMOSTAT_CLOUD, 300);
    habit::speaker(world, start);
    habit::television(world, start);
    habit::browsing(world, start, Home::PHONE, 40.0);
    habit::browsing(world, start, Home::LAPTOP, 90.0);
    habit::storage(world, start);
    habit::hub(world, start);
    for device in Home::devices() {
        habit::keeps_time(world, start, device);
        habit::asks_for_neighbours(world, start, device);
    }
}
