//! PPP, as a link type, over Ethernet and in PPTP.

use crate::Undecoded;
use crate::decoder::Walk;
use crate::network::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHER_TYPE_MPLS};
use crate::span::Span;

impl Walk<'_> {
    /// PPP (RFC 1661), with or without the address and control bytes of HDLC-like framing (RFC 1662), which may also be
    /// Cisco's, with an EtherType behind them.
    pub(crate) fn ppp(&mut self, frame: Span<'_>) {
        match *frame.bytes {
            [0xff, 0x03, ..] => self.ppp_protocol(frame.skip(2)),
            [0x0f | 0x8f, 0x00, ..] => self.cisco_hdlc(frame),
            _ => self.ppp_protocol(frame),
        }
    }

    /// Cisco HDLC: address, control, EtherType.
    pub(crate) fn cisco_hdlc(&mut self, frame: Span<'_>) {
        let Some(ether_type) = frame.u16(2) else { return self.too_short("Cisco HDLC", frame) };
        self.network(ether_type, frame.skip(4));
    }

    /// PPPoE session stage (RFC 2516): version and type, code, session, length. Some senders' length is short of the IP packet
    /// inside, which says itself where it ends.
    pub(crate) fn pppoe(&mut self, frame: Span<'_>) {
        let Some(&[version_type, code, ..]) = frame.array::<6>(0) else { return self.too_short("PPPoE", frame) };
        if version_type != 0x11 || code != 0 {
            return self.undecoded(Undecoded::Malformed("PPPoE"));
        }
        self.ppp_protocol(frame.skip(6));
    }

    /// The protocol field: two bytes, or one where it was compressed (its last byte is odd), then what it says.
    fn ppp_protocol(&mut self, frame: Span<'_>) {
        let (protocol, rest) = match *frame.bytes {
            [low, ..] if low & 1 == 1 => (u16::from(low), frame.skip(1)),
            [high, low, ..] => (u16::from_be_bytes([high, low]), frame.skip(2)),
            _ => return self.too_short("PPP", frame),
        };
        if !self.descend() {
            return;
        }
        match protocol {
            0x0021 => self.network(ETHER_TYPE_IPV4, rest),
            0x0057 => self.network(ETHER_TYPE_IPV6, rest),
            0x0281 | 0x0283 => self.network(ETHER_TYPE_MPLS, rest),
            other => self.undecoded(Undecoded::Ppp(other)),
        }
    }
}
