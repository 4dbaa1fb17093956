//! The flow tables of several logical shards.

use lapwing_capture::Timestamp;
use lapwing_decode::{Buffers, Packet};

use crate::{FlowConfig, FlowCounters, FlowEvent, FlowTable};

/// Packets looked up ahead: first where their flow is noted, then the flow itself, so that both are on the way from memory
/// while the packets before them are taken in.
const NOTES_AHEAD: usize = 24;
const FLOWS_AHEAD: usize = 12;

/// The live flows of every `lanes`-th shard, from `lane` on.
///
/// Packets go through in the order of their frames, whatever their shard: what each table reports is the same in any other
/// order that keeps the packets of a shard in theirs.
#[derive(Debug)]
pub struct FlowTables {
    tables: Vec<FlowTable>,
    /// By shard the place of its table; of shards that are not here, of some other one.
    places: [u8; Packet::SHARDS],
    /// By place when its table must be looked at, together: to sweep is to read these.
    checks: Vec<i64>,
}

/// A moment before a frame at which tables are swept.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Number of the frame.
    pub frame: u64,
    /// Capture time.
    pub time: Timestamp,
}

impl FlowTables {
    /// Empty tables, each with a shard's share of the capacity.
    ///
    /// # Panics
    /// If `lane` is not below `lanes`, or there are more lanes than shards.
    #[must_use]
    pub fn new(config: &FlowConfig, lane: usize, lanes: usize) -> Self {
        assert!(lane < lanes && lanes <= Packet::SHARDS, "lane {lane} of {lanes}");
        let shards = (lane..Packet::SHARDS).step_by(lanes);
        let tables: Vec<FlowTable> = shards.map(|_| FlowTable::new(config)).collect();
        Self {
            checks: vec![i64::MAX; tables.len()],
            tables,
            places: std::array::from_fn(|shard| (shard / lanes) as u8),
        }
    }

    /// Takes in those of `packets` that `which` names (indexes, ascending): those of the shards that are here. Appends what
    /// happened to `events`. `buffers` holds the packets' payload. On the way the tables are swept as `sweeps` say, in their order.
    pub fn process(
        &mut self,
        packets: &[Packet],
        which: &[u32],
        buffers: Buffers<'_>,
        sweeps: impl IntoIterator<Item = Sweep>,
        events: &mut Vec<FlowEvent>,
    ) {
        let mut sweeps = sweeps.into_iter().peekable();
        let ahead = |place: usize| which.get(place).and_then(|index| packets.get(*index as usize));
        for packet in (0..NOTES_AHEAD).filter_map(ahead) {
            self.of(packet).expect_note(packet.hash);
        }
        for packet in (0..FLOWS_AHEAD).filter_map(ahead) {
            self.of(packet).expect_flow(packet);
        }
        for place in 0..which.len() {
            if let Some(packet) = ahead(place + NOTES_AHEAD) {
                self.of(packet).expect_note(packet.hash);
            }
            if let Some(packet) = ahead(place + FLOWS_AHEAD) {
                self.of(packet).expect_flow(packet);
            }
            if let Some(packet) = ahead(place) {
                while let Some(sweep) = sweeps.next_if(|sweep| sweep.frame <= packet.frame) {
                    self.sweep(sweep, events);
                }
                let table = self.of(packet);
                table.take(packet, buffers, events);
                let (check, place) = (table.next_check(), self.place(packet));
                self.checks[place] = check;
            }
        }
        sweeps.for_each(|sweep| self.sweep(sweep, events));
    }

    /// As [`FlowTable::advance`], for every table in which a timer may have run out.
    fn sweep(&mut self, sweep: Sweep, events: &mut Vec<FlowEvent>) {
        for (table, check) in self.tables.iter_mut().zip(&mut self.checks) {
            if *check <= sweep.time.nanos() {
                table.advance(sweep.time, sweep.frame, events);
                *check = table.next_check();
            }
        }
    }

    /// As [`FlowTable::finish`], for every table; tells whether flows remain.
    pub fn finish(&mut self, now: Timestamp, frame: u64, events: &mut Vec<FlowEvent>) -> bool {
        self.tables.iter_mut().fold(false, |more, table| table.finish(now, frame, events) | more)
    }

    /// What was counted so far, of all tables.
    #[must_use]
    pub fn counters(&self) -> FlowCounters {
        let mut total = FlowCounters::default();
        self.tables.iter().for_each(|table| total.add(&table.counters()));
        total
    }

    #[inline]
    fn of(&mut self, packet: &Packet) -> &mut FlowTable {
        let place = self.place(packet);
        &mut self.tables[place]
    }

    #[inline]
    fn place(&self, packet: &Packet) -> usize {
        usize::from(self.places[usize::from(packet.shard) % Packet::SHARDS])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::traffic;

    /// Feeds packets in batches of `size` to each of `lanes`, then ends the input; events of all lanes by frame and flow.
    fn run(packets: &[Packet], size: usize, lanes: usize) -> Vec<String> {
        let config = FlowConfig { capacity: 4 * Packet::SHARDS, packet_series: true, ..FlowConfig::default() };
        let mut events = Vec::new();
        for lane in 0..lanes {
            let mut tables = FlowTables::new(&config, lane, lanes);
            let which = (0..packets.len() as u32).filter(|at| usize::from(packets[*at as usize].shard) % lanes == lane);
            for batch in which.collect::<Vec<u32>>().chunks(size) {
                tables.process(packets, batch, Buffers::default(), [], &mut events);
            }
            let last = packets.iter().map(|packet| packet.time).max().unwrap_or_default();
            while tables.finish(last, packets.len() as u64, &mut events) {}
            assert_eq!(tables.counters().active, 0);
        }
        events.sort_by_key(|event| (event.frame, event.time, event.flow.uid));
        events.iter().map(|event| format!("{event:?}")).collect()
    }

    proptest! {
        #[test]
        fn neither_batches_nor_lanes_show(
            packets in traffic(200), shards in 1_u8..64, size in 1_usize..60, lanes in 1_usize..9,
        ) {
            let packets: Vec<Packet> = packets
                .into_iter()
                .map(|packet| Packet { shard: (packet.hash % u64::from(shards)) as u8, ..packet })
                .collect();
            prop_assert_eq!(run(&packets, size, lanes), run(&packets, 1, 1));
        }
    }
}
