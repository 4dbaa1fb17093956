//! Conditions in, a classic BPF program out.
//!
//! Conditions become jumps that leave as soon as the answer is known. What the registers hold on every way to a place is
//! remembered, so that a field that several tests in a row look at is loaded once.

use super::condition::{Base, Condition, Field, Number, Operator, Size, Test};
use super::program::{ACCEPT, Instruction, MAXIMUM_INSTRUCTIONS, MEMORY, Program, code};

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
    emitter.condition(condition, accept, reject)?;
    for (label, result) in [(accept, ACCEPT), (reject, 0)] {
        if emitter.place(label) {
            emitter.operation(code::RETURN, result);
        }
    }
    emitter.layout()
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
    /// The IPv4 header whose length the index register holds.
    x: Option<u32>,
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
                if let Base::Ipv4 { header } = field.base {
                    self.store(memory)?;
                    self.header_length(header);
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
        match field.base {
            Base::Frame => self.operation(field.size.load(), field.offset),
            Base::Ipv4 { header } => {
                self.header_length(header);
                self.operation(field.size.load_indexed(), field.offset);
            }
        }
        if let Some(known) = &mut self.registers {
            known.a = Some(field);
        }
    }

    fn header_length(&mut self, header: u32) {
        let Some(known) = &mut self.registers else { return };
        if known.x.replace(header) != Some(header) {
            self.operation(code::LOAD_X_HEADER_LENGTH, header);
        }
    }

    fn store(&mut self, memory: usize) -> Result<(), Excess> {
        if memory >= MEMORY {
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

    /// Turns labels into distances. A test can skip 255 instructions: where that is too few, a plain jump behind it goes on.
    fn layout(&self) -> Result<Program, Excess> {
        // Per operation: whether the ways for yes and for no take such a jump.
        let mut long = vec![(false, false); self.operations.len()];
        loop {
            let mut starts = Vec::with_capacity(self.operations.len() + 1);
            let mut size = 0;
            for far in &long {
                starts.push(size);
                size += 1 + usize::from(far.0) + usize::from(far.1);
            }
            starts.push(size);
            if size > MAXIMUM_INSTRUCTIONS {
                return Err(Excess::Instructions);
            }
            let place = |label: Label| self.labels[label.0].operation.map_or(size, |operation| starts[operation]);
            let mut instructions = Vec::with_capacity(size);
            let mut grown = false;
            for ((operation, far), start) in self.operations.iter().zip(&mut long).zip(&starts) {
                let distance = |label: Label, from: usize| place(label).saturating_sub(from + 1);
                match *operation {
                    Operation::Plain { code, operand } => instructions.push(plain(code, operand)),
                    Operation::Goto(label) => instructions.push(plain(code::JUMP, distance(label, *start) as u32)),
                    Operation::Test { code, operand, yes, no } => {
                        let way = |label: Label, far: &mut bool, jump: u8| {
                            if *far {
                                return (jump, false);
                            }
                            let near = u8::try_from(distance(label, *start));
                            *far = near.is_err();
                            (near.unwrap_or(0), *far)
                        };
                        let both_start = u8::from(far.0);
                        let was = *far;
                        let (jump_true, grown_true) = way(yes, &mut far.0, 0);
                        let (jump_false, grown_false) = way(no, &mut far.1, both_start);
                        grown |= grown_true || grown_false;
                        instructions.push(Instruction { code, jump_true, jump_false, operand });
                        if was.0 {
                            instructions.push(plain(code::JUMP, distance(yes, *start + 1) as u32));
                        }
                        if was.1 {
                            let from = *start + 1 + usize::from(was.0);
                            instructions.push(plain(code::JUMP, distance(no, from) as u32));
                        }
                    }
                }
            }
            if !grown {
                return Ok(Program::new(instructions));
            }
        }
    }
}

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
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
