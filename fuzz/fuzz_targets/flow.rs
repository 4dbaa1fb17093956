//! Frames through the decoder and a flow table with room for eight flows, to the end of the input.
#![no_main]

use std::cell::RefCell;

use lapwing_decode::PacketBatch;
use lapwing_flow::{Checksums, FlowConfig, ReassemblyLimits};
use lapwing_fuzz::{Frames, Traffic};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static STATE: RefCell<(Frames, PacketBatch)> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let [settings, frames_of @ ..] = data else { return };
    let config = FlowConfig {
        checksums: if settings & 1 != 0 { Checksums::Verify } else { Checksums::Ignore },
        vlan_in_key: settings & 2 != 0,
        packet_series: settings & 4 != 0,
        payload_entropy: settings & 8 != 0,
        ..FlowConfig::default()
    };
    STATE.with_borrow_mut(|(frames, out)| {
        frames.fill(frames_of);
        let mut traffic = Traffic::new(config, ReassemblyLimits { datagrams: 4, bytes: 16_384 });
        traffic.take(&frames.batch, out);
        for event in traffic.finish() {
            let flow = event.flow;
            assert!(flow.history.as_str().is_ascii());
            assert!(flow.duration().as_nanos() < u128::from(u64::MAX));
        }
    });
});
