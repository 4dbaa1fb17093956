//! An expression and a link type in, a condition on fields out.
//!
//! Which bytes a primitive looks at, and in which order, is what libpcap's compiler does, so that truncated frames fall
//! the same way: reading past the end of a frame leaves it.

mod address;
mod mac;

use super::condition::{Condition, Field, Number, Operator, Size, Test};
use super::layout::{Layout, LinkKind};
use super::names::{Protocol, ethertype};
use super::syntax::{Arithmetic, Expression, Primitive};
use crate::LinkType;

/// Why an expression has no meaning for a link type, and where it is in the text.
#[derive(Debug)]
pub(super) struct Refusal {
    pub reason: String,
    pub position: usize,
}

/// Lowers an expression for frames of a link type.
pub(super) fn lower(expression: &Expression, link: LinkType) -> Result<Condition, Refusal> {
    let Some(layout) = Layout::new(link) else {
        return Err(Refusal { reason: format!("filters do not know link type {}", link.0), position: 0 });
    };
    Lowering { layout }.expression(expression)
}

struct Lowering {
    layout: Layout,
}

/// Part of an expression; the reason why not.
type Lowered<T> = Result<T, String>;

const FRAGMENT_OFFSET: u32 = 0x1fff;
const FRAGMENT_HEADER: u32 = 44;
const ICMP6: u32 = 58;
/// PPP protocol number of labelled unicast packets (RFC 3032).
const PPP_MPLS: u32 = 0x0281;
/// Network layer protocol identifiers of OSI (ISO/IEC TR 9577).
const CLNP: u32 = 0x81;
const ES_IS: u32 = 0x82;
const IS_IS: u32 = 0x83;

impl Lowering {
    /// In the order of the text, for encapsulations move what follows them.
    fn expression(&mut self, expression: &Expression) -> Result<Condition, Refusal> {
        match expression {
            Expression::And(parts) => self.all(parts).map(Condition::All),
            Expression::Or(parts) => self.all(parts).map(Condition::Any),
            Expression::Not(inner) => Ok(self.expression(inner)?.negated()),
            Expression::Primitive { primitive, position } => {
                self.primitive(primitive).map_err(|reason| Refusal { reason, position: *position })
            }
        }
    }

    fn all(&mut self, parts: &[Expression]) -> Result<Vec<Condition>, Refusal> {
        parts.iter().map(|part| self.expression(part)).collect()
    }

    fn primitive(&mut self, primitive: &Primitive) -> Lowered<Condition> {
        match primitive {
            Primitive::Protocol(protocol) => self.protocol(*protocol),
            Primitive::Address { qualifiers, value } => self.address(*qualifiers, value),
            Primitive::Relation { left, test, negated, right } => self.relation(left, *test, *negated, right),
            Primitive::Broadcast(protocol) => self.broadcast(*protocol),
            Primitive::Multicast(protocol) => self.multicast(*protocol),
            Primitive::Less(length) => Ok(Condition::Length { test: Test::Greater, value: *length }.negated()),
            Primitive::Greater(length) => Ok(Condition::Length { test: Test::GreaterOrEqual, value: *length }),
            Primitive::Byte { offset, test, negated, value } => {
                let field = self.layout.in_link_header(*offset, Size::Byte);
                Ok(negated_if(*negated, Condition::compared(field, *test, *value)))
            }
            Primitive::Vlan(id) => self.vlan(*id),
            Primitive::Mpls(label) => self.mpls(*label),
            Primitive::PppoeDiscovery => self.layout.carries(ethertype::PPPOE_DISCOVERY),
            Primitive::PppoeSession(session) => self.pppoe_session(*session),
        }
    }

    /// The frame holds a protocol.
    fn protocol(&self, protocol: Protocol) -> Lowered<Condition> {
        match protocol {
            Protocol::Link => {
                Err("the link layer is in every frame; a host, proto or [offset] belongs here".to_owned())
            }
            Protocol::Ip => self.layout.carries(ethertype::IP),
            Protocol::Ip6 => self.layout.carries(ethertype::IP6),
            Protocol::Arp => self.layout.carries(ethertype::ARP),
            Protocol::Rarp => self.layout.carries(ethertype::RARP),
            Protocol::AppleTalk => self.layout.carries(ethertype::APPLETALK),
            Protocol::Aarp => self.layout.carries(ethertype::AARP),
            Protocol::DecNet => self.layout.carries(ethertype::DECNET),
            Protocol::Lat => self.layout.carries(ethertype::LAT),
            Protocol::Sca => self.layout.carries(ethertype::SCA),
            Protocol::MopRc => self.layout.carries(ethertype::MOP_RC),
            Protocol::MopDl => self.layout.carries(ethertype::MOP_DL),
            Protocol::Iso => self.layout.carries(ethertype::SAP_ISO),
            Protocol::SpanningTree => self.layout.carries(ethertype::SAP_SPANNING_TREE),
            Protocol::Ipx => self.layout.carries(ethertype::SAP_IPX),
            Protocol::NetBeui => self.layout.carries(ethertype::SAP_NETBEUI),
            Protocol::EsIs => self.osi(ES_IS),
            Protocol::IsIs => self.osi(IS_IS),
            Protocol::Clnp => self.osi(CLNP),
            Protocol::Tcp => self.in_either_ip(6),
            Protocol::Udp => self.in_either_ip(17),
            Protocol::Sctp => self.in_either_ip(132),
            Protocol::Pim => self.in_either_ip(103),
            Protocol::Ah => self.in_either_ip(51),
            Protocol::Esp => self.in_either_ip(50),
            Protocol::Icmp => self.in_ip4(1),
            Protocol::Igmp => self.in_ip4(2),
            Protocol::Igrp => self.in_ip4(9),
            Protocol::Vrrp => self.in_ip4(112),
            Protocol::Icmp6 => self.in_ip6(ICMP6),
        }
    }

    fn osi(&self, identifier: u32) -> Lowered<Condition> {
        let osi = self.layout.carries(ethertype::SAP_ISO)?;
        Ok(osi.and(Condition::equal(self.layout.in_osi(0, Size::Byte), identifier)))
    }

    fn in_either_ip(&self, number: u32) -> Lowered<Condition> {
        Ok(self.in_ip4(number)?.or(self.in_ip6(number)?))
    }

    fn in_ip4(&self, number: u32) -> Lowered<Condition> {
        let protocol = Condition::equal(self.layout.in_network(9, Size::Byte), number);
        Ok(self.layout.carries(ethertype::IP)?.and(protocol))
    }

    /// As the first next header, or behind a fragment header that is the first.
    fn in_ip6(&self, number: u32) -> Lowered<Condition> {
        let next_header = self.layout.in_network(6, Size::Byte);
        let behind_fragment = Condition::equal(next_header, FRAGMENT_HEADER)
            .and(Condition::equal(self.layout.in_network(40, Size::Byte), number));
        let ip6 = self.layout.carries(ethertype::IP6)?;
        Ok(Condition::All(vec![ip6, Condition::equal(next_header, number).or(behind_fragment)]))
    }

    /// Not a later fragment of an IPv4 datagram.
    fn first_fragment(&self) -> Condition {
        let fragment = self.layout.in_network(6, Size::Half);
        Condition::compared(fragment, Test::AnyBit, FRAGMENT_OFFSET).negated()
    }

    fn broadcast(&self, protocol: Option<Protocol>) -> Lowered<Condition> {
        match protocol {
            None | Some(Protocol::Link) if self.has_macs() => Ok(self.mac_destination(&|at| self.mac([0xff; 6], at))),
            None | Some(Protocol::Link) => Err("frames of this link type have no broadcast address".to_owned()),
            // Without the network's mask, which a file does not hold: the two addresses that are broadcast everywhere.
            Some(Protocol::Ip) => {
                let destination = self.layout.in_network(16, Size::Word);
                let any = Condition::equal(destination, 0).or(Condition::equal(destination, u32::MAX));
                Ok(Condition::All(vec![self.layout.carries(ethertype::IP)?, any]))
            }
            Some(_) => Err("only ether and ip have broadcasts".to_owned()),
        }
    }

    fn multicast(&self, protocol: Option<Protocol>) -> Lowered<Condition> {
        match protocol {
            None | Some(Protocol::Link) if self.has_macs() => {
                let group = |at| Condition::compared(self.layout.in_link_header(at, Size::Byte), Test::AnyBit, 1);
                Ok(self.mac_destination(&group))
            }
            None | Some(Protocol::Link) => Err("frames of this link type have no multicast address".to_owned()),
            Some(Protocol::Ip) => {
                let class_d = Condition::compared(self.layout.in_network(16, Size::Byte), Test::GreaterOrEqual, 224);
                Ok(self.layout.carries(ethertype::IP)?.and(class_d))
            }
            Some(Protocol::Ip6) => {
                let multicast = Condition::equal(self.layout.in_network(24, Size::Byte), 255);
                Ok(self.layout.carries(ethertype::IP6)?.and(multicast))
            }
            Some(_) => Err("only ether, ip and ip6 have multicasts".to_owned()),
        }
    }

    fn vlan(&mut self, id: Option<u32>) -> Lowered<Condition> {
        if self.layout.mpls_depth > 0 {
            return Err("a VLAN tag cannot be told behind an MPLS label".to_owned());
        }
        if !self.has_macs() {
            return Err("frames of this link type have no VLAN tags".to_owned());
        }
        let [service, qinq] = [ethertype::VLAN_SERVICE, ethertype::VLAN_QINQ];
        let mut tagged =
            self.layout.carries(ethertype::VLAN)?.or(self.layout.carries(service)?).or(self.layout.carries(qinq)?);
        if let Some(id) = id {
            check(id, 0xfff, "VLAN")?;
            tagged = Condition::All(vec![tagged, Condition::masked(self.layout.in_network(0, Size::Half), 0xfff, id)]);
        }
        self.layout.enter_vlan();
        Ok(tagged)
    }

    fn mpls(&mut self, label: Option<u32>) -> Lowered<Condition> {
        let mut labelled = if self.layout.mpls_depth > 0 {
            // The label before is not the last of the stack.
            Condition::masked(self.layout.in_network(2_u32.wrapping_neg(), Size::Byte), 1, 0)
        } else {
            match self.layout.kind {
                LinkKind::Ethernet => self.layout.carries(ethertype::MPLS)?,
                LinkKind::Ppp => self.layout.carries(PPP_MPLS)?,
                _ => return Err("MPLS labels cannot be told on this link type".to_owned()),
            }
        };
        if let Some(label) = label {
            check(label, 0xf_ffff, "MPLS label")?;
            let field = self.layout.in_network(0, Size::Word);
            labelled = labelled.and(Condition::masked(field, 0xffff_f000, label << 12));
        }
        self.layout.enter_mpls();
        Ok(labelled)
    }

    fn pppoe_session(&mut self, session: Option<u32>) -> Lowered<Condition> {
        let mut condition = self.layout.carries(ethertype::PPPOE_SESSION)?;
        if let Some(session) = session {
            check(session, 0xffff, "PPPoE session")?;
            condition = condition.and(Condition::masked(self.layout.in_network(0, Size::Word), 0xffff, session));
        }
        self.layout.enter_pppoe();
        Ok(condition)
    }

    /// A relation holds only where the protocols whose fields it reads are in the frame.
    fn relation(&self, left: &Arithmetic, test: Test, negated: bool, right: &Arithmetic) -> Lowered<Condition> {
        let mut checks = Vec::new();
        let left = self.number(left, &mut checks)?;
        let right = self.number(right, &mut checks)?;
        let relation = match (&left, &right) {
            (Number::Constant(left), Number::Constant(right)) => Condition::Constant(test.holds(*left, *right)),
            _ => Condition::Relation { left, test, right },
        };
        checks.push(negated_if(negated, relation));
        Ok(Condition::All(checks))
    }

    fn number(&self, arithmetic: &Arithmetic, checks: &mut Vec<Condition>) -> Lowered<Number> {
        Ok(match arithmetic {
            Arithmetic::Number(value) => Number::Constant(*value),
            Arithmetic::Length => Number::Length,
            Arithmetic::Negative(inner) => match self.number(inner, checks)? {
                Number::Constant(value) => Number::Constant(value.wrapping_neg()),
                inner => Number::Negative(Box::new(inner)),
            },
            Arithmetic::Operation { operator, left, right } => {
                let left = self.number(left, checks)?;
                // libpcap forgets the checks of the right operand; filters are to mean here what they mean there.
                let right = self.number(right, &mut Vec::new())?;
                operation(*operator, left, right)?
            }
            Arithmetic::Load { protocol, index, size } => {
                let index = self.number(index, checks)?;
                let field = self.loaded(*protocol, *size, checks)?;
                match index {
                    Number::Constant(offset) => {
                        Number::Field(Field { offset: field.offset.wrapping_add(offset), ..field })
                    }
                    index => Number::Indexed { field, index: Box::new(index) },
                }
            }
        })
    }

    /// Where `protocol[0]` lies, with the checks that it is there.
    fn loaded(&self, protocol: Protocol, size: Size, checks: &mut Vec<Condition>) -> Lowered<Field> {
        match protocol {
            Protocol::Link => Ok(self.layout.in_link_header(0, size)),
            Protocol::Ip
            | Protocol::Ip6
            | Protocol::Arp
            | Protocol::Rarp
            | Protocol::AppleTalk
            | Protocol::DecNet
            | Protocol::Sca
            | Protocol::Lat
            | Protocol::MopRc
            | Protocol::MopDl => {
                checks.push(self.protocol(protocol)?);
                Ok(self.layout.in_network(0, size))
            }
            // Of IPv4 only, in the first fragment, as in libpcap.
            Protocol::Tcp
            | Protocol::Udp
            | Protocol::Sctp
            | Protocol::Icmp
            | Protocol::Igmp
            | Protocol::Igrp
            | Protocol::Pim
            | Protocol::Vrrp => {
                checks.extend([self.protocol(Protocol::Ip)?, self.protocol(protocol)?, self.first_fragment()]);
                Ok(self.layout.in_ip4_payload(0, size))
            }
            Protocol::Icmp6 => {
                checks.push(self.protocol(Protocol::Ip6)?);
                checks.push(Condition::equal(self.layout.in_network(6, Size::Byte), ICMP6));
                Ok(self.layout.in_ip6_payload(0, size))
            }
            _ => Err("fields of this protocol cannot be read; use those of ether or ip".to_owned()),
        }
    }
}

/// An operation, done at once where both numbers are known.
fn operation(operator: Operator, left: Number, right: Number) -> Lowered<Number> {
    match (operator, &right) {
        (Operator::Divide | Operator::Modulo, Number::Constant(0)) => return Err("division by zero".to_owned()),
        (Operator::ShiftLeft | Operator::ShiftRight, Number::Constant(32..)) => {
            return Err("a shift by more than 31 bits".to_owned());
        }
        _ => {}
    }
    if let (Number::Constant(left), Number::Constant(right)) = (&left, &right)
        && let Some(result) = operator.apply(*left, *right)
    {
        return Ok(Number::Constant(result));
    }
    Ok(Number::Operation { operator, left: Box::new(left), right: Box::new(right) })
}

fn negated_if(negated: bool, condition: Condition) -> Condition {
    if negated { condition.negated() } else { condition }
}

fn check(value: u32, most: u32, what: &str) -> Lowered<()> {
    if value > most { Err(format!("{what} {value}: the largest there is is {most}")) } else { Ok(()) }
}
