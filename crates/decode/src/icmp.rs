//! ICMP message types that answer each other.

/// The type that answers `kind`, or that `kind` answers; none for messages that stand alone. As Zeek and the Community ID
/// specification pair them.
#[must_use]
pub fn counterpart(kind: u8, is_v6: bool) -> Option<u8> {
    if is_v6 { counterpart_v6(kind) } else { counterpart_v4(kind) }
}

/// RFC 792 (echo, timestamp, information), RFC 950 (address mask), RFC 1256 (router discovery).
fn counterpart_v4(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// RFC 4443 (echo), RFC 2710 (multicast listener), RFC 4861 (router and neighbour discovery), RFC 4620 (node information),
/// RFC 6275 (home agent discovery).
fn counterpart_v6(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counterparts_answer_each_other() {
        for is_v6 in [false, true] {
            for kind in 0..=u8::MAX {
                if let Some(other) = counterpart(kind, is_v6) {
                    assert_ne!(other, kind);
                    assert_eq!(counterpart(other, is_v6), Some(kind));
                }
            }
        }
    }
}
