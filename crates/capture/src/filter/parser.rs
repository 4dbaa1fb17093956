//! Tokens in, an expression out.
//!
//! The grammar is libpcap's (`pcap-filter(7)`): `and` and `or` bind equally, from left to right; `not` binds to what
//! follows it; after `and` or `or` a bare value takes the qualifiers of the one before it (`port 80 or 443`).

mod arithmetic;
mod primitive;

use super::FilterError;
use super::lexer::{Kind, Token, tokens};
use super::names::{Keyword, Protocol};
use super::syntax::{Expression, Primitive, Qualifiers, Value};

/// Bytes that the text of a filter may have.
const MAXIMUM_TEXT: usize = 64 * 1024;
/// How deep brackets may nest, and below how often the expression may get deeper without them, by turns between `and` and
/// `or` and by operators: recursion over the expression is bounded by both together.
const MAXIMUM_DEPTH: usize = 200;
const MAXIMUM_TURNS: usize = 1_000;

/// Parses a filter; `None` for an empty one, which takes every frame.
pub(super) fn parse(text: &str) -> Result<Option<Expression>, FilterError> {
    if text.len() > MAXIMUM_TEXT {
        let reason = format!("the filter has {} bytes, at most {MAXIMUM_TEXT} are accepted", text.len());
        return Err(FilterError::new("", MAXIMUM_TEXT, reason));
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let mut parser = Parser { tokens: &tokens, next: 0, depth: 0, turns: 0, failed: None };
    let result = parser.expression(None).and_then(|(expression, _)| match parser.peek() {
        None => Ok(expression),
        Some(_) => Err("expected \"and\", \"or\" or the end".to_owned()),
    });
    result.map(Some).map_err(|reason| {
        let (next, reason) = parser.failed.filter(|(next, _)| *next > parser.next).unwrap_or((parser.next, reason));
        let position = tokens.get(next).map_or(text.len(), |token| token.position);
        FilterError::new(text, position, reason)
    })
}

/// An error is about the token that would come next.
type Parsed<T> = Result<T, String>;

/// Qualifiers that a bare value would take; `None` where none may follow.
type Inherited = Option<Qualifiers>;

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    depth: usize,
    turns: usize,
    /// Where arithmetic in brackets, which may have been a condition, was given up furthest, and why.
    failed: Option<(usize, String)>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Kind> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.next + ahead).map(|token| &token.kind)
    }

    fn take(&mut self, wanted: &Kind) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: Keyword) -> bool {
        self.take(&Kind::Keyword(keyword))
    }

    fn take_sign(&mut self, sign: &'static str) -> bool {
        self.take(&Kind::Sign(sign))
    }

    fn expect_sign(&mut self, sign: &'static str) -> Parsed<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(format!("expected {sign:?}")) }
    }

    /// One level deeper, for as long as `inner` runs.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAXIMUM_DEPTH {
            return Err(format!("more than {MAXIMUM_DEPTH} levels"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Notes that the expression gets one level deeper without brackets.
    fn turn(&mut self) -> Parsed<()> {
        self.turns += 1;
        if self.turns > MAXIMUM_TURNS {
            return Err(format!("more than {MAXIMUM_TURNS} operators, and turns between \"and\" and \"or\""));
        }
        Ok(())
    }

    /// Terms joined by `and` and `or`.
    fn expression(&mut self, inherited: Inherited) -> Parsed<(Expression, Inherited)> {
        let first = self.term(inherited)?;
        self.joined(first, Self::term)
    }

    /// What follows the first of several terms, or of several values in brackets.
    fn joined(
        &mut self,
        (mut joined, mut inherited): (Expression, Inherited),
        bare: fn(&mut Self, Inherited) -> Parsed<(Expression, Inherited)>,
    ) -> Parsed<(Expression, Inherited)> {
        loop {
            let and = match self.peek() {
                Some(Kind::Keyword(Keyword::And)) => true,
                Some(Kind::Keyword(Keyword::Or)) => false,
                _ => return Ok((joined, inherited)),
            };
            self.next += 1;
            let (term, next) = if self.at_value() { self.value(inherited)? } else { bare(self, inherited)? };
            inherited = next;
            joined = match (joined, and) {
                (Expression::And(mut parts), true) => {
                    parts.push(term);
                    Expression::And(parts)
                }
                (Expression::Or(mut parts), false) => {
                    parts.push(term);
                    Expression::Or(parts)
                }
                (first, and) => {
                    self.turn()?;
                    let parts = vec![first, term];
                    if and { Expression::And(parts) } else { Expression::Or(parts) }
                }
            };
        }
    }

    /// Whether a value follows that takes inherited qualifiers, perhaps negated or in brackets.
    fn at_value(&self) -> bool {
        let mut ahead = 0;
        let mut brackets = 0;
        loop {
            match self.peek_at(ahead) {
                Some(Kind::Keyword(Keyword::Not)) => {}
                Some(Kind::Sign("(")) => brackets += 1,
                Some(Kind::Word(_) | Kind::Ipv4 { .. } | Kind::Ipv6(_) | Kind::Mac(_)) => return true,
                Some(Kind::Number(_)) => break,
                _ => return false,
            }
            ahead += 1;
        }
        // A number may also begin arithmetic.
        ahead += 1;
        while brackets > 0 && self.peek_at(ahead) == Some(&Kind::Sign(")")) {
            brackets -= 1;
            ahead += 1;
        }
        matches!(self.peek_at(ahead), None | Some(Kind::Keyword(Keyword::And | Keyword::Or) | Kind::Sign(")")))
    }

    /// A value, or several in brackets, with qualifiers that stand before it or were inherited.
    fn value(&mut self, inherited: Inherited) -> Parsed<(Expression, Inherited)> {
        if self.take_keyword(Keyword::Not) {
            let (value, inherited) = self.nested(|parser| parser.value(inherited))?;
            return Ok((Expression::Not(Box::new(value)), inherited));
        }
        if self.take_sign("(") {
            return self.nested(|parser| {
                let first = parser.value(inherited)?;
                let result = parser.joined(first, Self::value)?;
                parser.expect_sign(")")?;
                Ok(result)
            });
        }
        let position = self.tokens.get(self.next).map_or(0, |token| token.position);
        let value = match self.peek() {
            Some(Kind::Word(word)) => Value::Word(word.clone()),
            Some(Kind::Number(number)) => Value::Number(*number),
            Some(Kind::Ipv4 { address, bits }) => Value::Ipv4 { address: *address, bits: *bits },
            Some(Kind::Ipv6(address)) => Value::Ipv6 { address: *address, length: None },
            Some(Kind::Mac(mac)) => Value::Mac(*mac),
            Some(Kind::Keyword(Keyword::Protocol(_))) => {
                return Err("a protocol where a value is expected; put a backslash before its name".to_owned());
            }
            _ => return Err("expected an address, a port, a number or a name".to_owned()),
        };
        let qualifiers = inherited.ok_or("what kind of value is this? Put host, net, port or proto before it")?;
        self.next += 1;
        let value = self.with_mask(value)?;
        Ok((Expression::Primitive { primitive: Primitive::Address { qualifiers, value }, position }, inherited))
    }

    /// `/24` or `mask 255.255.255.0` behind an address.
    fn with_mask(&mut self, value: Value) -> Parsed<Value> {
        match value {
            Value::Ipv4 { address, .. } if self.take_sign("/") => {
                Ok(Value::Ipv4Prefix { address, length: self.number()? })
            }
            Value::Ipv6 { address, .. } if self.take_sign("/") => {
                Ok(Value::Ipv6 { address, length: Some(self.number()?) })
            }
            Value::Ipv4 { address, .. } if self.take_keyword(Keyword::Mask) => match self.peek() {
                Some(Kind::Ipv4 { address: mask, .. }) => {
                    let mask = *mask;
                    self.next += 1;
                    Ok(Value::Ipv4Mask { address, mask })
                }
                _ => Err("expected a mask like 255.255.255.0".to_owned()),
            },
            value => Ok(value),
        }
    }

    fn term(&mut self, inherited: Inherited) -> Parsed<(Expression, Inherited)> {
        if self.take_keyword(Keyword::Not) {
            let (term, inherited) = self.nested(|parser| parser.term(inherited))?;
            return Ok((Expression::Not(Box::new(term)), inherited));
        }
        if let Some(relation) = self.relation()? {
            return Ok((relation, None));
        }
        if self.take_sign("(") {
            let (expression, _) = self.nested(|parser| {
                let expression = parser.expression(inherited)?;
                parser.expect_sign(")")?;
                Ok(expression)
            })?;
            return Ok((expression, inherited));
        }
        let position = self.tokens.get(self.next).map_or(0, |token| token.position);
        let primitive = |primitive| Expression::Primitive { primitive, position };
        if let Some(other) = self.other()? {
            return Ok((primitive(other), None));
        }
        let protocol = self.protocol();
        if self.take_keyword(Keyword::Broadcast) {
            return Ok((primitive(Primitive::Broadcast(protocol)), None));
        }
        if self.take_keyword(Keyword::Multicast) {
            return Ok((primitive(Primitive::Multicast(protocol)), None));
        }
        match (self.qualifiers(protocol)?, protocol) {
            (Some(qualifiers), _) => self.value(Some(qualifiers)),
            (None, Some(protocol)) => Ok((primitive(Primitive::Protocol(protocol)), None)),
            (None, None) => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            None => "the filter ends where a condition is expected".to_owned(),
            Some(Kind::Keyword(Keyword::Unsupported)) => {
                "this keyword of the tcpdump language is not supported here".to_owned()
            }
            Some(Kind::Word(_) | Kind::Ipv4 { .. } | Kind::Ipv6(_) | Kind::Mac(_)) => {
                "what kind of value is this? Put host, net, port or proto before it".to_owned()
            }
            Some(_) => "expected a condition, like \"tcp\" or \"host 192.0.2.1\"".to_owned(),
        }
    }

    fn protocol(&mut self) -> Option<Protocol> {
        let Some(Kind::Keyword(Keyword::Protocol(protocol))) = self.peek() else { return None };
        let protocol = *protocol;
        self.next += 1;
        Some(protocol)
    }
}
