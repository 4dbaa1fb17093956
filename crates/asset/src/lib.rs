//! Observations in, a device inventory out.
//!
//! The [`Inventory`] owns every [`Device`] of the local networks: who it is (link-layer address, addresses), what it offers and
//! uses, whom it talks to, how much at which hour. Once it has learnt a network, what is new there is a [`Change`]; whether a
//! change is worth an alert, others decide.

mod change;
mod device;
mod inventory;
mod memory;
mod recent;
mod vendor;

pub use change::{Change, News};
pub use device::{Device, Mac, Peer, Prefix, Service, Volume};
pub use inventory::{Inventory, InventorySettings};
pub use memory::Memory;
pub use recent::{Recent, Seen};
pub use vendor::{is_random, vendor};
