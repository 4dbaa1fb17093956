//! `connection`: the default schema, from a flow record alone, so that captures and Zeek logs give the same rows.

use lapwing_flow::{ConnState, Flow};
use lapwing_protocol::{Fact, LocalNetworks, Scope};

use crate::schema::{Row, RowsOf};
use crate::{Feature, PortClass, Schema};

/// The default schema: shape, volume, outcome and kind of a connection.
pub static CONNECTION: Schema =
    Schema { name: "connection", version: 1, features: FEATURES, needs: NEEDS, rows_of: RowsOf::Flows(write) };

const NEEDS: &[Fact] = &[Fact::Packets, Fact::IpBytes, Fact::PayloadBytes, Fact::State];

const FEATURES: &[Feature] = &[
    Feature::number("duration", "ln(1 + ms)", "time from the first to the last packet", "duration"),
    Feature::number("orig_bytes", "ln(1 + bytes)", "payload that the originator sent", "orig_bytes"),
    Feature::number("resp_bytes", "ln(1 + bytes)", "payload that the responder sent", "resp_bytes"),
    Feature::number("orig_pkts", "ln(1 + packets)", "packets that the originator sent", "orig_pkts"),
    Feature::number("resp_pkts", "ln(1 + packets)", "packets that the responder sent", "resp_pkts"),
    Feature::number(
        "orig_packet_size",
        "bytes",
        "mean size of the originator's IP packets",
        "orig_ip_bytes, orig_pkts",
    ),
    Feature::number("resp_packet_size", "bytes", "mean size of the responder's IP packets", "resp_ip_bytes, resp_pkts"),
    Feature::number(
        "byte_balance",
        "-1 to 1",
        "share of IP bytes sent by the originator less that of the responder",
        "*_ip_bytes",
    ),
    Feature::number(
        "packet_rate",
        "ln(1 + packets/s)",
        "packets of both sides per second, over at least 1 ms",
        "*_pkts, duration",
    ),
    Feature::number(
        "byte_rate",
        "ln(1 + bytes/s)",
        "IP bytes of both sides per second, over at least 1 ms",
        "*_ip_bytes, duration",
    ),
    Feature::class("protocol", "transport protocol", "proto", &["tcp", "udp", "icmp", "other"]),
    Feature::class(
        "outcome",
        "how it went: completed, still open, one-sided, refused, reset by the originator or by the responder",
        "conn_state",
        &["completed", "open", "unanswered", "refused", "reset-by-originator", "reset-by-responder", "midstream"],
    ),
    Feature::class("service_port", "kind of service by the responder's port", "id.resp_p", PortClass::NAMES),
    Feature::class("responder_scope", "where the responder lies", "id.resp_h", &["local", "group", "outside"]),
];

fn write(flow: &Flow, local: &LocalNetworks, columns: &mut [f32]) {
    let mut row = Row::new(columns);
    let seconds = flow.duration().as_secs_f32();
    let at_least_a_millisecond = seconds.max(0.001);
    let packets = (flow.orig.packets + flow.resp.packets) as f32;
    let (sent, answered) = (flow.orig.ip_bytes as f32, flow.resp.ip_bytes as f32);
    let bytes = sent + answered;

    row.number((seconds * 1_000.0).ln_1p());
    row.number((flow.orig.payload_bytes as f32).ln_1p());
    row.number((flow.resp.payload_bytes as f32).ln_1p());
    row.number((flow.orig.packets as f32).ln_1p());
    row.number((flow.resp.packets as f32).ln_1p());
    row.number(sent / (flow.orig.packets as f32).max(1.0));
    row.number(answered / (flow.resp.packets as f32).max(1.0));
    row.number((sent - answered) / bytes.max(1.0));
    row.number((packets / at_least_a_millisecond).ln_1p());
    row.number((bytes / at_least_a_millisecond).ln_1p());
    row.class(protocol_class(flow.protocol), 4);
    row.class(outcome_class(flow.state), 7);
    row.class(PortClass::of(flow.responder.port, has_ports(flow.protocol)) as usize, PortClass::NAMES.len());
    row.class(
        match local.scope(flow.responder.address) {
            Scope::Local => 0,
            Scope::Group => 1,
            Scope::Outside => 2,
        },
        3,
    );
}

pub(crate) const fn protocol_class(protocol: u8) -> usize {
    match protocol {
        6 => 0,
        17 => 1,
        1 | 58 => 2,
        _ => 3,
    }
}

/// TCP, UDP, DCCP, SCTP and UDP-Lite have ports.
pub(crate) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

const fn outcome_class(state: ConnState) -> usize {
    match state {
        ConnState::Sf => 0,
        ConnState::S1 | ConnState::S2 | ConnState::S3 => 1,
        ConnState::S0 | ConnState::Sh | ConnState::Shr => 2,
        ConnState::Rej => 3,
        ConnState::Rsto | ConnState::Rstos0 => 4,
        ConnState::Rstr | ConnState::Rstrh => 5,
        ConnState::Oth => 6,
    }
}
