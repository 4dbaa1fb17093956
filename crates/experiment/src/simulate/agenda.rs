//! When attacks come.

use std::time::Duration;

use lapwing_capture::Timestamp;

use super::AttackKind;
use super::attack;
use super::world::World;

/// Which attacks there are, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attacks {
    /// None: a quiet home.
    None,
    /// The first after twenty to thirty seconds, one that is noticed soon; each further one a minute to three after the one before, every
    /// kind in turn in an order that the seed names.
    NowAndThen,
    /// These, each so long after the start.
    These(Vec<(Duration, AttackKind)>),
}

pub(super) fn plan(world: &mut World, attacks: &Attacks) {
    match attacks {
        Attacks::None => {}
        Attacks::These(attacks) => {
            for (after, kind) in attacks {
                let kind = *kind;
                world.begin(world.start.plus(*after), move |world: &mut World, now: Timestamp| {
                    attack::begin(world, now, kind);
                    None
                });
            }
        }
        Attacks::NowAndThen => {
            let first = world.start.plus(world.between(20.0, 30.0));
            let mut waiting: Vec<AttackKind> = Vec::new();
            world.begin(first, move |world: &mut World, now: Timestamp| {
                if waiting.is_empty() {
                    waiting.extend(AttackKind::ALL);
                }
                // Who just began to watch wants to see something soon.
                let choices = if now == first { AttackKind::QUICK } else { waiting.len() };
                let kind = waiting.swap_remove(world.random.below(choices));
                let until = attack::begin(world, now, kind);
                Some(until.plus(world.between(60.0, 180.0)))
            });
        }
    }
}
