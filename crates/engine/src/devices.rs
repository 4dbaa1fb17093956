//! The stage that only takes stock: observations in, the inventory out.

use lapwing_asset::{Change, Inventory};
use lapwing_flow::Reported;
use lapwing_protocol::Observed;

use crate::{Scored, Stage};

/// Keeps an inventory of what it sees; what is new about it is nobody's concern here.
#[derive(Debug)]
pub struct TakingStock {
    inventory: Inventory,
    changes: Vec<Change>,
}

impl TakingStock {
    /// Fills `inventory`.
    #[must_use]
    pub fn new(inventory: Inventory) -> Self {
        Self { inventory, changes: Vec::new() }
    }

    /// The inventory as it is at the end.
    #[must_use]
    pub fn finish(self) -> Inventory {
        self.inventory
    }
}

impl Stage for TakingStock {
    fn looks_at(&self) -> Reported {
        Reported::Judged
    }

    fn inventory(&self) -> Option<&Inventory> {
        Some(&self.inventory)
    }

    fn observe(&mut self, observed: &[Observed<'_>], _scored: &[Scored<'_>]) {
        for observed in observed {
            self.inventory.observe(observed, &mut self.changes);
            self.changes.clear();
        }
    }
}
