//! Flows made by hand, for tests.

use lapwing_capture::Timestamp;
use lapwing_decode::{Address, Tunnel};
use lapwing_flow::{ConnState, Endpoint, Flow, Half, History};
use lapwing_protocol::{Observation, Observed};

use crate::{Detector, Found};

/// How a made-up flow went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One packet, no answer.
    Unanswered,
    /// SYN, RST.
    Refused,
    /// SYN, SYN-ACK, RST.
    HalfOpen,
    /// Data both ways.
    Conversation,
    /// Only the responder's SYN-ACK was seen.
    Backscatter,
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().unwrap();
    Endpoint { address: Address::from(socket.ip()), port: socket.port() }
}

/// A flow of `protocol` from one `address:port` to another, at second 1000, a tenth of a second long.
pub(crate) fn flow(from: &str, to: &str, protocol: u8, shape: Shape) -> Flow {
    flow_between(endpoint(from), endpoint(to), protocol, shape)
}

pub(crate) fn flow_between(originator: Endpoint, responder: Endpoint, protocol: u8, shape: Shape) -> Flow {
    let mut orig = Half { packets: 1, ip_bytes: 60, ttl: (64, 64), ..Half::default() };
    let mut resp = Half::default();
    let tcp = protocol == 6;
    let (letters, state) = match shape {
        Shape::Unanswered => (if tcp { "S" } else { "D" }, ConnState::S0),
        Shape::Refused => ("Sr", ConnState::Rej),
        Shape::HalfOpen => ("ShR", ConnState::Rsto),
        Shape::Conversation => (if tcp { "ShADadFf" } else { "Dd" }, ConnState::Sf),
        Shape::Backscatter => ("^h", ConnState::Shr),
    };
    let mut history = History::default();
    letters.bytes().for_each(|letter| history.push(letter));
    if tcp {
        orig.flags[1] = 1;
    }
    match shape {
        Shape::Unanswered => {}
        Shape::Refused => {
            resp = Half { packets: 1, ip_bytes: 40, ..Half::default() };
            resp.flags[2] = 1;
        }
        Shape::HalfOpen => {
            orig.packets = 2;
            orig.flags[2] = 1;
            resp = Half { packets: 1, ip_bytes: 44, ..Half::default() };
            (resp.flags[1], resp.flags[4]) = (1, 1);
        }
        Shape::Conversation => {
            orig = Half { packets: 6, ip_bytes: 700, payload_bytes: 400, payload_packets: 2, ttl: (64, 64), ..orig };
            resp = Half { packets: 5, ip_bytes: 1300, payload_bytes: 1000, payload_packets: 2, ..Half::default() };
            if tcp {
                (orig.flags[0], orig.flags[4], resp.flags[0], resp.flags[1], resp.flags[4]) = (1, 5, 1, 1, 5);
            }
        }
        Shape::Backscatter => {
            orig = Half::default();
            resp = Half { packets: 1, ip_bytes: 44, ..Half::default() };
            (resp.flags[1], resp.flags[4]) = (1, 1);
        }
    }
    let start = Timestamp::from_seconds(1000);
    Flow {
        uid: u64::from(originator.port) << 32 | u64::from(responder.port) << 8 | u64::from(originator.address.0[15]),
        originator,
        responder,
        protocol,
        ipv6: !originator.address.is_v4(),
        one_way: false,
        tunnel: Tunnel::None,
        vlan: None,
        inner_vlan: None,
        start,
        last: Timestamp::from_nanos(start.nanos() + 100_000_000),
        first_frame: 1,
        last_frame: 2,
        orig,
        resp,
        state,
        history,
        ..Flow::default()
    }
}

/// The same flow at another time.
pub(crate) fn at(mut flow: Flow, seconds: f64) -> Flow {
    let length = flow.last.nanos_since(flow.start);
    flow.start = Timestamp::from_nanos((seconds * 1e9) as i64);
    flow.last = Timestamp::from_nanos(flow.start.nanos() + length);
    flow.uid ^= flow.start.nanos().unsigned_abs() << 20;
    flow
}

/// Shows a detector a flow's end.
pub(crate) fn end(detector: &mut dyn Detector, flow: &Flow, found: &mut Found) {
    let fact = Observation::FlowEnded(flow);
    detector.observe(&[Observed { time: flow.last, frame: flow.last_frame, fact }], found);
}
