//! Places in IEEE 802.11 frames, which are computed before anything is looked at.

use super::{Emitter, Label};
use crate::filter::condition::{Base, Condition, Number, Start, Test};
use crate::filter::program::{MEMORY, code};

/// The last words of scratch memory hold the places; those before are free for arithmetic.
pub(super) const MEMORY_BEFORE: usize = MEMORY - 2;

/// Bytes of the header of a data frame; two more with quality of service (IEEE 802.11-2020, section 9.3.2.1).
const DATA_HEADER: u32 = 24;
const QOS_CONTROL: u32 = 2;

/// Bits of the first byte of the frame control field.
const TYPE_DATA: u32 = 0x08;
const TYPE_CONTROL: u32 = 0x04;
const SUBTYPE_QOS: u32 = 0x80;

/// Radiotap's presence bits (radiotap.org), which are little-endian, as they are loaded.
const TIMESTAMP_PRESENT: u32 = 0x0100_0000;
const FLAGS_PRESENT: u32 = 0x0200_0000;
const MORE_PRESENCE_BITS: u32 = 0x0000_0080;
/// The flag that the IEEE 802.11 header is padded to 32 bits.
const PADDED: u32 = 0x20;

/// The word of scratch memory that holds a place.
pub(super) fn memory(start: Start) -> u32 {
    let place = match start {
        Start::Frame | Start::Wireless => 0,
        Start::WirelessPayload => 1,
    };
    (MEMORY_BEFORE + place) as u32
}

impl Emitter {
    /// Computes the places that the condition's fields count from.
    pub(super) fn wireless_starts(&mut self, condition: &Condition) {
        let mut used = Used::default();
        used.condition(condition);
        if used.radio {
            self.radio_header();
        } else if used.payload {
            self.operation(code::LOAD_CONSTANT, 0);
            self.operation(code::A_TO_X, 0);
        }
        if used.payload {
            self.payload(used.radio);
        }
        self.forget_a();
    }

    /// The length of the radiotap header, little-endian in its bytes 2 and 3, to memory and the index register.
    fn radio_header(&mut self) {
        for (code, operand) in [
            (code::LOAD_BYTE, 3),
            (code::SHIFT_LEFT, 8),
            (code::A_TO_X, 0),
            (code::LOAD_BYTE, 2),
            (code::OR | code::WITH_X, 0),
            (code::STORE, memory(Start::Wireless)),
            (code::A_TO_X, 0),
        ] {
            self.operation(code, operand);
        }
    }

    /// The place behind the header that the index register points to. For what is no data frame it does not matter.
    fn payload(&mut self, radio: bool) {
        self.operation(code::X_TO_A, 0);
        self.operation(code::ADD, DATA_HEADER);
        self.operation(code::STORE, memory(Start::WirelessPayload));
        self.operation(code::LOAD_BYTE_INDEXED, 0);
        let [data, no_control, qos, no_qos, done] = std::array::from_fn(|_| self.label());
        self.any_bit(TYPE_DATA, data, done);
        self.place(data);
        self.any_bit(TYPE_CONTROL, done, no_control);
        self.place(no_control);
        self.any_bit(SUBTYPE_QOS, qos, no_qos);
        self.place(qos);
        self.move_payload(QOS_CONTROL);
        self.goto(no_qos);
        self.place(no_qos);
        if radio {
            self.padding(done);
        }
        self.goto(done);
        self.place(done);
    }

    /// Rounds the place up where the radiotap header says that the header is padded.
    fn padding(&mut self, done: Label) {
        let [flags, first, timestamp, no_timestamp, padded] = std::array::from_fn(|_| self.label());
        self.operation(code::LOAD_WORD, 4);
        self.any_bit(FLAGS_PRESENT, flags, done);
        self.place(flags);
        self.any_bit(MORE_PRESENCE_BITS, done, first);
        self.place(first);
        self.any_bit(TIMESTAMP_PRESENT, timestamp, no_timestamp);
        // The flags follow the header of 8 bytes, and the time stamp of 8 if there is one.
        for (label, offset) in [(timestamp, 16), (no_timestamp, 8)] {
            self.place(label);
            self.operation(code::LOAD_BYTE, offset);
            self.any_bit(PADDED, padded, done);
        }
        self.place(padded);
        self.move_payload(3);
        self.operation(code::AND, !3);
        self.operation(code::STORE, memory(Start::WirelessPayload));
    }

    fn move_payload(&mut self, by: u32) {
        self.operation(code::LOAD_MEMORY, memory(Start::WirelessPayload));
        self.operation(code::ADD, by);
        self.operation(code::STORE, memory(Start::WirelessPayload));
    }

    fn any_bit(&mut self, bits: u32, yes: Label, no: Label) {
        self.test(Test::AnyBit.with_constant(), bits, yes, no);
    }
}

/// Places that fields count from.
#[derive(Default)]
struct Used {
    radio: bool,
    payload: bool,
}

impl Used {
    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Constant(_) | Condition::Length { .. } => {}
            Condition::Not(inner) => self.condition(inner),
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| self.condition(part)),
            Condition::Field { field, .. } => self.base(field.base),
            Condition::Relation { left, right, .. } => {
                self.number(left);
                self.number(right);
            }
        }
    }

    fn number(&mut self, number: &Number) {
        match number {
            Number::Constant(_) | Number::Length => {}
            Number::Field(field) => self.base(field.base),
            Number::Negative(inner) => self.number(inner),
            Number::Indexed { field, index } => {
                self.base(field.base);
                self.number(index);
            }
            Number::Operation { left, right, .. } => {
                self.number(left);
                self.number(right);
            }
        }
    }

    fn base(&mut self, base: Base) {
        let (Base::Start(start) | Base::Ipv4 { start, .. }) = base;
        match start {
            Start::Frame => {}
            Start::Wireless => self.radio = true,
            Start::WirelessPayload => self.payload = true,
        }
    }
}
