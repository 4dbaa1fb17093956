//! What a filter asks of a frame once its link type is known: tests of fields at known places.

/// A condition on one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Constant(bool),
    /// All hold; tested in order, the rest not looked at once one fails.
    All(Vec<Condition>),
    /// One of them holds; tested in order, the rest not looked at once one holds.
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// A field, masked, compared with a constant.
    Field {
        field: Field,
        mask: u32,
        test: Test,
        value: u32,
    },
    /// The bytes the frame had on the wire, compared with a constant.
    Length {
        test: Test,
        value: u32,
    },
    /// Two computed numbers.
    Relation {
        left: Number,
        test: Test,
        right: Number,
    },
}

/// How numbers are compared, without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    /// They have a bit in common.
    AnyBit,
}

/// Bytes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Byte,
    Half,
    Word,
}

/// Where offsets count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Start(Start),
    /// The place plus the length of the IPv4 header that lies `header` bytes behind it.
    Ipv4 {
        start: Start,
        header: u32,
    },
}

/// A place in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Its first byte.
    Frame,
    /// The IEEE 802.11 header, behind a radio header of variable length.
    Wireless,
    /// What follows the IEEE 802.11 header, whose length varies too.
    WirelessPayload,
}

/// A number in network byte order somewhere in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub base: Base,
    pub offset: u32,
    pub size: Size,
}

/// A computed number, modulo 2^32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Constant(u32),
    /// Bytes that the frame had on the wire.
    Length,
    Field(Field),
    /// A field whose place is computed: `index` is added to that of `field`.
    Indexed {
        field: Field,
        index: Box<Number>,
    },
    Negative(Box<Number>),
    Operation {
        operator: Operator,
        left: Box<Number>,
        right: Box<Number>,
    },
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

impl Test {
    /// Whether it holds between two numbers.
    pub(super) fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::AnyBit => left & right != 0,
        }
    }
}

impl Operator {
    /// The result, modulo 2^32; `None` for a division by zero.
    pub(super) fn apply(self, left: u32, right: u32) -> Option<u32> {
        Some(match self {
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide => left.checked_div(right)?,
            Self::Modulo => left.checked_rem(right)?,
            Self::And => left & right,
            Self::Or => left | right,
            Self::Xor => left ^ right,
            Self::ShiftLeft => left.checked_shl(right).unwrap_or(0),
            Self::ShiftRight => left.checked_shr(right).unwrap_or(0),
        })
    }
}

impl Condition {
    /// The same without the parts whose answer is known: where it follows from them, the rest is not looked at.
    pub(super) fn simplified(self) -> Self {
        match self {
            Self::Not(inner) => match inner.simplified() {
                Self::Constant(value) => Self::Constant(!value),
                inner => inner.negated(),
            },
            Self::All(parts) => match simplified_parts(parts, true) {
                None => Self::Constant(false),
                Some(parts) if parts.is_empty() => Self::Constant(true),
                Some(parts) => Self::All(parts),
            },
            Self::Any(parts) => match simplified_parts(parts, false) {
                None => Self::Constant(true),
                Some(parts) if parts.is_empty() => Self::Constant(false),
                Some(parts) => Self::Any(parts),
            },
            other => other,
        }
    }

    /// A whole field equals `value`.
    pub(super) fn equal(field: Field, value: u32) -> Self {
        Self::Field { field, mask: u32::MAX, test: Test::Equal, value }
    }

    /// The bits of a field that `mask` names equal `value`. Where there is none the field is not looked at: it may lie
    /// behind the end of the frame.
    pub(super) fn masked(field: Field, mask: u32, value: u32) -> Self {
        if mask == 0 { Self::Constant(value == 0) } else { Self::Field { field, mask, test: Test::Equal, value } }
    }

    /// A whole field compared with `value`.
    pub(super) fn compared(field: Field, test: Test, value: u32) -> Self {
        Self::Field { field, mask: u32::MAX, test, value }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut parts) => {
                parts.push(other);
                Self::All(parts)
            }
            first => Self::All(vec![first, other]),
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut parts) => {
                parts.push(other);
                Self::Any(parts)
            }
            first => Self::Any(vec![first, other]),
        }
    }

    pub(super) fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }
}

/// The parts without those that are known to be `neutral`; `None` when one is known to be the other.
fn simplified_parts(parts: Vec<Condition>, neutral: bool) -> Option<Vec<Condition>> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        match part.simplified() {
            Condition::Constant(value) if value == neutral => {}
            Condition::Constant(_) => return None,
            other => left.push(other),
        }
    }
    Some(left)
}
