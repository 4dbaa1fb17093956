//! Who made a link-layer address: the IEEE's registries.

/// Assignments in order, one a line: six, seven or nine hexadecimal digits, a tab, the name. Source and date: `data/README.md`.
const VENDORS: &str = include_str!("../data/vendors.txt");

/// Hexadecimal digits of an assignment, the longest first: MA-S, MA-M, MA-L.
const LENGTHS: [usize; 3] = [9, 7, 6];

/// The organization that the address block was assigned to. None for addresses that are locally administered (drawn at random,
/// or given by a hypervisor): they say nothing of who made the device.
#[must_use]
pub fn vendor(mac: [u8; 6]) -> Option<&'static str> {
    if is_random(mac) {
        return None;
    }
    let [a, b, c, d, e, f] = mac;
    let digits = format!("{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}{f:02X}");
    LENGTHS.iter().find_map(|length| find(&digits[..*length]))
}

/// Whether the address is locally administered (IEEE 802-2014 section 8.4): phones and laptops draw such addresses at random,
/// so it may change, and it names no maker.
#[must_use]
pub const fn is_random(mac: [u8; 6]) -> bool {
    mac[0] & 0b10 != 0
}

/// Binary search over the lines: no index to build or keep.
fn find(assignment: &str) -> Option<&'static str> {
    let (mut low, mut high) = (0, VENDORS.len());
    while low < high {
        let middle = low.midpoint(high);
        let start = VENDORS.as_bytes()[..middle].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let start = start.max(low);
        let end =
            VENDORS.as_bytes()[start..].iter().position(|byte| *byte == b'\n').map_or(VENDORS.len(), |at| start + at);
        let (found, name) = VENDORS.get(start..end)?.split_once('\t')?;
        match assignment.cmp(found) {
            std::cmp::Ordering::Less => high = start,
            std::cmp::Ordering::Equal => return Some(name),
            std::cmp::Ordering::Greater => low = end + 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assignment_is_found() {
        assert!(VENDORS.lines().is_sorted());
        for line in VENDORS.lines() {
            let (assignment, name) = line.split_once('\t').unwrap();
            assert_eq!(find(assignment), Some(name), "{assignment}");
        }
        assert_eq!(find("FFFFFF"), None);
        assert_eq!(find("000000000"), None);
    }

    #[test]
    fn the_longest_assignment_names_the_maker() {
        assert_eq!(vendor([0xb8, 0x27, 0xeb, 1, 2, 3]), Some("Raspberry Pi Foundation"));
        let short = VENDORS.lines().find(|line| line.find('\t') == Some(9)).unwrap();
        let (assignment, name) = short.split_once('\t').unwrap();
        let byte = |at: usize| u8::from_str_radix(&format!("{assignment}000")[at..at + 2], 16).unwrap();
        assert_eq!(vendor([byte(0), byte(2), byte(4), byte(6), byte(8), byte(10)]), Some(name));
    }

    #[test]
    fn addresses_drawn_at_random_have_no_maker() {
        assert!(is_random([0xda, 0xa1, 0x19, 0, 0, 1]));
        assert_eq!(vendor([0xda, 0xa1, 0x19, 0, 0, 1]), None);
    }
}
