//! The Internet checksum (RFC 1071).
//!
//! Ones' complement sums do not depend on byte order, so everything is summed in little-endian words, 32 bits at a time into
//! 64-bit lanes that cannot overflow; the compiler makes vector code of it.

use crate::Address;

/// Bytes summed per round.
const ROUND: usize = 32;

/// Sum of `bytes` as 16-bit words, not yet folded; an odd last byte counts as if a zero followed.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (rounds, rest) = bytes.as_chunks::<ROUND>();
    let mut lanes = [0_u64; ROUND / 4];
    for round in rounds {
        let (words, _) = round.as_chunks::<4>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane += u64::from(u32::from_le_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    let mut total: u64 = lanes.iter().sum();
    for word in words {
        total += halves(u64::from_le_bytes(*word));
    }
    total + halves(last_word(bytes, rest.len()))
}

/// The same for an IPv4 header without options.
#[inline]
pub(crate) fn sum_of_header(header: &[u8; 20]) -> u64 {
    let (words, _) = header.as_chunks::<4>();
    words.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum()
}

fn halves(word: u64) -> u64 {
    (word & 0xffff_ffff) + (word >> 32)
}

/// The last `count` bytes, fewer than eight, as a word with zeros behind them.
fn last_word(bytes: &[u8], count: usize) -> u64 {
    match bytes.last_chunk::<8>() {
        _ if count == 0 => 0,
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * count),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Sum of the pseudo-header (RFC 793, RFC 8200 section 8.1). An IPv4-mapped address sums like the IPv4 address: its `ffff`
/// is zero in ones' complement.
pub(crate) fn pseudo_header(source: Address, destination: Address, protocol: u8, length: u32) -> u64 {
    let words = |address: Address| {
        let (words, _) = address.0.as_chunks::<4>();
        words.iter().map(|word| u64::from(u32::from_le_bytes(*word))).sum::<u64>()
    };
    words(source)
        + words(destination)
        + u64::from(u32::from_le_bytes([0, 0, 0, protocol]))
        + u64::from(u32::from_le_bytes(length.to_be_bytes()))
}

/// Whether a sum over data that includes its checksum field is right.
pub(crate) fn is_right(sum: u64) -> bool {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 as it is written: 16-bit words, big endian.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn agrees_with_the_rfc(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(is_right(sum(&bytes)), reference(&bytes) == 0xffff);
        }

        #[test]
        fn a_header_sums_like_any_bytes(header: [u8; 20]) {
            prop_assert_eq!(is_right(sum_of_header(&header)), is_right(sum(&header)));
        }

        #[test]
        fn data_with_its_own_checksum_is_right(mut bytes in prop::collection::vec(any::<u8>(), 2..300)) {
            bytes[0] = 0;
            bytes[1] = 0;
            let checksum = !reference(&bytes);
            bytes[..2].copy_from_slice(&checksum.to_be_bytes());
            prop_assert!(is_right(sum(&bytes)));
            bytes[1] ^= 1;
            prop_assert!(!is_right(sum(&bytes)));
        }
    }
}
