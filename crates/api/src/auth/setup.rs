//! The first account: whoever reads what the program printed when it started may make it.

use std::time::Duration;

use lapwing_capture::Timestamp;

use super::AuthError;
use super::tokens::{random, token_hash};

/// Wrong codes that are looked at; then none is right any more.
pub const MOST_CODES: u32 = 10;

/// How long a code is right.
const LASTS: Duration = Duration::from_secs(3_600);

/// A code for the set-up link.
pub(super) struct SetupCode {
    code: String,
    expires: Timestamp,
    wrong: u32,
}

impl SetupCode {
    pub(super) fn new(now: Timestamp) -> Result<Self, AuthError> {
        // Letters and digits that are not taken for one another, in groups: somebody may have to type it. 120 bits.
        const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        let mut code = String::new();
        for (place, byte) in random::<24>()?.into_iter().enumerate() {
            if place > 0 && place % 6 == 0 {
                code.push('-');
            }
            code.push(char::from(LETTERS[usize::from(byte % 32)]));
        }
        Ok(Self { code, expires: now.plus(LASTS), wrong: 0 })
    }

    /// The code, as long as it is right.
    pub(super) fn code(&self, now: Timestamp) -> Option<&str> {
        (now < self.expires && self.wrong < MOST_CODES).then_some(&self.code)
    }

    /// Whether that is the code; a wrong one is counted.
    pub(super) fn is(&mut self, code: &str, now: Timestamp) -> bool {
        // Hashes are compared, so that the time it takes says nothing of the code.
        let right = self.code(now).is_some_and(|kept| token_hash(kept) == token_hash(code.trim()));
        self.wrong += u32::from(!right);
        right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_right_for_an_hour_and_ten_guesses() {
        let at = Timestamp::from_seconds;
        let mut setup = SetupCode::new(at(0)).unwrap();
        let code = setup.code(at(0)).unwrap().to_owned();
        assert_eq!(code.len(), 27, "{code}");
        assert!(setup.is(&format!(" {code}\n"), at(3_599)));
        assert!(!setup.is(&code, at(3_600)));
        assert!(setup.is(&code, at(0)));
        for _ in 0..9 {
            assert!(!setup.is("guess", at(1)));
        }
        assert!(!setup.is(&code, at(1)), "the hour that had passed was a wrong one too");
        assert_eq!(setup.code(at(1)), None);
        assert_ne!(SetupCode::new(at(0)).unwrap().code(at(0)), Some(code.as_str()));
    }
}
