//! Zeek's `history`.

/// One letter per kind of event, upper case from the originator. Bounded; later letters are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    length: u8,
    letters: [u8; 31],
}

impl History {
    /// Appends a letter; does nothing when full.
    pub fn push(&mut self, letter: u8) {
        if let Some(slot) = self.letters.get_mut(usize::from(self.length)) {
            *slot = letter;
            self.length += 1;
        }
    }

    /// The letters so far.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.letters[..usize::from(self.length)]).unwrap_or_default()
    }

    /// The first letter: `^` where the receiver of the first packet was taken for the originator.
    #[must_use]
    pub fn first(&self) -> Option<u8> {
        (self.length > 0).then_some(self.letters[0])
    }

    /// Whether this letter is all there is.
    pub(crate) fn is_only(&self, letter: u8) -> bool {
        self.length == 1 && self.letters[0] == letter
    }

    /// Whether the originator's SYN was followed by its reset and by no answer or data of its own in between: what tells
    /// `RSTOS0` (Zeek's pattern `\^?S[^HAFGIQ]*R.*`).
    pub(crate) fn is_syn_then_reset(&self) -> bool {
        let letters = self.as_str();
        let letters = letters.strip_prefix('^').unwrap_or(letters);
        letters.strip_prefix('S').is_some_and(|rest| {
            rest.find('R').is_some_and(|reset| !rest[..reset].contains(['H', 'A', 'F', 'G', 'I', 'Q']))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(letters: &str) -> History {
        let mut history = History::default();
        letters.bytes().for_each(|letter| history.push(letter));
        history
    }

    #[test]
    fn a_syn_then_a_reset_is_told_from_others() {
        for (letters, expected) in
            [("SR", true), ("^SR", true), ("SaR", true), ("SDRA", true), ("SAR", false), ("R", false), ("Sr", false)]
        {
            assert_eq!(history(letters).is_syn_then_reset(), expected, "{letters}");
        }
    }

    #[test]
    fn a_full_history_takes_no_more() {
        assert_eq!(history(&"t".repeat(40)).as_str(), "t".repeat(31));
    }
}
