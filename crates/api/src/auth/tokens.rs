//! Secrets that are shown once and kept as their hashes.
//!
//! A token is 32 random bytes, so there is nothing to guess: one fast hash protects the store's copy, and looking a hash up
//! tells nobody by its time how much of a token was right.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::AuthError;

/// Of session tokens.
pub(super) const SESSION: &str = "lws_";
/// Of refresh tokens.
pub(super) const REFRESH: &str = "lwr_";
/// Of API tokens.
pub(super) const TOKEN: &str = "lwt_";

/// Characters behind the prefix.
const LENGTH: usize = 43;

/// A new secret with that prefix.
pub(super) fn new_token(prefix: &str) -> Result<String, AuthError> {
    let mut text = prefix.to_owned();
    URL_SAFE_NO_PAD.encode_string(random::<32>()?, &mut text);
    Ok(text)
}

/// A name for something, which is no secret.
pub(super) fn new_id() -> Result<String, AuthError> {
    Ok(random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Random bytes of the system.
pub(super) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], AuthError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AuthError::NoSecret("the system has no random bytes"))?;
    Ok(bytes)
}

/// What the store keeps of a token.
#[must_use]
pub fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

/// Whether it looks like a token of that prefix: what does not is not looked up.
pub(super) fn looks_like(token: &str, prefix: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    token.strip_prefix(prefix).is_some_and(|rest| rest.len() == LENGTH && rest.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_alike_and_none_is_kept() {
        let (one, other) = (new_token(SESSION).unwrap(), new_token(SESSION).unwrap());
        assert!(looks_like(&one, SESSION) && !looks_like(&one, TOKEN), "{one}");
        assert_ne!(one, other);
        assert_ne!(token_hash(&one), token_hash(&other));
        assert!(!token_hash(&one).contains(&one[4..]));
        for forged in ["", "lws_", "lws_x", &one[..46], &format!("{one}x"), &one.replace(&one[10..11], "'")] {
            assert!(!looks_like(forged, SESSION), "{forged}");
        }
    }
}
