//! What a link says to keep itself going.

use lapwing_flow::Flow;

/// Whether a flow is a link's own housekeeping: who has which address, who routes, who listens to which group.
///
/// Such messages follow from the link and its neighbours, not from what a device does, are rare enough in a short baseline to
/// look odd each time, and are sent to everybody; a model of devices neither learns from them nor judges them. What is
/// done with them on purpose (spoofing, sweeps) is for behaviours of the link.
///
/// They are: ICMPv6 multicast listener, router and neighbour discovery and redirects (RFC 2710, 3810, 4286, 4861), inverse
/// neighbour discovery (RFC 3122) and secure neighbour discovery (RFC 3971), ICMP router discovery (RFC 1256), IGMP (RFC 9776).
#[must_use]
pub fn is_housekeeping(flow: &Flow) -> bool {
    match flow.protocol {
        1 => matches!(flow.originator.port, 9 | 10),
        2 => true,
        58 => matches!(flow.originator.port, 130..=137 | 141..=143 | 148 | 149 | 151..=153),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Shape, flow};

    #[test]
    fn a_link_keeps_house_and_devices_ping() {
        let v6 = |kind: u16| is_housekeeping(&flow(&format!("[fe80::1]:{kind}"), "[ff02::1]:0", 58, Shape::Unanswered));
        assert!([130, 131, 133, 134, 135, 136, 137, 143].into_iter().all(v6));
        assert!(![1, 3, 128, 129, 139].into_iter().any(v6));
        assert!(is_housekeeping(&flow("10.0.0.1:0", "224.0.0.22:0", 2, Shape::Unanswered)));
        assert!(!is_housekeeping(&flow("10.0.0.1:8", "10.0.0.2:0", 1, Shape::Unanswered)));
        assert!(!is_housekeeping(&flow("10.0.0.1:135", "10.0.0.2:136", 17, Shape::Unanswered)));
    }
}
