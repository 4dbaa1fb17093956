//! Where hosts are and whose network they are in, from databases (`.mmdb`) that the user has.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader, path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Alert;

/// Larger than any database of places: it is read into memory.
const MOST_BYTES: u64 = 1 << 30;

/// Characters that are taken of a text: names of networks are shorter.
const MOST_TEXT: usize = 128;

/// What is known of a host's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The host.
    pub address: String,
    /// Where it is: ISO 3166-1, two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Number of the network that it is in (autonomous system).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Who runs that network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is larger than any.
    #[error("{}: {bytes} bytes are too many for a database of places", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// It is none.
    #[error("{}: no database of places (.mmdb) that can be read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Databases of places; without any, nothing is known, and nothing amiss.
#[derive(Debug, Default)]
pub struct Places {
    country: Option<Reader<Vec<u8>>>,
    asn: Option<Reader<Vec<u8>>>,
}

impl Places {
    /// Reads a database of countries (or cities) and one of autonomous systems into memory.
    ///
    /// # Errors
    /// When a file that is named is not there or is no such database.
    pub fn open(country: Option<&Path>, asn: Option<&Path>) -> Result<Self, PlaceError> {
        Ok(Self { country: country.map(read).transpose()?, asn: asn.map(read).transpose()? })
    }

    /// What is known of a host; `None` when nothing is.
    #[must_use]
    pub fn find(&self, address: IpAddr) -> Option<Place> {
        let country = self.country.as_ref().and_then(|reader| {
            let found = reader.lookup(address).ok()?;
            // Where it is; else where its addresses are registered.
            ["country", "registered_country"]
                .into_iter()
                .find_map(|which| found.decode_path::<&str>(&path![which, "iso_code"]).ok()?)
                .map(shown)
        });
        let network = self.asn.as_ref().and_then(|reader| reader.lookup(address).ok());
        let asn = network.as_ref().and_then(|found| found.decode_path(&path!["autonomous_system_number"]).ok()?);
        let organization = network
            .as_ref()
            .and_then(|found| found.decode_path::<&str>(&path!["autonomous_system_organization"]).ok()?)
            .map(shown);
        (country.is_some() || asn.is_some() || organization.is_some()).then(|| Place {
            address: address.to_string(),
            country,
            asn,
            organization,
        })
    }

    /// Notes the places of an alert's device and peers.
    pub fn note(&self, alert: &mut Alert) {
        if self.country.is_none() && self.asn.is_none() {
            return;
        }
        let hosts = std::iter::once(&alert.device).chain(&alert.peers);
        alert.places = hosts.filter_map(|host| self.find(host.parse().ok()?)).collect();
    }
}

impl Place {
    /// In brackets behind an address: `NL, AS1103 SURF B.V.`
    #[must_use]
    pub fn brief(&self) -> String {
        let network = match (self.asn, self.organization.as_deref()) {
            (Some(asn), Some(organization)) => Some(format!("AS{asn} {organization}")),
            (Some(asn), None) => Some(format!("AS{asn}")),
            (None, organization) => organization.map(ToOwned::to_owned),
        };
        [self.country.clone(), network].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A text as it can be shown on a terminal and goes with every alert: a database is from elsewhere.
fn shown(text: &str) -> String {
    // Marks and overrides of the direction of writing (UAX #9, table 1) turn around what stands behind them.
    let turns =
        |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().take(MOST_TEXT).map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, PlaceError> {
    let failed = |source| PlaceError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > MOST_BYTES {
        return Err(PlaceError::TooLarge { path: path.to_owned(), bytes });
    }
    let content = fs::read(path).map_err(failed)?;
    let malformed = |error: MaxMindDbError| PlaceError::Malformed { path: path.to_owned(), reason: error.to_string() };
    Reader::from_source(content).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of a database's data section (MaxMind DB specification 2.0).
    enum Value<'a> {
        Text(&'a str),
        Short(u16),
        Number(u32),
        Long(u64),
        NoList,
        Map(Vec<(&'a str, Value<'a>)>),
    }

    impl Value<'_> {
        fn write(&self, out: &mut Vec<u8>) {
            match self {
                Self::Text(text) => {
                    // From 29 on the length less 29 has a byte of its own.
                    match text.len() {
                        short @ 0..29 => out.push(2 << 5 | short as u8),
                        long => out.extend([2 << 5 | 29, (long - 29) as u8]),
                    }
                    out.extend(text.as_bytes());
                }
                Self::Short(number) => {
                    out.push(5 << 5 | 2);
                    out.extend(number.to_be_bytes());
                }
                Self::Number(number) => {
                    out.push(6 << 5 | 4);
                    out.extend(number.to_be_bytes());
                }
                // Types above 7 have a byte of their own.
                Self::Long(number) => {
                    out.extend([8, 9 - 7]);
                    out.extend(number.to_be_bytes());
                }
                Self::NoList => out.extend([0, 11 - 7]),
                Self::Map(pairs) => {
                    out.push(7 << 5 | pairs.len() as u8);
                    for (name, value) in pairs {
                        Value::Text(name).write(out);
                        value.write(out);
                    }
                }
            }
        }
    }

    /// A database of IPv4 in which 128.0.0.0/1 has `value`, and nothing else has one.
    fn database(kind: &str, value: &Value<'_>) -> Vec<u8> {
        const NODES: u32 = 1;
        // One node of two records of 24 bits: nothing to the left, the data's first byte to the right.
        let mut file = [NODES.to_be_bytes()[1..].to_vec(), (NODES + 16).to_be_bytes()[1..].to_vec()].concat();
        file.extend([0; 16]);
        value.write(&mut file);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        Value::Map(vec![
            ("build_epoch", Value::Long(0)),
            ("description", Value::Map(Vec::new())),
            ("languages", Value::NoList),
            ("node_count", Value::Number(NODES)),
            ("record_size", Value::Short(24)),
            ("ip_version", Value::Short(4)),
            ("database_type", Value::Text(kind)),
            ("binary_format_major_version", Value::Short(2)),
            ("binary_format_minor_version", Value::Short(0)),
        ])
        .write(&mut file);
        file
    }

    fn places(folder: &Path) -> Places {
        let (country, asn) = (folder.join("country.mmdb"), folder.join("asn.mmdb"));
        let iso = Value::Map(vec![("iso_code", Value::Text("NL"))]);
        fs::write(&country, database("Country", &Value::Map(vec![("country", iso)]))).unwrap();
        let network = vec![
            ("autonomous_system_number", Value::Number(64_500)),
            ("autonomous_system_organization", Value::Text("Example Net")),
        ];
        fs::write(&asn, database("ASN", &Value::Map(network))).unwrap();
        Places::open(Some(&country), Some(&asn)).unwrap()
    }

    #[test]
    fn a_host_is_found_with_country_and_network() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let found = places.find("203.0.113.7".parse().unwrap()).unwrap();
        assert_eq!(found.brief(), "NL, AS64500 Example Net");
        assert_eq!(places.find("10.0.0.1".parse().unwrap()), None);
        assert_eq!(places.find("2001:db8::1".parse().unwrap()), None);
    }

    #[test]
    fn what_a_database_says_commands_no_terminal() {
        assert_eq!(shown("Example\u{1b}[31m\u{202e}Net\n"), "Example [31m Net ");
        assert_eq!(shown(&"ä".repeat(1_000)).chars().count(), MOST_TEXT);
    }

    #[test]
    fn without_databases_nothing_is_known_and_nothing_amiss() {
        let places = Places::open(None, None).unwrap();
        assert_eq!(places.find("203.0.113.7".parse().unwrap()), None);
    }

    #[test]
    fn a_file_that_is_cut_or_none_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        places(folder.path());
        let path = folder.path().join("country.mmdb");
        let whole = fs::read(&path).unwrap();
        for bytes in [&whole[..whole.len() - 20], b"address,country\n", b""] {
            fs::write(&path, bytes).unwrap();
            let told = Places::open(Some(&path), None).unwrap_err().to_string();
            assert!(told.contains("country.mmdb: no database"), "{told}");
        }
        let told = Places::open(None, Some(Path::new("/nowhere.mmdb"))).unwrap_err().to_string();
        assert!(told.contains("/nowhere.mmdb: No such file"), "{told}");
    }
}
