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

impl Condition {
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
