//! Qualifiers, numbers, and conditions that take no address.

use super::{Parsed, Parser};
use crate::filter::condition::Test;
use crate::filter::lexer::Kind;
use crate::filter::names::{Keyword, Protocol};
use crate::filter::syntax::{AddressKind, Direction, Primitive, Qualifiers};

impl Parser<'_> {
    /// Direction and kind, of which there must be one for a value to follow.
    pub(super) fn qualifiers(&mut self, protocol: Option<Protocol>) -> Parsed<Option<Qualifiers>> {
        let direction = self.direction();
        let kind = match self.peek() {
            Some(Kind::Keyword(Keyword::Host)) => Some(AddressKind::Host),
            Some(Kind::Keyword(Keyword::Net)) => Some(AddressKind::Net),
            Some(Kind::Keyword(Keyword::Port)) => Some(AddressKind::Port),
            Some(Kind::Keyword(Keyword::PortRange)) => Some(AddressKind::PortRange),
            Some(Kind::Keyword(Keyword::Proto)) if direction.is_none() => Some(AddressKind::Protocol),
            Some(Kind::Keyword(Keyword::Proto)) => return Err("a protocol number has no direction".to_owned()),
            _ => None,
        };
        self.next += usize::from(kind.is_some());
        if direction.is_none() && kind.is_none() {
            return Ok(None);
        }
        let (direction, kind) = (direction.unwrap_or_default(), kind.unwrap_or_default());
        Ok(Some(Qualifiers { protocol, direction, kind }))
    }

    fn direction(&mut self) -> Option<Direction> {
        let (one, other) = match self.peek()? {
            Kind::Keyword(Keyword::Source) => (Direction::Source, Keyword::Destination),
            Kind::Keyword(Keyword::Destination) => (Direction::Destination, Keyword::Source),
            _ => return None,
        };
        self.next += 1;
        let both = match self.peek() {
            Some(Kind::Keyword(Keyword::And)) => Direction::Both,
            Some(Kind::Keyword(Keyword::Or)) => Direction::Either,
            _ => return Some(one),
        };
        if self.peek_at(1) != Some(&Kind::Keyword(other)) {
            return Some(one);
        }
        self.next += 2;
        Some(both)
    }

    /// Conditions that take no address.
    pub(super) fn other(&mut self) -> Parsed<Option<Primitive>> {
        let Some(Kind::Keyword(keyword)) = self.peek() else { return Ok(None) };
        let keyword = *keyword;
        if !matches!(
            keyword,
            Keyword::Less
                | Keyword::Greater
                | Keyword::Byte
                | Keyword::Vlan
                | Keyword::Mpls
                | Keyword::PppoeDiscovery
                | Keyword::PppoeSession
        ) {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(match keyword {
            Keyword::Less => Primitive::Less(self.number()?),
            Keyword::Greater => Primitive::Greater(self.number()?),
            Keyword::Vlan => Primitive::Vlan(self.optional_number()?),
            Keyword::Mpls => Primitive::Mpls(self.optional_number()?),
            Keyword::PppoeSession => Primitive::PppoeSession(self.optional_number()?),
            Keyword::PppoeDiscovery => Primitive::PppoeDiscovery,
            _ => self.byte()?,
        }))
    }

    fn byte(&mut self) -> Parsed<Primitive> {
        let offset = self.number()?;
        let (test, negated) = match self.peek() {
            Some(Kind::Sign("=")) => (Test::Equal, false),
            Some(Kind::Sign(">")) => (Test::Greater, false),
            Some(Kind::Sign("<")) => (Test::GreaterOrEqual, true),
            _ => return Err("expected =, < or >; for bits write ether[offset] & mask != 0".to_owned()),
        };
        self.next += 1;
        Ok(Primitive::Byte { offset, test, negated, value: self.number()? })
    }

    pub(super) fn number(&mut self) -> Parsed<u32> {
        let Some(Kind::Number(number)) = self.peek() else { return Err("expected a number".to_owned()) };
        let number = *number;
        self.next += 1;
        Ok(number)
    }

    /// A number, in brackets or not, that belongs to the keyword before it.
    pub(super) fn optional_number(&mut self) -> Parsed<Option<u32>> {
        let brackets = (0..).take_while(|ahead| self.peek_at(*ahead) == Some(&Kind::Sign("("))).count();
        if !matches!(self.peek_at(brackets), Some(Kind::Number(_))) {
            return Ok(None);
        }
        self.next += brackets;
        let number = self.number()?;
        for _ in 0..brackets {
            self.expect_sign(")")?;
        }
        Ok(Some(number))
    }
}
