//! Values out of text, byte by byte and without allocation.

use std::net::Ipv6Addr;

use lapwing_capture::Timestamp;
use lapwing_decode::Address;

/// A count: decimal digits.
pub(crate) fn count(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// A count that some programs write as a decimal fraction: `7.0`.
pub(crate) fn whole(text: &[u8]) -> Option<u64> {
    match memchr::memchr(b'.', text) {
        None => count(text),
        Some(point) => text[point + 1..].iter().all(|digit| *digit == b'0').then(|| count(&text[..point]))?,
    }
}

/// A port: a count, or hexadecimal digits behind `0x`, as Argus writes ICMP types.
pub(crate) fn port(text: &[u8]) -> Option<u16> {
    if let Some(digits) = text.strip_prefix(b"0x") {
        return u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    }
    u16::try_from(count(text)?).ok()
}

/// Seconds with a fraction, as nanoseconds: `1664462456.755299`, `-0.5`, `3`, `2.01e-05`.
///
/// Digits behind the ninth are cut. A fraction of more than seven digits in a number of this size was written by a program that
/// counts in binary fractions (`0.012166976928710938`), so it is rounded to the microsecond that it stands for.
pub(crate) fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let nanos = match memchr::memchr2(b'e', b'E', digits) {
        None => plain_seconds(digits)?,
        Some(_) => {
            let value: f64 = str::from_utf8(digits).ok()?.parse().ok()?;
            // Beyond 2262 nanoseconds do not fit.
            if !(0.0..9.2e9).contains(&value) {
                return None;
            }
            (value * 1e9).round() as i64
        }
    };
    Some(if negative { -nanos } else { nanos })
}

fn plain_seconds(digits: &[u8]) -> Option<i64> {
    let point = memchr::memchr(b'.', digits).unwrap_or(digits.len());
    let whole = i64::try_from(count(&digits[..point])?).ok()?;
    let fraction = digits.get(point + 1..).unwrap_or_default();
    if point + 1 == digits.len() || fraction.len() > 32 {
        return None;
    }
    let mut nanos = 0_i64;
    for place in 0..9 {
        let digit = fraction.get(place).map_or(0, |digit| digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        nanos = nanos * 10 + i64::from(digit);
    }
    if fraction.len() > 9 {
        if !fraction[9..].iter().all(u8::is_ascii_digit) {
            return None;
        }
        nanos = (nanos + 500) / 1_000 * 1_000;
    }
    whole.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// A moment: seconds since the epoch, or a date in the form of ISO 8601 (`2021-06-06T15:59:46.457984+0200`, with a space or
/// slashes as Argus writes it too). A date without a zone is taken for UTC.
pub(crate) fn time(text: &[u8]) -> Option<Timestamp> {
    if let Some(nanos) = seconds(text) {
        return Some(Timestamp::from_nanos(nanos));
    }
    date(text)
}

/// The date form of [`time`].
pub(crate) fn date(text: &[u8]) -> Option<Timestamp> {
    let number = |from: usize, length: usize| -> Option<i64> {
        let value = count(text.get(from..from + length)?)?;
        i64::try_from(value).ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let separators = [text[4], text[7], text[10], text[13], text[16]];
    let is_date = matches!(separators, [b'-', b'-', b'T' | b' ', b':', b':'] | [b'/', b'/', b' ', b':', b':']);
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60 && year > 0;
    if !is_date || !in_range {
        return None;
    }
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|digit| digit.is_ascii_digit()).count();
        if digits == 0 || digits > 12 {
            return None;
        }
        for place in 0..9 {
            nanos = nanos * 10 + fraction[..digits].get(place).map_or(0, |digit| i64::from(digit - b'0'));
        }
        rest = &fraction[digits..];
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - zone(rest)?;
    Some(Timestamp::from_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

/// Seconds that a zone lies ahead of UTC: ``, `Z`, `+0200`, `+02:00`, `-07`.
fn zone(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [_, _] => (count(digits)?, 0),
        [a, b, b':', c, d] | [a, b, c, d] => (count(&[*a, *b])?, count(&[*c, *d])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * (hours as i64 * 3_600 + minutes as i64 * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Hinnant, *chrono-compatible low-level date algorithms*).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// An IPv4 or IPv6 address.
pub(crate) fn address(text: &[u8]) -> Option<Address> {
    if let Some(address) = address_v4(text) {
        return Some(address);
    }
    // A zone (`fe80::1%eth0`) belongs to the machine that wrote it.
    let text = text.split(|byte| *byte == b'%').next()?;
    if text.len() > 45 {
        return None;
    }
    let address: Ipv6Addr = str::from_utf8(text).ok()?.parse().ok()?;
    Some(Address(address.octets()))
}

fn address_v4(text: &[u8]) -> Option<Address> {
    if text.len() > 15 {
        return None;
    }
    let (mut octets, mut place, mut value, mut digits) = ([0_u8; 4], 0, 0_u16, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u16::from(byte - b'0');
                digits += 1;
                // No leading zeros: some programs read them as octal.
                if digits > 3 || value > 255 || digits > 1 && value < 10 {
                    return None;
                }
            }
            b'.' if digits > 0 && place < 3 => {
                octets[place] = value as u8;
                (place, value, digits) = (place + 1, 0, 0);
            }
            _ => return None,
        }
    }
    octets[3] = value as u8;
    (place == 3 && digits > 0).then_some(Address::v4(octets))
}

/// A link-layer address: six hexadecimal pairs with colons or dashes.
pub(crate) fn mac(text: &[u8]) -> Option<[u8; 6]> {
    if text.len() != 17 {
        return None;
    }
    let mut mac = [0; 6];
    for (place, pair) in text.chunks(3).enumerate() {
        if pair.len() == 3 && !matches!(pair[2], b':' | b'-') {
            return None;
        }
        mac[place] = hex(pair[0])? << 4 | hex(pair[1])?;
    }
    Some(mac)
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_are_exact_and_binary_fractions_rounded_to_microseconds() {
        for (text, nanos) in [
            ("1664462456.755299", 1_664_462_456_755_299_000),
            ("19.981745", 19_981_745_000),
            ("0", 0),
            ("-1.5", -1_500_000_000),
            ("0.012166976928710938", 12_167_000),
            ("0.09628199999999865", 96_282_000),
            ("1.123456789", 1_123_456_789),
            ("2.01e-05", 20_100),
        ] {
            assert_eq!(seconds(text.as_bytes()), Some(nanos), "{text}");
        }
        for text in ["", "-", ".", "1.", "1.x", "nan", "1e400", "99999999999999999999", "1e-", "+1", "1 "] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn dates_of_every_program_are_the_same_moment() {
        for text in [
            "2021-06-06T15:59:46.457984+0200",
            "2021-06-06T13:59:46.457984Z",
            "2021-06-06 13:59:46.457984",
            "2021/06/06 13:59:46.457984",
            "2021-06-06T08:59:46.457984-05:00",
        ] {
            assert_eq!(time(text.as_bytes()), Some(Timestamp::from_micros(1_622_987_986_457_984)), "{text}");
        }
        assert_eq!(date(b"1970-01-01T00:00:00"), Some(Timestamp::from_nanos(0)));
        assert_eq!(date(b"2000-02-29T00:00:00Z"), Some(Timestamp::from_seconds(951_782_400)));
        for text in
            ["2021-13-06T15:59:46", "2021-06-06", "2021-06-06T15:59:46+2", "2021-06-06T25:59:46", "2021-06_06T15:59:46"]
        {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ports_may_be_hexadecimal_and_counts_may_end_in_a_zero_fraction() {
        assert_eq!(port(b"0x0008"), Some(8));
        assert_eq!(port(b"65536"), None);
        assert_eq!(whole(b"7.0"), Some(7));
        assert_eq!(whole(b"7.5"), None);
        assert_eq!(mac(b"00:1b:21:0a:FF:02"), Some([0, 0x1b, 0x21, 0x0a, 0xff, 2]));
    }

    proptest! {
        #[test]
        fn addresses_are_read_as_the_standard_library_reads_them(text in "[0-9a-f.:]{0,20}") {
            let expected: Option<std::net::IpAddr> = text.parse().ok();
            prop_assert_eq!(address(text.as_bytes()).map(Address::ip), expected.map(|ip| match ip {
                // An IPv4-mapped address is an IPv4 address.
                std::net::IpAddr::V6(v6) => Address(v6.octets()).ip(),
                v4 => v4,
            }));
        }

        #[test]
        fn written_addresses_and_times_come_back(octets: [u8; 16], nanos in -9_000_000_000_000_000_000_i64..9_000_000_000_000_000_000) {
            let written = Address(octets).ip().to_string();
            prop_assert_eq!(address(written.as_bytes()), Some(Address(octets)));
            let written = format!("{}{}.{:09}", if nanos < 0 { "-" } else { "" }, nanos.abs() / 1_000_000_000, nanos.abs() % 1_000_000_000);
            prop_assert_eq!(seconds(written.as_bytes()), Some(nanos));
        }

        #[test]
        fn nothing_panics(text: Vec<u8>) {
            let _ = (seconds(&text), time(&text), address(&text), port(&text), whole(&text), mac(&text));
        }
    }
}
