//! Relations between computed numbers.

use super::{Parsed, Parser};
use crate::filter::condition::{Operator, Size, Test};
use crate::filter::lexer::Kind;
use crate::filter::names::Keyword;
use crate::filter::syntax::{Arithmetic, Expression, Primitive};

/// How strongly an operator binds; libpcap gives `%` and `^` no place among the others.
fn precedence(sign: &str) -> Option<(Operator, u8)> {
    Some(match sign {
        "|" => (Operator::Or, 1),
        "&" => (Operator::And, 2),
        "<<" => (Operator::ShiftLeft, 3),
        ">>" => (Operator::ShiftRight, 3),
        "+" => (Operator::Add, 4),
        "-" => (Operator::Subtract, 4),
        "*" => (Operator::Multiply, 5),
        "/" => (Operator::Divide, 5),
        "%" => (Operator::Modulo, UNRANKED),
        "^" => (Operator::Xor, UNRANKED),
        _ => return None,
    })
}

/// Such operators stand alone between their brackets.
const UNRANKED: u8 = 6;

impl Parser<'_> {
    /// A relation, if what follows is one; otherwise nothing is taken.
    pub(super) fn relation(&mut self) -> Parsed<Option<Expression>> {
        let start = self.next;
        let starts_with_bracket = match self.peek() {
            Some(Kind::Number(_) | Kind::Keyword(Keyword::Length) | Kind::Sign("-")) => false,
            Some(Kind::Keyword(Keyword::Protocol(_))) if self.peek_at(1) == Some(&Kind::Sign("[")) => false,
            Some(Kind::Sign("(")) => true,
            _ => return Ok(None),
        };
        let position = self.tokens.get(start).map_or(0, |token| token.position);
        match self.number_and_relation() {
            Ok((left, test, negated, right)) => {
                let primitive = Primitive::Relation { left, test, negated, right };
                Ok(Some(Expression::Primitive { primitive, position }))
            }
            // It may still be a condition in brackets. If it is not, the error that got further is the one to tell.
            Err(reason) if starts_with_bracket => {
                if self.failed.as_ref().is_none_or(|(furthest, _)| *furthest < self.next) {
                    self.failed = Some((self.next, reason));
                }
                self.next = start;
                Ok(None)
            }
            Err(reason) => Err(reason),
        }
    }

    fn number_and_relation(&mut self) -> Parsed<(Arithmetic, Test, bool, Arithmetic)> {
        let left = self.arithmetic(0)?;
        let (test, negated) = match self.peek() {
            Some(Kind::Sign(">")) => (Test::Greater, false),
            Some(Kind::Sign(">=")) => (Test::GreaterOrEqual, false),
            Some(Kind::Sign("=")) => (Test::Equal, false),
            Some(Kind::Sign("<=")) => (Test::Greater, true),
            Some(Kind::Sign("<")) => (Test::GreaterOrEqual, true),
            Some(Kind::Sign("!=")) => (Test::Equal, true),
            _ => return Err("expected a comparison".to_owned()),
        };
        self.next += 1;
        let right = self.arithmetic(0)?;
        Ok((left, test, negated, right))
    }

    /// Operands joined by operators that bind more strongly than `above`.
    fn arithmetic(&mut self, above: u8) -> Parsed<Arithmetic> {
        let mut left = self.nested(Self::operand)?;
        let mut operators = 0;
        loop {
            let Some(Kind::Sign(sign)) = self.peek() else { return Ok(left) };
            let Some((operator, rank)) = precedence(sign).filter(|(_, rank)| *rank > above) else { return Ok(left) };
            if rank == UNRANKED && (above > 0 || operators > 0) {
                return Err(format!("put brackets around the operands of {sign:?}: it has no rank among the others"));
            }
            operators += 1;
            self.turn()?;
            self.next += 1;
            let right = self.nested(|parser| parser.arithmetic(rank))?;
            left = Arithmetic::Operation { operator, left: Box::new(left), right: Box::new(right) };
            if rank == UNRANKED {
                return match self.peek() {
                    Some(Kind::Sign(sign)) if precedence(sign).is_some() => {
                        Err("put brackets around the operation before: it has no rank among the others".to_owned())
                    }
                    _ => Ok(left),
                };
            }
        }
    }

    fn operand(&mut self) -> Parsed<Arithmetic> {
        if self.take_sign("-") {
            // Binds more strongly than every operator.
            let operand = self.nested(Self::operand)?;
            return Ok(Arithmetic::Negative(Box::new(operand)));
        }
        if self.take_sign("(") {
            let inner = self.nested(|parser| parser.arithmetic(0))?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        if self.take_keyword(Keyword::Length) {
            return Ok(Arithmetic::Length);
        }
        let Some(protocol) = self.protocol() else { return self.number().map(Arithmetic::Number) };
        self.expect_sign("[")?;
        let index = Box::new(self.nested(|parser| parser.arithmetic(0))?);
        let mut size = Size::Byte;
        if self.take_sign(":") {
            size = match self.peek() {
                Some(Kind::Number(1)) => Size::Byte,
                Some(Kind::Number(2)) => Size::Half,
                Some(Kind::Number(4)) => Size::Word,
                _ => return Err("a field has 1, 2 or 4 bytes".to_owned()),
            };
            self.next += 1;
        }
        self.expect_sign("]")?;
        Ok(Arithmetic::Load { protocol, index, size })
    }
}
