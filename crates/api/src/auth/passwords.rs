//! Passwords: what may be one, and how one is hashed and looked at.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use super::AuthError;

/// Characters that a password has at least.
const LEAST: usize = 12;

/// Bytes that it has at most: enough for any phrase, and nobody has us hash a megabyte.
const MOST: usize = 256;

/// What one hash takes, as OWASP recommends for argon2id: 19 MiB, 2 passes, 1 lane.
const COST: (u32, u32, u32) = (19 * 1_024, 2, 1);

/// Hashes that are computed at once: a flood of logins takes so much memory and so many cores and no more.
const AT_ONCE: usize = 2;

/// Logins that may wait for one of them; who comes after is told to come again.
const WAITING: usize = 16;

/// Hashes passwords, a few at a time; a call takes some 20 ms of a core, so async code calls it on a thread that may block.
#[derive(Default)]
pub struct Passwords {
    running: Mutex<Running>,
    ended: Condvar,
    /// What is looked at where there is no account, so that it takes as long as where there is one.
    nobody: OnceLock<String>,
}

#[derive(Default)]
struct Running {
    hashing: usize,
    waiting: usize,
}

impl Passwords {
    /// Hashes a password that is to be kept.
    ///
    /// # Errors
    /// [`AuthError::Busy`], or when there is no memory or randomness.
    pub fn hash(&self, password: &str) -> Result<String, AuthError> {
        self.in_turn(|| hash(password))
    }

    /// Whether a password is the one that was hashed. With `None` it is not, and that takes as long.
    ///
    /// # Errors
    /// [`AuthError::Busy`], or when there is no memory or randomness.
    pub fn verify(&self, password: &str, kept: Option<&str>) -> Result<bool, AuthError> {
        self.in_turn(|| {
            let Some(kept) = kept else {
                let nobody = match self.nobody.get() {
                    Some(nobody) => nobody,
                    None => self.nobody.get_or_init(|| hash("nobody has this password").unwrap_or_default()),
                };
                verify(password, nobody)?;
                return Ok(false);
            };
            verify(password, kept)
        })
    }

    /// Hashes what nobody's password is compared with, so that the first try of a name that is none takes no longer.
    pub(super) fn prepare(&self) {
        self.nobody.get_or_init(|| hash("nobody has this password").unwrap_or_default());
    }

    fn in_turn<T>(&self, work: impl FnOnce() -> Result<T, AuthError>) -> Result<T, AuthError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.hashing >= AT_ONCE {
            if running.waiting >= WAITING {
                return Err(AuthError::Busy);
            }
            running.waiting += 1;
            running = self
                .ended
                .wait_while(running, |running| running.hashing >= AT_ONCE)
                .unwrap_or_else(PoisonError::into_inner);
            running.waiting -= 1;
        }
        running.hashing += 1;
        drop(running);
        let turn = Turn(self);
        let done = work();
        drop(turn);
        done
    }
}

/// Lets the next one have a turn, whatever became of this one.
struct Turn<'a>(&'a Passwords);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).hashing -= 1;
        self.0.ended.notify_one();
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).expect("the parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> Result<String, AuthError> {
    let hash = argon2().hash_password(password.as_bytes()).map_err(failed)?;
    Ok(hash.to_string())
}

fn verify(password: &str, kept: &str) -> Result<bool, AuthError> {
    let Ok(kept) = PasswordHash::new(kept) else { return Ok(false) };
    match argon2().verify_password(password.as_bytes(), &kept) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::OutOfMemory) => Err(failed(password_hash::Error::OutOfMemory)),
        Err(_) => Ok(false),
    }
}

fn failed(error: password_hash::Error) -> AuthError {
    AuthError::NoSecret(match error {
        password_hash::Error::OutOfMemory => "there is no memory to hash a password",
        _ => "a password could not be hashed",
    })
}

/// Refuses what is too short or too long for a password of that account, or is easily guessed.
///
/// # Errors
/// [`AuthError::Password`], which says why.
pub fn check_password(username: &str, password: &str) -> Result<(), AuthError> {
    let refused = |reason: String| Err(AuthError::Password(reason));
    if password.chars().count() < LEAST {
        return refused(format!("a password has at least {LEAST} characters"));
    }
    if password.len() > MOST {
        return refused(format!("a password has at most {MOST} bytes"));
    }
    let mut letters: Vec<char> = password.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 4 {
        return refused("this password has hardly any different characters".to_owned());
    }
    if password.to_lowercase().trim() == username.to_lowercase() {
        return refused("a password is not the username".to_owned());
    }
    Ok(())
}

/// Whether anything that long can be a password: what cannot is not hashed.
pub(super) fn may_be_password(password: &str) -> bool {
    (1..=MOST).contains(&password.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_password_is_recognised_and_nothing_else_is() {
        let passwords = Passwords::default();
        let kept = passwords.hash("Füße auf dem Tisch").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash("Füße auf dem Tisch").unwrap(), "each has its own salt");
        assert!(passwords.verify("Füße auf dem Tisch", Some(&kept)).unwrap());
        for (other, kept) in [("Füße auf dem tisch", Some(kept.as_str())), ("x", None), ("x", Some("")), ("", None)] {
            assert!(!passwords.verify(other, kept).unwrap());
        }
    }

    #[test]
    fn nobodys_password_takes_as_long_as_somebodys() {
        let passwords = Passwords::default();
        passwords.prepare();
        let kept = passwords.hash("twelve letters").unwrap();
        let least = |kept: Option<&str>| {
            let time = || {
                let begun = Instant::now();
                passwords.verify("another password", kept).unwrap();
                begun.elapsed()
            };
            (0..5).map(|_| time()).min().unwrap()
        };
        let (somebody, nobody) = (least(Some(&kept)), least(None));
        assert!(nobody * 3 > somebody && somebody * 3 > nobody, "{somebody:?} {nobody:?}");
    }

    #[test]
    fn a_flood_waits_in_a_short_line() {
        let passwords = Arc::new(Passwords::default());
        // Both turns are taken for as long as the test wants.
        passwords.running.lock().unwrap().hashing = AT_ONCE;
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let passwords = Arc::clone(&passwords);
                std::thread::spawn(move || passwords.verify("x", Some("")))
            })
            .collect();
        while passwords.running.lock().unwrap().waiting < WAITING {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(passwords.verify("x", None), Err(AuthError::Busy)));
        passwords.running.lock().unwrap().hashing = 0;
        passwords.ended.notify_one();
        assert!(waiting.into_iter().all(|one| matches!(one.join().unwrap(), Ok(false))));
        assert!(matches!(passwords.verify("x", Some("")), Ok(false)));
    }

    #[test]
    fn what_is_easily_guessed_is_no_password() {
        for password in ["", "short", "elevenchars", "aaaaaaaaaaaaaaaa", "administrator", &"x1y2".repeat(65)] {
            assert!(check_password("Administrator", password).is_err(), "{password}");
        }
        check_password("kim", "twelve chars").unwrap();
        check_password("kim", "čeština ščř").unwrap_err();
        check_password("kim", "čeština ščřž").unwrap();
    }
}
