//! How much of a flow is new since it was last looked at.

use lapwing_flow::Flow;

/// The share of a flow's counts that came since its last report at a power of eight packets.
///
/// Flows are reported at 8, 64, 512 … packets and at their end, so what was reported before follows from the packet count
/// alone, without memory. Reports of the minute in between carry a share of zero. A log reports a flow at its end only.
pub(crate) fn new_share(flow: &Flow, ended: bool) -> f64 {
    if flow.last_frame == 0 {
        return if ended { 1.0 } else { 0.0 };
    }
    let packets = flow.orig.packets + flow.resp.packets;
    let is_power = packets >= 8 && packets.is_power_of_two() && packets.trailing_zeros().is_multiple_of(3);
    if !ended && !is_power {
        return 0.0;
    }
    let reported = match power_up_to(packets) {
        power if !ended && power == packets => power / 8,
        power => power,
    };
    let reported = if reported < 8 { 0 } else { reported };
    (packets - reported) as f64 / packets.max(1) as f64
}

/// The largest power of eight up to `packets`; 1 for fewer than 8.
fn power_up_to(packets: u64) -> u64 {
    if packets < 8 { 1 } else { 1 << (packets.ilog2() / 3 * 3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, flow};

    #[test]
    fn a_flow_out_of_a_log_is_new_at_its_end() {
        let mut flow = flow("10.0.0.1:1", "10.0.0.2:2", 17, Shape::Unanswered);
        (flow.first_frame, flow.last_frame, flow.orig.packets) = (0, 0, 100_000);
        assert_eq!((new_share(&flow, false), new_share(&flow, true)), (0.0, 1.0));
    }

    #[test]
    fn the_shares_of_all_reports_add_up_to_the_flow() {
        for total in [1_u64, 7, 8, 9, 64, 100, 512, 5_000, 100_000] {
            let mut flow = flow("10.0.0.1:1", "10.0.0.2:2", 17, Shape::Unanswered);
            let mut seen = 0.0;
            for packets in 1..=total {
                flow.orig.packets = packets;
                seen += new_share(&flow, false) * packets as f64;
            }
            seen += new_share(&flow, true) * total as f64;
            // A report at the very last packet leaves the end nothing new, yet it is over eight times the one before.
            let over = if total >= 8 && power_up_to(total) == total { 0.0 } else { 0.5 };
            assert!((seen - total as f64).abs() <= over, "{total}: {seen}");
        }
    }
}
