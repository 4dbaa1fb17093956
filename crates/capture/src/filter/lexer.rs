//! Filter text in, tokens out.
//!
//! As in libpcap the longest possible token is taken: `80-90` is one word, `tcp-syn` too, `a-b` never a difference.

use std::net::Ipv6Addr;

use super::FilterError;
use super::names::{self, Keyword};

/// A token and where it starts, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    pub position: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Keyword(Keyword),
    Number(u32),
    /// Up to four numbers with dots between: the bytes that are there, as the highest of the address.
    Ipv4 {
        address: u32,
        bits: u32,
    },
    Ipv6(Ipv6Addr),
    Mac([u8; 6]),
    /// Anything else that starts with a letter or a digit, and every word behind a backslash.
    Word(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

/// Signs, longer ones before those they start with.
const SIGNS: [&str; 25] = [
    "&&", "||", ">=", "<=", "!=", "==", "<<", ">>", "+", "-", "*", "/", "%", ":", "[", "]", "!", "<", ">", "(", ")",
    "&", "|", "^", "=",
];

/// Longest text of an IPv6 address, with an IPv4 address at its end.
const IPV6_TEXT: usize = 45;

/// Splits the text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut position = 0;
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with([' ', '\t', '\r', '\n']) {
            position += 1;
            continue;
        }
        let (kind, length) = token(rest).map_err(|reason| FilterError::new(text, position, reason))?;
        tokens.push(Token { kind, position });
        position += length;
    }
    Ok(tokens)
}

/// The token at the start of `rest`, and its length.
fn token(rest: &str) -> Result<(Kind, usize), String> {
    if let Some(escaped) = rest.strip_prefix('\\') {
        let length = escaped.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(escaped.len());
        if length == 0 {
            return Err("a backslash without a word behind it".to_owned());
        }
        return Ok((Kind::Word(escaped[..length].to_owned()), 1 + length));
    }
    let word = word(rest);
    if let Some((address, length)) = ipv6(rest).filter(|(_, length)| *length > word.len()) {
        return Ok((Kind::Ipv6(address), length));
    }
    if let Some((mac, length)) = mac(rest).filter(|(_, length)| *length >= word.len()) {
        return Ok((Kind::Mac(mac), length));
    }
    if !word.is_empty() {
        return Ok((word_kind(word)?, word.len()));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        let kind = match *sign {
            "&&" => Kind::Keyword(Keyword::And),
            "||" => Kind::Keyword(Keyword::Or),
            "!" => Kind::Keyword(Keyword::Not),
            "==" => Kind::Sign("="),
            sign => Kind::Sign(sign),
        };
        return Ok((kind, sign.len()));
    }
    Err(format!("{:?} has no meaning here", rest.chars().next().unwrap_or_default()))
}

/// The longest word at the start: letters, digits, dots, and dashes and underscores that do not end it.
fn word(rest: &str) -> &str {
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return "";
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['-', '_'])
}

fn word_kind(word: &str) -> Result<Kind, String> {
    if let Some(keyword) = names::keyword(word) {
        return Ok(Kind::Keyword(keyword));
    }
    if let Some(value) = names::constant(word) {
        return Ok(Kind::Number(value));
    }
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    if let Some(hex) = digits.filter(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return u32::from_str_radix(hex, 16).map(Kind::Number).map_err(|_| too_large(word));
    }
    if word.bytes().all(|b| b.is_ascii_digit()) {
        // A leading zero makes it octal, as in C.
        let (digits, radix) = if word.len() > 1 && word.starts_with('0') { (&word[1..], 8) } else { (word, 10) };
        if digits.bytes().any(|b| radix == 8 && b > b'7') {
            return Err(format!("{word} starts with a zero, so it is octal, but it has a digit that octal has not"));
        }
        return u32::from_str_radix(digits, radix).map(Kind::Number).map_err(|_| too_large(word));
    }
    if word.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !word.contains("..") && !word.ends_with('.') {
        return ipv4(word).map(|(address, bits)| Kind::Ipv4 { address, bits });
    }
    Ok(Kind::Word(word.to_owned()))
}

fn too_large(word: &str) -> String {
    format!("{word} is larger than {}", u32::MAX)
}

/// Two to four numbers; they are the first bytes of the address.
fn ipv4(word: &str) -> Result<(u32, u32), String> {
    let (mut address, mut bits) = (0_u32, 0);
    for part in word.split('.') {
        let byte: u8 = part.parse().map_err(|_| format!("{word} is no IPv4 address: {part} is larger than 255"))?;
        if bits == 32 {
            return Err(format!("{word} is no IPv4 address: it has more than four numbers"));
        }
        address = address << 8 | u32::from(byte);
        bits += 8;
    }
    Ok((address << (32 - bits), bits))
}

/// The longest IPv6 address at the start.
fn ipv6(rest: &str) -> Option<(Ipv6Addr, usize)> {
    let end = rest.bytes().take(IPV6_TEXT).take_while(|b| b.is_ascii_hexdigit() || b":.".contains(b)).count();
    let run = &rest[..end];
    if run.bytes().filter(|b| *b == b':').count() < 2 {
        return None;
    }
    (2..=run.len()).rev().find_map(|length| Some((run[..length].parse().ok()?, length)))
}

/// Six bytes in hexadecimal: with colons, dashes or dots between, in three groups with dots, or twelve digits.
fn mac(rest: &str) -> Option<([u8; 6], usize)> {
    let separated = [':', '-', '.'].into_iter().find_map(|separator| bytes(rest, 6, 1, separator));
    let (bytes, length) = separated.or_else(|| bytes(rest, 3, 4, '.')).or_else(|| bytes(rest, 1, 12, ' '))?;
    // A longer word is not an address with something behind it.
    (!rest[length..].starts_with(|c: char| c.is_ascii_alphanumeric())).then_some((bytes, length))
}

/// `groups` groups of hexadecimal digits, each of `at_least`, a group of a single byte of one or two.
fn bytes(rest: &str, groups: usize, at_least: usize, separator: char) -> Option<([u8; 6], usize)> {
    let (mut mac, mut length) = (Vec::with_capacity(6), 0);
    for group in 0..groups {
        if group > 0 {
            rest[length..].strip_prefix(separator)?;
            length += 1;
        }
        let most = at_least.max(2);
        let digits = rest[length..].bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
        if digits < at_least {
            return None;
        }
        let text = &rest[length..length + digits];
        for start in (0..digits).step_by(2) {
            mac.push(u8::from_str_radix(&text[start..(start + 2).min(digits)], 16).ok()?);
        }
        length += digits;
    }
    Some((mac.try_into().ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn longest_token_is_taken() {
        assert_eq!(kinds("80-90"), [Kind::Word("80-90".to_owned())]);
        assert_eq!(kinds("tcp-syn|tcp-ack"), [Kind::Number(2), Kind::Sign("|"), Kind::Number(16)]);
        assert_eq!(kinds("10.0.0.0/8")[0], Kind::Ipv4 { address: 0x0a00_0000, bits: 32 });
        assert_eq!(kinds("10.1")[0], Kind::Ipv4 { address: 0x0a01_0000, bits: 16 });
    }

    #[test]
    fn numbers_are_written_as_in_c() {
        assert_eq!(kinds("0x1f 017 17"), [Kind::Number(31), Kind::Number(15), Kind::Number(17)]);
        assert!(tokens("4294967296").is_err());
        assert!(tokens("08").is_err());
    }

    #[test]
    fn link_addresses_have_five_forms() {
        let mac = Kind::Mac([0xa, 0xb, 0xc, 0xd, 0xe, 0xf]);
        for text in ["a:b:c:d:e:f", "0a:0b:0c:0d:0e:0f", "0a-0b-0c-0d-0e-0f", "0a0b.0c0d.0e0f", "0a0b0c0d0e0f"] {
            assert_eq!(kinds(text), std::slice::from_ref(&mac), "{text}");
        }
    }

    #[test]
    fn ipv6_addresses_are_told_from_ranges_of_bytes() {
        assert_eq!(kinds("::1"), [Kind::Ipv6(Ipv6Addr::LOCALHOST)]);
        assert_eq!(kinds("fe80::/10").len(), 3);
        assert_eq!(
            kinds("[0:4]"),
            [Kind::Sign("["), Kind::Number(0), Kind::Sign(":"), Kind::Number(4), Kind::Sign("]")]
        );
        assert_eq!(kinds("2001:db8:0:0:0:0:0:1").len(), 1);
    }

    #[test]
    fn strange_characters_are_refused_at_their_place() {
        let error = tokens("tcp ä").unwrap_err();
        assert_eq!(error.position, 4);
    }
}
