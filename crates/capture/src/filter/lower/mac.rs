//! Link-layer addresses, of Ethernet and of IEEE 802.11, where their places depend on the kind of frame.

use super::Lowering;
use crate::filter::condition::{Condition, Size, Test};
use crate::filter::layout::LinkKind;

impl Lowering {
    /// Whether frames have addresses of six bytes.
    pub(super) fn has_macs(&self) -> bool {
        matches!(self.layout.kind, LinkKind::Ethernet | LinkKind::Wireless)
    }

    /// The six bytes at an offset of the link header, the last four first.
    pub(super) fn mac(&self, [a, b, c, d, e, f]: [u8; 6], offset: u32) -> Condition {
        let end = self.layout.in_link_header(offset + 2, Size::Word);
        let start = self.layout.in_link_header(offset, Size::Half);
        Condition::equal(end, u32::from_be_bytes([c, d, e, f]))
            .and(Condition::equal(start, u32::from(u16::from_be_bytes([a, b]))))
    }

    /// `question` of the destination address, given its place.
    pub(super) fn mac_destination(&self, question: &dyn Fn(u32) -> Condition) -> Condition {
        if self.layout.kind == LinkKind::Ethernet {
            return question(0);
        }
        let in_data = self.to_access_point(question(16), question(4));
        self.addressed(question(4), in_data)
    }

    /// `question` of the source address, given its place.
    pub(super) fn mac_source(&self, question: &dyn Fn(u32) -> Condition) -> Condition {
        if self.layout.kind == LinkKind::Ethernet {
            return question(6);
        }
        let relayed = self.to_access_point(question(24), question(16));
        let in_data = self.choice(1, 0x02, relayed, question(10)); // from an access point or not
        self.addressed(question(10), in_data)
    }

    fn to_access_point(&self, to: Condition, not_to: Condition) -> Condition {
        self.choice(1, 0x01, to, not_to)
    }

    /// Control frames have no such addresses; management frames have them at fixed places.
    fn addressed(&self, in_management: Condition, in_data: Condition) -> Condition {
        let control = Condition::compared(self.layout.in_link_header(0, Size::Byte), Test::AnyBit, 0x04);
        Condition::All(vec![control.negated(), self.choice(0, 0x08, in_data, in_management)])
    }

    /// One condition where a bit of the frame control field is set, another where it is not.
    fn choice(&self, byte: u32, bit: u32, set: Condition, clear: Condition) -> Condition {
        let test = Condition::compared(self.layout.in_link_header(byte, Size::Byte), Test::AnyBit, bit);
        Condition::Any(vec![Condition::All(vec![test.clone().negated(), clear]), Condition::All(vec![test, set])])
    }
}
