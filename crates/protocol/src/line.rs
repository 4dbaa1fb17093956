//! One row under way.
//!
//! A row has some thirty values of a few bytes each, and a capture has millions of rows: so values are written at fixed widths
//! into a buffer that holds the widest row, and the row is copied out once.

use std::io::Write as _;

use lapwing_decode::Address;

use crate::FieldValue;

/// More than the widest row has: 27 columns of at most 66 bytes, JSON names of at most 20.
const ROOM: usize = 2048;

/// Decimal digits of 0..=99, two each.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + value as u8 / 10, b'0' + value as u8 % 10];
        value += 1;
    }
    pairs
};

/// Decimal digits of an octet with a point behind them, and how many digits there are.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut value = 0;
    while value < 256 {
        let [tens, ones] = PAIRS[value % 100];
        octets[value] = match value {
            0..10 => ([ones, b'.', b'.', b'.'], 1),
            10..100 => ([tens, ones, b'.', b'.'], 2),
            _ => ([b'0' + (value / 100) as u8, tens, ones, b'.'], 3),
        };
        value += 1;
    }
    octets
};

/// A row under way. What does not fit any more is left out: no row of the field table comes near.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    text: Box<[u8; ROOM]>,
    length: usize,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { text: Box::new([0; ROOM]), length: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.fixed(&[byte], 1);
    }

    pub(crate) fn word(&mut self, text: &[u8]) {
        if let Some(room) = self.text.get_mut(self.length..self.length + text.len()) {
            room.copy_from_slice(text);
            self.length += text.len();
        }
    }

    /// Replaces the last byte, the separator behind the last value.
    pub(crate) fn replace_last(&mut self, end: &[u8]) {
        self.length = self.length.saturating_sub(1);
        self.word(end);
    }

    /// The first `length` of `N` bytes: one copy of a width that is known beforehand.
    #[inline(always)]
    fn fixed<const N: usize>(&mut self, bytes: &[u8; N], length: usize) {
        if let Some(room) = self.text.get_mut(self.length..).and_then(<[u8]>::first_chunk_mut) {
            *room = *bytes;
            self.length += length;
        }
    }

    /// A value; what is unset writes nothing. Texts that reach here are words of ours (states, histories) and names of protocols:
    /// nothing in them needs escaping.
    #[inline(always)]
    pub(crate) fn value(&mut self, value: FieldValue<'_>) {
        match value {
            FieldValue::Unset => {}
            FieldValue::Time(time) => self.seconds(time.nanos()),
            FieldValue::Interval(duration) => self.seconds(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)),
            FieldValue::Count(count) => self.count(count),
            FieldValue::Port(port) => self.count(u64::from(port)),
            FieldValue::Bool(value) => self.byte(if value { b'T' } else { b'F' }),
            FieldValue::Text(text) => self.word(text.as_bytes()),
            FieldValue::Address(address) => self.address(address),
            FieldValue::Mac(mac) => self.mac(mac),
            FieldValue::Uid(uid) => self.fixed(&uid.text(), 12),
            FieldValue::CommunityId(id) => self.fixed(&id.text(), 30),
        }
    }

    #[inline]
    fn count(&mut self, value: u64) {
        match value {
            0..10 => self.byte(b'0' + value as u8),
            10..100 => self.fixed(&PAIRS[value as usize], 2),
            _ => self.large_count(value),
        }
    }

    fn large_count(&mut self, value: u64) {
        // Twice the digits of the largest number, so that the copy of the digits may run on behind them.
        let mut digits = [0; 40];
        let mut at = 20;
        let mut rest = value;
        while rest >= 10 {
            at -= 2;
            digits[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
            rest /= 100;
        }
        if rest > 0 {
            at -= 1;
            digits[at] = b'0' + rest as u8;
        }
        if let Some(text) = digits[at..].first_chunk::<20>() {
            self.fixed(text, 20 - at);
        }
    }

    /// Seconds with six digits behind the point, as Zeek prints times and intervals; what is below a microsecond is cut.
    fn seconds(&mut self, nanos: i64) {
        let micros = nanos / 1_000;
        if micros < 0 {
            self.byte(b'-');
        }
        let micros = micros.unsigned_abs();
        self.count(micros / 1_000_000);
        let rest = (micros % 1_000_000) as usize;
        let ([a, b], [c, d], [e, f]) = (PAIRS[rest / 10_000], PAIRS[rest / 100 % 100], PAIRS[rest % 100]);
        self.fixed(&[b'.', a, b, c, d, e, f], 7);
    }

    fn address(&mut self, address: Address) {
        if !address.is_v4() {
            let mut text = [0; 45];
            let mut rest = text.as_mut_slice();
            write!(rest, "{}", address.ip()).expect("an address has at most 45 letters");
            let length = 45 - rest.len();
            return self.fixed(&text, length);
        }
        // Each octet is written with what stands behind it in its four bytes, and the next begins where its digits and one point
        // end.
        let mut text = [0; 19];
        let mut at = 0;
        for octet in &address.0[12..] {
            let (digits, length) = OCTETS[usize::from(*octet)];
            text[at..at + 4].copy_from_slice(&digits);
            at += usize::from(length) + 1;
        }
        self.fixed(&text, at - 1);
    }

    fn mac(&mut self, mac: [u8; 6]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b':'; 18];
        for (pair, byte) in text.as_chunks_mut::<3>().0.iter_mut().zip(mac) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        self.fixed(&text, 17);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use lapwing_capture::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn written(value: FieldValue<'_>) -> String {
        let mut line = Line::new();
        line.value(value);
        String::from_utf8(line.bytes().to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn values_read_as_the_standard_library_writes_them(
            count: u64, shift in 0..64, octets: [u8; 4], words: [u16; 8], nanos: i64, mac: [u8; 6],
        ) {
            let count: u64 = count >> shift;
            prop_assert_eq!(written(FieldValue::Count(count)), count.to_string());
            prop_assert_eq!(written(FieldValue::Address(Address::v4(octets))), IpAddr::from(octets).to_string());
            let long = IpAddr::from(words);
            prop_assert_eq!(written(FieldValue::Address(Address::from(long))), long.to_canonical().to_string());
            let nanos: i64 = nanos >> shift;
            let micros = (nanos / 1_000).unsigned_abs();
            let sign = if nanos <= -1_000 { "-" } else { "" };
            let expected = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(written(FieldValue::Time(Timestamp::from_nanos(nanos))), expected);
            let [a, b, c, d, e, f] = mac;
            let expected = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            prop_assert_eq!(written(FieldValue::Mac(mac)), expected);
        }
    }

    #[test]
    fn edges_are_right() {
        for count in [0, 9, 10, 99, 100, 999, 1_000, u64::MAX] {
            assert_eq!(written(FieldValue::Count(count)), count.to_string());
        }
        assert_eq!(written(FieldValue::Interval(Duration::from_micros(1))), "0.000001");
        assert_eq!(written(FieldValue::Address(Address::v4([255; 4]))), "255.255.255.255");
    }

    #[test]
    fn a_full_line_takes_no_more() {
        let mut line = Line::new();
        (0..3_000).for_each(|_| line.value(FieldValue::Count(u64::MAX)));
        assert!(line.bytes().len() <= ROOM);
    }
}
