//! Traffic made up from a seed, with the truth about it.
//!
//! [`Simulated`] is a [`Source`](lapwing_capture::Source) like a file: a small home whose devices have habits, and attacks on it
//! now and then. The same seed gives the same frames. It makes frames as fast as they are taken; [`Paced`](lapwing_capture::Paced)
//! hands them over as time passes. [`Truth`] says which attacks there were, so that what was found can be compared with what
//! happened; nothing of it is in the frames.
//!
//! Addresses are those of 192.168.77.0/24 at home, and of the ranges for documentation outside (RFC 5737); nobody has them.

mod simulate;

pub use simulate::{Attack, AttackKind, Attacks, Simulated, Simulation, Truth};
