//! Classic BPF programs, and the machine that runs them.
//!
//! McCanne and Jacobson, "The BSD Packet Filter" (1993). The instructions are those of a Linux socket filter
//! (`SO_ATTACH_FILTER`), so that the same program can run in the kernel.

/// Instruction codes: class, size and mode as `<linux/bpf_common.h>` numbers them.
pub(super) mod code {
    /// The bits that tell what kind of instruction it is: 0 and 1 load into the accumulator and the index register.
    pub(crate) const CLASS: u16 = 0x07;
    pub(crate) const LOAD_X_CLASS: u16 = 0x01;
    pub(crate) const LOAD_WORD: u16 = 0x20; // ld [k]
    pub(crate) const LOAD_HALF: u16 = 0x28;
    pub(crate) const LOAD_BYTE: u16 = 0x30;
    pub(crate) const LOAD_WORD_INDEXED: u16 = 0x40; // ld [x + k]
    pub(crate) const LOAD_HALF_INDEXED: u16 = 0x48;
    pub(crate) const LOAD_BYTE_INDEXED: u16 = 0x50;
    pub(crate) const LOAD_CONSTANT: u16 = 0x00;
    pub(crate) const LOAD_LENGTH: u16 = 0x80;
    pub(crate) const LOAD_MEMORY: u16 = 0x60;
    pub(crate) const LOAD_X_HEADER_LENGTH: u16 = 0xb1; // ldx 4*([k]&0xf)
    pub(crate) const LOAD_X_MEMORY: u16 = 0x61;
    pub(crate) const STORE: u16 = 0x02;
    pub(crate) const ADD: u16 = 0x04;
    pub(crate) const SUBTRACT: u16 = 0x14;
    pub(crate) const MULTIPLY: u16 = 0x24;
    pub(crate) const DIVIDE: u16 = 0x34;
    pub(crate) const OR: u16 = 0x44;
    pub(crate) const AND: u16 = 0x54;
    pub(crate) const SHIFT_LEFT: u16 = 0x64;
    pub(crate) const SHIFT_RIGHT: u16 = 0x74;
    pub(crate) const NEGATE: u16 = 0x84;
    pub(crate) const MODULO: u16 = 0x94;
    pub(crate) const XOR: u16 = 0xa4;
    pub(crate) const JUMP: u16 = 0x05;
    pub(crate) const JUMP_EQUAL: u16 = 0x15;
    pub(crate) const JUMP_GREATER: u16 = 0x25;
    pub(crate) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
    pub(crate) const JUMP_ANY_BIT: u16 = 0x45;
    pub(crate) const JUMP_EQUAL_X: u16 = JUMP_EQUAL | WITH_X;
    pub(crate) const JUMP_GREATER_X: u16 = JUMP_GREATER | WITH_X;
    pub(crate) const JUMP_GREATER_OR_EQUAL_X: u16 = JUMP_GREATER_OR_EQUAL | WITH_X;
    /// In operations and tests: the operand is the index register, not the constant.
    pub(crate) const WITH_X: u16 = 0x08;
    pub(crate) const RETURN: u16 = 0x06;
    pub(crate) const A_TO_X: u16 = 0x07;
    pub(crate) const X_TO_A: u16 = 0x87;
}

/// Words of scratch memory that a program has.
pub(super) const MEMORY: usize = 16;

/// Instructions that a program may have, to bound the time a frame takes.
pub(super) const MAXIMUM_INSTRUCTIONS: usize = 1 << 16;

/// Where the kernel lets a program read whether it has taken a VLAN tag out: `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT` of
/// `<linux/filter.h>`.
const TAG_PRESENT: u32 = 0xffff_f000 + 48;

/// What a program returns for a frame that it takes: the bytes to keep of it.
pub(super) const ACCEPT: u32 = 262_144;

/// One instruction, laid out like `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip when a test holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Its operand.
    pub operand: u32,
}

#[cfg(target_os = "linux")]
impl Instruction {
    /// A program that leaves every frame.
    pub(crate) const NOTHING: Self = Self { code: code::RETURN, jump_true: 0, jump_false: 0, operand: 0 };

    /// A program that takes every frame.
    pub(crate) const EVERYTHING: Self = Self { operand: ACCEPT, ..Self::NOTHING };
}

/// A program that takes or leaves frames. It was made by the compiler: it only jumps forward and ends in a return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
}

impl Program {
    pub(super) fn new(instructions: Vec<Instruction>) -> Self {
        Self { instructions }
    }

    /// Instructions that Linux accepts (`BPF_MAXINSNS`); a longer program runs here only.
    pub const KERNEL_LIMIT: usize = 4096;

    /// The instructions, to be attached to a socket.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The program for a Linux packet socket, if it can run there.
    ///
    /// The kernel takes the outer VLAN tag out of a frame before it asks, so of tagged frames it takes all: whoever reads
    /// the socket puts the tag back and asks [`Program::matches`]. A program that is too long, or reads at offsets that the
    /// kernel gives a meaning of its own (from 2^31 on), stays here.
    #[must_use]
    pub fn for_socket(&self) -> Option<Vec<Instruction>> {
        let plain = |code, jump_true, operand| Instruction { code, jump_true, jump_false: 0, operand };
        let prefix =
            [plain(code::LOAD_WORD, 0, TAG_PRESENT), plain(code::JUMP_EQUAL, 1, 0), plain(code::RETURN, 0, ACCEPT)];
        let reads_elsewhere =
            |it: &Instruction| it.code & code::CLASS <= code::LOAD_X_CLASS && it.operand > i32::MAX as u32;
        let constant = |it: &Instruction| it.code == code::LOAD_CONSTANT;
        let length = self.instructions.len() + prefix.len();
        if length > Self::KERNEL_LIMIT || self.instructions.iter().any(|it| reads_elsewhere(it) && !constant(it)) {
            return None;
        }
        Some(prefix.into_iter().chain(self.instructions.iter().copied()).collect())
    }

    /// Whether it takes a frame of which `data` was captured and that had `length` bytes on the wire. Reading past the end
    /// of `data` leaves the frame, whatever the rest of the program would say, as it does in the kernel and in libpcap.
    #[must_use]
    pub fn matches(&self, data: &[u8], length: u32) -> bool {
        self.run(data, length).is_some_and(|kept| kept > 0)
    }

    /// Runs at most as many steps as there are instructions, for jumps lead forward only.
    fn run(&self, data: &[u8], length: u32) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY]);
        let mut next = 0;
        loop {
            let Instruction { code, jump_true, jump_false, operand: k } = *self.instructions.get(next)?;
            next += 1;
            let jump = |holds: bool| usize::from(if holds { jump_true } else { jump_false });
            match code {
                code::LOAD_WORD => a = u32::from_be_bytes(*bytes(data, 0, k)?),
                code::LOAD_HALF => a = u32::from(u16::from_be_bytes(*bytes(data, 0, k)?)),
                code::LOAD_BYTE => a = u32::from(u8::from_be_bytes(*bytes(data, 0, k)?)),
                code::LOAD_WORD_INDEXED => a = u32::from_be_bytes(*bytes(data, x, k)?),
                code::LOAD_HALF_INDEXED => a = u32::from(u16::from_be_bytes(*bytes(data, x, k)?)),
                code::LOAD_BYTE_INDEXED => a = u32::from(u8::from_be_bytes(*bytes(data, x, k)?)),
                code::LOAD_CONSTANT => a = k,
                code::LOAD_LENGTH => a = length,
                code::LOAD_MEMORY => a = *memory.get(k as usize)?,
                code::LOAD_X_HEADER_LENGTH => x = u32::from(bytes::<1>(data, 0, k)?[0] & 0xf) * 4,
                code::LOAD_X_MEMORY => x = *memory.get(k as usize)?,
                code::STORE => *memory.get_mut(k as usize)? = a,
                code::NEGATE => a = a.wrapping_neg(),
                code::JUMP => next += k as usize,
                code::JUMP_EQUAL => next += jump(a == k),
                code::JUMP_GREATER => next += jump(a > k),
                code::JUMP_GREATER_OR_EQUAL => next += jump(a >= k),
                code::JUMP_ANY_BIT => next += jump(a & k != 0),
                code::JUMP_EQUAL_X => next += jump(a == x),
                code::JUMP_GREATER_X => next += jump(a > x),
                code::JUMP_GREATER_OR_EQUAL_X => next += jump(a >= x),
                code::RETURN => return Some(k),
                code::A_TO_X => x = a,
                code::X_TO_A => a = x,
                _ => a = arithmetic(code, a, if code & code::WITH_X == 0 { k } else { x })?,
            }
        }
    }
}

/// An operation on the accumulator and another number; `None` for a division by zero and what is no operation.
fn arithmetic(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & !code::WITH_X {
        code::ADD => a.wrapping_add(operand),
        code::SUBTRACT => a.wrapping_sub(operand),
        code::MULTIPLY => a.wrapping_mul(operand),
        code::DIVIDE => a.checked_div(operand)?,
        code::MODULO => a.checked_rem(operand)?,
        code::OR => a | operand,
        code::AND => a & operand,
        code::XOR => a ^ operand,
        code::SHIFT_LEFT => a.checked_shl(operand).unwrap_or(0),
        code::SHIFT_RIGHT => a.checked_shr(operand).unwrap_or(0),
        _ => return None,
    })
}

/// The `N` bytes at `index + offset`; `None` past the end, also where the sum does not fit 32 bits.
#[inline]
fn bytes<const N: usize>(data: &[u8], index: u32, offset: u32) -> Option<&[u8; N]> {
    data.get(index.checked_add(offset)? as usize..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(instructions: &[(u16, u32)]) -> Program {
        let plain = |&(code, operand): &(u16, u32)| Instruction { code, jump_true: 0, jump_false: 0, operand };
        Program::new(instructions.iter().map(plain).collect())
    }

    #[test]
    fn reading_past_the_end_leaves_the_frame() {
        let read = |at| program(&[(code::LOAD_HALF, at), (code::RETURN, ACCEPT)]);
        assert!(read(2).matches(&[0; 4], 4));
        assert!(!read(3).matches(&[0; 4], 4));
        assert!(!read(u32::MAX).matches(&[0; 4], 4));
    }

    #[test]
    fn program_for_a_socket_leaves_tagged_frames_to_whoever_reads_it() {
        let here = program(&[(code::LOAD_HALF, 12), (code::RETURN, ACCEPT)]);
        let there = here.for_socket().unwrap();
        assert_eq!(there[0].operand, 0xffff_f030);
        assert_eq!(there[3..], here.instructions[..]);
        assert!(program(&[(code::LOAD_BYTE, 0xffff_f000), (code::RETURN, ACCEPT)]).for_socket().is_none());
        assert!(program(&[(code::LOAD_CONSTANT, u32::MAX), (code::RETURN, ACCEPT)]).for_socket().is_some());
        assert!(program(&[(code::RETURN, ACCEPT); Program::KERNEL_LIMIT]).for_socket().is_none());
    }

    #[test]
    fn division_by_zero_leaves_the_frame() {
        assert!(!program(&[(code::DIVIDE, 0), (code::RETURN, ACCEPT)]).matches(&[], 0));
    }

    #[test]
    fn unknown_instruction_or_missing_return_leaves_the_frame() {
        assert!(!program(&[(0xffff, 0), (code::RETURN, ACCEPT)]).matches(&[], 0));
        assert!(!program(&[(code::JUMP, 7)]).matches(&[], 0));
    }
}
