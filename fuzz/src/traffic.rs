//! The stages from frames to flows, with room for very little.

use lapwing_capture::{Frame, FrameBatch, Timestamp};
use lapwing_decode::{Buffers, DecodeOptions, Decoder, Packet, PacketBatch};
use lapwing_flow::{
    FlowConfig, FlowEvent, FlowEventKind, FlowTable, Reassembler, ReassemblyCounters, ReassemblyLimits,
};

/// Flows that the table may hold.
const CAPACITY: usize = 8;

/// Decoder, reassembler and one flow table that takes the packets of every shard.
pub struct Traffic {
    decoder: Decoder,
    reassembler: Reassembler,
    table: FlowTable,
    events: Vec<FlowEvent>,
    now: Timestamp,
    frame: u64,
    packets: u64,
}

impl Traffic {
    /// Stages with these settings, except for the table's capacity.
    #[must_use]
    pub fn new(config: FlowConfig, limits: ReassemblyLimits) -> Self {
        let config = FlowConfig { capacity: CAPACITY * Packet::SHARDS, ..config };
        Self {
            decoder: Decoder::new(DecodeOptions::default()),
            reassembler: Reassembler::new(limits),
            table: FlowTable::new(&config),
            events: Vec::new(),
            now: Timestamp::MIN,
            frame: 0,
            packets: 0,
        }
    }

    /// What the reassembler counted.
    #[must_use]
    pub fn reassembly(&self) -> ReassemblyCounters {
        self.reassembler.counters()
    }

    /// Takes every frame of a batch but the first, which is padding.
    pub fn take(&mut self, batch: &FrameBatch, out: &mut PacketBatch) {
        for frame in batch.iter().skip(1) {
            self.take_frame(frame, &batch.buffer, out);
        }
    }

    fn take_frame(&mut self, frame: Frame<'_>, buffer: &[u8], out: &mut PacketBatch) {
        out.clear();
        self.decoder.decode(frame, out);
        self.reassemble(buffer, out);
        // Time moves on second by second, as in the pipeline, but not through centuries.
        if frame.time.seconds() > self.now.seconds() {
            while self.table.advance(Timestamp::from_seconds(frame.time.seconds()), frame.number, &mut self.events) {}
        }
        self.now = self.now.max(frame.time);
        self.frame = frame.number;
        self.packets += out.packets.len() as u64;
        let buffers = Buffers { frames: buffer, reassembled: &out.reassembled };
        out.packets.iter().for_each(|packet| self.table.take(packet, buffers, &mut self.events));
        assert!(self.table.len() <= CAPACITY);
    }

    /// Puts fragments together, those inside of datagrams put together included.
    fn reassemble(&mut self, buffer: &[u8], out: &mut PacketBatch) {
        let mut next = 0;
        while next < out.fragments.len() {
            let fragment = out.fragments[next].clone();
            next += 1;
            let buffers = Buffers { frames: buffer, reassembled: &out.reassembled };
            let Some(datagram) = self.reassembler.push(&fragment, fragment.packet.payload(buffers)) else { continue };
            assert!(datagram.payload.len() <= usize::from(u16::MAX));
            let start = out.reassembled.len();
            out.reassembled.extend(&datagram.payload);
            self.decoder.decode_datagram(&datagram.packet, start, out);
        }
        assert!(next < 1_000, "one frame completes {next} datagrams");
    }

    /// Ends the input; returns what happened, after making sure that each flow began and ended once, and that they hold no
    /// more packets than there were.
    pub fn finish(mut self) -> Vec<FlowEvent> {
        while self.table.finish(self.now, self.frame, &mut self.events) {}
        assert!(self.table.is_empty());
        let count = |wanted: fn(&FlowEventKind) -> bool| self.events.iter().filter(|e| wanted(&e.kind)).count() as u64;
        let counters = self.table.counters();
        assert_eq!(count(|kind| *kind == FlowEventKind::Started), counters.started);
        assert_eq!(count(|kind| matches!(kind, FlowEventKind::Ended(_))), counters.started);
        assert_eq!(counters.closed + counters.idle + counters.evicted + counters.end_of_input, counters.started);
        assert_eq!(counters.active, 0);
        let ended = self.events.iter().filter(|event| matches!(event.kind, FlowEventKind::Ended(_)));
        assert!(ended.map(|event| event.flow.orig.packets + event.flow.resp.packets).sum::<u64>() <= self.packets);
        self.events
    }
}
