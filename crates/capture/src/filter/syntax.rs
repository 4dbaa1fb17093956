//! What a filter says, before the link type is known.

use std::net::Ipv6Addr;

use super::condition::{Operator, Size, Test};
use super::names::Protocol;

/// A filter, or part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Primitive { primitive: Primitive, position: usize },
}

/// A single question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Primitive {
    /// `tcp`, `arp`: the frame holds it.
    Protocol(Protocol),
    /// `src host 10.0.0.1`, `tcp port 80`.
    Address {
        qualifiers: Qualifiers,
        value: Value,
    },
    /// `tcp[13] & 2 != 0`.
    Relation {
        left: Arithmetic,
        test: Test,
        negated: bool,
        right: Arithmetic,
    },
    Broadcast(Option<Protocol>),
    Multicast(Option<Protocol>),
    /// `less 100`: at most that many bytes on the wire.
    Less(u32),
    /// `greater 100`: at least that many.
    Greater(u32),
    /// `byte 12 = 8`, counted from the start of the link header.
    Byte {
        offset: u32,
        test: Test,
        negated: bool,
        value: u32,
    },
    Vlan(Option<u32>),
    Mpls(Option<u32>),
    PppoeDiscovery,
    PppoeSession(Option<u32>),
}

/// What stands before an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Qualifiers {
    pub protocol: Option<Protocol>,
    pub direction: Direction,
    pub kind: AddressKind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Direction {
    #[default]
    Either,
    Source,
    Destination,
    Both,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AddressKind {
    #[default]
    Host,
    Net,
    Port,
    PortRange,
    Protocol,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Word(String),
    Number(u32),
    /// An address of which `bits` were given.
    Ipv4 {
        address: u32,
        bits: u32,
    },
    Ipv4Prefix {
        address: u32,
        length: u32,
    },
    Ipv4Mask {
        address: u32,
        mask: u32,
    },
    Ipv6 {
        address: Ipv6Addr,
        length: Option<u32>,
    },
    Mac([u8; 6]),
}

/// A number that is computed from the frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arithmetic {
    Number(u32),
    Length,
    Load { protocol: Protocol, index: Box<Arithmetic>, size: Size },
    Negative(Box<Arithmetic>),
    Operation { operator: Operator, left: Box<Arithmetic>, right: Box<Arithmetic> },
}
