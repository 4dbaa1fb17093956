//! The first bytes of a payload, for people.

use std::fmt::Write as _;

/// At least this share of printable characters makes it text.
const TEXT: f64 = 0.85;

/// Text where it is text, with a dot for what cannot be printed; else pairs of hexadecimal digits. `None` for nothing.
pub(super) fn preview(payload: &[u8], most: usize) -> Option<String> {
    let payload = &payload[..payload.len().min(most)];
    if payload.is_empty() {
        return None;
    }
    let is_text = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
    let printable = payload.iter().filter(is_text).count();
    if printable as f64 >= TEXT * payload.len() as f64 {
        let shown = |byte: &u8| if is_text(&byte) { char::from(*byte) } else { '.' };
        return Some(payload.iter().map(shown).collect());
    }
    let mut digits = String::with_capacity(payload.len() * 3);
    for (place, byte) in payload.iter().enumerate() {
        let gap = if place > 0 { " " } else { "" };
        let _ = write!(digits, "{gap}{byte:02x}");
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_and_all_else_in_digits() {
        assert_eq!(preview(b"GET / HTTP/1.1\r\n", 100).as_deref(), Some("GET / HTTP/1.1\r\n"));
        assert_eq!(preview(b"GET / HTTP/1.1\r\n", 3).as_deref(), Some("GET"));
        assert_eq!(preview(&[0x16, 3, 1, 0xff], 3).as_deref(), Some("16 03 01"));
        assert_eq!(preview(b"twenty letters long\x1b", 100).as_deref(), Some("twenty letters long."));
        assert_eq!(preview(b"", 100), None);
    }
}
