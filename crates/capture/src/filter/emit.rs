//! Conditions in, a classic BPF program out.
//!
//! Conditions become jumps that leave as soon as the answer is known. What the registers hold on every way to a place is
//! remembered, so that a field that several tests in a row look at is loaded once.

use super::condition::{Base, Condition, Field, Number, Operator, Size, Start, Test};
use super::program::{ACCEPT, MAXIMUM_INSTRUCTIONS, Program, code};

mod layout;
mod wireless;

/// Why there is no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    Instructions,
    Memory,
}

const TRUE: Condition = Condition::Constant(true);

/// Compiles a condition.
pub(super) fn program(condition: &Condition) -> Result<Program, Excess> {
    let mut emitter = Emitter { operations: Vec::new(), labels: Vec::new(), registers: Some(Registers::default()) };
    let (accept, reject) = (emitter.label(), emitter.label());
    emitter.wireless_starts(condition);
    emitter.condition(condition, accept, reject)?;
    for (label, result) in [(accept, ACCEPT), (reject, 0)] {
        if emitter.place(label) {
            emitter.operation(code::RETURN, result);
        }
    }
    let Emitter { operations, labels, .. } = emitter;
    let places: Vec<usize> = labels.iter().map(|label| label.operation.unwrap_or(operations.len())).collect();
    layout::program(&operations, &places)
}

/// A place in the program that is jumped to.
#[derive(Clone, Copy)]
struct Label(usize);

#[derive(Default)]
struct Placement {
    /// The operation that follows it, once it is placed.
    operation: Option<usize>,
    /// What the registers hold on all ways that lead there; `None` while no way does.
    registers: Option<Registers>,
}

/// What is known to be in the registers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Registers {
    /// The field that the accumulator holds.
    a: Option<Field>,
    /// What the index register holds.
    x: Option<Index>,
}

/// A place that the index register holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    Start(Start),
    /// A place plus the length of the IPv4 header that many bytes behind it.
    Ipv4 {
        start: Start,
        header: u32,
    },
}

enum Operation {
    Plain { code: u16, operand: u32 },
    Test { code: u16, operand: u32, yes: Label, no: Label },
    Goto(Label),
}

struct Emitter {
    operations: Vec<Operation>,
    labels: Vec<Placement>,
    /// `None` where no way leads: nothing is emitted there.
    registers: Option<Registers>,
}

impl Emitter {
    /// Code that goes to `yes` when the condition holds, else to `no`.
    fn condition(&mut self, condition: &Condition, yes: Label, no: Label) -> Result<(), Excess> {
        if self.operations.len() > MAXIMUM_INSTRUCTIONS {
            return Err(Excess::Instructions);
        }
        match condition {
            Condition::Constant(value) => self.goto(if *value { yes } else { no }),
            Condition::Not(inner) => self.condition(inner, no, yes)?,
            Condition::All(parts) => {
                let Some((last, first)) = parts.split_last() else { return self.condition(&TRUE, yes, no) };
                for part in first {
                    let next = self.label();
                    self.condition(part, next, no)?;
                    self.place(next);
                }
                self.condition(last, yes, no)?;
            }
            Condition::Any(parts) => {
                let Some((last, first)) = parts.split_last() else { return self.condition(&TRUE, no, yes) };
                for part in first {
                    let next = self.label();
                    self.condition(part, yes, next)?;
                    self.place(next);
                }
                self.condition(last, yes, no)?;
            }
            Condition::Field { field, mask, test, value } => {
                self.load(*field);
                if *mask != u32::MAX {
                    self.operation(code::AND, *mask);
                    self.forget_a();
                }
                self.test(test.with_constant(), *value, yes, no);
            }
            Condition::Length { test, value } => {
                self.operation(code::LOAD_LENGTH, 0);
                self.forget_a();
                self.test(test.with_constant(), *value, yes, no);
            }
            Condition::Relation { left, test, right } => {
                self.two_numbers(left, right, 0)?;
                let (code, operand) = match right {
                    Number::Constant(value) => (test.with_constant(), *value),
                    _ => (test.with_index_register(), 0),
                };
                self.test(code, operand, yes, no);
            }
        }
        Ok(())
    }

    /// `left` into the accumulator and `right` into the index register, unless it is a constant. Scratch memory from
    /// `memory` on is free.
    fn two_numbers(&mut self, left: &Number, right: &Number, memory: usize) -> Result<(), Excess> {
        self.number(left, memory)?;
        if !matches!(right, Number::Constant(_)) {
            self.store(memory)?;
            self.number(right, memory + 1)?;
            self.a_to_x();
            self.operation(code::LOAD_MEMORY, memory as u32);
            self.forget_a();
        }
        Ok(())
    }

    /// A number into the accumulator.
    fn number(&mut self, number: &Number, memory: usize) -> Result<(), Excess> {
        match number {
            Number::Constant(value) => {
                self.operation(code::LOAD_CONSTANT, *value);
                self.forget_a();
            }
            Number::Length => {
                self.operation(code::LOAD_LENGTH, 0);
                self.forget_a();
            }
            Number::Field(field) => self.load(*field),
            Number::Indexed { field, index } => {
                self.number(index, memory)?;
                if field.base != Base::Start(Start::Frame) {
                    self.store(memory)?;
                    self.base_to_x(field.base);
                    self.operation(code::LOAD_MEMORY, memory as u32);
                    self.operation(code::ADD | code::WITH_X, 0);
                }
                self.a_to_x();
                self.operation(field.size.load_indexed(), field.offset);
                self.forget_a();
            }
            Number::Negative(inner) => {
                self.number(inner, memory)?;
                self.operation(code::NEGATE, 0);
                self.forget_a();
            }
            Number::Operation { operator, left, right } => {
                self.two_numbers(left, right, memory)?;
                if let Number::Constant(value) = **right {
                    self.operation(operator.with_constant(), value);
                } else {
                    self.operation(operator.with_index_register(), 0);
                }
                self.forget_a();
            }
        }
        Ok(())
    }

    fn load(&mut self, field: Field) {
        if self.registers.is_some_and(|known| known.a == Some(field)) {
            return;
        }
        if field.base == Base::Start(Start::Frame) {
            self.operation(field.size.load(), field.offset);
        } else {
            self.base_to_x(field.base);
            self.operation(field.size.load_indexed(), field.offset);
        }
        if let Some(known) = &mut self.registers {
            known.a = Some(field);
        }
    }

    /// What the offsets of `base` are added to, into the index register.
    fn base_to_x(&mut self, base: Base) {
        let wanted = match base {
            Base::Start(start) => Index::Start(start),
            Base::Ipv4 { start, header } => Index::Ipv4 { start, header },
        };
        if self.registers.is_some_and(|known| known.x == Some(wanted)) {
            return;
        }
        match wanted {
            Index::Start(Start::Frame) => {}
            Index::Start(start) => self.operation(code::LOAD_X_MEMORY, wireless::memory(start)),
            Index::Ipv4 { start: Start::Frame, header } => self.operation(code::LOAD_X_HEADER_LENGTH, header),
            Index::Ipv4 { start, header } => {
                self.base_to_x(Base::Start(start));
                self.operation(code::LOAD_BYTE_INDEXED, header);
                self.operation(code::AND, 0xf);
                self.operation(code::SHIFT_LEFT, 2);
                self.operation(code::ADD | code::WITH_X, 0);
                self.a_to_x();
                self.forget_a();
            }
        }
        if let Some(known) = &mut self.registers {
            known.x = Some(wanted);
        }
    }

    fn store(&mut self, memory: usize) -> Result<(), Excess> {
        if memory >= wireless::MEMORY_BEFORE {
            return Err(Excess::Memory);
        }
        self.operation(code::STORE, memory as u32);
        Ok(())
    }

    fn a_to_x(&mut self) {
        self.operation(code::A_TO_X, 0);
        if let Some(known) = &mut self.registers {
            known.x = None;
        }
    }

    fn forget_a(&mut self) {
        if let Some(known) = &mut self.registers {
            known.a = None;
        }
    }

    fn operation(&mut self, code: u16, operand: u32) {
        if self.registers.is_some() {
            self.operations.push(Operation::Plain { code, operand });
        }
    }

    fn test(&mut self, code: u16, operand: u32, yes: Label, no: Label) {
        if self.registers.is_some() {
            self.reach(yes);
            self.reach(no);
            self.operations.push(Operation::Test { code, operand, yes, no });
            self.registers = None;
        }
    }

    fn goto(&mut self, label: Label) {
        if self.registers.is_some() {
            self.reach(label);
            self.operations.push(Operation::Goto(label));
            self.registers = None;
        }
    }

    fn label(&mut self) -> Label {
        self.labels.push(Placement::default());
        Label(self.labels.len() - 1)
    }

    /// Notes that a way leads from here to `label`.
    fn reach(&mut self, label: Label) {
        let Some(here) = self.registers else { return };
        let there = &mut self.labels[label.0].registers;
        *there = Some(match *there {
            None => here,
            Some(known) => {
                Registers { a: known.a.filter(|a| here.a == Some(*a)), x: known.x.filter(|x| here.x == Some(*x)) }
            }
        });
    }

    /// What follows is at `label`; no other code falls into it. Tells whether any way leads there.
    fn place(&mut self, label: Label) -> bool {
        let placement = &mut self.labels[label.0];
        placement.operation = Some(self.operations.len());
        self.registers = placement.registers;
        self.registers.is_some()
    }
}

impl Test {
    fn with_constant(self) -> u16 {
        match self {
            Self::Equal => code::JUMP_EQUAL,
            Self::Greater => code::JUMP_GREATER,
            Self::GreaterOrEqual => code::JUMP_GREATER_OR_EQUAL,
            Self::AnyBit => code::JUMP_ANY_BIT,
        }
    }

    fn with_index_register(self) -> u16 {
        self.with_constant() | code::WITH_X
    }
}

impl Operator {
    fn with_constant(self) -> u16 {
        match self {
            Self::Add => code::ADD,
            Self::Subtract => code::SUBTRACT,
            Self::Multiply => code::MULTIPLY,
            Self::Divide => code::DIVIDE,
            Self::Modulo => code::MODULO,
            Self::And => code::AND,
            Self::Or => code::OR,
            Self::Xor => code::XOR,
            Self::ShiftLeft => code::SHIFT_LEFT,
            Self::ShiftRight => code::SHIFT_RIGHT,
        }
    }

    fn with_index_register(self) -> u16 {
        self.with_constant() | code::WITH_X
    }
}

impl Size {
    fn load(self) -> u16 {
        match self {
            Self::Byte => code::LOAD_BYTE,
            Self::Half => code::LOAD_HALF,
            Self::Word => code::LOAD_WORD,
        }
    }

    fn load_indexed(self) -> u16 {
        match self {
            Self::Byte => code::LOAD_BYTE_INDEXED,
            Self::Half => code::LOAD_HALF_INDEXED,
            Self::Word => code::LOAD_WORD_INDEXED,
        }
    }
}
