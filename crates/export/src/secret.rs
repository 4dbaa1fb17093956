//! Passwords, tokens and addresses that hold them: read from a file or the environment, never printed.

use std::fmt;
use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A secret. Neither `Debug` nor any other way of printing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Bytes of a file that holds a secret, at most.
const LONGEST: u64 = 64 * 1024;

impl Secret {
    /// From text; white space around it is not part of it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// From the file or the environment variable that settings name as `NAME_file` and `NAME_env`; `None` without either.
    ///
    /// # Errors
    /// When both are named, or what is named cannot be read or is empty.
    pub(crate) fn read(name: &str, file: Option<&Path>, variable: Option<&str>) -> Result<Option<Self>, String> {
        let secret = match (file, variable) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(format!("give `{name}_file` or `{name}_env`, not both")),
            (Some(path), None) => {
                let shown = path.display();
                let length = fs::metadata(path).map_err(|error| format!("`{name}_file` {shown}: {error}"))?.len();
                if length > LONGEST {
                    return Err(format!("`{name}_file` {shown}: {length} bytes are too many for a secret"));
                }
                fs::read_to_string(path).map_err(|error| format!("`{name}_file` {shown}: {error}"))?
            }
            (None, Some(variable)) => std::env::var(variable)
                .map_err(|_| format!("`{name}_env`: the environment variable {variable} is not set"))?,
        };
        let secret = Self::new(&secret);
        if secret.0.is_empty() {
            return Err(format!("`{name}_file` or `{name}_env` holds nothing"));
        }
        Ok(Some(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// An `http` or `https` address. Chat services put their secret into the path: only scheme and host are ever printed.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Url(String);

impl Url {
    /// The whole address, for the one place that sends to it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is reached through TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// `SCHEME://HOST[:PORT]/…`, without user, path and query.
    #[must_use]
    pub fn shown(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let more = if rest.len() > authority.len() + 1 { "/…" } else { "" };
        format!("{scheme}://{host}{more}")
    }
}

impl TryFrom<String> for Url {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rest = text
            .split_once("://")
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"));
        // The text is not repeated: it may be the secret itself.
        let (_, rest) = rest.ok_or("not an address; write http://HOST/… or https://HOST/…")?;
        if rest.is_empty() || rest.starts_with('/') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("not an address; write http://HOST/… or https://HOST/…".to_owned());
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Url({})", self.shown())
    }
}

impl Serialize for Url {
    /// As shown, not as given: settings are printed, and may be put into a report.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_shows_a_secret() {
        let url = Url::try_from("https://user:pass@hooks.example/T0/B0/verysecret?key=verysecret".to_owned()).unwrap();
        let secret = Secret::new("verysecret\n");
        let printed = format!("{url:?} {} {secret:?} {}", url.shown(), serde_json::to_string(&url).unwrap());
        assert!(!printed.contains("verysecret") && !printed.contains("pass"), "{printed}");
        assert!(printed.contains("https://hooks.example/…"));
        assert_eq!(secret.expose(), "verysecret");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in ["hooks.example/verysecret", "ftp://verysecret", "https:///verysecret", "http://a b", ""] {
            let error = Url::try_from(text.to_owned()).unwrap_err();
            assert!(!error.contains("verysecret"));
        }
        assert!(Url::try_from("HTTPS://a".to_owned()).unwrap().is_https());
        assert!(!Url::try_from("http://a".to_owned()).unwrap().is_https());
    }

    #[test]
    fn a_secret_comes_from_a_file_or_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "abc\n").unwrap();
        assert_eq!(Secret::read("token", Some(&path), None).unwrap().unwrap().expose(), "abc");
        assert!(Secret::read("token", Some(&path), Some("X")).unwrap_err().contains("not both"));
        assert!(Secret::read("token", None, Some("LAPWING_TEST_UNSET")).unwrap_err().contains("LAPWING_TEST_UNSET"));
        assert_eq!(Secret::read("token", None, None).unwrap(), None);
        fs::write(&path, " \n").unwrap();
        assert!(Secret::read("token", Some(&path), None).is_err());
    }
}
