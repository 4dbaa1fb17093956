//! `connection-9`: the nine features that `sentrynet-ai` users know, with ports, protocol and state as classes.

use lapwing_flow::{ConnState, Flow};
use lapwing_protocol::{Fact, LocalNetworks};

use crate::connection::{has_ports, protocol_class};
use crate::schema::{Row, RowsOf};
use crate::{Feature, PortClass, Schema};

/// Nine features of a connection: volumes, duration, rates, and four classes.
pub static CONNECTION_9: Schema =
    Schema { name: "connection-9", version: 1, features: FEATURES, needs: NEEDS, rows_of: RowsOf::Flows(write) };

const STATES: &[&str] = &["SF", "S0", "REJ", "RSTO", "other"];

const NEEDS: &[Fact] = &[Fact::Packets, Fact::PayloadBytes, Fact::State];

const FEATURES: &[Feature] = &[
    Feature::number("bytes", "bytes", "payload of both sides", "orig_bytes, resp_bytes"),
    Feature::number("packets", "packets", "packets of both sides", "orig_pkts, resp_pkts"),
    Feature::number("duration", "s", "time from the first to the last packet", "duration"),
    Feature::class("dst_port", "kind of service by the responder's port", "id.resp_p", PortClass::NAMES),
    Feature::class("src_port", "kind of the originator's port", "id.orig_p", PortClass::NAMES),
    Feature::class("proto", "transport protocol", "proto", &["tcp", "udp", "icmp", "other"]),
    Feature::class("conn_state", "state of the connection", "conn_state", STATES),
    Feature::number("bytes_per_second", "bytes/s", "bytes over the duration, of at least 1 ms", "bytes, duration"),
    Feature::number(
        "packets_per_second",
        "packets/s",
        "packets over the duration, of at least 1 ms",
        "packets, duration",
    ),
];

fn write(flow: &Flow, _local: &LocalNetworks, columns: &mut [f32]) {
    let mut row = Row::new(columns);
    let bytes = (flow.orig.payload_bytes + flow.resp.payload_bytes) as f32;
    let packets = (flow.orig.packets + flow.resp.packets) as f32;
    let seconds = flow.duration().as_secs_f32();
    let ports = has_ports(flow.protocol);

    row.number(bytes);
    row.number(packets);
    row.number(seconds);
    row.class(PortClass::of(flow.responder.port, ports) as usize, PortClass::NAMES.len());
    row.class(PortClass::of(flow.originator.port, ports) as usize, PortClass::NAMES.len());
    row.class(protocol_class(flow.protocol), 4);
    row.class(
        match flow.state {
            ConnState::Sf => 0,
            ConnState::S0 => 1,
            ConnState::Rej => 2,
            ConnState::Rsto => 3,
            _ => 4,
        },
        STATES.len(),
    );
    row.number(bytes / seconds.max(0.001));
    row.number(packets / seconds.max(0.001));
}
