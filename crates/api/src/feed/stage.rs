//! The stage by which a run fills a feed.

use std::collections::VecDeque;

use lapwing_asset::Inventory;
use lapwing_capture::Timestamp;
use lapwing_engine::{Scored, Stage};
use lapwing_flow::Reported;
use lapwing_protocol::{Observation, Observed};

use super::Feed;

/// A stage that shows what another sees.
pub struct Feeding<'a> {
    stage: &'a mut dyn Stage,
    feed: Feed,
}

impl<'a> Feeding<'a> {
    /// Shows in `feed` what `stage` sees.
    pub fn new(stage: &'a mut dyn Stage, feed: Feed) -> Self {
        Self { stage, feed }
    }
}

impl Stage for Feeding<'_> {
    fn looks_at(&self) -> Reported {
        self.stage.looks_at().max(Reported::Ends)
    }

    fn inventory(&self) -> Option<&Inventory> {
        self.stage.inventory()
    }

    fn observe(&mut self, observed: &[Observed<'_>], scored: &[Scored<'_>]) {
        self.stage.observe(observed, scored);
        let ended = observed.iter().filter_map(|observed| match observed.fact {
            Observation::FlowEnded(flow) => Some((observed.time, flow)),
            _ => None,
        });
        // Where hosts are is looked up while nobody waits.
        let room = self.feed.state().room();
        let mut countries: VecDeque<Option<String>> =
            ended.clone().take(room).map(|(_, flow)| self.feed.country_of(flow)).collect();
        let mut state = self.feed.state();
        if let Some(first) = observed.first() {
            state.run.get_or_insert(first.time);
        }
        scored.iter().for_each(|scored| state.score(scored));
        for (time, flow) in ended {
            let country = countries.pop_front().flatten();
            state.flow(flow, time, self.feed.simulated, &self.feed.local, country);
        }
    }

    fn idle(&mut self) {
        self.stage.idle();
    }

    fn advance(&mut self, second: Timestamp) {
        let mut state = self.feed.state();
        state.now = Some(second);
        state.began.get_or_insert(second);
        if !state.framed {
            // Of logs, too, silent seconds are seconds.
            state.second(second);
        }
        drop(state);
        self.stage.advance(second);
    }
}
