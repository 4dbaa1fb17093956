//! Labels in, distances out.
//!
//! A test can skip 255 instructions. Where that is too few, a plain jump behind the test goes on from there, first the one
//! for yes, then the one for no.

use super::{Excess, Label, Operation};
use crate::filter::program::{Instruction, MAXIMUM_INSTRUCTIONS, Program, code};

/// Whether the ways of a test for yes and for no are too long for it.
type Far = (bool, bool);

/// Lays the operations out; `places` says which operation follows each label.
pub(super) fn program(operations: &[Operation], places: &[usize]) -> Result<Program, Excess> {
    let mut far = vec![(false, false); operations.len()];
    let mut starts = starts(&far);
    // A jump added for one test can make the way of another too long, never too short again.
    while lengthen(operations, places, &starts, &mut far) {
        starts = self::starts(&far);
    }
    let size = starts.last().copied().unwrap_or_default();
    if size > MAXIMUM_INSTRUCTIONS {
        return Err(Excess::Instructions);
    }
    let mut instructions = Vec::with_capacity(size);
    for ((operation, far), start) in operations.iter().zip(&far).zip(&starts) {
        let distance = |label: Label, from: usize| starts[places[label.0]] - (from + 1);
        match *operation {
            Operation::Plain { code, operand } => instructions.push(plain(code, operand)),
            Operation::Goto(label) => instructions.push(plain(code::JUMP, distance(label, *start) as u32)),
            Operation::Test { code, operand, yes, no } => {
                let jump_true = if far.0 { 0 } else { distance(yes, *start) as u8 };
                let jump_false = if far.1 { u8::from(far.0) } else { distance(no, *start) as u8 };
                instructions.push(Instruction { code, jump_true, jump_false, operand });
                for (label, _) in [(yes, far.0), (no, far.1)].iter().filter(|(_, far)| *far) {
                    instructions.push(plain(code::JUMP, distance(*label, instructions.len()) as u32));
                }
            }
        }
    }
    Ok(Program::new(instructions))
}

/// Where each operation starts, and behind them the size of the program.
fn starts(far: &[Far]) -> Vec<usize> {
    let sizes = far.iter().map(|far| 1 + usize::from(far.0) + usize::from(far.1));
    let ends = sizes.scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Marks the ways that are too long in this layout; tells whether there are new ones.
fn lengthen(operations: &[Operation], places: &[usize], starts: &[usize], far: &mut [Far]) -> bool {
    let mut grown = false;
    for ((operation, far), start) in operations.iter().zip(far).zip(starts) {
        let Operation::Test { yes, no, .. } = *operation else { continue };
        for (label, far) in [(yes, &mut far.0), (no, &mut far.1)] {
            if !*far && starts[places[label.0]] - (start + 1) > usize::from(u8::MAX) {
                *far = true;
                grown = true;
            }
        }
    }
    grown
}

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}
