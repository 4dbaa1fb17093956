//! How much of a flow is new since it was last looked at.

use lapwing_flow::Flow;

/// The share of a flow's counts that came since its last report. A log reports a flow once: where it `counts`.
pub(crate) fn new_share(flow: &Flow, counts: bool) -> f64 {
    if flow.last_frame == 0 {
        return if counts { 1.0 } else { 0.0 };
    }
    let packets = flow.orig.packets + flow.resp.packets;
    packets.saturating_sub(flow.told_packets) as f64 / packets.max(1) as f64
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
    fn what_was_told_is_not_new() {
        let mut flow = flow("10.0.0.1:1", "10.0.0.2:2", 17, Shape::Unanswered);
        (flow.orig.packets, flow.resp.packets, flow.told_packets) = (100, 0, 75);
        assert_eq!(new_share(&flow, false), 0.25);
    }
}
